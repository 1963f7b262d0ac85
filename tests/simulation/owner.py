"""One owner of the only partition, for scenarios that are told step by step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, cast

from boxoffice.batching import BatchConsumer, BatchProducer
from boxoffice.kafka.clients import OpenReader
from boxoffice.redis.store import RedisStore
from boxoffice.selling.copies import Copies
from boxoffice.selling.event_copy import Copy, CopyState
from boxoffice.selling.keeping import Keeper
from boxoffice.selling.pipeline import Selling
from boxoffice.selling.publishing import Publisher
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import load_settings
from tests.simulation.broker import Broker, Producer
from tests.simulation.network import Network
from tests.simulation.processes import Process, SimulatedLoop, simulate
from tests.simulation.redis_server import RedisClient, RedisServer
from tests.simulation.worker import Consumer
from topics import purchase_requests

TOPIC = purchase_requests.TOPIC.name
EVENT = "42"


class Owner:
    """A process that owns the only partition, or the first of some, whether or not another believes so too."""

    def __init__(self, broker: Broker, redis: RedisServer, partitions: int = 1, accept_loss: str = "") -> None:
        self._broker = broker
        self.ended_by: Exception | None = None
        settings, reader = load_settings(partitions=partitions), cast(OpenReader, broker.reader)
        self.copies = Copies(settings.redis, RedisStore(cast(Any, RedisClient(redis)), settings.redis))
        publisher = Publisher(settings.kafka, cast(BatchProducer, Producer(broker)), reader)
        recovery = Recovery(settings.kafka, partitions, accept_loss, open_reader=reader)
        self.keeper = Keeper(settings.kafka, partitions, broker.letter_box)
        self.selling = Selling(
            settings.kafka,
            settings.selling,
            recovery,
            self.copies,
            publisher,
            self.keeper,
            ending_on_failure=self._ending_on_failure,
        )
        self._consumer = Consumer(broker, TOPIC, lambda _: None)
        self._consumer.assign({0})

    async def take_over(self) -> None:
        """Fold the ledger to its end."""
        await self.selling.take_over(cast(BatchConsumer, self._consumer))

    async def sell(self, members: dict[str, Any]) -> None:
        """Decide one more command, and publish what was decided."""
        self._broker.append(TOPIC, 0, [(EVENT.encode(), json.dumps(members).encode(), [])])
        self._consumer.flow()
        await self.selling.sell(await self._consumer.batch())
        await self._published()

    async def sell_all(self) -> None:
        """Decide all commands that there are, and publish what was decided."""
        self._consumer.flow()
        while self.selling._owned[0].position < self._broker.partitions[TOPIC, 0].end:
            await self.selling.sell(await self._consumer.batch())
        await self._published()

    async def _published(self) -> None:
        while self.selling._owned[0].unsettled:
            if self.ended_by is not None:
                raise self.ended_by
            await asyncio.sleep(0.1)

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.ended_by = error
            raise

    @property
    def copy(self) -> Copy:
        """The event's copy."""
        return self.copies._copies[EVENT]

    async def in_step(self) -> None:
        """Wait until Redis has all facts."""
        while self.copy.state is not CopyState.IN_STEP:
            await asyncio.sleep(0.1)


def in_simulation(scenario: Callable[[Broker, RedisServer], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on a log and a Redis of its own."""
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    broker, redis = Broker(network), RedisServer(network)

    async def main() -> None:
        await Process(loop).spawn(scenario(broker, redis))

    simulate(main(), loop)
