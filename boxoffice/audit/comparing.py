"""Audit: whether the commands, the ledger, Redis, the statistics and the documents agree.

Everything is read again and judged by the rules: each command's answer is decided anew and compared with
the ledger's, the ledger is folded, and all else is compared with the fold. One partition at a time, so that
it takes no more memory than a worker does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from functools import partial
from time import monotonic, time
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.exceptions import ResponseError

from boxoffice.audit.documents_check import DocumentsCheck
from boxoffice.audit.downstream import DOCUMENTS, STATISTICS, Downstream, has_run
from boxoffice.audit.event_view import UnknownEventError, fold_partition, read_number
from boxoffice.audit.ledger_check import MAX_DIFFERENCES, LedgerCheck
from boxoffice.audit.reading import PartitionAudit, Tape
from boxoffice.audit.report import AuditReport, EventReport, overdue, report_event
from boxoffice.audit.statistics_check import StatisticsCheck
from boxoffice.audit.waiting import POLL_INTERVAL_S, Patience
from boxoffice.kafka.clients import admin, group_id, header, home_partition, reader, topic_partitions
from boxoffice.kafka.groups import committed_offsets
from boxoffice.kafka.topics import check_partitions, written_otherwise
from boxoffice.redis.clients import redis_client, unhurried
from boxoffice.redis.store import (
    EventCopy,
    EventKeepsChangingError,
    RedisStore,
    Snapshot,
    differences,
    expected_copy,
)
from boxoffice.settings import Settings
from boxoffice.showing.printing import printable
from lua.keys import any_event_key, read_event_key
from models.event import Event
from models.facts import read_range
from models.members import EVENT_ID_PATTERN
from models.words import number_of
from topics import purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

_TAIL_RECORDS: Final = 50
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)


class Check(Protocol):
    """Compares with the ledger what a process downstream has made of it, one partition after the other."""

    async def look(self, audit: PartitionAudit, event_ids: Sequence[str]) -> None:
        """See the ledger, and these of its events, as they were when the audit began: so far all is to be done."""

    async def compare(self, reports: Sequence[EventReport]) -> None:
        """Put what differs into the reports of the partition's events, now that it was read to its end."""


