"""What purchase.lua promises, by example, on a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from boxoffice.redis.store import Code, DecideCall, DecideReply, RedisStore, agrees
from lua.calls import MAX_MOVED, decode_decisions, encode_call, moves_many
from lua.keys import EventKeys, event_keys
from models.members import MAX_CATEGORIES, MAX_QUANTITY
from tests.integration.redis_tables import (
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

    from tests.support.servers import RedisAddress

HALL: dict[str, Any] = {"categories": categories(stalls=3, general=4, balcony=2)}
"""Of an event with several queues; one of them is that of an event without categories."""
DUE_S = 600


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
    return event_keys(prefix, "42", ("stalls", "general", "balcony"))


# Where Redis is


async def test_an_event_that_is_not_there_is_missing_and_stays_so(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = Table()
    table.take(at_home([creation()]))
    assert await store.decide([taken(table, purchase("r-1"))]) == [DecideReply(Code.MISSING, 0, [])]
    assert (await store.settle(table.event(), table.history["42"])).code == Code.MISSING
    assert not await client.exists(*keys.all)


async def test_behind_the_caller_it_writes_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store)
    before = await dumped(client, keys.all)
    taken(table, purchase("r-1"))
    call = taken(table, purchase("r-2"), addition("a-1", 1), closing("z-1"))
    assert await store.decide([call]) == [DecideReply(Code.BEHIND, 1, [])]
    assert await dumped(client, keys.all) == before


async def test_the_backlog_in_front_of_a_call_brings_it_up(store: RedisStore) -> None:
    table = await on_sale(store)
    taken(table, purchase("r-1"))
    backlog = list(table.history["42"])
    [reply] = await decide_in(store, behind(backlog, taken(table, purchase("r-2", 2))))
    assert reply.answers == [(Code.SOLD, 3, "42-000002,42-000003")]
    assert not await differing(store, table)


async def test_a_backlog_that_redis_has_in_part_is_applied_from_there_on(store: RedisStore) -> None:
    table = await on_sale(store, **HALL, hold_s=DUE_S)
    taken(table, order("r-1", stalls=2, balcony=1), purchase("r-2"), cancellation("x-1", "r-1"), purchase("r-3", 9))
    backlog = list(table.history["42"])
    assert (await store.settle(table.event(), backlog[:2])).seq == 3
    [reply] = await decide_in(store, behind(backlog, taken(table, order("r-4", balcony=2))))
    assert reply == DecideReply(Code.DECIDED, 6, [(Code.SOLD, 6, "42-000009,42-000008")])
    assert not await differing(store, table)


async def test_the_second_call_after_a_lost_reply_gets_the_same_decisions_and_changes_nothing(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, **HALL, hold_s=DUE_S, max_per_order=6)
    call = taken(
        table,
        order("r-1", stalls=2, general=1),
        purchase("r-2", 5),
        purchase("r-3", 7),
        payment("p-1", "r-1", 3 * 4500),
        expiry("e-1", "r-1"),
        purchase("r-4", 2, category="balcony"),
        cancellation("x-1", "r-1", tickets=["42-000001"]),
        addition("a-1", 2),
        removal("m-1", 1),
        change("v-1", venue="Kleine Halle"),
        closing("z-1"),
        calling_off("z-2"),
    )
    [first] = await decide_in(store, call)
    assert first.answers == [
        (Code.SOLD, 2, "42-000001,42-000002,42-000004"),
        (Code.SHORT, 3, ""),
        (Code.COUNTED, 4, ""),
        (Code.APPLIED, 5, ""),
        (Code.COUNTED, 6, ""),
        (Code.SOLD, 7, "42-000008,42-000009"),
        *((Code.APPLIED, seq, "") for seq in range(8, 14)),
    ]
    before = await dumped(client, keys.all)
    [second] = await decide_in(store, call)
    assert second.seq == first.seq == 13
    applied = (Code.DECIDED_BEFORE, 0, "")
    assert second.answers == [applied] * 5 + [first.answers[5]] + [applied] * 6
    assert all(agrees(fact, answer) for fact, answer in zip(table.facts(), second.answers, strict=True))
    assert await dumped(client, keys.all) == before
    assert not await differing(store, table)


async def test_who_is_behind_redis_is_answered_by_what_redis_has(store: RedisStore) -> None:
    table = await on_sale(store)
    calls = [taken(table, purchase(f"r-{number}")) for number in range(3)]
    for call in calls:
        await decide_in(store, call)
    [reply] = await decide_in(store, calls[0])
    assert reply == DecideReply(Code.DECIDED, 4, [(Code.SOLD, 2, "42-000001")])


async def test_a_refused_purchase_whose_id_was_accepted_later_is_not_answered_by_that(store: RedisStore) -> None:
    """Under the first rules a refused request could be sent again, and buy."""
    table = await on_sale(store, table=Table(first_rules={"42"}), capacity=2)
    refused = taken(table, purchase("r-1", 3))
    await decide_in(store, refused, taken(table, purchase("r-1", 2)))
    [again] = await decide_in(store, refused)
    assert again.answers == [(Code.DECIDED_BEFORE, 0, "")]


async def test_offsets_are_exact_up_to_2_to_the_53rd(store: RedisStore) -> None:
    table = await on_sale(store)
    call = table.take(at_home([purchase("r-1"), purchase("r-2"), purchase("r-3", 20)], 2**53 - 3))["42"]
    [reply] = await decide_in(store, call)
    assert [code for code, _, _ in reply.answers] == [Code.SOLD, Code.SOLD, Code.SHORT]
    assert not await differing(store, table)
    [again] = await decide_in(store, call)
    assert again.answers == [*reply.answers[:2], (Code.DECIDED_BEFORE, 0, "")]
    found = await store.read_event("42")
    assert found is not None
    assert found.meta["fence"] == str(2**53 - 1)


# Selling


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
    assert reply.answers[3] == (Code.SOLD, 5, "42-000003,42-000001,42-000002,42-000004")
    assert [code for code, _, _ in reply.answers[4:]] == [Code.SHORT, Code.APPLIED, Code.SHORT, Code.SOLD]
    assert not await differing(store, table)


async def test_a_purchase_of_several_categories_gets_all_its_tickets_or_none(store: RedisStore) -> None:
    table = await on_sale(store, **HALL)
    call = taken(
        table,
        order("r-1", balcony=2, stalls=1),
        order("r-2", stalls=2, balcony=1),
        order("r-3", stalls=2, general=4),
        order("r-4", general=1, stalls=1),
    )
    [reply] = await decide_in(store, call)
    assert reply.answers == [
        (Code.SOLD, 2, "42-000008,42-000009,42-000001"),
        (Code.SHORT, 3, ""),
        (Code.SOLD, 4, "42-000002,42-000003,42-000004,42-000005,42-000006,42-000007"),
        (Code.SHORT, 5, ""),
    ]
    assert not await differing(store, table)


async def test_what_leaves_joins_and_is_sold_in_one_call_of_several_queues(store: RedisStore) -> None:
    table = await on_sale(store, **HALL)
    stale = table.snapshot()
    call = taken(
        table,
        order("r-1", stalls=2, balcony=1),
        removal("m-1", 1, category="stalls"),
        cancellation("x-1", "r-1"),
        removal("m-2", 1),
        removal("m-3", 1, category="balcony"),
        order("r-2", stalls=2, balcony=1),
        addition("a-1", 2, category="stalls"),
        removal("m-4", 1, category="stalls"),
        order("r-3", stalls=1, general=3),
        purchase("r-4"),
        removal("m-5", 1),
    )
    [reply] = await decide_in(store, call)
    assert [tickets for _, _, tickets in reply.answers if tickets] == [
        "42-000001,42-000002,42-000008",
        "42-000001,42-000002,42-000009",
        "42-000010,42-000004,42-000005,42-000006",
    ]
    assert [code for code, _, _ in reply.answers[-2:]] == [Code.SHORT, Code.COUNTED]
    assert all(agrees(fact, answer) for fact, answer in zip(table.facts(), reply.answers, strict=True))
    assert not await differing(store, table)
    assert await store.rebuild(stale, force=True) == Code.REPLACED
    assert (await store.settle(table.event(), table.history["42"])).seq == table.event().seq
    assert not await differing(store, table)


async def test_what_is_removed_leaves_the_tail_of_what_was_there_before_the_call(store: RedisStore) -> None:
    table = await on_sale(store, capacity=10)
    call = taken(
        table,
        purchase("r-1", 2),
        removal("m-1", 3),
        addition("a-1", 2),
        removal("m-2", 3),
        purchase("r-2", 3),
        purchase("r-3", 3),
    )
    [reply] = await decide_in(store, call)
    assert [tickets for _, _, tickets in reply.answers[-2:]] == ["42-000003,42-000004,42-000005", ""]
    assert not await differing(store, table)


async def test_what_has_left_the_tail_is_not_sold_though_it_was_there_before_the_call(store: RedisStore) -> None:
    table = await on_sale(store, capacity=3)
    call = taken(table, removal("m-1", 2), addition("a-1", 1), purchase("r-1", 2))
    [reply] = await decide_in(store, call)
    assert reply.answers[2] == (Code.SOLD, 4, "42-000001,42-000004")
    assert not await differing(store, table)


async def test_a_hold_ends_where_its_tickets_came_from(store: RedisStore) -> None:
    table = await on_sale(store, **HALL, hold_s=DUE_S)
    [held] = await decide_in(
        store, taken(table, order("r-1", stalls=3, balcony=1), purchase("r-2", 1, category="stalls"))
    )
    assert [code for code, _, _ in held.answers] == [Code.SOLD, Code.SHORT]
    later = taken(table, expiry("e-1", "r-1"), purchase("r-3", 3, category="stalls"), later_s=DUE_S + 1)
    [reply] = await decide_in(store, later)
    assert reply.answers == [(Code.APPLIED, 4, ""), (Code.SOLD, 5, "42-000001,42-000002,42-000003")]
    assert not await differing(store, table)


async def test_who_pays_late_gets_other_tickets_of_the_same_lines(store: RedisStore) -> None:
    table = await on_sale(store, **HALL, hold_s=DUE_S)
    await decide_in(store, taken(table, order("r-1", stalls=1, balcony=1)))
    later = taken(
        table,
        expiry("e-1", "r-1"),
        purchase("r-2", 1, category="balcony"),
        payment("p-1", "r-1", 2 * 4500),
        payment("p-2", "r-2"),
        cancellation("x-1", "r-2"),
        later_s=DUE_S + 1,
    )
    [reply] = await decide_in(store, later)
    assert [code for code, _, _ in reply.answers] == [Code.APPLIED, Code.SOLD, *[Code.APPLIED] * 3]
    found = await store.read_event("42")
    assert found is not None
    assert (found.record("r-1") or {})["tickets"] == ["42-000002", "42-000008"]
    assert (found.record("p-1") or {})["late"]
    assert found.queues["balcony"] == ["42-000009"]
    assert not await differing(store, table)


async def test_a_new_price_reaches_new_purchases_and_their_records(store: RedisStore) -> None:
    table = await on_sale(store, hold_s=DUE_S)
    prices = [{"category": "general", "amount": 100}]
    call = taken(table, purchase("r-1", 2), change("v-1", prices=prices), purchase("r-2"), payment("p-1", "r-1", 9000))
    [reply] = await decide_in(store, call)
    assert [code for code, _, _ in reply.answers] == [Code.SOLD, Code.APPLIED, Code.SOLD, Code.APPLIED]
    found = await store.read_event("42")
    assert found is not None
    assert [found.meta[name] for name in ("price_amount", "first_price")] == ["100", "4500"]
    assert (found.record("r-1") or {})["lines"] == [["general", 2, 4500]]
    assert (found.record("r-2") or {})["lines"] == [["general", 1, 100]]
    assert not await differing(store, table)


async def test_redis_that_has_more_than_it_should_does_not_agree_that_nothing_is_left(
    store: RedisStore, client: Redis, keys: EventKeys
) -> None:
    table = await on_sale(store, capacity=1)
    await client.rpush(event_keys(keys.meta.split("event:")[0], "42").queues[0], "42-000002")
    await client.hset(keys.meta, "issued", "2")
    [reply] = await decide_in(store, taken(table, purchase("r-1", 2)))
    assert reply.answers == [(Code.SOLD, 2, "42-000001,42-000002")]
    assert not agrees(table.facts()[-1], reply.answers[0])


# Bounds


async def test_a_batch_may_be_larger_than_what_lua_can_unpack(store: RedisStore) -> None:
    table = await on_sale(store, capacity=30_000)
    sales = [purchase(f"r-{number}", 2 + 98 * (number % 100 == 0)) for number in range(10_000)]
    returns = [cancellation(f"x-{number}", f"r-{number}") for number in range(0, 10_000, 2)]
    call = taken(
        table, *sales, addition("a-1", MAX_MOVED), *returns, removal("m-1", MAX_MOVED), purchase("r-last", 100)
    )
    [reply] = await decide_in(store, call)
    assert all(map(agrees, table.facts(), reply.answers))
    assert not await differing(store, table)


async def test_an_order_may_be_of_all_categories_that_an_event_may_have(store: RedisStore) -> None:
    each: dict[str, Any] = {f"c{number}": MAX_QUANTITY // MAX_CATEGORIES for number in range(MAX_CATEGORIES)}
    table = await on_sale(store, categories=categories(**each))
    everything = order("r-1", **dict(reversed(each.items())))
    call = taken(table, everything, purchase("r-2", category="c7"), cancellation("x-1", "r-1"), order("r-3", c49=1))
    [reply] = await decide_in(store, call)
    assert len(reply.answers[0][2].split(",")) == MAX_QUANTITY
    assert [code for code, _, _ in reply.answers] == [Code.SOLD, Code.SHORT, Code.APPLIED, Code.SOLD]
    assert not await differing(store, table)


def test_a_call_names_the_queues_that_it_needs_and_no_other() -> None:
    table = Table()
    table.take(at_home([creation(**HALL)]))
    assert _queues_of(taken(table, purchase("r-1", category="balcony"))) == ("balcony",)
    assert _queues_of(taken(table, order("r-2", balcony=1, stalls=1))) == ("balcony", "stalls")
    assert _queues_of(taken(table, cancellation("x-1", "r-1"), removal("m-1", 1))) == ("balcony", "general")
    assert _queues_of(taken(table, change("v-1", venue="v"), purchase("r-3", category="unknown"))) == ()


def _queues_of(call: DecideCall) -> tuple[str, ...]:
    decided = encode_call(call.event, call.seq, (), call.decided).categories
    assert encode_call(call.event, call.seq, call.decided).categories == decided
    return decided


def test_more_tickets_than_a_script_may_move_are_known_by_their_fact() -> None:
    table = Table()
    table.take(at_home([creation(capacity=100_000)]))
    most, more = MAX_MOVED, MAX_MOVED + 1
    taken(table, addition("a-1", most), addition("a-2", more), removal("m-1", most), removal("m-2", more), closing("z"))
    assert [moves_many(fact) for fact in table.facts()] == [False, True, False, True, False]


def test_a_reply_without_answers_is_read() -> None:
    assert decode_decisions([Code.BEHIND, 7]) == DecideReply(Code.BEHIND, 7, [])


def test_a_call_without_commands_asks_how_far_an_event_is() -> None:
    table = Table()
    table.take(at_home([creation()]))
    assert encode_call(table.event(), 7, ()) == (("general",), b'[7,[""]]')


# Several callers


async def test_racing_callers_with_the_same_commands_get_the_same_decisions(
    redis_server: RedisAddress, store: RedisStore, prefix: str
) -> None:
    table = await on_sale(store, capacity=150)
    for turn in range(10):
        calls = [taken(table, *[purchase(f"r-{turn}-{batch}-{n}", 2) for n in range(5)]) for batch in range(2)]
        async with open_store(redis_server.url, prefix) as second:
            replies = await asyncio.gather(*[decide_in(by, call) for call in calls for by in (store, second)])
        for call, [reply] in zip((calls[0], calls[0], calls[1], calls[1]), replies, strict=True):
            if reply.code == Code.BEHIND:  # it overtook the batch before its own
                continue
            assert all(agrees(one.fact, answer) for one, answer in zip(call.decided, reply.answers, strict=True))
            assert (Code.DECIDED_BEFORE, 0, "") not in reply.answers or table.event().left == 0
        await store.settle(table.event(), table.history["42"])
        assert not await differing(store, table)


# Settling: what follows from facts alone


async def test_settling_again_changes_nothing(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store, **HALL, hold_s=DUE_S)
    taken(
        table,
        order("r-1", stalls=2, general=2),
        cancellation("x-1", "r-1", tickets=["42-000001", "42-000005"]),
        payment("p-1", "r-1", 2 * 4500),
        addition("a-1", 3),
        removal("m-1", 1, category="balcony"),
        closing("z-1"),
    )
    assert await store.settle(table.event(), table.history["42"]) == DecideReply(
        Code.DECIDED, 7, [(Code.APPLIED, seq, "") for seq in range(2, 8)]
    )
    before = await dumped(client, keys.all)
    assert (await store.settle(table.event(), table.history["42"]))[:2] == (Code.DECIDED, 7)
    assert await dumped(client, keys.all) == before
    assert not await differing(store, table)


async def test_an_effect_is_applied_at_its_own_seq_alone(store: RedisStore, client: Redis, keys: EventKeys) -> None:
    table = await on_sale(store)
    before = await dumped(client, keys.all)
    taken(table, purchase("r-1"), purchase("r-2"), purchase("r-3"))
    first, _, third = table.history["42"]
    assert await store.settle(table.event(), [first, third]) == (Code.DAMAGED, 0, [], "a seq is missing")
    closed = taken(table, closing("z-1"))
    [reply] = await decide_in(store, DecideCall(closed.event, 1, closed.decided))
    assert reply == (Code.DAMAGED, 0, [], "a seq is missing")
    assert await dumped(client, keys.all) == before


async def test_settling_stops_where_the_queue_has_another_head(store: RedisStore, client: Redis, prefix: str) -> None:
    table = await on_sale(store, **HALL)
    taken(table, order("r-1", stalls=1, balcony=1), order("r-2", balcony=1))
    await client.lset(event_keys(prefix, "42", ["balcony"]).queues[0], 1, "42-000007")
    reply = await store.settle(table.event(), table.history["42"])
    assert reply == (Code.DAMAGED, 0, [], "the queue has another head")
    found = await store.read_event("42")
    assert found is not None
    assert found.queues["balcony"] == ["42-000008", "42-000007"]


@pytest.mark.parametrize("more", [order("r-2", stalls=2), removal("m-1", 2, category="stalls")])
async def test_settling_stops_where_less_is_left_than_leaves(store: RedisStore, more: Any) -> None:
    """The ledger of an event that has more tickets is settled into one that has fewer."""
    table, larger = await on_sale(store, categories=categories(stalls=3)), Table()
    larger.take(at_home([creation(categories=categories(stalls=4)), order("r-1", stalls=2), more]))
    reply = await store.settle(larger.event(), larger.history["42"])
    assert reply.code == Code.DAMAGED
    assert reply.damage in ("the queue has another head", "fewer tickets are left than are removed")
    assert not await differing(store, table)


async def test_settling_sells_what_came_back_in_the_same_call(store: RedisStore) -> None:
    table = await on_sale(store, capacity=2)
    for turn in range(3):
        taken(table, purchase(f"r-{turn}", 2), cancellation(f"x-{turn}", f"r-{turn}"), addition(f"a-{turn}", 1))
        taken(table, purchase(f"s-{turn}", 2))
    assert (await store.settle(table.event(), table.history["42"])).code == Code.DECIDED
    assert not await differing(store, table)
