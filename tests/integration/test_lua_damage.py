"""What the scripts do where something else is kept than they wrote, and where a server takes no writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from boxoffice.redis.store import Code, DecideReply, RedisStore, agrees
from lua.keys import EventKeys, event_keys
from models.commands import Command
from tests.integration.redis_tables import (
    Table,
    addition,
    ask,
    at_home,
    calling_off,
    cancellation,
    categories,
    change,
    closing,
    creation,
    decide_in,
    differing,
    dumped,
    expiry,
    on_sale,
    open_store,
    order,
    payment,
    purchase,
    removal,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import NewRedis, RedisAddress

HALL: dict[str, Any] = {"categories": categories(general=4, stalls=3, balcony=2), "hold_s": 600}
CATEGORIES = ("general", "stalls", "balcony")


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


# Damage

DAMAGES = [
    ("queue", ("SET", "text")),
    ("queue", ("LPUSH", "42-999999")),
    ("queue", ("RPOP",)),
    ("queue", ("LREM", 1, "42-000006")),
    ("queue", ("DEL",)),
    ("meta", ("SET", "text")),
    ("meta", ("HSET", "sold:stalls", "many")),
    ("meta", ("HSET", "held:stalls", "some")),
    ("meta", ("HSET", "held:stalls", "2")),
    ("meta", ("HSET", "removed:stalls", "1")),
    ("meta", ("HSET", "removed:stalls", "\xff")),
    ("meta", ("HDEL", "issued:stalls")),
    ("meta", ("HDEL", "sold:stalls")),
    ("meta", ("HDEL", "fence")),
    ("meta", ("HSET", "seq", "x")),
    ("records", ("SET", "text")),
    ("records", ("DEL",)),
]


@pytest.mark.parametrize(("kind", "command"), DAMAGES)
async def test_what_somebody_else_damaged_is_not_touched_and_a_rebuild_mends_it(
    kind: str, command: tuple[str | int, ...], store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    """One event's damage is no failure of Redis, and the others are served."""
    table = await on_sale(store, order("r-0", general=1, stalls=1), **HALL)
    damaged = {"queue": keys.queues[1], "meta": keys.meta, "records": keys.purchases}[kind]
    if command[0] == "SET":
        await client.delete(damaged)
    await ask(client, command[0], damaged, *command[1:])
    before = await dumped(client, keys.all)
    call = taken(table, order("r-1", general=1, stalls=1), cancellation("x-1", "r-0"))
    other = Table()
    other.take(at_home([creation("7")]))
    [elsewhere] = other.take(at_home([purchase("r-1", event_id="7")], 1)).values()
    replies = await decide_in(store, call, elsewhere)
    assert replies[0][:3] == (Code.DAMAGED, 0, [])
    assert replies[0].damage
    assert replies[1].code == Code.MISSING
    settled = await store.settle(table.event(), table.history["42"])
    assert settled.code == Code.DAMAGED
    assert settled.damage
    assert await dumped(client, keys.all) == before
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await differing(store, table)


async def test_an_event_whose_seq_is_gone_is_missing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, **HALL)
    await client.hdel(keys.meta, "seq")
    assert await store.decide([taken(table, purchase("r-1"))]) == [DecideReply(Code.MISSING, 0, [])]
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await differing(store, table)


async def test_a_queue_that_a_call_does_not_need_may_be_damaged(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, **HALL)
    await client.delete(keys.queues[2])
    [reply] = await decide_in(store, taken(table, order("r-1", general=1, stalls=1)))
    assert reply.answers == [(Code.SOLD, 2, "42-000001,42-000005")]
    position = (await store.positions([table.event()]))["42"]
    assert position is not None
    assert position.left == table.event().left - 2


@pytest.mark.parametrize("bytes_", [b"\xff\xfe", b"[", b"7", b"[7]", b'{"id":7}', b"[{}]", b"[[]]", b"null", b'"text"'])
async def test_strangers_bytes_in_the_categories_are_a_difference_and_end_nobody(
    bytes_: bytes, store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, **HALL)
    await ask(client, "HSET", keys.meta, "categories", bytes_)
    assert any("categories is" in difference for difference in await differing(store, table))
    [reply] = await decide_in(store, taken(table, order("r-1", stalls=2)))
    assert reply.answers == [(Code.SOLD, 2, "42-000005,42-000006")]
    await store.forget(["42"])
    assert not await client.exists(keys.meta, keys.purchases, keys.queues[0])


async def test_a_ticket_that_is_no_text_agrees_with_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, **HALL)
    await ask(client, "LSET", keys.queues[1], 0, b"\xff")
    [reply] = await decide_in(store, taken(table, order("r-1", general=1, stalls=1)))
    assert reply.code == Code.DECIDED
    assert not agrees(table.facts()[-1], reply.answers[0])


