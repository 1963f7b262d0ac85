"""What each script promises, by example, on a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from boxoffice.redis.store import Code, DecideCall, DecideReply, RedisStore, agrees, differences
from lua import REPLACE
from lua.calls import decode_decisions, encode_commands
from lua.keys import EventKeys, event_keys, loading_keys
from models.commands import Command
from tests.integration.redis_tables import (
    Table,
    addition,
    ask,
    at_home,
    cancellation,
    closing,
    creation,
    decide_in,
    open_store,
    purchase,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import NewRedis, RedisAddress


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
    return event_keys(prefix, "42")


async def on_sale(store: RedisStore, *more: Command, **members: Any) -> Table:
    """Event 42 in a table and in Redis, after it was created as the members say, and more commands."""
    table = Table()
    table.take(at_home([creation(**members), *more]))
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    return table


def taken(table: Table, *commands: Command) -> DecideCall:
    """The call for these commands, which come next."""
    return table.take(at_home(commands, table.inventory.events["42"].fence + 1)).calls["42"]


async def dumped(client: Redis, keys: EventKeys) -> list[bytes | None]:
    return [await client.dump(key) for key in keys]


async def differing(store: RedisStore, table: Table) -> list[str]:
    found = await store.read_event("42")
    assert found is not None
    return differences(found, table.copy())


# purchase.lua


async def test_an_event_that_is_not_there_is_missing_and_stays_so(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    call = DecideCall("42", 1, at_home([purchase("r-1")]))
    assert await store.decide([call]) == [DecideReply(Code.MISSING, 0, [])]
    assert not await client.exists(*keys)


async def test_behind_the_caller_it_writes_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store)
    before = await dumped(client, keys)
    taken(table, purchase("r-1"))
    call = taken(table, purchase("r-2"), addition("a-1", 1), closing("z-1"))
    assert await store.decide([call]) == [DecideReply(Code.BEHIND, 1, [])]
    assert await dumped(client, keys) == before


async def test_the_backlog_in_front_of_a_call_brings_it_up(store: RedisStore) -> None:
    table = await on_sale(store)
    taken(table, purchase("r-1"))
    call = taken(table, purchase("r-2", 2))
    [reply] = await decide_in(store, DecideCall("42", call.seq, call.commands, table.history["42"]))
    assert reply.answers == [(Code.CONFIRMED, 3, "42-000002,42-000003")]
    assert not await differing(store, table)


async def test_a_second_owner_gets_the_first_ones_decisions_and_changes_nothing(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, max_per_order=4)
    call = taken(
        table, purchase("r-1", 3), purchase("r-2", 5), cancellation("x-1", "r-1"), addition("a-1", 2), closing("z-1")
    )
    [first] = await decide_in(store, call)
    before = await dumped(client, keys)
    [second] = await decide_in(store, call)
    assert second.seq == first.seq == 6
    assert second.answers == [
        (Code.CONFIRMED, 2, "42-000001,42-000002,42-000003"),
        (Code.DECIDED_BEFORE, 0, ""),
        (Code.CANCELLED, 4, "42-000001,42-000002,42-000003"),
        (Code.ADDED, 5, ""),
        (Code.CLOSED, 6, ""),
    ]
    assert await dumped(client, keys) == before


async def test_a_creation_that_was_decided_before_is_answered_from_its_record(store: RedisStore) -> None:
    """A second owner that knows the event from elsewhere may still meet the command that made it."""
    await on_sale(store)
    [reply] = await decide_in(store, DecideCall("42", 0, at_home([creation(), purchase("r-1")])))
    assert reply.answers == [(Code.CREATED, 1, ""), (Code.CONFIRMED, 2, "42-000001")]


@pytest.mark.parametrize("buyer", ["b-77", " b", 'Zoë "the\\fan"', "\u2028 b,2 ]}", "x" * 128])
async def test_a_cancellation_that_names_the_buyer_cancels_no_other_ones_purchase(
    store: RedisStore, buyer: str
) -> None:
    table = await on_sale(store)
    call = taken(
        table,
        purchase("r-1", 2, buyer=buyer),
        cancellation("x-1", "r-1", buyer=f"{buyer} "[-128:]),
        cancellation("x-2", "r-2", buyer=buyer),
        cancellation("x-3", "r-1", buyer=buyer),
        cancellation("x-4", "r-1", buyer="another"),
    )
    [reply] = await decide_in(store, call)
    assert [code for code, _, _ in reply.answers[1:]] == [
        Code.NO_SUCH_PURCHASE,
        Code.NO_SUCH_PURCHASE,
        Code.CANCELLED,
        Code.NO_SUCH_PURCHASE,
    ]
    assert not await differing(store, table)


async def test_tickets_that_come_back_within_a_batch_are_sold_after_all_others(store: RedisStore) -> None:
    table = await on_sale(store, capacity=3)
    call = taken(
        table,
        purchase("r-1", 2),
        cancellation("x-1", "r-1"),
        addition("a-1", 1),
        purchase("r-2", 4),
        purchase("r-3"),
        cancellation("x-2", "r-2"),
        purchase("r-4", 5),
        purchase("r-5", 3),
    )
    [reply] = await decide_in(store, call)
    assert reply.answers[3] == (Code.CONFIRMED, 5, "42-000003,42-000001,42-000002,42-000004")
    assert [code for code, _, _ in reply.answers[4:]] == [
        Code.SOLD_OUT,
        Code.CANCELLED,
        Code.NOT_ENOUGH_LEFT,
        Code.CONFIRMED,
    ]
    assert not await differing(store, table)


async def test_a_request_id_accepted_in_the_same_batch_is_taken(store: RedisStore) -> None:
    table = await on_sale(store)
    call = taken(table, purchase("r-1"), purchase("r-1", 2), closing("r-1"))
    [reply] = await decide_in(store, call)
    assert [code for code, _, _ in reply.answers] == [
        Code.CONFIRMED,
        Code.REQUEST_ID_REUSED,
        Code.REQUEST_ID_REUSED,
    ]
    assert not await differing(store, table)


async def test_offsets_are_exact_up_to_2_to_the_53rd(store: RedisStore) -> None:
    table = await on_sale(store)
    call = table.take(at_home([purchase("r-1"), purchase("r-2"), purchase("r-3", 20)], 2**53 - 3)).calls["42"]
    [reply] = await decide_in(store, call)
    assert [code for code, _, _ in reply.answers] == [Code.CONFIRMED, Code.CONFIRMED, Code.NOT_ENOUGH_LEFT]
    assert not await differing(store, table)
    [again] = await decide_in(store, call)
    assert again.answers == [*reply.answers[:2], (Code.DECIDED_BEFORE, 0, "")]
    found = await store.read_event("42")
    assert found is not None
    assert found.meta["fence"] == str(2**53 - 1)


async def test_a_batch_may_be_larger_than_what_lua_can_unpack(store: RedisStore) -> None:
    table = await on_sale(store, capacity=30_000)
    sales = [purchase(f"r-{number}", 2 + 98 * (number % 100 == 0)) for number in range(10_000)]
    returns = [cancellation(f"x-{number}", f"r-{number}") for number in range(0, 10_000, 2)]
    call = taken(table, *sales, addition("a-1", 10_000), *returns, purchase("r-last", 100))
    [reply] = await decide_in(store, call)
    assert all(map(agrees, [fact for fact, _ in table.history["42"][1:]], reply.answers))
    assert not await differing(store, table)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("tickets", ("SET", "text")),
        ("tickets", ("LPUSH", "42-999999")),
        ("tickets", ("RPOP",)),
        ("tickets", ("DEL",)),
        ("meta", ("SET", "text")),
        ("meta", ("HSET", "sold", "many")),
        ("meta", ("HDEL", "fence")),
        ("purchases", ("SET", "text")),
        ("purchases", ("DEL",)),
        ("purchases", ("HSET", "r-0", "{not JSON")),
        ("purchases", ("HSET", "r-0", '{"type":"purchase","offset":1}')),
    ],
)
async def test_what_somebody_else_damaged_is_not_touched_and_a_rebuild_mends_it(
    key: str, command: tuple[str, ...], store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    """One event's damage is no failure of Redis, and the others are served."""
    table = await on_sale(store, purchase("r-0"))
    damaged = getattr(keys, key)
    if command[0] == "SET":
        await client.delete(damaged)
    await ask(client, command[0], damaged, *command[1:])
    before = await dumped(client, keys)
    call = taken(table, purchase("r-1"), cancellation("x-1", "r-0"))
    replies = await decide_in(store, call, DecideCall("7", 1, at_home([purchase("r-1", event_id="7")])))
    assert replies[0][:3] == (Code.DAMAGED, 0, [])
    assert replies[0].damage
    assert replies[1].code == Code.MISSING
    settled = await store.settle("42", table.history["42"])
    assert settled.code == Code.DAMAGED
    assert settled.damage
    assert await dumped(client, keys) == before
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await differing(store, table)


