"""An outage with hundreds of events: what a batch costs does not grow with them, nor what one call to Redis holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from boxoffice.selling import copies
from boxoffice.selling.event_copy import CopyState
from tests.simulation.broker import Broker
from tests.simulation.owner import Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.unit.records import creation, purchase
from topics import purchase_requests

EVENTS = [str(number) for number in range(1, 301)]
TOPIC = purchase_requests.TOPIC.name
ROOM = 40


class _Counted(dict[str, Any]):
    """A dictionary that counts how often all of it is looked at."""

    looks = 0

    def values(self) -> Any:
        self.looks += 1
        return super().values()

    def items(self) -> Any:
        self.looks += 1
        return super().items()


async def _on_sale(broker: Broker, redis: RedisServer) -> Owner:
    owner = Owner(broker, redis)
    await owner.take_over()
    await _sell(owner, broker, [creation(event_id, 100) for event_id in EVENTS])
    await _all_in_step(owner)
    return owner


async def _sell(owner: Owner, broker: Broker, commands: Sequence[dict[str, Any]]) -> None:
    broker.append(TOPIC, 0, [(b"", json.dumps(command).encode(), []) for command in commands])
    await owner.sell_all()


async def _all_in_step(owner: Owner) -> None:
    while not all(copy.state is CopyState.IN_STEP for copy in owner.copies._copies.values()):
        await asyncio.sleep(0.1)


async def _outage(broker: Broker, redis: RedisServer) -> None:
    owner = await _on_sale(broker, redis)
    redis.crash()
    await _sell(owner, broker, [purchase(f"r-1-{event_id}", event_id) for event_id in EVENTS])
    assert owner.copies.backlog_facts == len(EVENTS)
    known = owner.copies._copies = _Counted(owner.copies._copies)
    await _sell(owner, broker, [purchase(f"r-2-{event_id}", event_id) for event_id in EVENTS])
    assert owner.copies.backlog_facts == 2 * len(EVENTS)
    assert known.looks == 0, "a batch looked at every event"
    redis.serve()
    await _all_in_step(owner)
    assert owner.copies.backlog_facts == 0


def test_a_batch_in_an_outage_looks_at_its_own_events_alone() -> None:
    in_simulation(_outage)


async def _first_call_after(broker: Broker, redis: RedisServer) -> None:
    owner = await _on_sale(broker, redis)
    redis.crash()
    for turn in range(3):
        await _sell(owner, broker, [purchase(f"{turn}-{event_id}", event_id) for event_id in EVENTS])
    facts: list[int] = []
    decide = owner.copies._store.decide

    async def noted(calls: Sequence[Any]) -> Any:
        facts.append(sum(len(call.backlog) for call in calls))
        return await decide(calls)

    owner.copies._store.decide = noted  # type: ignore[method-assign]
    # Nothing heals in the background before the next batch comes.
    owner.copies._heals = asyncio.Semaphore(0)
    redis.serve()
    while owner.copies.breaker.is_open:
        await asyncio.sleep(0.01)
    await _sell(owner, broker, [purchase(f"after-{event_id}", event_id) for event_id in EVENTS])
    assert facts, "Redis was asked nothing"
    assert 0 < max(facts) <= ROOM
    owner.copies._heals.release()
    await _all_in_step(owner)


def test_one_call_to_redis_has_room_for_so_many_missed_facts_of_all_events_together() -> None:
    before, copies.INLINE_BACKLOG = copies.INLINE_BACKLOG, ROOM
    try:
        in_simulation(_first_call_after)
    finally:
        copies.INLINE_BACKLOG = before


def test_a_full_backlog_makes_room_without_looking_for_it_each_time() -> None:
    looks: list[int] = []

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await _on_sale(broker, redis)
        owner.copies._settings = owner.copies._settings.model_copy(update={"backlog_limit": 200})
        redis.crash()
        known = owner.copies._copies = _Counted(owner.copies._copies)
        for turn in range(3):
            await _sell(owner, broker, [purchase(f"{turn}-{event_id}", event_id) for event_id in EVENTS])
            assert owner.copies.backlog_facts <= 200
        looks.append(known.looks)
        redis.serve()
        await _all_in_step(owner)

    in_simulation(scenario)
    assert 0 < looks[0] <= 3 * len(EVENTS) // 20
