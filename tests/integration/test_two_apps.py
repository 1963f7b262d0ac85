"""Two box offices can live in one process: nothing of the one is set on what the other uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import faust

from agents.purchases import make_app
from boxoffice.batching import BatchConsumer, BatchOptions
from boxoffice.process.worker import Topics
from tests.support.office import NewOffice, Office
from tests.support.servers import RedisAddress
from tests.support.settings import changed
from tests.support.workload import Sent

EVENT = "42"
CAPACITY = 5


def _commands(request_ids: list[str]) -> list[Sent]:
    created = {
        "type": "create_event",
        "request_id": "c-1",
        "event_id": EVENT,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": CAPACITY,
        "price": {"amount": 4500, "currency": "EUR"},
    }
    purchases = [{"request_id": one, "event_id": EVENT, "buyer": "b-1"} for one in request_ids]
    return [Sent(EVENT.encode(), json.dumps(command).encode()) for command in (created, *purchases)]


@asynccontextmanager
async def _running(app: faust.App) -> AsyncIterator[None]:
    await app.start()
    try:
        yield
    finally:
        await app.stop()


async def test_two_box_offices_sell_in_one_process(
    new_office: NewOffice, redis_server: RedisAddress, tmp_path: Path
) -> None:
    first = await new_office(redis_server.url)
    second = Office(
        first.settings.kafka.bootstrap_servers,
        redis_server.url,
        f"{first.settings.kafka.topic_prefix}second-",
        tmp_path,
        partitions=3,
    )
    await second.open()
    offices = (first, second)
    sizes = (1_000, 7)
    chosen = [
        # Nothing mends a copy once its worker has ended: Redis is given time.
        changed(office.settings, buffer_size=size, batch_size=size, redis_timeout_ms=5_000)
        for office, size in zip(offices, sizes, strict=True)
    ]
    apps = [
        make_app(settings, Topics(settings.kafka.partitions, BatchOptions.max_batch_bytes))[0] for settings in chosen
    ]
    async with _running(apps[0]), _running(apps[1]):
        assert [cast(BatchConsumer, app.consumer).options.buffer_size for app in apps] == list(sizes)
        await first.send(_commands([f"a-{number}" for number in range(CAPACITY + 1)]))
        await second.send(_commands([f"b-{number}" for number in range(CAPACITY + 2)]))
        await asyncio.gather(*(office.answered() for office in offices))
    for office, refused in zip(offices, (1, 2), strict=True):
        figures = await office.agrees()
        assert (figures["confirmed"], figures["rejected"]) == (CAPACITY, {"sold_out": refused}), figures
