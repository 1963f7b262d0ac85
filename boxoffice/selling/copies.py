"""What Redis has of each event: let it decide where it is in step, bring it up to the ledger where not.

The ledger's fold is right, always; Redis is a copy that decides too (:mod:`boxoffice.selling.event_copy`).
A copy that is not in step keeps nobody waiting: its event is decided by the table.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog

from boxoffice import metrics
from boxoffice.failpoints import Failpoint, passing
from boxoffice.redis.breaker import Breaker, DrillError, is_server_error, tell_unexpected
from boxoffice.redis.store import DecideCall, EventPosition, RedisStore, Snapshot
from boxoffice.selling.deciding import OwnedPartition
from boxoffice.selling.event_copy import Copy, CopyState, Tally
from boxoffice.selling.publishing import Sold
from boxoffice.settings import RedisSettings
from boxoffice.tasks import end_tasks
from lua import Code
from lua.calls import Applied, DecideReply, agrees, moves_many
from models.shapes import Decider

log = structlog.get_logger(__name__)

INLINE_BACKLOG = 1_000
"""Facts that Redis missed and that go in front of the next commands, in one round trip for all events."""
SETTLED_AT_ONCE = 500
"""Facts of a longer backlog in one call: while a script runs, every other event waits for Redis."""
CONCURRENT_HEALS = 4
FORGOTTEN_AGAIN = 500
"""Archived events that are looked at when the others are compared: there are ever more of them."""
MOST_ATTEMPTS = 3
KEPT_OF_A_FULL_BACKLOG = 0.9
"""Who makes room makes more than is needed now: looking for the longest backlog costs as much as there are events."""


class Copies:
    """The copies of all events of the partitions that this worker owns."""

    def __init__(self, settings: RedisSettings, store: RedisStore) -> None:
        self._settings = settings
        self._store = store
        self._copies: dict[str, Copy] = {}
        self._tally = Tally()
        self._owned: dict[int, OwnedPartition] = {}
        self._healing: dict[str, asyncio.Task[None]] = {}
        self._heals = asyncio.Semaphore(CONCURRENT_HEALS)
        # Whether the rebuild that an operator asked for has been made.
        self._asked_for: dict[str, bool] = {}
        self._to_forget: set[str] = set()
        """Events that were archived, of which Redis may still have something."""
        self._forgotten: list[str] = []
        """Those that are looked at again, in turn."""
        self._check_now = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self.breaker = Breaker(
            self._probe,
            self._heal_all,
            settings.breaker_first_probe_ms / 1000,
            settings.breaker_longest_probe_ms / 1000,
        )

    # Ownership

    def adopt(self, owned: OwnedPartition) -> None:
        """Take over a partition's events. Redis is trusted to say itself where it is behind."""
        self._owned[owned.number] = owned
        for event_id, event in owned.ledger.inventory.events.items():
            if event_id not in self._copies:
                copy = self._copies[event_id] = Copy(event, owned.number, event.seq, self._tally)
                if event_id in self._healing:
                    # Of the copy that was dropped: its switch may still bring an older state.
                    copy.lost()
        self._to_forget.update(owned.ledger.inventory.archived)
        self._check_now.set()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def drop(self, number: int) -> None:
        """Forget a partition's events."""
        owned = self._owned.pop(number, None)
        inventory = owned.ledger.inventory if owned is not None else None
        # One that was archived last has a copy until Redis would have been asked next.
        for event_id in (*inventory.events, *inventory.archived) if inventory is not None else ():
            copy = self._copies.pop(event_id, None)
            if copy is not None:
                copy.leave()

    async def stop(self) -> None:
        """End all work in the background, and begin none."""
        self._stopping = True
        tasks = [*self._healing.values(), *([self._watching] if self._watching else [])]
        await end_tasks(tasks)
        await self.breaker.stop()

    # Deciding

    async def decide(self, sold: Sold) -> set[str]:
        """Let Redis decide what the table has decided, one round trip for all events of a batch.

        Facts on which it agrees become ``decided_by: redis``. Whatever Redis does, the facts stand. Returns the events
        about which it was asked.
        """
        calls: list[tuple[Copy, list[Applied], DecideCall]] = []
        room = INLINE_BACKLOG
        for copy, decided in self._by_event(sold):
            if self.breaker.is_open or not copy.can_decide(room) or _moves_many(decided):
                self._missed(copy, decided)
            else:
                room -= len(copy.backlog)
                calls.append((copy, decided, _call(copy, decided)))
        asked = {copy.event.event_id for copy, _, _ in calls}
        if not calls:
            return asked
        passing(Failpoint.BEFORE_SCRIPT)
        try:
            with metrics.REDIS_DURATION.time():
                replies = await self._store.decide([call for _, _, call in calls])
        except Exception as error:  # noqa: BLE001  # whatever a client raises, a sale does not depend on it
            tell_unexpected(error)
            self.breaker.failed(error)
            for copy, decided, _ in calls:
                self._missed(copy, decided)
            return asked
        passing(Failpoint.AFTER_SCRIPT)
        for (copy, decided, _), reply in zip(calls, replies, strict=True):
            self._compare(copy, decided, reply)
        return asked

    def _by_event(self, sold: Sold) -> list[tuple[Copy, list[Applied]]]:
        by_event: defaultdict[str, list[Applied]] = defaultdict(list)
        for owned, answers in sold:
            for answer in answers:
                if answer.decided is not None:
                    by_event[answer.decided.fact["event_id"]].append(answer.decided)
                elif answer.fact["type"] == "event_created" and answer.fact["event_id"] not in self._copies:
                    self._created(owned, answer.fact["event_id"])
        archived = [event_id for event_id, decided in by_event.items() if _archives(decided)]
        for event_id in archived:
            self._archived(event_id)
        return [(self._copies[event_id], decided) for event_id, decided in by_event.items() if event_id not in archived]

    def _created(self, owned: OwnedPartition, event_id: str) -> None:
        """A new event is loaded in the background; until then the table decides."""
        event = owned.ledger.inventory.events.get(event_id)
        if event is None:
            return  # It was archived since, in the same batch.
        copy = self._copies[event_id] = Copy(event, owned.number, tally=self._tally)
        copy.lost()
        self._heal(copy)

    def _archived(self, event_id: str) -> None:
        """Redis has nothing to sell of it any more."""
        copy = self._copies.pop(event_id, None)
        if copy is not None:
            copy.leave()
        self._to_forget.add(event_id)
        self._check_now.set()

    def _missed(self, copy: Copy, decided: list[Applied]) -> None:
        copy.missed(decided)
        if _moves_many(decided):
            copy.lost()
        self._bound_backlog()
        self._heal(copy)

    def _bound_backlog(self) -> None:
        limit = self._settings.backlog_limit
        if self.backlog_facts <= limit:
            return
        longest_first = sorted(self._copies.values(), key=lambda copy: len(copy.backlog), reverse=True)
        shed = []
        for copy in longest_first:
            if self.backlog_facts <= KEPT_OF_A_FULL_BACKLOG * limit:
                break
            self._lost(copy)
            shed.append(copy.event.event_id)
        log.warning("backlog full: events will be rebuilt", events=len(shed), event_id=shed[0])

    def _compare(self, copy: Copy, decided: list[Applied], reply: DecideReply | Exception) -> None:
        if isinstance(reply, Exception):
            if is_server_error(reply):
                self.breaker.failed(reply)
                self._missed(copy, decided)
                return
            log.error("Redis cannot decide for an event", event_id=copy.event.event_id, error=str(reply)[:200])
            self._lost(copy)
        elif reply.code is not Code.DECIDED or reply.seq < max(one.fact["seq"] for one in decided):
            log.warning(
                "Redis has lost facts of an event", event_id=copy.event.event_id, reply=str(reply._replace(answers=[]))
            )
            self._lost(copy)
        elif all(agrees(one.fact, told) for one, told in zip(decided, reply.answers, strict=True)):
            for one in decided:
                one.fact["decided_by"] = Decider.REDIS.value
            copy.in_step(reply.seq)
            copy.diverged, copy.attempts = False, 0
        else:
            self._diverged(copy, decided, reply)

    def _diverged(self, copy: Copy, decided: list[Applied], reply: DecideReply) -> None:
        """The table is right; publishing shows whether it knows the whole ledger."""
        metrics.DIVERGENCES.inc()
        differing = next(
            (one.fact, told) for one, told in zip(decided, reply.answers, strict=True) if not agrees(one.fact, told)
        )
        log.error(
            "Redis decided otherwise than the ledger",
            event_id=copy.event.event_id,
            ledger=differing[0],
            redis=str(differing[1]),
        )
        if copy.diverged:
            self._give_up(copy)
        else:
            copy.diverged = True
            self._lost(copy)

    def _give_up(self, copy: Copy) -> None:
        copy.given_up = True
        copy.lost()
        log.critical("an event's copy in Redis cannot be healed, it goes on locally", event_id=copy.event.event_id)

    # Healing

    def _lost(self, copy: Copy) -> None:
        copy.lost()
        self._heal(copy)

    def _heal_all(self) -> None:
        """Redis is back: it may also have lost events that nobody sold from meanwhile."""
        self._check_now.set()
        for copy in self._copies.values():
            if copy.state is not CopyState.IN_STEP:
                self._heal(copy)

    def _heal(self, copy: Copy) -> None:
        event_id = copy.event.event_id
        if event_id not in self._healing and not (copy.given_up or self.breaker.is_open or self._stopping):
            task = self._healing[event_id] = asyncio.create_task(self._bring_up(copy))
            task.add_done_callback(lambda _: self._healed(event_id))

    def _healed(self, event_id: str) -> None:
        """Go on with the copy that there is now: the partition may have been dropped and adopted again."""
        del self._healing[event_id]
        copy = self._copies.get(event_id)
        if copy is not None and copy.state is not CopyState.IN_STEP:
            self._heal(copy)

    def _is_ours(self, copy: Copy) -> bool:
        return self._copies.get(copy.event.event_id) is copy

    async def _bring_up(self, copy: Copy) -> None:
        async with self._heals:
            try:
                while self._is_ours(copy) and copy.state is not CopyState.IN_STEP and not self.breaker.is_open:
                    if copy.lost_more:
                        await self._rebuild(copy)
                    else:
                        await self._settle(copy)
            except Exception as error:  # noqa: BLE001  # the event goes on locally, and it is told
                tell_unexpected(error)
                self._heal_failed(copy, error)

    def _heal_failed(self, copy: Copy, error: Exception) -> None:
        if copy.state is CopyState.REBUILDING:
            copy.lost()
        if is_server_error(error):
            copy.state = CopyState.BEHIND
            self.breaker.failed(error)
            return
        log.error("an event's copy could not be brought up", event_id=copy.event.event_id, error=str(error)[:200])
        copy.lost()
        copy.attempts += 1
        if copy.attempts >= MOST_ATTEMPTS:
            self._give_up(copy)

    async def _settle(self, copy: Copy) -> None:
        """Apply what is in the backlog now; what is decided meanwhile is settled next."""
        copy.state = CopyState.SETTLING
        facts = copy.backlog[:SETTLED_AT_ONCE]
        reply = await self._store.settle(copy.event, facts) if facts else None
        if copy.state is not CopyState.SETTLING:
            return  # A batch has settled it on its way, or found it damaged.
        if reply is not None and reply.code is not Code.DECIDED:
            log.warning(
                "an event cannot be settled", event_id=copy.event.event_id, reply=str(reply._replace(answers=[]))
            )
            copy.lost()
            return
        copy.settled(facts)
        if not copy.backlog:
            copy.in_step(reply.seq if reply is not None else copy.redis_seq)

    async def _rebuild(self, copy: Copy) -> None:
        """Load the event as it is now; what is decided meanwhile joins the backlog."""
        copy.rebuilding()
        snapshot = Snapshot.of(copy.event, copy.partition)
        code = await self._store.rebuild(snapshot, force=copy.event.event_id in self._asked_for)
        if copy.state is not CopyState.REBUILDING:
            return
        if code is Code.INCOMPLETE:
            copy.lost()
            return
        metrics.REBUILDS.inc()
        log.info("event loaded into Redis", event_id=copy.event.event_id, seq=snapshot.seq, outcome=code.name)
        copy.redis_seq = snapshot.seq
        copy.state = CopyState.SETTLING
        if copy.event.event_id in self._asked_for:
            self._asked_for[copy.event.event_id] = True

    # Looking after copies that nobody sells from

    async def _watch(self) -> None:
        """See whether Redis serves and what operators ask for, and now and then how far its copies are."""
        loop = asyncio.get_running_loop()
        checked_s = -math.inf
        while True:
            self.measure()
            is_due = loop.time() - checked_s >= self._settings.check_interval_s or self._check_now.is_set()
            self._check_now.clear()
            if not self.breaker.is_open:
                try:
                    await self._probe()
                    if is_due:
                        await self._check()
                        self._forget_again()
                        checked_s = loop.time()
                except Exception as error:  # noqa: BLE001  # who watches no more heals nothing any more
                    tell_unexpected(error)
                    self.breaker.failed(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.probe_interval_s):
                    await self._check_now.wait()

    async def _probe(self) -> None:
        """Return if Redis serves, and may.

        Raises:
            DrillError: operators want to see that sales go on without it.
        """
        asked = await self._store.probe()
        if asked.drill:
            raise DrillError
        done = self._rebuild_asked_for(asked.rebuild)
        if done:
            await self._store.rebuild_done(done)
        await self._forget()

    async def _forget(self) -> None:
        """Take archived events out of Redis, but for those of which something is still on its way there."""
        forgotten = self._to_forget - self._healing.keys()
        if forgotten:
            await self._store.forget(forgotten)
            self._to_forget -= forgotten

    def _forget_again(self) -> None:
        """Look at some archived events, in turn: somebody replaced may have loaded them again."""
        if not self._forgotten:
            self._forgotten = [
                event_id for owned in self._owned.values() for event_id in owned.ledger.inventory.archived
            ]
        self._to_forget.update(self._forgotten[-FORGOTTEN_AGAIN:])
        del self._forgotten[-FORGOTTEN_AGAIN:]

    def _rebuild_asked_for(self, event_ids: Collection[str]) -> list[str]:
        """Begin to rebuild those of the events that are ours; returns those that are done."""
        self._asked_for = {event_id: done for event_id, done in self._asked_for.items() if event_id in event_ids}
        done = []
        for event_id in event_ids:
            copy = self._copies.get(event_id)
            if copy is None:
                continue
            if event_id not in self._asked_for:
                log.warning("an operator wants an event rebuilt", event_id=event_id)
                self._asked_for[event_id] = False
                copy.given_up = copy.diverged = False
                copy.attempts = 0
                self._lost(copy)
            elif copy.state is CopyState.IN_STEP and self._asked_for[event_id]:
                done.append(event_id)
            elif copy.state is CopyState.IN_STEP:
                # Its partition was given up and taken back before the rebuild was made.
                self._lost(copy)
        return done

    def measure(self) -> Mapping[str, int]:
        """How many copies are in each state; the gauges are set on the way."""
        states = {state.name.lower(): self._tally.states[state] for state in CopyState}
        for name, count in states.items():
            metrics.COPIES.labels(name).set(count)
        metrics.BACKLOG.set(self.backlog_facts)
        metrics.GIVEN_UP.set(self._tally.given_up)
        return states

    @property
    def backlog_facts(self) -> int:
        """How many facts Redis has missed that it can still be told."""
        return self._tally.backlog_facts

    async def _check(self) -> None:
        """Compare how far Redis is with how far it was known to be, for all events."""
        copies = {event_id: copy for event_id, copy in self._copies.items() if copy.state is CopyState.IN_STEP}
        expected = {event_id: copy.redis_seq for event_id, copy in copies.items()}
        found = await self._store.positions(copy.event for copy in copies.values())
        for event_id, copy in copies.items():
            position = found[event_id]
            if not self._is_ours(copy) or copy.state is not CopyState.IN_STEP:
                continue
            if position is None or position.seq < expected[event_id] or self._is_damaged(copy, position):
                log.warning(
                    "Redis has lost facts of an event", event_id=event_id, expected=expected[event_id], found=position
                )
                self._lost(copy)

    def _is_damaged(self, copy: Copy, position: EventPosition) -> bool:
        """Same seq, other figures; or facts about commands that the ledger answers otherwise.

        By other rules it is sold if an owner of an older release loaded it, and ended before it had told the ledger.
        """
        event = copy.event
        if position.seq == event.seq == copy.redis_seq:
            records = len(event.accepted)
            expected = EventPosition(
                event.seq, event.fence, event.sold, event.held, event.left, records, event.rules_since
            )
            return position._replace(fence=event.fence) != expected
        return position.seq > copy.event.seq and position.fence <= self._owned[copy.partition].settled_bookmark


def _call(copy: Copy, decided: list[Applied]) -> DecideCall:
    backlog = list(copy.backlog)
    seq_before = backlog[0].fact["seq"] - 1 if backlog else decided[0].fact["seq"] - 1
    return DecideCall(copy.event, seq_before, decided, backlog)


def _moves_many(decided: list[Applied]) -> bool:
    return any(moves_many(one.fact) for one in decided)


def _archives(decided: list[Applied]) -> bool:
    return decided[-1].fact["type"] == "event_archived"
