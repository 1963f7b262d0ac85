"""What becomes of a copy in Redis, step by step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from lua.keys import event_keys
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, Owner, in_simulation
from tests.simulation.redis_server import Health, RedisServer
from tests.unit.records import creation, purchase
from topics import purchase_results

KEYS = event_keys("", EVENT)


def facts(broker: Broker) -> list[dict[str, Any]]:
    """What the ledger holds."""
    return [json.loads(record.value or b"") for record in broker.partitions[purchase_results.TOPIC.name, 0].records]


async def on_sale(broker: Broker, redis: RedisServer) -> Owner:
    owner = Owner(broker, redis)
    await owner.take_over()
    await owner.sell(creation(EVENT))
    await owner.in_step()
    return owner


def seq_in_redis(redis: RedisServer) -> bytes:
    meta: Any = redis.memory.data[KEYS.meta.encode()]
    return bytes(meta[b"seq"])


async def _decides_otherwise(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    queue: Any = redis.memory.data[KEYS.tickets.encode()]
    queue.reverse()
    await owner.sell(purchase("r-1", EVENT))
    sold = facts(broker)[-1]
    assert (sold["tickets"], sold["decided_by"]) == ([f"{EVENT}-000001"], "local")
    await owner.in_step()
    await owner.sell(purchase("r-2", EVENT))
    sold = facts(broker)[-1]
    assert (sold["tickets"], sold["decided_by"]) == ([f"{EVENT}-000002"], "redis")


def test_redis_is_not_believed() -> None:
    in_simulation(_decides_otherwise)


async def _dies_before_it_is_told(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    redis.crash()
    await owner.sell(purchase("r-1", EVENT))
    await owner.sell(purchase("r-2", EVENT))
    missed = list(owner.copy.backlog)
    assert len(missed) == 2
    redis.on_executed = redis.crash  # as soon as it has answered a probe
    redis.serve()
    while redis.health is not Health.DOWN:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert owner.copy.backlog == missed
    redis.on_executed = lambda: None
    redis.serve()
    await owner.in_step()
    assert seq_in_redis(redis) == b"3"


def test_a_settle_that_failed_is_made_again() -> None:
    in_simulation(_dies_before_it_is_told)