@pytest.mark.parametrize(
    ("record", "damage"),
    [
        ('{"type":"gift","offset":%d}', "a record is of no known type"),
        ('{"type":"purchase","offset":%d,"seq":"x"}', "a record is of no known type"),
        ('{"offset":%d', "Expected"),
        ("tickets please", "Expected"),
        ("7", "index"),
    ],
)
async def test_a_record_that_is_none_of_ours_is_damage_where_a_sale_is_asked_for_again(
    record: str, damage: str, store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, **HALL)
    call = taken(table, purchase("r-1"))
    await decide_in(store, call)
    text = record % call.decided[0].offset if "%" in record else record
    await ask(client, "HSET", keys.purchases, "r-1", text)
    before = await dumped(client, keys.all)
    [reply] = await decide_in(store, call)
    assert reply.code == Code.DAMAGED
    assert damage in reply.damage
    assert await dumped(client, keys.all) == before


async def test_a_record_that_is_gone_says_nothing_of_what_was_decided(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, **HALL)
    call = taken(table, purchase("r-1"))
    await decide_in(store, call)
    await client.hdel(keys.purchases, "r-1")
    [reply] = await decide_in(store, call)
    assert reply.answers == [(Code.DECIDED_BEFORE, 0, "")]
    position = (await store.positions([table.event()]))["42"]
    assert position is not None
    assert position.records < len(table.event().accepted)


# Servers that take no writes

FIRST_WRITES: list[Command] = [
    purchase("r-2"),
    order("r-2", general=1, balcony=2),
    purchase("r-2", 100),
    payment("p-1", "r-1", 2 * 4500),
    payment("p-1", "never"),
    expiry("e-1", "r-1"),
    cancellation("x-1", "r-1"),
    cancellation("x-1", "r-1", tickets=["42-000001"]),
    addition("a-1", 1),
    removal("m-1", 1),
    change("v-1", venue="Kleine Halle"),
    closing("z-1"),
    calling_off("z-1"),
]


async def test_without_memory_nothing_is_half_written(new_redis: NewRedis, prefix: str) -> None:
    """A full Redis refuses a call as a whole, whichever of its writes would come first."""
    server = await new_redis()
    keys = event_keys(prefix, "42", CATEGORIES)
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        for command in FIRST_WRITES:
            await client.config_set("maxmemory", 0)
            table = await on_sale(store, order("r-1", general=1, stalls=1), **HALL)
            behind = table.snapshot()
            before = await dumped(client, keys.all)
            call = taken(table, command, later_s=700)
            await client.config_set("maxmemory", 1)
            [error] = await store.decide([call])
            assert isinstance(error, OutOfMemoryError)
            with pytest.raises(OutOfMemoryError):
                await store.settle(table.event(), table.history["42"])
            with pytest.raises(OutOfMemoryError):
                await store.rebuild(table.snapshot())
            assert await dumped(client, keys.all) == before
            assert await client.dbsize() == len(keys.all)
            await client.config_set("maxmemory", 0)
            [reply] = await decide_in(store, call)
            assert reply.code == Code.DECIDED
            assert not await differing(store, table)
            assert await store.rebuild(behind) == Code.NEWER
            await client.flushall()


async def test_a_replica_refuses_a_call_as_a_whole(new_redis: NewRedis, prefix: str) -> None:
    server = await new_redis()
    keys = event_keys(prefix, "42", CATEGORIES)
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = await on_sale(store, **HALL)
        before = await dumped(client, keys.all)
        await client.replicaof("127.0.0.1", "1")
        [error] = await store.decide([taken(table, purchase("r-1"))])
        assert not isinstance(error, DecideReply)
        assert await dumped(client, keys.all) == before


async def test_scripts_touch_nothing_but_their_keys(client: Redis, keys: EventKeys) -> None:
    """A user who may see no other keys can run all of them."""
    name, password = keys.meta.split(":", maxsplit=1)[0], "secret"
    stem = keys.meta.removesuffix(":meta")
    await client.acl_setuser(
        name, enabled=True, passwords=[f"+{password}"], keys=[f"{stem}:*"], categories=["+@all"], reset=True
    )
    try:
        address = client.connection_pool.connection_kwargs
        url = f"redis://{name}:{password}@{address['host']}:{address['port']}"
        async with open_store(url, keys.meta.split("event:", maxsplit=1)[0]) as limited:
            table = await on_sale(limited, **HALL)
            sold = order("r-1", stalls=1, balcony=1), addition("a-1", 1, category="balcony"), cancellation("x-1", "r-1")
            await decide_in(limited, taken(table, *sold, removal("m-1", 1)))
            await limited.settle(table.event(), table.history["42"])
            assert not await differing(limited, table)
            await limited.forget(["42"])
            assert not await client.exists(*keys.all)
    finally:
        await client.acl_deluser(name)