async def test_a_ticket_that_is_no_text_agrees_with_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store)
    await ask(client, "LSET", keys.tickets, 0, b"\xff")
    [reply] = await decide_in(store, taken(table, purchase("r-1")))
    assert reply.code == Code.DECIDED
    assert not agrees(table.history["42"][-1][0], reply.answers[0])


@pytest.mark.parametrize("record", ['{"type":"gift","offset":%d,"seq":2}', '{"type":"purchase","offset":%d}'])
async def test_a_record_that_is_none_of_ours_is_damage(
    record: str, store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store)
    call = taken(table, purchase("r-1"))
    await decide_in(store, call)
    await ask(client, "HSET", keys.purchases, "r-1", record % call.commands[0][1].offset)
    [reply] = await decide_in(store, call)
    assert (reply.code, reply.damage) == (Code.DAMAGED, "a record is of no known type")


async def test_racing_callers_with_the_same_commands_get_the_same_decisions(
    redis_server: RedisAddress, store: RedisStore, prefix: str
) -> None:
    table = await on_sale(store, capacity=150)
    for turn in range(10):
        calls = [taken(table, *[purchase(f"r-{turn}-{batch}-{n}", 2) for n in range(5)]) for batch in range(2)]
        async with open_store(redis_server.url, prefix) as second:
            replies = await asyncio.gather(*[decide_in(by, call) for call in calls for by in (store, second)])
        facts = [fact for fact, _ in table.history["42"]]
        for call, [reply] in zip((calls[0], calls[0], calls[1], calls[1]), replies, strict=True):
            if reply.code == Code.BEHIND:  # it overtook the batch before its own
                continue
            assert all(map(agrees, facts[call.seq : call.seq + len(call.commands)], reply.answers))
            assert (Code.DECIDED_BEFORE, 0, "") not in reply.answers or table.inventory.events["42"].left == 0
        await store.settle("42", table.history["42"])
        assert not await differing(store, table)


