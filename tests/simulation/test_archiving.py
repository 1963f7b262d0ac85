"""An archived event is forgotten by workers and by Redis, in whatever order things happen."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from boxoffice.settings import RedisSettings
from lua.keys import event_keys
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import creation, purchase
from tests.unit.strategies import categories

STALLS = {"categories": categories(4, 6), "capacity": None, "price": None}


def command(kind: str, request_id: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "request_id": request_id, "event_id": EVENT, **members}


def keys_of(redis: RedisServer) -> list[bytes]:
    """All that Redis has of the event."""
    stem = event_keys("", EVENT).meta.removesuffix("meta").encode()
    return [key for key in redis.memory.data if key.startswith(stem)]


async def gone(redis: RedisServer) -> None:
    """Wait until Redis has nothing of the event any more; it may take as long as it takes to look at all copies."""
    async with asyncio.timeout(3 * RedisSettings().check_interval_s):
        while keys_of(redis):
            await asyncio.sleep(0.5)


async def _is_forgotten(broker: Broker, redis: RedisServer) -> None:
    owner = Owner(broker, redis)
    await owner.take_over()
    await owner.sell(creation(EVENT) | STALLS)
    await owner.in_step()
    await owner.sell(purchase("r-1", EVENT) | {"category": "stalls"})
    assert len(keys_of(redis)) == 4
    await owner.sell(command("cancel_event", "k-1"))
    await owner.sell(command("archive_event", "y-1"))
    await owner.sell(purchase("r-1", EVENT) | {"category": "stalls"})
    await gone(redis)
    assert owner.copies._copies == {}
    assert owner.selling._owned[0].ledger.inventory.events == {}
    assert [fact.get("reason", fact["type"]) for fact in facts(broker)[-2:]] == ["event_archived", "event_archived"]
    assert [fact["seq"] for fact in facts(broker)] == [1, 2, 3, 4, 5]


def test_an_archived_event_leaves_nothing_in_a_worker_nor_in_redis() -> None:
    in_simulation(_is_forgotten)


async def _lives_for_one_batch(broker: Broker, redis: RedisServer) -> None:
    owner = Owner(broker, redis)
    await owner.take_over()
    asked = [
        creation(EVENT),
        purchase("r-1", EVENT),
        command("close_event", "z-1"),
        command("archive_event", "y-1"),
        purchase("r-2", EVENT),
    ]
    broker.append(TOPIC, 0, [(EVENT.encode(), json.dumps(members).encode(), []) for members in asked])
    await owner.sell_all()
    assert facts(broker)[3]["type"] == "event_archived"
    assert facts(broker)[4]["reason"] == "event_archived"
    await asyncio.sleep(0.5)
    assert keys_of(redis) == []


def test_an_event_that_is_created_and_archived_in_one_batch_ends_no_worker() -> None:
    in_simulation(_lives_for_one_batch)


async def _is_brought_back(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    replaced = Owner(broker, redis)
    await replaced.take_over()
    await owner.sell(command("close_event", "z-1"))
    await owner.sell(command("archive_event", "y-1"))
    await gone(redis)
    # Whoever was replaced and does not know it heals what it believes to be lost.
    replaced.copy.lost()
    replaced.copies._heal(replaced.copy)
    while not keys_of(redis):
        await asyncio.sleep(0.5)
    replaced.copies.drop(0)
    await asyncio.sleep(2 * RedisSettings().check_interval_s)
    assert keys_of(redis) == []


def test_what_a_replaced_owner_brings_back_of_an_archived_event_is_forgotten_again() -> None:
    in_simulation(_is_brought_back)
