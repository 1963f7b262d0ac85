"""A loss that was accepted: a worker goes on behind what is gone, and decides all that is still there."""

from __future__ import annotations

import json

import pytest

from boxoffice.errors import CommandsSkippedError
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import purchase


async def _behind(broker: Broker, redis: RedisServer, accepted: str) -> Owner:
    """An owner that has the creation behind it, and three commands before it."""
    await on_sale(broker, redis)
    owner = Owner(broker, redis, accept_loss=accepted)
    await owner.take_over()
    for number in range(3):
        value = json.dumps(purchase(f"r-{number}", EVENT)).encode()
        broker.append(TOPIC, 0, [(EVENT.encode(), value, [])])
    return owner


def test_a_worker_goes_on_behind_what_retention_took_and_whose_loss_was_accepted() -> None:
    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await _behind(broker, redis, "0:0-99")
        broker.partitions[TOPIC, 0].expire(broker.partitions[TOPIC, 0].end - 1)
        await owner.sell_all()
        assert [fact["request_id"] for fact in facts(broker)[1:]] == ["r-2"]

    in_simulation(scenario)


def test_a_command_that_is_skipped_and_there_ends_the_process_whatever_was_accepted() -> None:
    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await _behind(broker, redis, "0:0-99")
        owner._consumer._next[0] += 1
        with pytest.raises(CommandsSkippedError, match="was not delivered"):
            await owner.sell_all()

    in_simulation(scenario)


def test_a_command_that_is_gone_ends_the_process_where_its_loss_was_not_accepted() -> None:
    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await _behind(broker, redis, "")
        broker.partitions[TOPIC, 0].expire(broker.partitions[TOPIC, 0].end - 1)
        with pytest.raises(CommandsSkippedError, match="gone before they were decided"):
            await owner.sell_all()

    in_simulation(scenario)
