"""Promise: an archived event is gone from Redis, whatever happened meanwhile, and whoever asks for it is told so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis as WaitingRedis
from redis.asyncio import Redis

from boxoffice.redis.store import Code, DecideCall, RedisStore
from lua.keys import event_keys
from models.commands import Command
from tests.integration.redis_tables import (
    Table,
    at_home,
    categories,
    creation,
    decide_in,
    open_store,
    order,
    purchase,
)
from tests.support.office import NewOffice, Office, until
from tests.support.workload import Sent, creations, event_ids
from tests.support.workload import order as sent_order

if TYPE_CHECKING:
    from tests.support.servers import NewRedis, RedisAddress

SEED = 20261130
DEADLINE_S = 60


# By the store


@pytest.fixture
async def store(redis_server: RedisAddress, prefix: str) -> AsyncIterator[RedisStore]:
    async with open_store(redis_server.url, prefix) as opened:
        yield opened


@pytest.fixture
async def client(redis_server: RedisAddress) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as opened:
        yield opened


async def on_sale(store: RedisStore, *created: Command) -> Table:
    table = Table()
    table.take(at_home(created))
    for event_id in table.inventory.events:
        assert await store.rebuild(table.snapshot(event_id)) == Code.REPLACED
    return table


def taken(table: Table, *commands: Command) -> list[DecideCall]:
    return list(table.take(at_home(commands, 100)).values())


async def test_archived_events_leave_nothing_in_redis(store: RedisStore, client: Redis, prefix: str) -> None:
    hall = creation(categories=categories(stalls=3, balcony=2))
    table = await on_sale(store, creation("7", "c-7"), creation("43", "c-43"), hall)
    await decide_in(store, *taken(table, order("r-1", stalls=1), purchase("r-1", event_id="7")))
    await store.forget(["42", "7", "never", *(str(number) for number in range(1000, 2200))])
    left = [key async for key in client.scan_iter(f"{prefix}*", count=10_000)]
    assert sorted(map(bytes.decode, left)) == sorted(event_keys(prefix, "43").all)
    await store.forget([])
    await store.forget(["42"])


@pytest.mark.parametrize("lost", ["DEL", "SET", "HDEL"])
async def test_an_event_is_forgotten_whatever_its_meta_has_become(
    lost: str, store: RedisStore, client: Redis, prefix: str
) -> None:
    await on_sale(store, creation())
    meta = event_keys(prefix, "42").meta
    if lost == "HDEL":
        await client.hdel(meta, "seq")
    else:
        await client.delete(meta)
    if lost == "SET":
        await client.set(meta, "text")
    await store.forget(["42"])
    assert not [key async for key in client.scan_iter(f"{prefix}*", count=10_000)]


# By workers


def asked(kind: str, event_id: str, request_id: str, **members: Any) -> Sent:
    command = {"type": kind, "event_id": event_id, "request_id": request_id, **members}
    return Sent(event_id.encode(), json.dumps(command).encode())


def ending(event_id: str) -> list[Sent]:
    return [asked("close_event", event_id, "close"), asked("archive_event", event_id, "archive")]


def hall(event_id: str) -> Sent:
    members = {"name": "Night", "venue": "Main Hall", "starts_at": "2027-03-01T19:30:00Z"}
    return asked("create_event", event_id, "create", categories=categories(stalls=3, balcony=2), **members)


class Kept:
    """What Redis keeps of some events."""

    def __init__(self, office: Office, events: Sequence[str]) -> None:
        self._url = office.settings.redis.url.get_secret_value()
        self._patterns = [f"{event_keys(office.settings.redis.key_prefix, one).meta[:-5]}:*" for one in events]

    def count(self) -> int:
        with WaitingRedis.from_url(self._url) as client:
            return sum(1 for pattern in self._patterns for _ in client.scan_iter(pattern, count=10_000))


async def told(office: Office, event_id: str) -> list[tuple[int, str]]:
    """The event's facts: their seqs, and types or reasons."""
    facts = [json.loads(record.value or b"") for record in await office.read(office.ledger)]
    return [(fact["seq"], fact.get("reason", fact["type"])) for fact in facts if fact["event_id"] == event_id]


async def on_sale_at(office: Office, event_id: str) -> Kept:
    """A hall of which some tickets are sold, all of it in Redis."""
    await office.send([hall(event_id), asked("purchase", event_id, "r-1", buyer="b", category="stalls")])
    await office.answered()
    kept = Kept(office, [event_id])
    await until(lambda: kept.count() == 4, DEADLINE_S, "the event to be in Redis")
    return kept


async def test_commands_for_an_archived_event_are_told_so_and_redis_has_nothing_of_it(office: Office) -> None:
    event_id, other = event_ids(SEED, 2)
    await office.ready(office.start())
    await office.send([*creations([other], 10), sent_order(other, "r-1")])
    kept = await on_sale_at(office, event_id)
    await office.send(ending(event_id))
    await until(lambda: kept.count() == 0, DEADLINE_S, "Redis to forget the event")
    late = asked("purchase", event_id, "r-2", buyer="b"), asked("archive_event", event_id, "archive"), hall(event_id)
    await office.send([*late, sent_order(other, "r-2")])
    await office.answered()
    assert await told(office, event_id) == [
        (1, "event_created"),
        (2, "purchase_confirmed"),
        (3, "event_closed"),
        (4, "event_archived"),
        *((seq, "event_archived") for seq in (5, 6, 7)),
    ]
    assert (await told(office, other))[-1] == (3, "purchase_confirmed")
    assert kept.count() == 0
    assert Kept(office, [other]).count() == 3


async def test_an_event_is_forgotten_that_was_archived_while_redis_was_away(
    new_office: NewOffice, new_redis: NewRedis
) -> None:
    """By its worker, if that lives, and else by whoever takes the partition over."""
    [event_id] = event_ids(SEED + 1, 1)
    [moved] = event_ids(SEED + 2, 1)
    redis = await new_redis()
    office = await new_office(redis.url)
    worker = office.start()
    await office.ready(worker)
    kept, of_moved = await on_sale_at(office, event_id), await on_sale_at(office, moved)
    redis.pause()
    await office.send(ending(event_id))
    await office.answered()
    redis.resume()
    await until(lambda: kept.count() == 0, DEADLINE_S, "Redis to forget the event")
    assert of_moved.count() == 4
    redis.pause()
    await office.send(ending(moved))
    await office.answered()
    worker.kill()
    redis.resume()
    assert of_moved.count() == 4
    await office.ready(office.start())
    await until(lambda: of_moved.count() == 0, DEADLINE_S, "Redis to forget what another worker archived")
