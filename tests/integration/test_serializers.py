"""Commands as serializers and languages write them, on real servers: decided, or refused with words and ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from boxoffice.kafka.clients import header, home_partition
from boxoffice.redis.connection import connect
from lua.keys import event_keys
from tests.support.office import Office
from tests.support.workload import Sent
from tests.unit.strangers import TIMES, WRAPPINGS
from topics.dead_letters import POSITION_HEADER

EVENT = "42"


def sent(**members: Any) -> Sent:
    return Sent(str(members["event_id"]).encode(), json.dumps(members).encode())


def creation(event_id: str, starts_at: str = "2027-03-01T19:30:00Z") -> Sent:
    """As a class for all commands is written, with null for what was not set."""
    return sent(
        type="create_event",
        request_id=f"c-{event_id}",
        event_id=event_id,
        name="Night at the Opera",
        venue="Main Hall",
        starts_at=starts_at,
        capacity=10,
        max_per_order=None,
        price={"amount": 4500, "currency": "EUR", "tax": None},
        buyer=None,
        quantity=None,
        count=None,
    )


async def facts(office: Office) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]


async def test_nulls_and_times_of_every_language_are_decided_and_come_to_redis_as_they_are(office: Office) -> None:
    times = {str(number): starts_at for number, starts_at in enumerate(TIMES, 1)}
    await office.send([creation(event_id, starts_at) for event_id, starts_at in times.items()])
    await office.send(
        sent(type=None, request_id="r-1", event_id=event_id, buyer="b", quantity=None, venue=None) for event_id in times
    )
    worker = office.start()
    await office.answered()
    told = await facts(office)
    assert {fact["event_id"]: fact["starts_at"] for fact in told if fact["type"] == "event_created"} == times
    bought = {fact["event_id"]: fact["quantity"] for fact in told if fact["type"] == "purchase_confirmed"}
    assert bought == dict.fromkeys(times, 1)
    # Checks each copy in Redis too, once it has the event.
    await office.agrees()
    assert await _starts_in_redis(office, times) == times
    assert await worker.stop() == 0
    again = office.start()
    await office.send([sent(request_id="r-1", event_id=event_id, buyer="b", quantity=1) for event_id in times])
    await office.answered()
    bought_at = [
        (fact["event_id"], fact["seq"]) for fact in await facts(office) if fact["type"] == "purchase_confirmed"
    ]
    assert sorted(bought_at) == sorted([(event_id, 2) for event_id in times] * 2)
    await office.agrees()
    assert await again.stop() == 0


async def _starts_in_redis(office: Office, event_ids: Iterable[str]) -> dict[str, str]:
    client = connect(office.settings.redis)
    keys = {event_id: event_keys(office.settings.redis.key_prefix, event_id).meta for event_id in event_ids}
    try:
        found = {
            event_id: await client.execute_command("HGET", key, "starts_at") or b"" for event_id, key in keys.items()
        }
    finally:
        await client.aclose()
    return {event_id: starts_at.decode() for event_id, starts_at in found.items()}


async def test_who_waits_for_a_command_in_a_wrapping_finds_its_ids_and_the_reason(office: Office) -> None:
    home = home_partition(EVENT, office.settings.kafka.partitions)
    bought = {name: f"r-{number}" for number, name in enumerate(WRAPPINGS)}
    await office.send([creation(EVENT)])
    await office.send(
        Sent(EVENT.encode(), WRAPPINGS[name](sent(request_id=request_id, event_id=EVENT, buyer="b").value))
        for name, request_id in bought.items()
    )
    office.start()
    await office.answered()
    unreadable = [fact for fact in await facts(office) if fact["type"] == "command_unreadable"]
    assert len(unreadable) == len(WRAPPINGS)
    assert all(fact["event_id"] is fact["request_id"] is None for fact in unreadable)
    assert all(fact["source"]["partition"] == home for fact in unreadable)
    claimed = {fact["claimed_request_id"] for fact in unreadable if fact.get("claimed_event_id") == EVENT}
    assert claimed == set(bought.values()) - {bought["an array of two"]}
    await office.agrees()
    for letter in await office.read(office.dead_letters):
        position = (header(letter.headers, POSITION_HEADER) or b"").decode()
        assert header(letter.headers, "ce_type") == b"boxoffice.command_dead_letter.v1"
        assert header(letter.headers, "ce_id") == "-".join(position.split(":")[1:]).encode()
    shown = await office.run("results", "--event", EVENT)
    assert shown.stdout.count("Unreadable, ") == len(claimed)
    assert all(f"(request {request_id}, position " in shown.stdout for request_id in claimed)
