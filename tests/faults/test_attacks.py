"""What breaks a box office whose truth is Redis, with a fallback seeded from what Redis last said: nothing here."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from lua.keys import event_keys
from tests.faults.shared import SharedOffice, new_events
from tests.support.office import Office, until
from tests.support.workload import creations, order

pytestmark = pytest.mark.long


DEADLINE_S = 30


class Toll(NamedTuple):
    """What went wrong with an event's tickets, counted over every record on the ledger, repeats and all."""

    sold_twice: int = 0
    """Tickets that more than one request was given."""
    oversold: int = 0
    """Tickets sold beyond the capacity."""
    lost: int = 0
    """Requests without an answer."""
    answered_twice: int = 0
    """Requests that were answered in two ways."""


NOTHING = Toll()


class Attack:
    """One event on sale, and everything that was ever asked of it."""

    def __init__(self, shared: SharedOffice, capacity: int) -> None:
        self.shared = shared
        self.office: Office = shared.office
        _, [self.event_id] = new_events(1)
        self.capacity = capacity
        self.requests: set[str] = set()

    async def open(self) -> None:
        """Put it on sale, and wait until Redis has it."""
        await self.office.send(creations([self.event_id], self.capacity))
        keys = event_keys(self.office.settings.kafka.topic_prefix, self.event_id)
        await until(lambda: bool(self.shared.ask("EXISTS", keys.meta)), DEADLINE_S, "the event to be loaded")

    async def ask(self, request_ids: Iterable[str]) -> None:
        """Ask for one ticket each."""
        asked = list(request_ids)
        self.requests |= set(asked)
        await self.office.send(order(self.event_id, request_id) for request_id in asked)

    async def ask_slowly(self, request_ids: list[str], seconds: float) -> None:
        """Ask for one ticket each, spread over some time."""
        portions = [request_ids[at : at + 50] for at in range(0, len(request_ids), 50)]
        for portion in portions:
            await self.ask(portion)
            await asyncio.sleep(seconds / len(portions))

    async def facts(self) -> list[dict[str, Any]]:
        """Every purchase's answer that was ever published, in the order of the ledger."""
        read = [json.loads(record.value or b"{}") for record in await self.office.read(self.office.ledger)]
        return [one for one in read if one["event_id"] == self.event_id and one["type"].startswith("purchase_")]

    async def sold(self) -> dict[str, frozenset[str]]:
        """The tickets that each request was given first."""
        given: dict[str, frozenset[str]] = {}
        for fact in await self.facts():
            if fact["type"] == "purchase_confirmed":
                given.setdefault(fact["request_id"], frozenset(fact["tickets"]))
        return given

    async def toll(self) -> Toll:
        """Wait until all is answered, and count the damage."""
        await self.office.answered()
        owners: defaultdict[str, set[str]] = defaultdict(set)
        answers: defaultdict[str, set[str]] = defaultdict(set)
        for fact in await self.facts():
            answers[fact["request_id"]].add(json.dumps([fact["type"], fact["seq"], fact.get("tickets")]))
            for ticket in fact.get("tickets", ()):
                owners[ticket].add(fact["request_id"])
        return Toll(
            sold_twice=sum(len(requests) > 1 for requests in owners.values()),
            oversold=max(0, len(owners) - self.capacity),
            lost=len(self.requests - answers.keys()),
            answered_twice=sum(len(different) > 1 for different in answers.values()),
        )


def names(kind: str, count: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


async def test_two_instances_and_redis_killed_for_two_seconds_sell_1000_tickets_once(
    shared_office: SharedOffice,
) -> None:
    attack = Attack(shared_office, capacity=1_000)
    await attack.open()
    selling = asyncio.create_task(attack.ask_slowly(names("r", 1_600), seconds=4))
    await asyncio.sleep(0.5)
    shared_office.redis.kill()
    await asyncio.sleep(2)
    await shared_office.redis.launch()
    await selling
    assert await attack.toll() == NOTHING
    assert len(await attack.sold()) == 1_000
    await shared_office.in_step()
    await shared_office.agrees()


async def test_100_requests_repeated_around_an_outage_get_100_tickets(shared_office: SharedOffice) -> None:
    attack = Attack(shared_office, capacity=1_000)
    await attack.open()
    await attack.ask(names("r", 100))
    await attack.office.answered()
    shared_office.redis.kill()
    await attack.ask(names("r", 100))
    await attack.office.answered()
    await shared_office.redis.launch()
    await shared_office.in_step()
    await attack.ask(names("r", 100))
    assert await attack.toll() == NOTHING
    assert len(await attack.sold()) == 100
    assert len(await attack.facts()) >= 300
    await shared_office.agrees()


async def test_400_sales_made_without_redis_outlive_the_instance_that_made_them(shared_office: SharedOffice) -> None:
    attack = Attack(shared_office, capacity=1_000)
    await attack.open()
    shared_office.redis.kill()
    await shared_office.fallback(active=True)
    await attack.ask(names("r", 400))
    await attack.office.answered()
    before = await attack.sold()
    assert {fact["decided_by"] for fact in await attack.facts()} == {"local"}
    for worker in shared_office.workers:
        worker.kill()
    await shared_office.redis.launch()
    await shared_office.start_workers()
    await attack.ask([*names("r", 400), *names("late", 700)])
    assert await attack.toll() == NOTHING
    after = await attack.sold()
    assert len(before) == 400
    assert before.items() <= after.items()
    assert len(after) == 1_000
    await shared_office.agrees()


async def test_a_redis_that_hangs_for_a_second_and_a_half_sells_nothing_twice(shared_office: SharedOffice) -> None:
    attack = Attack(shared_office, capacity=1_000)
    await attack.open()
    selling = asyncio.create_task(attack.ask_slowly(names("r", 1_600), seconds=4))
    await asyncio.sleep(1)
    shared_office.redis.pause()
    await asyncio.sleep(1.5)
    shared_office.redis.resume()
    await selling
    assert await attack.toll() == NOTHING
    assert len(await attack.sold()) == 1_000
    await shared_office.in_step()
    await shared_office.agrees()


async def test_a_redis_that_comes_back_empty_is_not_seeded_from_the_capacity(shared_office: SharedOffice) -> None:
    attack = Attack(shared_office, capacity=1_000)
    await attack.open()
    await attack.ask(names("r", 1_000))
    await attack.office.answered()
    shared_office.redis.kill()
    await shared_office.redis.launch()
    await attack.ask(names("late", 1_000))
    assert await attack.toll() == NOTHING
    assert set(await attack.sold()) == set(names("r", 1_000))
    await shared_office.in_step()
    keys = event_keys(attack.office.settings.kafka.topic_prefix, attack.event_id)
    assert shared_office.ask("HGET", keys.meta, "sold") == "1000"
    assert not shared_office.ask("EXISTS", *keys.queues)
    await shared_office.agrees()
