"""What load.lua and replace.lua promise, by example, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from boxoffice.redis.store import Code, RedisStore
from lua import REPLACE
from lua.keys import EventKeys, event_keys, loading_keys
from tests.integration.redis_tables import (
    categories,
    decide_in,
    differing,
    dumped,
    on_sale,
    open_store,
    order,
    purchase,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import NewRedis, RedisAddress

HALL: dict[str, Any] = {"categories": categories(general=4, stalls=3)}
CATEGORIES = ("general", "stalls")


@pytest.fixture
async def store(redis_server: RedisAddress, prefix: str) -> AsyncIterator[RedisStore]:
    async with open_store(redis_server.url, prefix) as opened:
        yield opened


@pytest.fixture
async def client(redis_server: RedisAddress) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as opened:
        yield opened


@pytest.fixture
def keys(prefix: str) -> EventKeys:
    return event_keys(prefix, "42", CATEGORIES)


async def test_a_rebuild_keeps_a_higher_seq(store: RedisStore, client: Redis, prefix: str) -> None:
    table = await on_sale(store, **HALL)
    stale = table.snapshot()
    await decide_in(store, taken(table, purchase("r-1")))
    assert await store.rebuild(stale) == Code.NEWER
    assert not await differing(store, table)
    assert not [key async for key in client.scan_iter(f"{prefix}*:loading:*")]


async def test_a_rebuild_at_the_same_seq_mends_what_differs(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, purchase("r-1"), **HALL)
    await client.hset(keys.meta, mapping={"name": "Wrong", "unknown": "field", "held:none": "7"})
    await client.hset(keys.purchases, "r-2", "{}")
    await client.lset(keys.queues[0], 0, "42-000001")
    await client.rpush(keys.queues[1], "42-000009")
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await differing(store, table)


async def test_what_was_switched_in_does_not_expire(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    await on_sale(store, **HALL)
    assert [await client.ttl(key) for key in keys.all] == [-1] * 4


async def test_a_category_without_tickets_has_no_list(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, **HALL)
    assert await client.exists(*keys.queues) == 2
    taken(table, order("r-1", stalls=3))
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert [await client.exists(queue) for queue in keys.queues] == [1, 0]
    assert not await differing(store, table)


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
async def test_a_load_that_has_expired_in_part_is_not_switched_in(
    lost: int, store: RedisStore, client: Redis, keys: EventKeys, prefix: str
) -> None:
    table = await on_sale(store, **HALL)
    before = await dumped(client, keys.all)
    loading = loading_keys(prefix, "42", "attempt", CATEGORIES)
    await client.hset(loading.meta, "seq", "9")
    await client.hset(loading.purchases, "r-1", "{}")
    await client.rpush(loading.queues[0], "42-000001", "42-000002")
    await client.rpush(loading.queues[1], "42-000003")
    await client.delete(loading.all[lost])
    reply = await client.eval(REPLACE.text, 8, *keys.all, *loading.all, 9, 0, 1, 2, 1)
    assert reply == [Code.INCOMPLETE, 0]
    assert await dumped(client, keys.all) == before
    assert not await client.exists(*loading.all)
    assert not await differing(store, table)


async def test_the_switch_needs_no_memory(new_redis: NewRedis, prefix: str) -> None:
    server = await new_redis()
    keys, loading = event_keys(prefix, "42", CATEGORIES), loading_keys(prefix, "42", "attempt", CATEGORIES)
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = await on_sale(store, **HALL)
        for old, new in zip(keys.all, loading.all, strict=True):
            await client.copy(old, new)
        await client.delete(keys.queues[1])
        await client.config_set("maxmemory", 1)
        assert await client.eval(REPLACE.text, 8, *keys.all, *loading.all, 1, 0, 1, 4, 3) == [Code.REPLACED, 1]
        await client.config_set("maxmemory", 0)
        assert not await differing(store, table)