class Audit:
    """Compares everything with the ledger; all of it, or the given events and their partitions.

    Statistics and documents are compared if anybody has ever run their processes.
    """

    def __init__(
        self,
        settings: Settings,
        wait_s: float,
        event_ids: Sequence[str] = (),
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._wait_s = wait_s
        self._event_ids = event_ids
        self._progress = progress
        self._requests = purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
        self._results = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
        self._report = AuditReport()
        self._documents: DocumentsCheck | None = None

    async def run(self) -> AuditReport:
        """Wait until all is decided that was asked for until now, then compare.

        Raises:
            UnreachableError: Kafka or Redis did not answer.
            StoreError: the document store cannot be read.
            TopicsError: the topics cannot be used.
        """
        begun_s = monotonic()
        self._patience = Patience(self._wait_s)
        self._partitions = await self._count_partitions()
        self._numbers = sorted({home_partition(event_id, self._partitions) for event_id in self._event_ids})
        self._numbers = self._numbers or list(range(self._partitions))
        self._report.partitions = len(self._numbers)
        async with redis_client(self._settings.redis) as self._redis:
            self._store = RedisStore(self._redis, unhurried(self._settings.redis))
            await self._store.ping()
            await self._compare()
        self._report.seconds = monotonic() - begun_s
        return self._report

    async def _count_partitions(self) -> int:
        """How many there are; of a ledger that was written with another number it is judged by that, if known."""
        partitions, otherwise = await written_otherwise(self._settings.kafka)
        if otherwise is None:
            return partitions
        self._report.differences.append(f"{otherwise} {otherwise.remedy}")
        return min(otherwise.written or partitions, partitions)

    async def _compare(self) -> None:
        noted = await self._request_ends()
        self._progress("waiting until all commands are answered")
        await self._wait_for_answers(noted)
        # A command that was forwarded until now lies at its home before these ends.
        ends = await self._request_ends()
        checks = await self._compare_partitions(ends, noted)
        known = {event_id for check in checks for event_id in check.events}
        archived = {event_id: seq for check in checks for event_id, seq in check.archived.items()}
        if self._event_ids:
            self._report_missing(known, archived)
            archived = {event_id: seq for event_id, seq in archived.items() if event_id in self._event_ids}
        else:
            self._compare_forwards(checks)
            await self._report_foreign(known | archived.keys())
        self._report.archived = len(archived)
        self._report.differences += await self._patience.until_nothing(partial(self._archived_in_redis, archived))

    async def _request_ends(self) -> dict[int, int]:
        partitions = topic_partitions(self._requests, self._partitions)
        async with reader(self._settings.kafka, partitions) as consumer:
            return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}

    # Waiting

    async def _wait_for_answers(self, ends: Mapping[int, int]) -> None:
        """Look at the ledger's last records until they account for all commands, or the time is up.

        What follows judges for itself: here nothing is concluded.
        """
        waiting = {number for number in self._numbers if ends[number]}
        partitions = [TopicPartition(self._results, number) for number in waiting]
        async with reader(self._settings.kafka, partitions) as consumer, admin(self._settings.kafka) as client:
            while waiting and not self._patience.is_over:
                committed = await committed_offsets(client, group_id(self._settings.kafka, "purchases"))
                for number in sorted(waiting):
                    offset = committed.get(TopicPartition(self._requests, number))
                    # Behind the last answer there may be second copies and markers, which get none.
                    reached = offset is not None and offset >= ends[number]
                    if reached or await self._answered(consumer, number, ends[number]):
                        waiting.discard(number)
                if waiting:
                    await asyncio.sleep(POLL_INTERVAL_S)

    async def _answered(self, consumer: AIOKafkaConsumer, number: int, end: int) -> bool:
        tp = TopicPartition(self._results, number)
        start = (await consumer.beginning_offsets([tp]))[tp]
        tail = Tape(consumer, tp, max(start, (await consumer.end_offsets([tp]))[tp] - _TAIL_RECORDS))
        while run := await tail.next_run():
            accounted = (read_range(header(record.headers, READ_HEADER)) for record in run)
            if any(offsets and offsets[1] >= end - 1 for offsets in accounted):
                return True
        return False

    # The ledger

    async def _compare_partitions(self, ends: Mapping[int, int], noted: Mapping[int, int]) -> list[_Found]:
        """Each partition in turn; what a partition held is forgotten before the next, but for what is returned."""
        ledgers = [TopicPartition(self._results, number) for number in self._numbers]
        requests = [TopicPartition(self._requests, number) for number in self._numbers]
        async with (
            reader(self._settings.kafka, ledgers) as facts,
            reader(self._settings.kafka, requests) as commands,
            reader(self._settings.kafka, ledgers + requests) as offsets,
        ):
            starts = await offsets.beginning_offsets(ledgers + requests)
            begun_at = await offsets.end_offsets(ledgers)
            possible = await self._request_ends()
            downstream = await self._downstream(offsets)
            found = []
            for ledger, request in zip(ledgers, requests, strict=True):
                self._progress(f"partition {ledger.partition} of {self._partitions}")
                check = LedgerCheck(ledger.partition, self._partitions, starts[request], noted, possible)
                audit = PartitionAudit(
                    check,
                    Tape(facts, ledger, starts[ledger], offsets, check.note_damage),
                    Tape(commands, request, starts[request], offsets, check.note_damaged_commands),
                )
                await self._compare_partition(audit, begun_at[ledger], ends[ledger.partition], downstream)
                found.append(_Found(check))
        return found

    async def _compare_partition(
        self, audit: PartitionAudit, begun_at: int, end: int, downstream: Sequence[Check]
    ) -> None:
        check, begins_at = audit.check, audit.judged_until
        await audit.read_to_offset(begun_at)
        check.judge_later_facts()
        for one in downstream:
            await one.look(audit, [event_id for event_id in check.ledger.inventory.events if self._asks_for(event_id)])
        await audit.read_to_end(end)
        while check.needs_answer(end) and not self._patience.is_over:
            await asyncio.sleep(POLL_INTERVAL_S)
            await audit.read_to_end(end)
        check.finish(end)
        events = check.ledger.inventory.events.values()
        reports = [report_event(event, check.number) for event in events if self._asks_for(event.event_id)]
        for event in events:
            if self._asks_for(event.event_id) and (late := overdue(event, time() * 1000)) is not None:
                self._report.notes.append(f"Event {event.event_id}: {late}")
        await self._compare_redis(audit, reports)
        for one in downstream:
            await one.compare(reports)
        self._report.events += reports
        self._add(check, begins_at)

    def _asks_for(self, event_id: str) -> bool:
        return not self._event_ids or event_id in self._event_ids

    def _add(self, check: LedgerCheck, ledger_start: int) -> None:
        report = self._report
        report.commands += check.checked
        report.facts += check.facts
        report.repeated += check.repeated
        report.differences += check.differences
        if ledger_start:
            report.differences.append(
                f"purchase-results {check.number} begins at offset {ledger_start}: what was before is lost."
            )
        if check.damaged:
            report.notes.append(
                f"purchase-results {check.number}: {number_of(check.damaged, 'damaged record')}, which the chain "
                "passes over."
            )
        if check.unreadable:
            report.notes.append(
                f"purchase-requests {check.number}: {number_of(sum(map(len, check.unreadable)), 'damaged command')}, "
                "which nobody can judge."
            )

    def _report_missing(self, known: set[str], archived: Mapping[str, int]) -> None:
        for event_id in self._event_ids:
            if event_id in archived:
                self._report.notes.append(f"Event {event_id} was archived, and is at seq {archived[event_id]}.")
            elif event_id not in known:
                self._report.differences.append(str(UnknownEventError(event_id)))

    def _compare_forwards(self, checks: Sequence[_Found]) -> None:
        """What was forwarded must have arrived; where commands have expired or are damaged, nobody can tell."""
        forwarded = {(one.number, home): noted for one in checks for home, noted in one.forwarded.items()}
        arrived = {(origin, one.number): noted for one in checks for origin, noted in one.arrived.items()}
        unknown = {one.number for one in checks if one.first_kept or one.unreadable}
        for source, home in sorted(forwarded.keys() | arrived.keys()):
            sent, found = set(forwarded.get((source, home), ())), set(arrived.get((source, home), ()))
            if sent - found and home not in unknown:
                self._report.differences.append(
                    f"From partition {source} to {home}, {number_of(len(sent), 'command')} went, "
                    f"and {len(sent & found)} were answered there."
                )
            if found - sent:
                self._report.notes.append(
                    f"purchase-requests {home}: {number_of(len(found - sent), 'command')} with a boxoffice-origin on "
                    f"partition {source}, which did not forward them."
                )

    # Redis

    async def _compare_redis(self, audit: PartitionAudit, reports: Sequence[EventReport]) -> None:
        for report in reports:
            event = audit.ledger.inventory.events[report.event_id]
            report.differences += await self._patience.until_nothing(partial(self._differences_now, audit, event))

    async def _differences_now(self, audit: PartitionAudit, event: Event) -> list[str]:
        try:
            copy = await self._store.read_event(event.event_id)
        except (EventKeepsChangingError, ResponseError) as error:
            return [f"in Redis: {error}"]
        if copy is None:
            await audit.read_ledger()
            return [] if event.event_id in audit.ledger.inventory.archived else ["not in Redis."]
        # Sales go on: the fold must stand where Redis stood when it was read.
        await audit.read_to_seq(event, _seq(copy))
        expected = expected_copy(Snapshot.of(event, audit.ledger.partition))
        return [f"in Redis: {sentence}." for sentence in differences(copy, expected, MAX_DIFFERENCES)]

    # Downstream

    async def _downstream(self, offsets: AIOKafkaConsumer) -> list[Check]:
        """What compares statistics and documents, as far as there are any."""
        checks: list[Check] = []
        if await self._has_run(DOCUMENTS, "documents"):
            self._documents = DocumentsCheck(self._settings, offsets, self._patience, self._report)
            checks.append(self._documents)
        # These come last, since they read on.
        if await self._has_run(STATISTICS, "statistics"):
            checks.append(StatisticsCheck(self._settings.kafka, self._redis, offsets, self._patience, self._report))
        return checks

    async def _has_run(self, downstream: Downstream, what: str) -> bool:
        if await has_run(self._settings.kafka, downstream):
            await check_partitions(self._settings.kafka, self._partitions, [downstream.writes])
            return True
        self._report.notes.append(f"No {what} were compared: 'boxoffice run {downstream.process}' never ran here.")
        return False

    # What there is no event of

    async def _report_foreign(self, known: Set[str]) -> None:
        """Events that are not in the ledger; one that was created meanwhile is there by now."""
        await self._report_unknown(known, "in Redis", self._in_redis(_is_serving))
        await self._report_unknown(known, "in Redis' statistics", self._in_redis(_is_statistics))
        if self._documents:
            # Those of archived events stay.
            await self._report_unknown(known, "in the document store", self._documents.events())

    async def _report_unknown(self, known: Set[str], where: str, found: AsyncIterator[str]) -> None:
        told: set[str] = set()
        async for event_id in found:
            if event_id not in known and event_id not in told and not await self._is_event(event_id):
                told.add(event_id)
                self._report.differences.append(f"Event {printable(event_id)} is {where}, and not in the ledger.")

    async def _is_event(self, event_id: str) -> bool:
        """Whether the ledger has such an event by now; what no event can be called need not be looked for."""
        if not _EVENT_ID.fullmatch(event_id):
            return False
        home = home_partition(event_id, self._partitions)
        return bool((await fold_partition(self._settings.kafka, home)).inventory.seq_of(event_id))

    async def _archived_in_redis(self, archived: Mapping[str, int]) -> list[str]:
        """Archived events of which Redis has something left."""
        if not archived:
            return []
        left = {event_id async for event_id in self._in_redis(_is_serving) if event_id in archived}
        return [f"Event {event_id} was archived, and Redis has not forgotten it." for event_id in sorted(left)]

    async def _in_redis(self, is_wanted: Callable[[str], bool]) -> AsyncIterator[str]:
        """The events that have a key under which such a thing lies."""
        prefix = self._settings.kafka.topic_prefix
        async for key in self._redis.scan_iter(match=any_event_key(prefix), count=1_000):
            found = read_event_key(prefix, key.decode(errors="replace"))
            if found is not None and is_wanted(found[1]):
                yield found[0]


def _is_serving(what: str) -> bool:
    """Whether an event is sold by what lies under a key; what is being loaded expires by itself."""
    return not what.startswith("loading:") and not _is_statistics(what)


def _is_statistics(what: str) -> bool:
    return what == "stats"


class _Found:
    """What is kept of a partition after its turn."""

    def __init__(self, check: LedgerCheck) -> None:
        self.number = check.number
        self.first_kept = check.first_kept
        self.unreadable = check.unreadable
        self.events = frozenset(check.ledger.inventory.events)
        self.archived = dict(check.ledger.inventory.archived)
        self.forwarded = check.forwarded
        self.arrived = check.arrived


def _seq(copy: EventCopy) -> int:
    return read_number(copy.meta.get("seq", "")) or 0
