"""The store: one round trip, one event's error for itself, bounded in time, loading in steps."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from boxoffice.embedded.ports import free_port
from boxoffice.redis.store import (
    Code,
    DecideCall,
    DecideReply,
    EventKeepsChangingError,
    EventPosition,
    RedisStore,
    _Run,
    agrees,
    differences,
)
from lua import REPLACE
from lua.answers import UnreadableRecordError, fact_of
from lua.keys import event_keys
from models.commands import Command
from models.event import Position
from models.inventory import decide
from tests.integration.redis_tables import (
    HOME,
    Table,
    addition,
    at_home,
    behind,
    calling_off,
    cancellation,
    categories,
    change,
    closing,
    creation,
    decide_in,
    expiry,
    open_store,
    order,
    payment,
    purchase,
    removal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import NewRedis, RedisAddress

DEADLINE_S = 20.0


@pytest.fixture
async def store(redis_server: RedisAddress, prefix: str) -> AsyncIterator[RedisStore]:
    async with open_store(redis_server.url, prefix, redis_load_chunk_size=100) as opened:
        yield opened


@pytest.fixture
async def client(redis_server: RedisAddress) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as opened:
        yield opened


def some_calls() -> list[DecideCall]:
    """The calls for an event that is nowhere but in a table."""
    table = Table()
    table.take(at_home([creation()]))
    return taken(table, purchase("r-1"))


async def on_sale(store: RedisStore, *event_ids: str, capacity: int = 10) -> Table:
    table = Table()
    table.take(at_home([creation(event_id, f"c-{event_id}", capacity=capacity) for event_id in event_ids]))
    for event_id in event_ids:
        assert await store.rebuild(table.snapshot(event_id)) == Code.REPLACED
    return table


def taken(table: Table, *commands: Command) -> list[DecideCall]:
    offset = 1 + max(event.fence for event in table.inventory.events.values())
    return list(table.take(at_home(commands, offset)).values())


# Deciding


async def test_calls_for_several_events_take_one_round_trip(store: RedisStore, client: Redis) -> None:
    table = await on_sale(store, "7", "42")
    await decide_in(store, *taken(table, purchase("r-0", event_id="7")))
    reads = (await client.info("stats"))["total_reads_processed"]
    replies = await decide_in(store, *taken(table, purchase("r-1", event_id="7"), purchase("r-1", event_id="42")))
    assert [reply.answers[0][2] for reply in replies] == ["7-000002", "42-000001"]
    # One for the batch, one for asking.
    assert (await client.info("stats"))["total_reads_processed"] - reads == 2


async def test_without_calls_there_is_no_trip() -> None:
    async with open_store(f"redis://127.0.0.1:{free_port()}", "") as store:
        assert await store.decide([]) == []


async def test_scripts_that_redis_forgot_are_loaded_again(store: RedisStore, client: Redis) -> None:
    table = await on_sale(store, "7", "42")
    await client.script_flush()
    replies = await decide_in(store, *taken(table, purchase("r-1", event_id="7"), purchase("r-1")))
    assert [reply.code for reply in replies] == [Code.DECIDED, Code.DECIDED]
    await client.script_flush()
    assert (await store.settle(table.event(), table.history["42"])).code == Code.DECIDED
    await client.script_flush()
    assert await store.rebuild(table.snapshot()) == Code.REPLACED


async def test_an_error_that_one_event_meets_hurts_no_other(
    redis_server: RedisAddress, store: RedisStore, client: Redis, prefix: str
) -> None:
    table = await on_sale(store, "7", "42", "43")
    user = f"{prefix}user"
    patterns = [f"{prefix}event:{{{event_id}}}:*" for event_id in ("7", "43")]
    await client.acl_setuser(user, enabled=True, passwords=["+secret"], keys=patterns, categories=["+@all"], reset=True)
    address = redis_server.url.partition("://")[2]
    try:
        async with open_store(f"redis://{user}:secret@{address}", prefix) as limited:
            calls = taken(table, *[purchase("r-1", event_id=event_id) for event_id in ("7", "42", "43")])
            first, second, third = await limited.decide(calls)
    finally:
        await client.acl_deluser(user)
    assert isinstance(first, DecideReply)
    assert isinstance(second, NoPermissionError)
    assert isinstance(third, DecideReply)
    assert [reply.answers[0][2] for reply in (first, third)] == ["7-000001", "43-000001"]


async def test_an_error_of_the_backlog_is_the_calls_error(new_redis: NewRedis, prefix: str) -> None:
    """What follows would only look like a Redis that is behind."""
    server = await new_redis()
    async with open_store(server.url, prefix) as full, Redis.from_url(server.url) as client:
        table = await on_sale(full, "42")
        taken(table, purchase("r-1"))
        backlog = list(table.history["42"])
        [call] = taken(table, purchase("r-2"))
        await client.config_set("maxmemory", 1)
        [error] = await full.decide([behind(backlog, call)])
        assert isinstance(error, ResponseError)


# When Redis is down


@pytest.mark.parametrize("form", ["redis://{}", "redis+sentinel://{}/shop", "redis+cluster://{}"])
async def test_a_dead_server_fails_at_once(form: str) -> None:
    """redis-py by itself would try ten times, for seconds."""
    async with open_store(form.format(f"127.0.0.1:{free_port()}"), "", redis_timeout_ms=5_000) as store:
        table = Table()
        table.take(at_home([creation()]))
        started = time.monotonic()
        for attempt in (
            store.ping(),
            store.decide(taken(table, purchase("r-1"))),
            store.settle(table.event(), table.history["42"]),
            store.rebuild(table.snapshot()),
            store.positions([table.event()]),
            store.read_event("42"),
        ):
            with pytest.raises(RedisError):
                await attempt
        assert time.monotonic() - started < 1.0


async def test_a_dead_server_is_asked_once() -> None:
    connections = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        async with open_store(f"redis://127.0.0.1:{port}", "") as store:
            with pytest.raises(RedisConnectionError):
                await store.decide(some_calls())
    assert connections == 1


async def test_a_silent_server_costs_one_timeout_and_its_late_replies_reach_nobody(
    new_redis: NewRedis, prefix: str
) -> None:
    server = await new_redis()
    async with open_store(server.url, prefix, redis_timeout_ms=150, redis_pool_size=2) as store:
        table = await on_sale(store, "7", "42")
        server.pause()
        started = time.monotonic()
        calls = taken(table, purchase("r-1", 2, event_id="7"))
        with pytest.raises(RedisTimeoutError):
            await store.decide(calls)
        assert time.monotonic() - started < 1.0
        with pytest.raises(RedisTimeoutError):
            await store.ping()
        server.resume()
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    await store.ping()
                    [reply] = await decide_in(store, *taken(table, purchase("r-2", 3)))
                except RedisTimeoutError:
                    continue
                break
        # The same answer, whether the call that was given up had its effect or not.
        assert agrees(table.facts()[-1], reply.answers[0])
        [again] = await store.decide(calls)
        assert isinstance(again, DecideReply)
        assert again.answers == [(Code.SOLD, 2, "7-000001,7-000002")]


async def test_a_reply_that_drips_is_bounded_as_a_whole(prefix: str) -> None:
    """Each byte comes in time, the answer never does."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"$1000000\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        async with open_store(f"redis://127.0.0.1:{port}", prefix, redis_timeout_ms=200) as store:
            started = time.monotonic()
            with pytest.raises(RedisTimeoutError):
                await store.decide(some_calls())
            assert time.monotonic() - started < 1.5
        server.close()


