"""What was decided and not acknowledged is no part of the ledger: whoever takes the partition over forgets it."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from random import Random
from typing import Any, cast

from faust.types import TP

from boxoffice.batches import Batch, BatchConsumer, BatchStream, Run
from boxoffice.copies import Copies
from boxoffice.kafka import OpenReader
from boxoffice.publishing import Publisher
from boxoffice.recovery import Recovery
from boxoffice.redis_store import RedisStore
from boxoffice.selling import Selling
from boxoffice.settings import load_settings
from tests.simulation.broker import Broker
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


def test_what_was_not_acknowledged_is_decided_again() -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    broker, redis = Broker(network), RedisServer(network)

    async def main() -> None:
        await Process(loop).spawn(_scenario(broker, redis))

    simulate(main(), loop)