# settle.lua


async def test_settling_again_changes_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store)
    taken(table, purchase("r-1", 2), cancellation("x-1", "r-1"), addition("a-1", 3), closing("z-1"))
    assert await store.settle("42", table.history["42"]) == (Code.SETTLED, 5, "")
    before = await dumped(client, keys)
    assert await store.settle("42", table.history["42"]) == (Code.SETTLED, 5, "")
    assert await dumped(client, keys) == before
    assert not await differing(store, table)


async def test_settling_a_missing_event_writes_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = Table()
    table.take(at_home([creation(), purchase("r-1")]))
    assert (await store.settle("42", table.history["42"])).code == Code.MISSING
    assert not await client.exists(*keys)


async def test_settling_stops_where_a_seq_is_missing(store: RedisStore) -> None:
    table = await on_sale(store)
    taken(table, purchase("r-1"))
    expected = table.copy()
    taken(table, purchase("r-2"), purchase("r-3"))
    first, second, _, fourth = table.history["42"]
    assert await store.settle("42", [first, second, fourth]) == (Code.DAMAGED, 2, "a seq is missing")
    assert await store.read_event("42") == expected


async def test_settling_stops_where_the_queue_has_another_head(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store)
    taken(table, purchase("r-1"))
    expected = table.copy()
    taken(table, purchase("r-2"), purchase("r-3"))
    await client.lset(keys.tickets, 1, "42-000007")
    assert await store.settle("42", table.history["42"]) == (Code.DAMAGED, 2, "the queue has another head")
    found = await store.read_event("42")
    assert found is not None
    assert differences(found, expected) == ["ticket 1 of the queue is 42-000007, and should be 42-000002"]