async def test_a_restarted_server_serves_again(new_redis: NewRedis, prefix: str) -> None:
    """Its scripts are gone, and connections that were open are dead."""
    server = await new_redis(durable=True)
    async with open_store(server.url, prefix) as store:
        table = await on_sale(store, "42")
        await server.restart()
        [reply] = await decide_in(store, *taken(table, purchase("r-1")))
        assert reply.answers == [(Code.SOLD, 2, "42-000001")]


async def test_more_calls_than_connections_wait_for_their_turn(redis_server: RedisAddress, prefix: str) -> None:
    async with open_store(redis_server.url, prefix, redis_pool_size=2) as store:
        table = await on_sale(store, "42")
        calls = taken(table, purchase("r-1"))
        replies = await asyncio.gather(*[decide_in(store, *calls) for _ in range(50)])
        assert all(reply.answers == [(Code.SOLD, 2, "42-000001")] for [reply] in replies)


# Rebuilding


async def test_what_was_loaded_in_many_steps_is_the_event(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=1000)
    sales = [purchase(f"r-{number}", 1 + number % 3, buyer=f"b-{number}") for number in range(350)]
    taken(table, *sales, *[cancellation(f"x-{n}", f"r-{n}") for n in range(120)], addition("a-1", 5), closing("z-1"))
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    found = await store.read_event("42")
    assert found is not None
    assert not differences(found, table.copy())
    assert found == table.copy()


