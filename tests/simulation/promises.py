"""What must hold in a schedule: all the time, and once all troubles have ended."""

from __future__ import annotations

import json
from typing import Any, Final

from boxoffice.batching import Batch, Record
from boxoffice.kafka.clients import header, home_partition
from boxoffice.redis.store import EventCopy, differences, expected_copy
from boxoffice.selling.event_copy import Copy, CopyState
from lua.keys import event_keys, rebuild_key
from models.event import Event
from models.facts import RULES_VERSION
from models.members import GENERAL
from tests.simulation.asking import EVENT_IDS
from tests.simulation.releases import FIRST_RULES
from tests.simulation.stage import DEAD_LETTERS, LEDGER, PARTITIONS, PREFIX, REQUESTS, ScheduleError, Stage
from tests.support.checker import Record as CheckedRecord
from tests.support.checker import check
from tests.unit.strategies import state
from topics.purchase_requests import ORIGIN_HEADER
from topics.purchase_results import READ_HEADER

DIVERGED: Final = frozenset(
    {
        "Redis decided otherwise than the ledger",
        "an event's copy in Redis cannot be healed, it goes on locally",
        "an event's copy could not be brought up",
        "Redis cannot decide for an event",
    }
)
"""What no worker may have to say as long as nobody else writes to Redis."""


LOST: Final = frozenset({"Redis has lost facts of an event", "an event cannot be settled"})
"""What a worker may not say, either, that owns its partitions alone, when Redis is merely down or slow."""


