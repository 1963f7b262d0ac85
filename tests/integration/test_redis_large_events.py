"""Large events: what they cost in memory and in time. It is logged (``--log-cli-level=INFO``); memory has a bound."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from boxoffice.redis.store import Code, DecideReply, RedisStore, differences
from models.members import MAX_CAPACITY
from tests.integration.redis_tables import Table, at_home, creation, decide_in, open_store, purchase

if TYPE_CHECKING:
    from tests.support.servers import NewRedis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BYTES_PER_SOLD_TICKET = 200

log = logging.getLogger(__name__)


async def sell_while(working: asyncio.Task[Code], store: RedisStore, table: Table, event_id: str) -> list[float]:
    """Sell one ticket at a time until the work is done: how long each call took, in ms."""
    waits_ms = []
    number = 0
    while not working.done():
        number += 1
        offset = table.inventory.events[event_id].fence + 1
        calls = table.take(at_home([purchase(f"r-{number}", event_id=event_id)], offset))
        started = time.perf_counter()
        [reply] = await store.decide(list(calls.values()))
        waits_ms.append((time.perf_counter() - started) * 1000)
        assert isinstance(reply, DecideReply)
        assert reply.code == Code.DECIDED
    return waits_ms


async def test_a_million_tickets_are_loaded_while_another_event_sells(new_redis: NewRedis, prefix: str) -> None:
    server = await new_redis(options={"slowlog-log-slower-than": "1000"})
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = Table()
        table.take(at_home([creation("7", capacity=MAX_CAPACITY), creation(capacity=MAX_CAPACITY)]))
        assert await store.rebuild(table.snapshot("7")) == Code.REPLACED
        started = time.perf_counter()
        loading = asyncio.create_task(store.rebuild(table.snapshot("42")))
        waits_ms = sorted(await sell_while(loading, store, table, "7"))
        assert await loading == Code.REPLACED
        log.info("1,000,000 tickets loaded in %.2f s", time.perf_counter() - started)
        median, late, latest = waits_ms[len(waits_ms) // 2], waits_ms[len(waits_ms) * 99 // 100], waits_ms[-1]
        log.info("meanwhile %d sales: median %.1f, 99 %% %.1f, longest %.1f ms", len(waits_ms), median, late, latest)
        slowest_us = max([entry["duration"] for entry in await client.slowlog_get(100)], default=0)
        log.info("longest command on the server: %.1f ms", slowest_us / 1000)
        started = time.perf_counter()
        found = await store.read_event("42")
        log.info("read again in %.2f s", time.perf_counter() - started)
        assert found is not None
        assert not differences(found, table.copy())


async def test_a_sold_ticket_costs_little_memory(new_redis: NewRedis, prefix: str) -> None:
    orders, batch = 50_000, 1_000
    server = await new_redis()
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        empty_bytes = (await client.info("memory"))["used_memory"]
        table = Table()
        table.take(at_home([creation(capacity=2 * orders)]))
        await store.rebuild(table.snapshot())
        unsold_bytes = (await client.info("memory"))["used_memory"] - empty_bytes
        for first in range(0, orders, batch):
            sales = [purchase(str(uuid.uuid4()), 2, buyer=str(uuid.uuid4())) for _ in range(batch)]
            await decide_in(store, *table.take(at_home(sales, first + 1)).values())
        sold_bytes = (await client.info("memory"))["used_memory"] - empty_bytes
        tickets = 2 * orders
        log.info(
            "%.1f bytes to a ticket that is left, %.1f to a sold one", unsold_bytes / tickets, sold_bytes / tickets
        )
        assert sold_bytes / tickets <= BYTES_PER_SOLD_TICKET
        started = time.perf_counter()
        assert await store.rebuild(table.snapshot()) == Code.REPLACED
        log.info("%d records loaded in %.2f s", orders, time.perf_counter() - started)
        found = await store.read_event("42")
        assert found is not None
        assert not differences(found, table.copy())
