"""A client from a URL: one server, one behind Sentinel, a cluster; each serves a store."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from redis._parsers import _AsyncHiredisParser
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import DefaultParser, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection
from redis.crc import key_slot
from redis.exceptions import RedisError

from boxoffice.embedded.ports import HOST, free_port
from boxoffice.embedded.redis import server_program
from boxoffice.errors import SettingsError, UnreachableError
from boxoffice.redis.access import SENTINEL
from boxoffice.redis.clients import redis_client
from boxoffice.redis.connection import RedisClient, connect
from boxoffice.redis.store import Code, DecideReply, RedisStore
from boxoffice.settings import load_settings
from tests.integration.redis_tables import Table, addition, ask, at_home, cancellation, creation, open_store, purchase
from tests.support.office import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from boxoffice.embedded import EmbeddedRedis
    from tests.support.servers import NewRedis, RedisAddress

DEADLINE_S = 40.0


def connected(url: str, **settings: Any) -> RedisClient:
    return connect(load_settings(redis_url=url, **settings).redis)


def options(client: RedisClient) -> dict[str, Any]:
    assert isinstance(client, Redis)
    found: dict[str, Any] = client.connection_pool.connection_kwargs
    return found


async def until(holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await holds():
            await asyncio.sleep(0.05)


# URLs


def test_a_plain_url_gives_one_server() -> None:
    found = options(connected("redis://user:p%40ss@tickets.example:6380/5"))
    assert (found["host"], found["port"], found["db"]) == ("tickets.example", 6380, 5)
    assert (found["username"], found["password"]) == ("user", "p@ss")


def test_rediss_is_tls() -> None:
    client = connected("rediss://tickets.example:6380?ssl_ca_certs=/etc/ca.pem")
    assert isinstance(client, Redis)
    assert client.connection_pool.connection_class is SSLConnection
    assert options(client)["ssl_ca_certs"] == "/etc/ca.pem"


def test_the_settings_bound_every_connection_and_nothing_is_tried_again() -> None:
    client = connected("redis://tickets.example:6380", redis_timeout_ms=400, redis_pool_size=7)
    assert isinstance(client, Redis)
    found = options(client)
    assert (found["socket_timeout"], found["socket_connect_timeout"]) == (0.4, 0.4)
    assert client.connection_pool.max_connections == 7
    assert found["retry"].get_retries() == 0
    assert not found["decode_responses"]


def test_replies_are_parsed_by_hiredis() -> None:
    assert DefaultParser is _AsyncHiredisParser


def test_a_sentinel_url_names_the_sentinels_the_service_and_both_users() -> None:
    client = connected(
        "redis+sentinel://user:pw@s1.example:26379,s2.example:26380/shop/3?sentinel_username=w&sentinel_password=q"
    )
    assert isinstance(client, Redis)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.connection_kwargs["db"]) == ("shop", 3)
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("user", "pw")
    assert pool.connection_kwargs["retry"].get_retries() == 0
    sentinels = [options(sentinel) for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in sentinels] == [("s1.example", 26379), ("s2.example", 26380)]
    for one in sentinels:
        assert (one["username"], one["password"]) == ("w", "q")
        assert one["retry"].get_retries() == 0
        assert one["socket_timeout"] == 0.25


def test_sentinels_without_a_user_of_their_own_get_none() -> None:
    client = connected("rediss+sentinel://:pw@s1.example:26379/shop")
    assert isinstance(client, Redis)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.connection_class is SentinelManagedSSLConnection
    assert (pool.connection_kwargs.get("db", 0), pool.connection_kwargs["password"]) == (0, "pw")
    [sentinel] = pool.sentinel_manager.sentinels
    assert sentinel.connection_pool.connection_class is SSLConnection
    assert options(sentinel)["password"] is None


def test_a_cluster_url_names_some_of_its_nodes() -> None:
    client = connected("rediss+cluster://user:pw@n1.example:7000,n2.example:7001")
    assert isinstance(client, RedisCluster)
    assert sorted(client.nodes_manager.startup_nodes) == ["n1.example:7000", "n2.example:7001"]
    assert client.connection_kwargs["username"] == "user"
    assert client.connection_kwargs["socket_timeout"] == 0.25
    assert client.retry is not None
    assert client.retry.get_retries() == 0


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://s1.example:26379",
        "redis+sentinel://s1.example/shop",
        "redis+sentinel://s1.example:26379,/shop",
        "redis+sentinel://s1.example:26379/shop/first",
        "redis+cluster://:secret@n1.example",
        "redis+cluster://:secret@n1.example:70000",
        "redis+cluster://:secret@n1.example:7000/1",
        "redis+cache://:secret@n1.example:7000",
        "redis://:secret@n1.example:many",
        "redis://:secret@n1.example:6379/first",
        "redis://:secret@n1.example:6379?unknown=1",
        "redis://:secret@n1.example:6379?ssl_ca_certs=/etc/ca.pem",
        "rediss://:secret@n1.example:6379?ssl_of_its_own=1",
        "rediss://n1.example:6379?secret=1",
        "rediss+cluster://n1.example:7000?ssl_password=secret",
        "redis://user:secret/2@n1.example:6379",
        "redis://user:secret?2@n1.example:6379",
        "redis://user:123#secret@n1.example:6379",
        "redis+sentinel://user:123/secret@n1.example:26379/shop",
        "redis://user:secret[@n1.example:6379",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^BOXOFFICE_REDIS_URL .*\.$") as refused:
        connected(url)
    assert "secret" not in str(refused.value)


# Stores


def events_on_sale(event_ids: tuple[str, ...]) -> Table:
    table = Table()
    table.take(at_home([creation(event_id, "c-1", capacity=300) for event_id in event_ids]))
    return table


async def sells_and_repairs(store: RedisStore, event_ids: tuple[str, ...], turn: int = 0) -> None:
    """Everything that a store does, for several events at once."""
    await store.ping()
    table = events_on_sale(event_ids)
    for event_id in event_ids:
        assert await store.rebuild(table.snapshot(event_id)) == Code.REPLACED
    sales = [
        command
        for event_id in event_ids
        for command in (purchase(f"r-{turn}", 2, event_id), cancellation(f"x-{turn}", f"r-{turn}", event_id))
    ]
    calls = table.take(at_home(sales, 100 + turn))
    for reply in await store.decide(list(calls.values())):
        assert isinstance(reply, DecideReply)
        assert [code for code, _, _ in reply.answers] == [Code.SOLD, Code.APPLIED]
    table.take(at_home([addition(f"a-{turn}", 2, event_id) for event_id in event_ids], 200 + turn))
    for event_id in event_ids:
        assert (await store.settle(table.event(event_id), table.history[event_id])).code == Code.DECIDED
        assert await store.read_event(event_id) == table.copy(event_id)
    positions = await store.positions(table.inventory.events.values())
    assert {position and position.seq for position in positions.values()} == {4}


EVENT_IDS = tuple(str(number) for number in range(12))
EVENTS = tuple(events_on_sale(EVENT_IDS).inventory.events.values())


async def test_one_server_serves(redis_server: RedisAddress, prefix: str) -> None:
    async with open_store(redis_server.url, prefix, redis_load_chunk_size=100) as store:
        await sells_and_repairs(store, EVENT_IDS)


# A cluster


@contextlib.asynccontextmanager
async def two_primaries(new_redis: NewRedis) -> AsyncIterator[list[EmbeddedRedis]]:
    buses = [free_port(), free_port()]
    servers = [
        await new_redis(
            options={"cluster-enabled": "yes", "cluster-port": str(bus), "cluster-require-full-coverage": "no"}
        )
        for bus in buses
    ]
    async with Redis.from_url(servers[0].url) as first, Redis.from_url(servers[1].url) as second:
        await ask(first, "CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        await ask(second, "CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        await ask(first, "CLUSTER", "MEET", HOST, servers[1].port, buses[1])

        async def both_know() -> bool:
            told = [await ask(client, "CLUSTER", "INFO") for client in (first, second)]
            return all(b"cluster_slots_ok:16384" in one and b"cluster_state:ok" in one for one in told)

        await until(both_know)
    yield servers


def cluster_url(servers: list[EmbeddedRedis]) -> str:
    return f"redis+cluster://{','.join(server.address for server in servers)}"


async def test_a_cluster_serves_events_on_all_of_its_nodes(new_redis: NewRedis, prefix: str) -> None:
    assert len({key_slot(event_id.encode()) // 8192 for event_id in EVENT_IDS}) == 2
    async with two_primaries(new_redis) as servers:
        async with open_store(cluster_url(servers), prefix, redis_load_chunk_size=100) as store:
            await sells_and_repairs(store, EVENT_IDS)
        for server in servers:
            async with Redis.from_url(server.url) as client:
                assert await client.dbsize() > 0
                await client.script_flush()
        async with open_store(cluster_url(servers), f"{prefix}2-") as store:
            await sells_and_repairs(store, EVENT_IDS)


async def test_a_cluster_that_lost_a_node_fails_at_once_and_serves_when_it_is_back(
    new_redis: NewRedis, prefix: str
) -> None:
    async with (
        two_primaries(new_redis) as servers,
        open_store(cluster_url(servers), prefix, redis_timeout_ms=2_000) as store,
    ):
        await sells_and_repairs(store, EVENT_IDS)
        servers[1].kill()
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(RedisError):
                await store.positions(EVENTS)
            with pytest.raises(RedisError):
                await store.ping()
        assert time.monotonic() - started < 5.0
        servers[1].start()
        await servers[1].wait_ready()

        async def answers() -> bool:
            with contextlib.suppress(RedisError):
                await store.ping()
                await store.positions(EVENTS)
                return True
            return False

        await until(answers)
        fresh = tuple(str(number) for number in range(100, 112))
        await sells_and_repairs(store, fresh)


async def test_a_cluster_is_reached_by_any_of_the_servers_that_are_named(new_redis: NewRedis) -> None:
    async with two_primaries(new_redis) as servers:
        alive, gone = servers
        gone.kill()
        kept_by_alive = next(event_id for event_id in EVENT_IDS if key_slot(event_id.encode()) < 8192)
        for named in ([alive, gone], [gone, alive]):
            async with connected(cluster_url(named), redis_timeout_ms=5_000) as client:
                assert await client.get(kept_by_alive) is None
        settings = load_settings(redis_url=cluster_url([gone])).redis
        with pytest.raises(UnreachableError, match="with HOST:PORT,HOST:PORT any of them may be down"):
            async with redis_client(settings) as client:
                await client.ping()


async def test_slots_that_moved_to_another_node_are_followed(new_redis: NewRedis, prefix: str) -> None:
    async with (
        two_primaries(new_redis) as servers,
        open_store(cluster_url(servers), prefix) as store,
    ):
        await store.ping()
        async with Redis.from_url(servers[0].url) as first, Redis.from_url(servers[1].url) as second:
            taker = await ask(second, "CLUSTER", "MYID")
            for event_id in EVENT_IDS:
                if (slot := key_slot(event_id.encode())) < 8192:
                    for client in (second, first):
                        await ask(client, "CLUSTER", "SETSLOT", slot, "NODE", taker)
        await sells_and_repairs(store, EVENT_IDS)


# Sentinel


@contextlib.asynccontextmanager
async def sentinel_for(server: EmbeddedRedis, folder: Path, *lines: str) -> AsyncIterator[str]:
    """A Sentinel that watches one service, ``shop``: its address."""
    port = free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind {HOST}\ndir {folder}\n"
        f"sentinel monitor shop {HOST} {server.port} 1\n"
        "sentinel down-after-milliseconds shop 400\n"
        "sentinel failover-timeout shop 3000\n" + "".join(f"{line}\n" for line in lines)
    )
    process = subprocess.Popen(
        [server_program(), str(config), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with Redis(host=HOST, port=port) as client:

            async def serves() -> bool:
                with contextlib.suppress(RedisError):
                    return bool(await client.ping())
                return False

            await until(serves)
        yield f"{HOST}:{port}"
    finally:
        process.kill()
        process.wait()


async def test_the_primary_behind_sentinel_serves_and_so_does_its_successor(
    new_redis: NewRedis, prefix: str, tmp_path: Path
) -> None:
    primary = await new_redis()
    replica = await new_redis(options={"replicaof": f"{HOST} {primary.port}", "repl-diskless-sync-delay": "0"})
    async with (
        sentinel_for(primary, tmp_path) as address,
        Redis.from_url(f"redis://{address}") as sentinel,
        open_store(f"redis+sentinel://{address}/shop", prefix) as store,
    ):
        await sells_and_repairs(store, EVENT_IDS)

        async def knows_replica() -> bool:
            [shop] = await ask(sentinel, "SENTINEL", "REPLICAS", "shop") or [None]
            return bool(shop) and b"ok" in str(shop).encode()

        await until(knows_replica)
        primary.kill()

        async def answers() -> bool:
            with contextlib.suppress(RedisError):
                await store.ping()
                return True
            return False

        await until(answers)
        fresh = tuple(str(number) for number in range(100, 112))

        async def sells() -> bool:
            with contextlib.suppress(RedisError):
                await sells_and_repairs(store, fresh)
                return True
            return False

        await until(sells)
        async with Redis.from_url(replica.url) as client:
            assert await client.dbsize() > 0


async def test_a_user_of_the_sentinels_needs_no_more_than_the_table_says(
    new_redis: NewRedis, prefix: str, tmp_path: Path
) -> None:
    rights = " ".join(f"+{command}" for command in SENTINEL)
    async with sentinel_for(await new_redis(), tmp_path, f"user boxoffice on >watch-word -@all {rights}") as address:
        url = f"redis+sentinel://{address}/shop?sentinel_username=boxoffice&sentinel_password=watch-word"
        async with open_store(url, prefix) as store:
            await sells_and_repairs(store, EVENT_IDS)
        assert f"`+{' +'.join(SENTINEL)}`" in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
