"""Promise: what an earlier release put into Redis is sold from as it lies there, and becomes what later rules keep.

``first_rules.json`` holds facts, each with its command's offset at home, and the copies of their events, as the last
release of the first rules made them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis.asyncio import Redis

from boxoffice.redis.store import Code, EventCopy, EventPosition, RedisStore, agrees, differences
from lua.answers import fact_of
from lua.effects import REJECTIONS
from lua.keys import event_keys
from models.commands import Command
from models.facts import read_fact
from models.inventory import fold
from models.shapes import DecisionFact
from tests.integration.redis_tables import (
    Table,
    addition,
    ask,
    at_home,
    calling_off,
    cancellation,
    change,
    closing,
    decide_in,
    differing,
    expiry,
    open_store,
    payment,
    purchase,
    removal,
    taken,
)

if TYPE_CHECKING:
    from tests.support.servers import RedisAddress

RECORDED: Final = json.loads(Path(__file__).with_name("first_rules.json").read_text(encoding="utf-8"))
EVENT_IDS: Final = ("42", "7")


@pytest.fixture
async def store(redis_server: RedisAddress, prefix: str) -> AsyncIterator[RedisStore]:
    async with open_store(redis_server.url, prefix) as opened:
        yield opened


@pytest.fixture
async def client(redis_server: RedisAddress) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as opened:
        yield opened


@pytest.fixture
def table() -> Table:
    """The fold of the earlier release's ledger."""
    folded = Table()
    for offset, fact in RECORDED["facts"]:
        assert fold(folded.inventory, read_fact(json.dumps(fact).encode()), offset)
    return folded


@pytest.fixture(autouse=True)
async def kept(client: Redis, prefix: str) -> None:
    """The earlier release's copies lie in Redis."""
    for event_id, copy in RECORDED["copies"].items():
        keys = event_keys(prefix, event_id)
        await client.hset(keys.meta, mapping=copy["meta"])
        await client.hset(keys.purchases, mapping=copy["records"])
        if copy["tickets"]:
            await client.rpush(keys.queues[0], *copy["tickets"])


async def test_the_copies_are_what_the_ledger_folds_to(store: RedisStore, table: Table) -> None:
    for event_id in EVENT_IDS:
        recorded = RECORDED["copies"][event_id]
        expected = EventCopy(event_id, recorded["meta"], {"general": recorded["tickets"]}, recorded["records"])
        found = await store.read_event(event_id)
        assert found == expected == table.copy(event_id)
        assert not differences(found, table.copy(event_id))
    assert await store.positions(table.inventory.events.values()) == {
        "42": EventPosition(10, 13, 11, 0, 3, 8),
        "7": EventPosition(4, 18, 1, 0, 0, 3),
    }


async def test_each_request_is_answered_as_the_earlier_release_did(store: RedisStore) -> None:
    for _, fact in RECORDED["facts"]:
        kept = await store.read_request(fact["event_id"], fact["request_id"])
        if fact["type"] in REJECTIONS:
            assert kept is None
            continue
        assert kept is not None
        made: dict[str, Any] = dict(fact_of(fact["event_id"], fact["request_id"], kept))
        if (fact["event_id"], fact["request_id"]) == ("42", "r-1"):
            assert (made["type"], made["request_id"], made["purchase"]) == ("purchase_cancelled", "x-1", "r-1")
        else:
            assert made == fact | {"decided_by": "redis"}


