"""The scripts against the rules, through random schedules of owners, losses and repairs.

Whatever happens to Redis, two things hold all the time: what it holds of an event at some seq is, to the
byte, what the ledger's fold is at that seq, and what it answers is what the fold decides.

``BOXOFFICE_TEST_SEED=123`` replays one schedule.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis.asyncio import Redis

from boxoffice.redis.store import (
    Answer,
    Code,
    DecideCall,
    DecideReply,
    EventCopy,
    EventPosition,
    RedisStore,
    agrees,
    differences,
    expected_answer,
)
from lua.answers import fact_of as fact_by_redis
from lua.calls import Applied
from lua.effects import REJECTIONS, is_sale
from models.accepted import unpack
from models.again import fact_of
from models.commands import Command
from models.event import Event, Position
from models.shapes import DecisionFact
from tests.integration.redis_commands import Commands
from tests.integration.redis_tables import HOME, Log, Table, behind, decide_in, open_store
from tests.support.seeds import seeds

if TYPE_CHECKING:
    from tests.support.servers import RedisAddress

SCHEDULES: Final = int(os.environ.get("BOXOFFICE_TEST_SCHEDULES", "35"))
STEPS: Final = 60
EVENT_IDS: Final = ("7", "42", "43", "999999999999999999")
FIRST_RULES: Final = ("7",)
"""Created by an earlier release: its rules hold until the event is changed."""


class Owner:
    """One worker that holds the partition, or believes so: it is at some place of the log."""

    def __init__(self) -> None:
        self.table = Table(FIRST_RULES)
        self.next = 0

    def take(self, log: Log, count: int) -> list[DecideCall]:
        batch = log[self.next : self.next + count]
        self.next += len(batch)
        return list(self.table.take(batch).values())


class Schedule:
    """A log of commands, the owners that decide it, one Redis, and what goes wrong."""

    def __init__(self, seed: int, store: RedisStore, client: Redis, prefix: str) -> None:
        self.random = random.Random(seed)
        self.store, self.client, self.prefix = store, client, prefix
        self.log: Log = []
        self.ledger = Table(FIRST_RULES)
        self.commands = Commands(self.random, EVENT_IDS, FIRST_RULES, self.ledger)
        self.copies: dict[str, dict[int, EventCopy]] = {event_id: {} for event_id in EVENT_IDS}
        self.owners = [Owner(), Owner(), Owner()]
        self.old_copies: dict[str, dict[bytes, bytes]] = {}
        self.steps: list[Callable[[], Coroutine[Any, Any, None]]] = [
            *[self.owner_decides] * 8,
            *[self.repeat_after_a_lost_reply] * 3,
            *[self.owner_decides_alone] * 2,
            *[self.rebuild] * 2,
            self.rebuild_while_another_sells,
            *[self.settle] * 4,
            self.wipe,
            self.keep_old_copy,
            self.restore_old_copy,
            self.forget_what_is_archived,
        ]

    async def run(self) -> None:
        for _ in range(STEPS):
            self.produce()
            step = self.random.choice(self.steps)
            await step()
            await self.check(step.__name__)
        await self.bring_up()

    # The log

    def produce(self) -> None:
        for _ in range(self.random.randrange(12)):
            offset = self.log[-1][1].offset + self.random.choice((1, 1, 1, 2, 9)) if self.log else 0
            source = (HOME, offset) if self.random.random() < 0.8 else (11, self.random.randrange(1000))
            now_ms = self.commands.now_ms if self.random.random() < 0.95 else self.random.choice((0, 2**60))
            position = Position(offset, now_ms, {"partition": source[0], "offset": source[1]})
            self.append(self.commands.next(), position)

    def append(self, command: Command, position: Position) -> None:
        self.log.append((command, position))
        event_id = command.event_id
        before = self.ledger.inventory.seq_of(event_id)
        self.ledger.take([(command, position)])
        if event_id in self.ledger.inventory.events and self.ledger.event(event_id).seq > before:
            self.copies[event_id][before + 1] = self.ledger.copy(event_id)

    # Owners

    async def owner_decides(self) -> None:
        owner = self.random.choice(self.owners)
        await self.send(owner, self.take_batch(owner))

    async def repeat_after_a_lost_reply(self) -> None:
        """The script ran, nobody heard; the owner, or the one after it, sends the same once more."""
        owner = self.random.choice(self.owners)
        calls = self.take_batch(owner)
        await self.store.decide(calls)
        await self.check("lost reply")
        await self.send(owner, calls)

    async def owner_decides_alone(self) -> None:
        self.take_batch(self.random.choice(self.owners))

    def take_batch(self, owner: Owner) -> list[DecideCall]:
        return owner.take(self.log, self.random.choice((1, 3, 10, 40)))

    async def send(self, owner: Owner, taken: Sequence[DecideCall]) -> None:
        calls = [self.with_backlog(owner, call) for call in taken]
        before = await self.store.positions(call.event for call in calls)
        for call, reply in zip(calls, await decide_in(self.store, *calls), strict=True):
            event_id = call.event.event_id
            reached = before[event_id]
            if reached is None:
                assert reply[:2] == (Code.MISSING, 0)
                if self.random.random() < 0.7:
                    await self.store.rebuild(owner.table.snapshot(event_id))
            elif reached.seq < call.seq:
                assert reply == DecideReply(Code.BEHIND, reached.seq, [])
            else:
                assert reply.code == Code.DECIDED, reply
                assert reply.seq == max(reached.seq, call.decided[-1].fact["seq"])
                assert reply.answers == self.expected_answers(event_id, call.decided, reached)
                assert all(agrees(one.fact, answer) for one, answer in zip(call.decided, reply.answers, strict=True))

    def with_backlog(self, owner: Owner, call: DecideCall) -> DecideCall:
        """Some calls bring facts that Redis may have missed, or has, or that do not follow what it has."""
        if self.random.random() < 0.4:
            return call
        facts = owner.table.history[call.event.event_id][: call.seq - 1]
        start = self.random.choice((0, 1, self.random.randrange(len(facts) + 1)))
        return behind(facts[start:], call)

    def expected_answers(self, event_id: str, decided: Sequence[Applied], reached: EventPosition) -> list[Answer]:
        known = self.copies[event_id][reached.seq]
        return [
            expected_answer(one.fact)
            if one.offset > reached.fence or is_as_it_was_sold(known, one.fact)
            else (Code.DECIDED_BEFORE, 0, "")
            for one in decided
        ]

    # Repairs

    def owner_and_event(self) -> tuple[Owner, Event] | None:
        known = [(owner, event) for owner in self.owners for event in owner.table.inventory.events.values()]
        return self.random.choice(known) if known else None

    async def rebuild(self) -> None:
        if (chosen := self.owner_and_event()) is None:
            return
        owner, event = chosen
        snapshot = owner.table.snapshot(event.event_id)
        before = await self.position_of(event)
        code = await self.store.rebuild(snapshot)
        assert code == (Code.NEWER if before and before.seq > snapshot.seq else Code.REPLACED)

    async def rebuild_while_another_sells(self) -> None:
        if (chosen := self.owner_and_event()) is None:
            return
        owner, event = chosen
        snapshot, seller = owner.table.snapshot(event.event_id), self.random.choice(self.owners)
        calls = self.take_batch(seller)
        code, replies = await asyncio.gather(self.store.rebuild(snapshot), decide_in(self.store, *calls))
        assert code in (Code.REPLACED, Code.NEWER)
        for call, reply in zip(calls, replies, strict=True):
            assert reply.code in (Code.DECIDED, Code.BEHIND, Code.MISSING)
            assert all(agrees(one.fact, answer) for one, answer in zip(call.decided, reply.answers, strict=False))

    async def settle(self) -> None:
        if (chosen := self.owner_and_event()) is None:
            return
        owner, event = chosen
        history = owner.table.history.get(event.event_id, [])
        before = await self.position_of(event)
        reached = before.seq if before else 1
        start = max(0, min(len(history), reached - 1) - self.random.choice((0, 0, 0, 1, 5, -1)))
        facts = history[start : start + self.random.choice((1, 5, 50))]
        if not facts:
            return
        reply = await self.store.settle(event, facts)
        if before is None:
            assert reply[:2] == (Code.MISSING, 0)
        elif facts[0].fact["seq"] > reached + 1:
            assert reply[:2] == (Code.BEHIND, reached)
        else:
            assert reply[:2] == (Code.DECIDED, max(reached, facts[-1].fact["seq"]))

    async def position_of(self, event: Event) -> EventPosition | None:
        return (await self.store.positions([event]))[event.event_id]

    async def forget_what_is_archived(self) -> None:
        """An owner that is behind may put such an event there again: it knows no better."""
        archived = {event_id for owner in self.owners for event_id in owner.table.inventory.archived}
        await self.store.forget(archived)
        for event_id in archived:
            assert not await self.keys_of(event_id)

    # Losses

    async def keys_of(self, event_id: str) -> list[bytes]:
        return [key async for key in self.client.scan_iter(f"{self.prefix}event:{{{event_id}}}:*", count=10_000)]

    async def wipe(self) -> None:
        await self.delete(self.random.choice(EVENT_IDS))

    async def delete(self, event_id: str) -> None:
        if keys := await self.keys_of(event_id):
            await self.client.delete(*keys)

    async def keep_old_copy(self) -> None:
        event_id = self.random.choice(EVENT_IDS)
        dumps = {key: await self.client.dump(key) for key in await self.keys_of(event_id)}
        self.old_copies[event_id] = {key: dump for key, dump in dumps.items() if dump is not None}

    async def restore_old_copy(self) -> None:
        for event_id, dumps in self.old_copies.items():
            await self.delete(event_id)
            for key, dump in dumps.items():
                await self.client.restore(key, 0, dump)

    # What always holds

    async def check(self, step: str) -> None:
        for event_id in EVENT_IDS:
            found = await self.store.read_event(event_id)
            if found is not None:
                expected = self.copies[event_id][int(found.meta["seq"])]
                assert not differences(found, expected), f"after {step}"
                assert found == expected
        assert not [key async for key in self.client.scan_iter(f"{self.prefix}*:loading:*", count=10_000)]

    async def bring_up(self) -> None:
        """At last Redis has all of the ledger, and tells each fact again that a request is answered with."""
        for event_id, event in self.ledger.inventory.events.items():
            history = self.ledger.history.get(event_id, [])
            reply = await self.store.settle(event, history) if history else None
            if reply is None or reply.code != Code.DECIDED:
                await self.store.rebuild(self.ledger.snapshot(event_id))
            assert await self.position_of(event) == EventPosition(
                event.seq, event.fence, event.sold, event.held, event.left, len(event.accepted), event.rules_since
            )
            await self.check("bringing up")
            first_facts = {one.fact["request_id"]: one.fact for one in history if one.fact["type"] not in REJECTIONS}
            for request_id, packed in event.accepted.items():
                kept = await self.store.read_request(event_id, request_id)
                assert kept is not None
                told = without_decider(fact_by_redis(event_id, request_id, kept))
                assert told == without_decider(fact_of(event, request_id, unpack(packed), HOME))
                # Of what changed a purchase, or the event, nothing changes any more.
                if event.purchase(request_id) is None and request_id in first_facts:
                    assert told == without_decider(first_facts[request_id])


def is_as_it_was_sold(known: EventCopy, fact: DecisionFact) -> bool:
    """Whether the record of a sale still says what it said first."""
    record = known.record(fact["request_id"]) if is_sale(fact) else None
    return record is not None and not record.keys() & {"by", "cancelled_by"}


def without_decider(fact: DecisionFact) -> dict[str, Any]:
    return {name: value for name, value in fact.items() if name != "decided_by"}


@pytest.mark.parametrize("seed", seeds(SCHEDULES, 5))
async def test_redis_holds_and_answers_what_the_ledger_folds_to(
    seed: int, redis_server: RedisAddress, prefix: str
) -> None:
    async with (
        open_store(redis_server.url, prefix, redis_load_chunk_size=100) as store,
        Redis.from_url(redis_server.url) as client,
    ):
        await Schedule(seed, store, client, prefix).run()
