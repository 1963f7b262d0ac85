"""What lies at a partition's end and needs no answer is accounted for; a command that was not delivered yet is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

import pytest
from aiokafka import TopicPartition

from boxoffice.selling.deciding import OwnedPartition
from boxoffice.settings import SellingSettings
from tests.simulation.broker import Broker, Reader
from tests.simulation.owner import EVENT, TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import purchase

LONG_S = 3 * SellingSettings().tail_interval_s


async def _a_marker(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    broker.append(TOPIC, 0, [], markers=2)
    await asyncio.sleep(LONG_S)
    end = broker.partitions[TOPIC, 0].end
    passed = facts(broker)[-1]
    assert (passed["type"], passed["source"]["offset"]) == ("offsets_passed", end - 1)
    assert owner.selling._owned[0].ledger.bookmark == end - 1
    broker.partitions[TOPIC, 0].expire(end)
    await owner.sell(purchase("r-1", EVENT))
    again = Owner(broker, redis)
    await again.take_over()
    assert (again.selling.refused, again.selling.ready) == (set(), [0])
    assert facts(broker)[-1]["type"] == "purchase_confirmed"


def test_markers_at_the_end_are_accounted_for_and_may_expire() -> None:
    in_simulation(_a_marker)


async def _a_command(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    before = owner.selling._owned[0].ledger.bookmark
    broker.append(TOPIC, 0, [(EVENT.encode(), json.dumps(purchase("r-1", EVENT)).encode(), [])])
    await asyncio.sleep(LONG_S)
    assert owner.selling._owned[0].ledger.bookmark == before
    await owner.sell_all()
    assert [fact["type"] for fact in facts(broker)[-1:]] == ["purchase_confirmed"]


def test_a_command_that_was_not_delivered_yet_is_not_passed_over() -> None:
    in_simulation(_a_command)


async def _retention_comes_between(broker: Broker, redis: RedisServer) -> None:
    """The broker has said where the topic begins, and removes the last command decided before it is looked at."""
    await on_sale(broker, redis)
    owner = Owner(broker, redis)
    asked = Reader.beginning_offsets

    async def and_then_expire(self: Reader, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        starts = await asked(self, partitions)
        if TOPIC not in {tp.topic for tp in starts}:
            return starts
        partition = broker.partitions[TOPIC, 0]
        partition.expire(partition.end)
        return starts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "beginning_offsets", and_then_expire)
        await owner.take_over()
    assert (owner.selling.refused, owner.selling.ready) == (set(), [0])


def test_a_command_that_expires_while_it_is_looked_for_does_not_look_like_another() -> None:
    in_simulation(_retention_comes_between)


async def _nothing(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    asked: list[object] = []
    whole = owner.selling._recovery.passable

    async def passable(idle: Sequence[OwnedPartition]) -> dict[int, int]:
        asked.append(idle)
        return await whole(idle)

    owner.selling._recovery.passable = passable  # type: ignore[method-assign]
    await asyncio.sleep(LONG_S)
    assert not asked
    broker.append(TOPIC, 0, [], markers=1)
    await asyncio.sleep(LONG_S)
    assert len(asked) == 1


def test_nobody_looks_behind_a_bookmark_where_the_consumer_knows_of_nothing() -> None:
    in_simulation(_nothing)


async def _a_lost_command(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    before = owner.selling._owned[0].ledger.bookmark
    broker.append(TOPIC, 0, [(EVENT.encode(), json.dumps(purchase("r-1", EVENT)).encode(), [])], markers=2)
    broker.partitions[TOPIC, 0].expire(broker.partitions[TOPIC, 0].end - 1)
    await asyncio.sleep(LONG_S)
    assert owner.selling._owned[0].ledger.bookmark == before


def test_a_command_that_expired_before_it_was_delivered_is_not_passed_over() -> None:
    in_simulation(_a_lost_command)