async def test_it_is_sold_from_as_it_lies_there(store: RedisStore, client: Redis, table: Table, prefix: str) -> None:
    """Without a rebuild, and without the members of later rules."""
    meta_before = set(RECORDED["copies"]["42"]["meta"])
    call = taken(
        table,
        purchase("r-7", 2),
        purchase("r-8", 2),
        cancellation("x-3", "r-2"),
        addition("a-2", 1),
        purchase("r-9", 4, actor="desk"),
        purchase("r-3", 1),
        closing("z-1"),
    )
    [reply] = await decide_in(store, call)
    assert [(code, tickets) for code, _, tickets in reply.answers] == [
        (Code.SOLD, "42-000002,42-000013"),
        (Code.SHORT, ""),
        (Code.APPLIED, ""),
        (Code.APPLIED, ""),
        (Code.SOLD, "42-000014,42-000003,42-000004,42-000005"),
        (Code.SOLD, "42-000015"),
        (Code.APPLIED, ""),
    ]
    assert all(agrees(one.fact, answer) for one, answer in zip(call.decided, reply.answers, strict=True))
    assert not await differing(store, table)
    assert {field.decode() for field in await ask(client, "HKEYS", event_keys(prefix, "42").meta)} == meta_before
    assert not [name for fact in table.facts() for name in ("lines", "amount", "purchase") if tells(fact, name)]


def tells(fact: DecisionFact, name: str) -> bool:
    return name in fact and fact["type"] in ("purchase_confirmed", "tickets_added")


async def test_what_was_sold_under_the_first_rules_is_answered_from_its_record(store: RedisStore, table: Table) -> None:
    """A worker of this release repeats the call of which a worker of the earlier one never saw the answer."""
    fact: Any = RECORDED["facts"][-5][1]
    again = Table()
    for offset, one in RECORDED["facts"][:-5]:
        fold(again.inventory, read_fact(json.dumps(one).encode()), offset)
    assert (fact["request_id"], fact["seq"]) == ("r-6", 10)
    call = again.take(at_home([purchase("r-6", 3, buyer="b-6")], 13))["42"]
    [reply] = await decide_in(store, call)
    assert reply.answers == [(Code.SOLD, 10, "42-000011,42-000012,42-000001")]
    assert not await differing(store, table)


@pytest.mark.parametrize("settled", [False, True])
async def test_a_change_moves_the_copy_to_the_present_rules(*, settled: bool, store: RedisStore, table: Table) -> None:
    """It becomes to the byte what a rebuild makes, and goes on by the new rules at once."""
    prices = [{"category": "general", "amount": 5000}]
    commands: list[Command] = [
        purchase("r-7"),
        change("v-1", hold_s=60, max_per_buyer=6, prices=prices),
        purchase("r-8", actor="desk"),
        cancellation("x-3", "r-2", tickets=["42-000004"]),
        purchase("r-2", 3, buyer="b-2"),
        cancellation("x-4", "r-7"),
        addition("a-2", 2),
        removal("m-1", 1),
        payment("p-1", "r-8", 5000),
    ]
    late: list[Command] = [purchase("r-9", 2), change("v-2", venue="Kleine Halle"), calling_off("z-1")]
    calls = [taken(table, *commands), taken(table, *late, expiry("e-1", "r-9"), later_s=100)]
    for call in calls:
        if settled:
            reply = await store.settle(call.event, call.decided)
        else:
            [reply] = await decide_in(store, call)
            assert all(agrees(one.fact, answer) for one, answer in zip(call.decided, reply.answers, strict=True))
        assert reply.code == Code.DECIDED
    found = await store.read_event("42")
    assert found == table.copy()
    assert [found.meta[name] for name in ("rules", "rules_since", "first_price", "price_amount", "cancelled")] == [
        *("2", "12", "4500", "5000", "1")
    ]
    assert (found.record("c-1") or {})["type"] == "event_created"
    assert (found.record("x-1") or {})["type"] == "cancellation"
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    assert await store.read_event("42") == found


async def test_what_the_first_rules_did_not_know_is_told_once_there_is_any(store: RedisStore, table: Table) -> None:
    """The commands of this release may come for an event that was created before it."""
    before = set(table.copy().meta)
    await decide_in(store, taken(table, removal("m-1", 2), purchase("r-7"), purchase("r-8")))
    assert not await differing(store, table)
    assert set(table.copy().meta) - before == {"removed"}
    await decide_in(store, taken(table, calling_off("z-1"), purchase("r-9")))
    assert not await differing(store, table)
    assert set(table.copy().meta) - before == {"removed", "cancelled"}
