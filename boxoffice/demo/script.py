"""What the demo offers: made from a seed, so that what must come of it is known beforehand."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Final

from pydantic_core import to_json

from boxoffice.kafka.clients import home_partition

EVENT_ID: Final = "42"
UNKNOWN_EVENT_ID: Final = "404"
CAPACITY: Final = 1_000
MAX_PER_ORDER: Final = 8
PACE_PER_S: Final = 250
BURST: Final = 300
_EARLY: Final = 0.4
_QUANTITIES: Final = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
_MALFORMED: Final = (
    b"hello",
    b"{",
    b"\xff\xfe\x00",
    b"[]",
    b'{"event_id": "42"}',
    b'{"type": "refund", "request_id": "r", "event_id": "42"}',
    b'{"request_id": "r", "event_id": "42", "buyer": "b", "quantity": "2"}',
    b'{"request_id": "r", "event_id": "042", "buyer": "b"}',
    b'{"request_id": "r", "event_id": "42", "buyer": ""}',
    b'{"request_id": "r r", "event_id": "42", "buyer": "b"}',
)


class Kind(StrEnum):
    """What a command of the demo is there to show."""

    PURCHASE = auto()
    REPEAT = auto()
    REUSED_ID = auto()
    OVER_LARGE = auto()
    CANCEL = auto()
    CANCEL_AGAIN = auto()
    CANCEL_NOTHING = auto()
    MALFORMED = auto()
    UNKNOWN_EVENT = auto()


COMMANDS: Final[Mapping[Kind, int]] = {
    Kind.PURCHASE: 1_010,
    Kind.REPEAT: 130,
    Kind.REUSED_ID: 10,
    Kind.OVER_LARGE: 50,
    Kind.CANCEL: 40,
    Kind.CANCEL_AGAIN: 5,
    Kind.CANCEL_NOTHING: 5,
    Kind.MALFORMED: 25,
    Kind.UNKNOWN_EVENT: 25,
}
MISPLACED: Final = 100
"""Purchases that are sent to another partition than their event's home."""
OVER_HTTP: Final = sum(COMMANDS.values()) // 2
"""Commands that come through the gateway."""


@dataclass(frozen=True)
class Told:
    """What came back over HTTP: a status, or the error that came instead; the fact in it; and when."""

    status: str
    fact: Any
    seen_s: float


@dataclass
class Offered:
    """A command of the demo: when it comes (0 to 1), what it is, and, once it was sent, where it went.

    What goes ``over_http`` has what it was ``told`` in the place of a position.
    """

    kind: Kind
    comes_at: float
    value: bytes
    request_id: str = ""
    target: str = ""
    misplaced: bool = False
    keyed: bool = True
    over_http: bool = False
    sent_s: float = 0.0
    position: tuple[int, int] = (-1, -1)
    told: Told | None = None

    @property
    def about(self) -> str:
        """The purchase that it makes, repeats or cancels."""
        return self.target or self.request_id