async def test_what_was_rebuilt_is_sold_from_as_if_it_had_been_sold_there(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=30)
    taken(table, *[purchase(f"r-{n}", 2) for n in range(10)], *[cancellation(f"x-{n}", f"r-{n}") for n in (1, 5)])
    await store.rebuild(table.snapshot())
    await decide_in(
        store, *taken(table, *[purchase(f"s-{n}", 3) for n in range(6)], cancellation("x-9", "r-9"), purchase("s-9"))
    )
    assert await store.read_event("42") == table.copy()


@pytest.mark.parametrize("steps", [1, 3, 12])
async def test_a_load_that_is_given_up_leaves_keys_that_expire(
    steps: int, store: RedisStore, redis_server: RedisAddress, client: Redis, prefix: str
) -> None:
    table = await on_sale(store, "42", capacity=1000)
    taken(table, *[purchase(f"r-{number}", 1) for number in range(400)])
    async with open_store(
        redis_server.url, prefix, redis_load_chunk_size=100, redis_loading_expiry_s=40
    ) as interrupted:
        load, done = interrupted._load, 0

        async def load_until_cancelled(*step: object) -> None:
            nonlocal done
            async for key in client.scan_iter(f"{prefix}*:loading:*", count=10_000):
                await client.expire(key, 10)  # as if time had passed since the step before
            await load(*step)  # type: ignore[arg-type]
            done += 1
            if done == steps:
                raise asyncio.CancelledError

        interrupted._load = load_until_cancelled  # type: ignore[method-assign,assignment]
        with pytest.raises(asyncio.CancelledError):
            await interrupted.rebuild(table.snapshot())
    left = [key async for key in client.scan_iter(f"{prefix}*:loading:*", count=10_000)]
    assert len(left) == {1: 1, 3: 2, 12: 3}[steps]
    for key in left:
        assert 30 < await client.ttl(key) <= 40
    assert [await client.ttl(key) for key in event_keys(prefix, "42").all] == [-1, -1, -1]


async def test_two_loads_of_one_event_do_not_meet(store: RedisStore, client: Redis, prefix: str) -> None:
    table = await on_sale(store, "42", capacity=2000)
    taken(table, *[purchase(f"r-{number}", 2) for number in range(300)])
    codes = await asyncio.gather(*[store.rebuild(table.snapshot()) for _ in range(4)])
    assert codes == [Code.REPLACED] * 4
    assert await store.read_event("42") == table.copy()
    assert not [key async for key in client.scan_iter(f"{prefix}*:loading:*", count=10_000)]


async def test_a_rebuild_that_sales_overtook_changes_nothing(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=3000)
    rebuilding = asyncio.create_task(store.rebuild(table.snapshot()))
    await asyncio.sleep(0)
    [reply] = await decide_in(store, *taken(table, purchase("r-1")))
    assert reply.code == Code.DECIDED
    assert await rebuilding == Code.NEWER
    assert await store.read_event("42") == table.copy()


async def test_a_forced_switch_that_arrives_late_does_not_undo_what_came_after_it(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=100)
    run_one = store._run_one
    late: list[_Run] = []

    async def hold_the_switch(run: _Run) -> Any:
        if run.script is REPLACE and not late:
            late.append(run)
            raise TimeoutError
        return await run_one(run)

    store._run_one = hold_the_switch  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        await store.rebuild(table.snapshot(), force=True)
    taken(table, purchase("r-1"))
    assert await store.rebuild(table.snapshot(), force=True) == Code.REPLACED
    assert (await run_one(late[0]))[0] == Code.INCOMPLETE
    assert await store.read_event("42") == table.copy()


# Reading


async def test_positions_of_many_events_some_missing_some_damaged(
    store: RedisStore, client: Redis, prefix: str
) -> None:
    table = await on_sale(store, "7", "42")
    await decide_in(store, *taken(table, purchase("r-1", 2)))
    await client.set(event_keys(prefix, "8").meta, "text")
    await client.hset(event_keys(prefix, "9").meta, mapping={"seq": "1", "fence": "x", "sold": "0"})
    await client.hset(event_keys(prefix, "10").meta, mapping={"seq": "1", "fence": "1", "sold": "0"})
    await client.set(event_keys(prefix, "10").queues[0], "text")
    many = [str(number) for number in range(1000, 2200)]
    others = Table()
    others.take(at_home([creation(event_id, f"c-{event_id}") for event_id in ["8", "9", "10", *many]]))
    found = await store.positions([*table.inventory.events.values(), *others.inventory.events.values()])
    assert found.pop("7") == EventPosition(1, 0, 0, 0, 10, 1, 1)
    assert found.pop("42") == EventPosition(2, 2, 2, 0, 8, 2, 1)
    assert found == dict.fromkeys(["8", "9", "10", *many])


