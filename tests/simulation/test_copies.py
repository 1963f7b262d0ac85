"""What becomes of a copy in Redis, step by step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from lua.keys import event_keys, rebuild_key
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, Owner, in_simulation
from tests.simulation.redis_server import Health, RedisServer
from tests.unit.records import creation, purchase
from topics import purchase_results

KEYS = event_keys("", EVENT)
DELAY_S = 0.01


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
    queue: Any = redis.memory.data[KEYS.queues[0].encode()]
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


async def _is_rebuilt_meanwhile(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    seqs: list[int] = []
    redis.on_executed = lambda: seqs.append(int(seq_in_redis(redis)))
    redis.network.delay_s = lambda: DELAY_S  # type: ignore[method-assign]
    first = asyncio.create_task(owner.sell(purchase("r-1", EVENT)))
    while seq_in_redis(redis) != b"2":
        await asyncio.sleep(DELAY_S / 10)
    # Its reply is on its way when an operator's rebuild begins, which replaces whatever is there.
    redis.memory.data[rebuild_key("").encode()] = {EVENT.encode()}
    owner.copies._rebuild_asked_for({EVENT})
    await asyncio.gather(first, owner.sell(purchase("r-2", EVENT)))
    await owner.in_step()
    assert seqs == sorted(seqs)
    assert [fact["decided_by"] for fact in facts(broker)[-2:]] == ["redis", "local"]
    assert seq_in_redis(redis) == b"3"


def test_a_rebuild_undoes_nothing_that_is_decided_meanwhile() -> None:
    in_simulation(_is_rebuilt_meanwhile)


async def _is_adopted_meanwhile(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    redis.network.delay_s = lambda: DELAY_S  # type: ignore[method-assign]
    redis.memory.data[rebuild_key("").encode()] = {EVENT.encode()}
    owner.copies._rebuild_asked_for({EVENT})
    seqs: list[int] = []
    redis.on_executed = lambda: seqs.append(int(seq_in_redis(redis)))
    sale = asyncio.create_task(owner.sell(purchase("r-1", EVENT)))
    await asyncio.sleep(1.5 * DELAY_S)
    # The command comes half a delay after this, sooner than the next probe says that the rebuild is still wanted.
    owner.copies.drop(0)
    owner.copies.adopt(owner.selling._owned[0])
    await sale
    assert facts(broker)[-1]["decided_by"] == "local"
    await owner.in_step()
    assert seqs == sorted(seqs)
    assert seq_in_redis(redis) == b"2"


def test_a_rebuild_for_an_owner_of_before_undoes_nothing_either() -> None:
    in_simulation(_is_adopted_meanwhile)


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