class Script:
    """All commands of a demo, in order; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a schedule that can be had again
        purchases = [self._purchase(number) for number in range(COMMANDS[Kind.PURCHASE])]
        # Bought while there were tickets for certain, and not misplaced: so they come first, and are sold.
        early = [offered for offered in purchases if offered.comes_at < _EARLY]
        cancelled = self._random.sample(early, COMMANDS[Kind.CANCEL])
        for offered in self._random.sample([one for one in purchases if one.comes_at >= _EARLY], MISPLACED):
            offered.misplaced = True
        self.commands = sorted(
            [
                *purchases,
                *(self._repeat(self._random.choice(early), number) for number in range(COMMANDS[Kind.REPEAT])),
                *(self._reused(self._random.choice(early)) for _ in range(COMMANDS[Kind.REUSED_ID])),
                *(self._over_large(number) for number in range(COMMANDS[Kind.OVER_LARGE])),
                *(self._cancel(one) for one in cancelled),
                *(self._cancel_again(one) for one in self._random.sample(cancelled, COMMANDS[Kind.CANCEL_AGAIN])),
                *(self._cancel_nothing(number) for number in range(COMMANDS[Kind.CANCEL_NOTHING])),
                *(self._malformed(number) for number in range(COMMANDS[Kind.MALFORMED])),
                *(self._unknown_event(number) for number in range(COMMANDS[Kind.UNKNOWN_EVENT])),
            ],
            key=lambda offered: offered.comes_at,
        )
        self._choose_for_http()

    def _choose_for_http(self) -> None:
        """Half of them; all that is about one purchase goes the same way, since a caller's requests are his own."""
        together: defaultdict[str, list[Offered]] = defaultdict(list)
        for offered in self.commands:
            if offered.kind is not Kind.MALFORMED and not offered.misplaced:
                together[offered.about].append(offered)
        families = list(together.values())
        self._random.shuffle(families)
        left = OVER_HTTP
        for family in families:
            if len(family) <= left:
                left -= len(family)
                for offered in family:
                    offered.over_http = True

    def partition_for(self, offered: Offered, partitions: int) -> int | None:
        """Where to send it: a wrong partition, or None for what the client's partitioner says."""
        if not offered.misplaced:
            return None
        home = home_partition(EVENT_ID, partitions)
        return (home + self._random.randrange(1, partitions)) % partitions

    def _purchase(self, number: int) -> Offered:
        members = _purchase(f"r-{number}", f"b-{number}", self._random.choice(_QUANTITIES))
        return Offered(Kind.PURCHASE, self._random.random(), members, f"r-{number}")

    def _repeat(self, one: Offered, number: int) -> Offered:
        # Half of them in a hurry, right behind the first attempt.
        later = self._random.random() * (0.01 if number % 2 else 1 - one.comes_at)
        return Offered(Kind.REPEAT, one.comes_at + max(later, 1e-9), one.value, one.request_id, one.request_id)

    def _reused(self, one: Offered) -> Offered:
        value = _purchase(one.request_id, "b-other", 1)
        return Offered(Kind.REUSED_ID, self._random.uniform(one.comes_at, 1), value, one.request_id)

    def _over_large(self, number: int) -> Offered:
        value = _purchase(f"o-{number}", f"b-{number}", self._random.randint(MAX_PER_ORDER + 1, 100))
        return Offered(Kind.OVER_LARGE, self._random.random(), value, f"o-{number}")

    def _cancel(self, one: Offered) -> Offered:
        return self._cancellation(Kind.CANCEL, f"x-{one.request_id}", one.request_id, (_EARLY, 0.7))

    def _cancel_again(self, one: Offered) -> Offered:
        return self._cancellation(Kind.CANCEL_AGAIN, f"y-{one.request_id}", one.request_id, (0.7, 1))

    def _cancel_nothing(self, number: int) -> Offered:
        return self._cancellation(Kind.CANCEL_NOTHING, f"n-{number}", "nobody", (0, 1))

    def _cancellation(self, kind: Kind, request_id: str, purchase: str, between: tuple[float, float]) -> Offered:
        members = {
            "type": "cancel_purchase",
            "request_id": request_id,
            "event_id": EVENT_ID,
            "purchase": purchase,
        }
        return Offered(kind, self._random.uniform(*between), to_json(members), request_id, purchase)

    def _malformed(self, number: int) -> Offered:
        value = _MALFORMED[number % len(_MALFORMED)]
        return Offered(Kind.MALFORMED, self._random.random(), value, keyed=bool(number % 3))

    def _unknown_event(self, number: int) -> Offered:
        value = _purchase(f"u-{number}", f"b-{number}", 1, UNKNOWN_EVENT_ID)
        return Offered(Kind.UNKNOWN_EVENT, self._random.random(), value, f"u-{number}")


def _purchase(request_id: str, buyer: str, quantity: int, event_id: str = EVENT_ID) -> bytes:
    return to_json({"request_id": request_id, "event_id": event_id, "buyer": buyer, "quantity": quantity})
