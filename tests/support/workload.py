"""Commands as a careless world sends them: repeats, cancellations, over-large orders, garbage."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

GARBAGE = (b"garbage", b"{}", b'{"request_id":"r","event_id":"007","buyer":"b"}', b'{"type":"steal"}', b"\xff\xfe")


class Sent(NamedTuple):
    """One record to send. Without a key the client's partitioner spreads it."""

    key: bytes | None
    value: bytes


def event_ids(seed: int, count: int) -> list[str]:
    """Ids that no other test uses."""
    return [str(seed * 1_000 + number) for number in range(1, count + 1)]


def creations(ids: Sequence[str], capacity: int) -> list[Sent]:
    """A create_event for each."""
    return [
        sent(
            {
                "type": "create_event",
                "request_id": f"create-{event_id}",
                "event_id": event_id,
                "name": f"Night {event_id}",
                "venue": "Main Hall",
                "starts_at": "2027-03-01T19:30:00+01:00",
                "capacity": capacity,
                "max_per_order": 8,
                "price": {"amount": 4500, "currency": "EUR"},
            }
        )
        for event_id in ids
    ]


def order(event_id: str, request_id: str, quantity: int = 1) -> Sent:
    """A purchase."""
    return _purchase(request_id, event_id, quantity)


def commands(seed: int, ids: Sequence[str], count: int) -> Iterator[Sent]:
    """``count`` commands for the events, always the same for a seed."""
    chance = random.Random(seed)
    for number in range(count):
        event_id = chance.choice(ids)
        earlier = f"r-{chance.randrange(max(1, number))}"
        kind = chance.random()
        if kind < 0.02:
            yield Sent(event_id.encode(), chance.choice(GARBAGE))
        elif kind < 0.05:
            yield sent(
                {"type": "cancel_purchase", "request_id": f"x-{number}", "event_id": event_id, "purchase": earlier}
            )
        elif kind < 0.08:
            yield _purchase(earlier, event_id, chance.choice((1, 2)))
        elif kind < 0.085:
            yield sent({"type": "add_tickets", "request_id": f"a-{number}", "event_id": event_id, "count": 3})
        elif kind < 0.09:
            yield _purchase(f"r-{number}", "999999999999999999", 1)
        elif kind < 0.14:
            yield _purchase(f"r-{number}", event_id, chance.choice((1, 2)))._replace(key=None)
        else:
            yield _purchase(f"r-{number}", event_id, chance.choice((1, 1, 2, 2, 3, 9)))


def _purchase(request_id: str, event_id: str, quantity: int) -> Sent:
    return sent({"request_id": request_id, "event_id": event_id, "buyer": f'b "{request_id}"', "quantity": quantity})


def sent(command: Mapping[str, object]) -> Sent:
    """A command, with its event as key."""
    return Sent(str(command["event_id"]).encode(), json.dumps(command).encode())