async def test_settling_stops_where_more_is_sold_than_is_left(store: RedisStore) -> None:
    table = await on_sale(store, capacity=3)
    more = Table()
    more.take(at_home([creation(capacity=4), purchase("r-1", 2), purchase("r-2", 2)]))
    taken(table, purchase("r-1", 2))
    assert await store.settle("42", more.history["42"]) == (Code.DAMAGED, 2, "the queue is too short")
    assert not await differing(store, table)


@pytest.mark.parametrize(
    "record",
    [
        None,
        '{"type":"closing"}',
        '{"type":"purchase","tickets":["42-000009"]}',
        '{"type":"purchase","tickets":["42-000001"],"cancelled_by":"x-0"}',
    ],
)
async def test_settling_stops_where_a_cancelled_purchase_is_not_as_it_should_be(
    record: str | None, store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, purchase("r-1"))
    taken(table, closing("z-1"), cancellation("x-1", "r-1"))
    if record is None:
        await client.hdel(keys.purchases, "r-1")
    else:
        await client.hset(keys.purchases, "r-1", record)
    reply = await store.settle("42", table.history["42"])
    assert reply == (Code.DAMAGED, 3, "there is no such purchase to cancel")


async def test_settling_sells_what_came_back_in_the_same_call(store: RedisStore) -> None:
    table = await on_sale(store, capacity=2)
    for turn in range(3):
        taken(table, purchase(f"r-{turn}", 2), cancellation(f"x-{turn}", f"r-{turn}"), addition(f"a-{turn}", 1))
        taken(table, purchase(f"s-{turn}", 2))
    assert (await store.settle("42", table.history["42"])).code == Code.SETTLED
    assert not await differing(store, table)


# replace.lua


async def test_a_rebuild_keeps_a_higher_seq(store: RedisStore, client: Redis, prefix: str) -> None:
    table = await on_sale(store)
    stale = table.snapshot()
    await decide_in(store, taken(table, purchase("r-1")))
    assert await store.rebuild(stale) == Code.NEWER
    assert not await differing(store, table)
    assert not [key async for key in client.scan_iter(f"{prefix}*:loading:*")]


async def test_a_rebuild_at_the_same_seq_mends_what_differs(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, purchase("r-1"))
    await client.hset(keys.meta, mapping={"name": "Wrong", "unknown": "field"})
    await client.hset(keys.purchases, "r-2", "{}")
    await client.lset(keys.tickets, 0, "42-000001")
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await differing(store, table)


