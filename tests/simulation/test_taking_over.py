"""Whoever takes a partition over forgets what is no part of the ledger, and what no longer adds up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from random import Random
from typing import Any, cast

from faust.types import TP

from boxoffice.batches import Batch, BatchConsumer, BatchProducer, BatchStream, Run
from boxoffice.copies import Copies, CopyState
from boxoffice.kafka import OpenReader
from boxoffice.publishing import Publisher
from boxoffice.recovery import Recovery
from boxoffice.redis_store import RedisStore
from boxoffice.selling import Selling
from boxoffice.settings import load_settings
from tests.simulation.broker import Broker, Producer
from tests.simulation.network import Network
from tests.simulation.processes import Process, SimulatedLoop, simulate
from tests.simulation.redis_server import RedisClient, RedisServer
from tests.simulation.worker import Consumer
from tests.unit.records import creation, purchase
from topics import purchase_requests

TOPIC = purchase_requests.TOPIC.name
COMMANDS = [creation("42"), purchase("r-1", "42"), purchase("r-2", "42")]


class SilentPublisher:
    """Is acknowledged nothing."""

    async def publish(self, _sold: Any) -> None:
        await asyncio.get_running_loop().create_future()


async def _scenario(broker: Broker, redis: RedisServer) -> None:
    settings = load_settings(partitions=1)
    for members in COMMANDS:
        broker.append(TOPIC, 0, [(b"42", json.dumps(members).encode(), [])])
    copies = Copies(settings, RedisStore(cast(Any, RedisClient(redis)), settings))
    recovery = Recovery(settings, 1, cast(OpenReader, broker.reader))
    selling = Selling(settings, recovery, copies, cast(Publisher, SilentPublisher()), nullcontext)
    consumer = Consumer(broker, TOPIC, lambda _: None)
    consumer.assign({0})
    await selling.take_over(cast(BatchConsumer, consumer), 1)
    records = broker.partitions[TOPIC, 0].records
    await selling.sell(Batch([Run(TP(TOPIC, 0), 0, 0, 3, records)], cast(BatchStream, consumer)))
    assert selling._owned[0].unsettled == len(COMMANDS)

    await selling.take_over(cast(BatchConsumer, consumer), 1)
    owned = selling._owned[0]
    assert (owned.unsettled, owned.position, owned.ledger.bookmark) == (0, 0, -1)
    assert owned.ledger.inventory.events == {}


class Owner:
    """A process that owns the only partition, whether or not another believes so too."""

    def __init__(self, broker: Broker, redis: RedisServer) -> None:
        self._broker = broker
        settings, reader = load_settings(partitions=1), cast(OpenReader, broker.reader)
        self.copies = Copies(settings, RedisStore(cast(Any, RedisClient(redis)), settings))
        publisher = Publisher(settings, cast(BatchProducer, Producer(broker)), reader)
        self.selling = Selling(settings, Recovery(settings, 1, reader), self.copies, publisher, nullcontext)
        self._consumer = Consumer(broker, TOPIC, lambda _: None)
        self._consumer.assign({0})

    async def take_over(self) -> None:
        await self.selling.take_over(cast(BatchConsumer, self._consumer), 1)

    async def sell(self, members: dict[str, Any]) -> None:
        """Decide one more command, and publish what was decided."""
        self._broker.append(TOPIC, 0, [(b"42", json.dumps(members).encode(), [])])
        self._consumer.flow()
        await self.selling.sell(await self._consumer.batch())
        owned = self.selling._owned[0]
        while owned.unsettled:
            await asyncio.sleep(0.1)

    async def in_step(self) -> None:
        while self.copies._copies["42"].state is not CopyState.IN_STEP:
            await asyncio.sleep(0.1)


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
    assert [fact["seq"] for fact, _ in first.copies._copies["42"].backlog] == [4]
    redis.serve()
    await first.in_step()


def test_what_redis_missed_is_counted_anew_when_others_have_sold_meanwhile() -> None:
    _simulate(_comes_back)


def test_what_was_not_acknowledged_is_decided_again() -> None:
    _simulate(_scenario)


def _simulate(scenario: Callable[[Broker, RedisServer], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    broker, redis = Broker(network), RedisServer(network)

    async def main() -> None:
        await Process(loop).spawn(scenario(broker, redis))

    simulate(main(), loop)