async def test_a_position_counts_what_is_sold_and_held_in_all_categories(
    store: RedisStore, client: Redis, prefix: str
) -> None:
    table = Table()
    table.take(at_home([creation(categories=categories(general=4, stalls=3, balcony=2), hold_s=600)]))
    await store.rebuild(table.snapshot())
    sold = order("r-1", general=2, stalls=1), purchase("r-2", category="balcony"), payment("p-1", "r-1", 3 * 4500)
    await decide_in(store, *taken(table, *sold, removal("m-1", 1)))
    assert await store.positions([table.event()]) == {"42": EventPosition(5, 4, 3, 1, 4, 5, 1)}
    await client.delete(event_keys(prefix, "42", ["balcony"]).queues[0])
    assert await store.positions([table.event()]) == {"42": EventPosition(5, 4, 3, 1, 3, 5, 1)}


async def test_an_event_that_is_not_there_is_read_as_none(store: RedisStore) -> None:
    assert await store.read_event("42") is None


async def test_of_each_request_that_was_accepted_the_fact_is_made_again(
    store: RedisStore, client: Redis, prefix: str
) -> None:
    table = Table()
    created = creation(categories=categories(general=5, stalls=4), hold_s=600, max_per_buyer=9)
    commands: list[Command] = [
        order("r-1", general=2, stalls=1),
        purchase("r-2"),
        purchase("r-3", category="stalls"),
        cancellation("x-1", "r-1", tickets=["42-000002"]),
        payment("p-1", "r-1", 2 * 4500),
        payment("p-2", "r-1", 2 * 4500),
        cancellation("x-2", "r-2"),
        addition("a-1", 3),
        removal("m-1", 1, category="stalls"),
        change("v-1", venue="Kleine Halle", prices=[{"category": "stalls", "amount": 1}]),
        expiry("e-1", "r-3"),
        purchase("r-4", actor="desk"),
        calling_off("z-1"),
    ]
    table.take(at_home([created]))
    await store.rebuild(table.snapshot())
    late_ms = 1_795_341_600_000 + 700_000
    await decide_in(store, *table.take(at_home(commands[:-3], 1)).values())
    await decide_in(store, *table.take(at_home(commands[-3:], 20, late_ms)).values())
    later = Position(1_000, late_ms + 100_000, {"partition": HOME, "offset": 1_000})
    for command in (created, *commands):
        kept = await store.read_request("42", command.request_id)
        assert kept is not None
        made, again = fact_of("42", command.request_id, kept), decide(table.inventory, command, later)
        assert {**made, "decided_by": None} == {**again, "decided_by": None}
    assert {fact["type"] for fact in table.facts()} == {
        *("purchase_held", "purchase_cancelled", "purchase_confirmed", "payment_refused", "tickets_added"),
        *("tickets_removed", "event_changed", "hold_expired", "event_cancelled"),
    }
    assert await store.read_request("42", "never") is None
    assert await store.read_request("7", "r-1") is None
    await client.hset(event_keys(prefix, "42").purchases, "r-2", "tickets please")
    with pytest.raises(UnreadableRecordError):
        await store.read_request("42", "r-2")


async def test_an_event_is_read_as_it_was_at_one_seq_while_it_sells(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=500)
    copies = {1: table.copy()}
    reading = asyncio.create_task(store.read_event("42"))
    for number in range(3):
        await decide_in(store, *taken(table, purchase(f"r-{number}", 2)))
        copies[number + 2] = table.copy()
    found = await reading
    assert found is not None
    assert found == copies[int(found.meta["seq"])]


async def test_an_event_that_is_sold_from_all_the_time_cannot_be_read(store: RedisStore) -> None:
    table = await on_sale(store, "42", capacity=100_000)
    reading = asyncio.create_task(store.read_event("42"))
    number = 0
    while not reading.done():
        number += 1
        await decide_in(store, *taken(table, purchase(f"r-{number}")))
    with pytest.raises(EventKeepsChangingError, match=r"Event 42 is being sold from"):
        await reading


async def test_a_record_is_read_by_a_person_as_well(store: RedisStore) -> None:
    table = await on_sale(store, "42")
    await decide_in(store, *taken(table, purchase("r-1", 2, buyer='Zoë "x"')))
    found = await store.read_event("42")
    assert found is not None
    record = found.record("r-1")
    assert record is not None
    assert (record["type"], record["buyer"], record["tickets"]) == (
        "purchase",
        'Zoë "x"',
        ["42-000001", "42-000002"],
    )
    assert found.record("r-2") is None