async def test_what_was_switched_in_does_not_expire(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    await on_sale(store)
    assert [await client.ttl(key) for key in keys] == [-1, -1, -1]


async def test_an_event_without_tickets_has_no_list(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, capacity=2)
    assert await client.exists(keys.tickets)
    taken(table, purchase("r-1", 2))
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert not await client.exists(keys.tickets)
    assert not await differing(store, table)


@pytest.mark.parametrize("lost", ["tickets", "meta", "purchases"])
async def test_a_load_that_has_expired_in_part_is_not_switched_in(
    lost: str, store: RedisStore, client: Redis, keys: EventKeys, prefix: str
) -> None:
    table = await on_sale(store)
    before = await dumped(client, keys)
    loading = loading_keys(prefix, "42", "attempt")
    await client.rpush(loading.tickets, "42-000001", "42-000002")
    await client.hset(loading.meta, "seq", "9")
    await client.hset(loading.purchases, "r-1", "{}")
    await client.delete(getattr(loading, lost))
    reply = await client.eval(REPLACE.text, 6, *keys, *loading, 9, 2, 1)
    assert reply == [Code.INCOMPLETE, 0]
    assert await dumped(client, keys) == before
    assert not await client.exists(*loading)
    assert not await differing(store, table)


# All of them


async def test_without_memory_nothing_is_half_written(new_redis: NewRedis, prefix: str) -> None:
    """A full Redis refuses a call as a whole, whichever of its writes would come first."""
    server = await new_redis()
    keys = event_keys(prefix, "42")
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = await on_sale(store, purchase("r-0", 2))
        behind = table.snapshot()
        before = await dumped(client, keys)
        await client.config_set("maxmemory", 1)
        batches: list[list[Command]] = [
            [purchase("r-1")],
            [cancellation("x-1", "r-0")],
            [addition("a-1", 1)],
            [purchase("r-2", 100)],
            [closing("z-1"), cancellation("x-2", "r-1")],
        ]
        for commands in batches:
            call = DecideCall("42", 2, taken(table, *commands).commands)
            [error] = await store.decide([call])
            assert isinstance(error, OutOfMemoryError)
            with pytest.raises(OutOfMemoryError):
                await store.settle("42", table.history["42"])
            assert await dumped(client, keys) == before
        with pytest.raises(OutOfMemoryError):
            await store.rebuild(table.snapshot())
        assert await dumped(client, keys) == before
        assert await client.dbsize() == 3
        await client.config_set("maxmemory", 0)
        assert (await store.settle("42", table.history["42"])).code == Code.SETTLED
        assert not await differing(store, table)
        assert await store.rebuild(behind) == Code.NEWER


async def test_the_switch_needs_no_memory(new_redis: NewRedis, prefix: str) -> None:
    server = await new_redis()
    keys, loading = event_keys(prefix, "42"), loading_keys(prefix, "42", "attempt")
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = await on_sale(store)
        for old, new in zip(keys, loading, strict=True):
            await client.copy(old, new)
        await client.delete(keys.tickets)
        await client.config_set("maxmemory", 1)
        assert await client.eval(REPLACE.text, 6, *keys, *loading, 1, 10, 1) == [Code.REPLACED, 1]
        await client.config_set("maxmemory", 0)
        assert not await differing(store, table)


async def test_a_replica_refuses_a_call_as_a_whole(new_redis: NewRedis, prefix: str) -> None:
    server = await new_redis()
    keys = event_keys(prefix, "42")
    async with open_store(server.url, prefix) as store, Redis.from_url(server.url) as client:
        table = await on_sale(store)
        before = await dumped(client, keys)
        await client.replicaof("127.0.0.1", "1")
        [error] = await store.decide([taken(table, purchase("r-1"))])
        assert not isinstance(error, DecideReply)
        assert await dumped(client, keys) == before


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
            table = await on_sale(limited)
            call = taken(table, purchase("r-1"), addition("a-1", 1), cancellation("x-1", "r-1"))
            await decide_in(limited, call)
            await limited.settle("42", table.history["42"])
            assert not await differing(limited, table)
    finally:
        await client.acl_deluser(name)


def test_a_reply_without_answers_is_read() -> None:
    assert decode_decisions([Code.BEHIND, 7]) == DecideReply(Code.BEHIND, 7, [])
    assert encode_commands("42", 7, []) == b'[7,"42"]'
