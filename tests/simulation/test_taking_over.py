"""Whoever takes a partition over forgets what is no part of the ledger, and what no longer adds up."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from typing import Any, cast

from faust.types import TP

from boxoffice.batching import Batch, BatchConsumer, BatchStream, Run
from boxoffice.kafka.clients import OpenReader
from boxoffice.redis.store import RedisStore
from boxoffice.selling.copies import Copies
from boxoffice.selling.keeping import Keeper
from boxoffice.selling.pipeline import Selling
from boxoffice.selling.publishing import Publisher
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import load_settings
from tests.simulation.broker import Broker
from tests.simulation.owner import TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisClient, RedisServer
from tests.simulation.worker import Consumer
from tests.unit.records import creation, purchase

COMMANDS = [creation("42"), purchase("r-1", "42"), purchase("r-2", "42")]


class SilentPublisher:
    """Is acknowledged nothing."""

    async def publish(self, _sold: Any) -> set[int]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def is_late(self, _number: int) -> bool:
        return False


async def _scenario(broker: Broker, redis: RedisServer) -> None:
    settings = load_settings(partitions=1)
    for members in COMMANDS:
        broker.append(TOPIC, 0, [(b"42", json.dumps(members).encode(), [])])
    copies = Copies(settings.redis, RedisStore(cast(Any, RedisClient(redis)), settings.redis))
    recovery = Recovery(settings.kafka, 1, open_reader=cast(OpenReader, broker.reader))
    publisher = cast(Publisher, SilentPublisher())
    keeper = Keeper(settings.kafka, 1, broker.letter_box)
    selling = Selling(
        settings.kafka, settings.selling, recovery, copies, publisher, keeper, ending_on_failure=nullcontext
    )
    consumer = Consumer(broker, TOPIC, lambda _: None)
    consumer.assign({0})
    await selling.take_over(cast(BatchConsumer, consumer))
    records = broker.partitions[TOPIC, 0].records
    await selling.sell(Batch([Run(TP(TOPIC, 0), 0, 0, 3, records)], cast(BatchStream, consumer)))
    assert selling._owned[0].unsettled == len(COMMANDS)

    await selling.take_over(cast(BatchConsumer, consumer))
    owned = selling._owned[0]
    assert (owned.unsettled, owned.position, owned.ledger.bookmark) == (0, 0, -1)
    assert owned.ledger.inventory.events == {}


async def _comes_back(broker: Broker, redis: RedisServer) -> None:
    first, other = Owner(broker, redis), Owner(broker, redis)
    await first.take_over()
    await first.sell(creation("42"))
    await first.in_step()
    redis.crash()
    await first.sell(purchase("r-1", "42"))
    assert len(first.copies._copies["42"].backlog) == 1
    await other.take_over()
    await other.sell(purchase("r-2", "42"))
    await first.take_over()
    await first.sell(purchase("r-3", "42"))
    assert [missed.fact["seq"] for missed in first.copies._copies["42"].backlog] == [4]
    redis.serve()
    await first.in_step()


def test_what_redis_missed_is_counted_anew_when_others_have_sold_meanwhile() -> None:
    in_simulation(_comes_back)


def test_what_was_not_acknowledged_is_decided_again() -> None:
    in_simulation(_scenario)