class Promises(Stage):
    """Each method says what is broken, or raises."""

    # All the time

    def check_meanwhile(self) -> None:
        """What needs no end to be wrong."""
        self.truth.catch_up(self.broker)
        self._check_strangers()
        if self.loop.failures:
            raise ScheduleError(f"nobody expected {self.loop.failures[0]!r}") from self.loop.failures[0]
        for copy in self._copies():
            self._check_backlog(copy)
        if self.harm.none and (said := self.trace.said & LOST):
            raise ScheduleError(f"a worker says: {', '.join(said)}")
        if not self.harm.redis_written:
            self._check_redis()
            if said := self.trace.said & DIVERGED:
                raise ScheduleError(f"a worker says: {', '.join(said)}")

    def _check_strangers(self) -> None:
        """What the ledger says is lost where others write into it, it loses its tail, or nobody leads it."""
        if self.harm.ledger_damaged or self.harm.ledger_cut:
            return
        for stranger, expected, leaders_taken in self.strangers:
            if stranger.is_done and leaders_taken == self.leaders_taken and (let_in := expected & stranger.let_in_by):
                raise ScheduleError(f"{stranger} was let in by {', '.join(sorted(let_in))}")

    def _check_backlog(self, copy: Copy) -> None:
        seqs = [missed.fact["seq"] for missed in copy.backlog]
        if seqs and seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            raise ScheduleError(f"the backlog of event {copy.event.event_id} has a gap: {seqs}")
        if copy.state is CopyState.IN_STEP and seqs:
            raise ScheduleError(f"event {copy.event.event_id} is in step and has a backlog: {seqs}")

    def _check_acked(self, batch: Batch) -> None:
        """What is acknowledged lies in the ledger."""
        self.truth.catch_up(self.broker)
        if self.harm.ledger_cut or self.harm.ledger_damaged:
            return
        for run in batch.runs:
            # Of two forged copies the first who decides may answer one, where the truth answers both.
            forged = {record.offset for record in run.records if _is_forged(record)}
            of_run = set(range(run.first, run.next)) - forged
            answered = [offset for offset in self.truth.answered[run.tp.partition] if offset in of_run]
            records = self.broker.partitions[LEDGER, run.tp.partition].records
            ranges = [header(record.headers, READ_HEADER) or b"" for record in records]
            if answered and not any(int(one.partition(b"-")[2]) == answered[-1] for one in ranges):
                raise ScheduleError(f"the command at {answered[-1]} was acknowledged and is not in the ledger")

    def _check_seqs(self) -> None:
        """Scripts bring no event back to a lower seq."""
        if self.harm.redis_written:
            return
        for event_id in EVENT_IDS:
            meta: Any = self.redis.memory.data.get(event_keys(PREFIX, event_id).meta.encode())
            seq = int(meta[b"seq"]) if meta else 0
            if seq < self.redis_seqs[event_id]:
                self.truth.catch_up(self.broker)
            if self.truth.is_archived(event_id):
                seq = 0  # It is forgotten, once or several times.
            elif seq < self.redis_seqs[event_id] and event_id not in self.wanted_rebuilt:
                raise ScheduleError(f"event {event_id} went from seq {self.redis_seqs[event_id]} to {seq} in Redis")
            self.redis_seqs[event_id] = seq

    def _check_redis(self) -> None:
        """Whatever happened to Redis: what it holds of an event at some seq is what the rules say at that seq."""
        for event_id in EVENT_IDS:
            found = self._in_redis(event_id)
            if found is None:
                continue
            if self._is_of_another_release(event_id, found):
                continue
            expected = self.truth.copies[event_id].get(int(found.meta["seq"]))
            # One that was archived may be loaded once more, on the way to being forgotten.
            is_unknown = home_partition(event_id, PARTITIONS) in self.truth.waits or self.truth.is_archived(event_id)
            if expected is None and is_unknown:
                continue
            if expected is None:
                raise ScheduleError(f"event {event_id} has in Redis a seq that was never asked for: {found.meta}")
            if different := differences(found, expected_copy(expected)):
                raise ScheduleError(f"event {event_id} in Redis: {different}")

    def _is_of_another_release(self, event_id: str, found: EventCopy) -> bool:
        """Whether an owner loaded it that ended before the ledger had its creation; another made it by other rules."""
        event = self.truth.event(event_id)
        if not self.has_two_releases or event is None:
            return False
        return event.rules_since == 1 and "rules_since" not in found.meta

    def _in_redis(self, event_id: str) -> EventCopy | None:
        data = self.redis.memory.data
        meta = data.get(event_keys(PREFIX, event_id).meta.encode())
        if not isinstance(meta, dict):
            return None
        named = json.loads(meta[b"categories"]) if b"categories" in meta else [{"id": GENERAL}]
        keys = event_keys(PREFIX, event_id, [category["id"] for category in named])
        queues: dict[str, list[str]] = {}
        for category, key in zip(named, keys.queues, strict=True):
            names = data.get(key.encode(), [])
            queues[category["id"]] = [name.decode() for name in names] if isinstance(names, list) else ["another type"]
        purchases = data.get(keys.purchases.encode(), {})
        records = _texts(purchases) if isinstance(purchases, dict) else {"another": "type"}
        return EventCopy(event_id, _texts(meta), queues, records)

    # Once all is well again

    def _what_is_wrong(self) -> str | None:
        if not all(worker.consumer.flows for worker in self._selling()):
            # What it owned before may look like what it will.
            return "a worker is taking partitions over"
        if (waits := self._what_a_worker_waits_for()) is not None:
            return waits
        if any(worker.copies.breaker.is_open for worker in self._selling()):
            return "a worker leaves Redis alone"
        for copy in self._copies():
            if copy.state is not CopyState.IN_STEP and not (copy.given_up and self.harm.redis_written):
                return f"event {copy.event.event_id} is {copy.state.name}"
        for number in range(PARTITIONS):
            # Markers and second copies at the end too: when retention has removed them, they must not look lost.
            found, asked = self._folded(number).bookmark, self.broker.partitions[REQUESTS, number].end - 1
            if found != asked:
                return f"the ledger of partition {number} accounts for what was asked up to {found}, of {asked}"
        # What others wrote is noticed at the next sale; what no sale meets, by the audit alone.
        if self.is_harmed_unseen or (self.harm.redis_written and not self._is_asked_last):
            return None
        return self._what_is_wrong_in_redis()

    def _what_a_worker_waits_for(self) -> str | None:
        owned = self._owned()
        if sorted(partition.number for partition in owned) != list(range(PARTITIONS)):
            return f"owned are {[(partition.number) for partition in owned]}"
        if any(partition.unsettled for partition in owned):
            return "a worker waits for the broker"
        if any(worker.keeper.owed for worker in self._selling()):
            return "dead letters are owed"
        return None

    def _what_is_wrong_in_redis(self) -> str | None:
        given_up = {copy.event.event_id for copy in self._copies() if copy.given_up}
        newest = self.truth.newest()
        for event_id, snapshot in newest.items():
            if event_id in given_up or (self.harm.redis_written and not self._is_sold(snapshot.event)):
                continue  # Nothing is sold from its queues: nobody notices that one was turned round.
            found = self._in_redis(event_id)
            if found is None:
                return f"event {event_id} is not in Redis"
            if different := differences(found, expected_copy(snapshot)):
                return f"event {event_id} in Redis: {different}"
        memory = self.redis.memory
        wanted: Any = memory.data.get(rebuild_key(PREFIX).encode(), set())
        if asked := wanted & {event_id.encode() for event_id in newest}:
            return f"nobody rebuilt {asked}"
        if left := [key for key in memory.data if b":loading:" in key and key not in memory.expiries_s]:
            return f"keys of a load are left for ever: {left}"
        return self._what_is_left_of_archives()

    def _what_is_left_of_archives(self) -> str | None:
        if self.harm.redis_written:
            return None  # Without its meta, which somebody else took away, nobody can say which queues were its own.
        for event_id in filter(self.truth.is_archived, EVENT_IDS):
            stem = event_keys(PREFIX, event_id).meta.removesuffix("meta").encode()
            if left := [key for key in self.redis.memory.data if key.startswith(stem) and b":loading:" not in key]:
                return f"event {event_id} is archived, and Redis still has {left}"
        return None

    def _is_sold(self, event: Event) -> bool:
        now_ms = self.broker.now_ms()
        begins_ms, ends_ms = event.on_sale_ms or 0, event.off_sale_ms
        return not (event.closed or event.cancelled) and begins_ms <= now_ms and (ends_ms is None or now_ms < ends_ms)

    # In the end

    def _check_end(self) -> None:
        self._check_tables()
        self._check_last_deciders()
        self._check_by_the_rules()

    def _check_tables(self) -> None:
        for partition in self._owned():
            expected = state(self.truth.partitions[partition.number].ledger.inventory)
            folded = state(self._folded(partition.number).inventory)
            if self.forges:
                # Whether one just behind an end is believed is for the first who decides it.
                expected["origins"] = folded["origins"]
            if partition.unsettled:
                raise ScheduleError(f"partition {partition.number} has {partition.unsettled} unsettled answers")
            if state(partition.ledger.inventory) != expected:
                raise ScheduleError(f"the table of partition {partition.number} is not what was asked for")
            if folded != expected:
                raise ScheduleError(f"the ledger of partition {partition.number} folds to something else")

    def _check_last_deciders(self) -> None:
        for event_id in self.truth.newest():
            if self.harm.redis_written:
                continue
            records = self.broker.partitions[LEDGER, home_partition(event_id, PARTITIONS)].records
            last = [json.loads(r.value or b"") for r in records[-12:] if b'"the-last-' in (r.value or b"")]
            if not any(fact["decided_by"] == "redis" for fact in last if fact["event_id"] == event_id):
                raise ScheduleError(f"Redis is well again, and does not decide for event {event_id}")

    def _check_by_the_rules(self) -> None:
        requests, results, letters = (
            [
                CheckedRecord(r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp)
                for (topic, _), partition in self.broker.partitions.items()
                if topic == wanted
                for r in (*partition.expired, *partition.records)
            ]
            for wanted in (REQUESTS, LEDGER, DEAD_LETTERS)
        )
        harmed = self.harm.ledger_damaged
        verdict = check(
            requests,
            results,
            PARTITIONS,
            letters,
            harmed=harmed,
            forged=self.forges,
            origins_kept=self.origins_kept,
            ends={number: self.broker.partitions[REQUESTS, number].end for number in range(PARTITIONS)},
            rules=(FIRST_RULES, RULES_VERSION) if self.has_two_releases else (RULES_VERSION,),
        )
        if verdict.problems:
            raise ScheduleError("\n".join(verdict.problems))


def _is_forged(record: Record) -> bool:
    return header(record.headers, ORIGIN_HEADER) is not None and b'"request_id": "f-' in (record.value or b"")


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
