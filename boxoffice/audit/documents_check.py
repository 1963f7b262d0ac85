"""Documents, compared with the ledger: each sold ticket has its own, and those of cancelled purchases are gone.

Sales go on, and documents come a little later than the facts. So it is waited until all is dealt with that
the ledger held at one moment; what has happened since is not judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from math import inf

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from boxoffice.audit.papers import Papers
from boxoffice.audit.reading import PartitionAudit, Tape
from boxoffice.audit.report import AuditReport, EventReport, strangers
from boxoffice.audit.waiting import POLL_INTERVAL_S, Patience
from boxoffice.documents.places import dealt_with_until, read_places
from boxoffice.kafka.clients import reader
from boxoffice.kafka.side_records import read_marks
from boxoffice.kafka.topics import partitions_of
from boxoffice.settings import Settings
from boxoffice.storage.store import DocumentStore
from models.documents import UnreadableAnnouncementError, read_announcement
from models.facts import UnreadableFactError, read_fact
from models.tickets import are_tickets_of
from models.words import number_of
from topics import dead_letters, ticket_documents

Record = ConsumerRecord[bytes, bytes]


class DocumentsCheck:
    """Compares the store and ``ticket-documents``; ``offsets`` is asked where topics end.

    What could not be drawn lies on ``dead-letters``; what the clean-up may have removed, and announcements
    that have expired, are not missed.
    """

    def __init__(self, settings: Settings, offsets: AIOKafkaConsumer, patience: Patience, report: AuditReport) -> None:
        self._settings = settings
        self._offsets = offsets
        self._patience = patience
        self._report = report
        self._store = DocumentStore(settings.documents)
        self._papers: dict[str, Papers] = {}
        self._kept_days = settings.documents.kept_after_event_days

    async def look(self, audit: PartitionAudit, event_ids: Sequence[str]) -> None:
        """Note the moment: what these events of a partition have done until now is to be judged."""
        self._audit, self._begun_at = audit, audit.judged_until
        self._papers = {event_id: Papers(audit.ledger.inventory.events[event_id]) for event_id in event_ids}

    async def compare(self, reports: Sequence[EventReport]) -> None:
        """Put what is found on a partition into the reports of its events.

        Raises:
            UnreachableError: no broker answered.
            StoreError: the store cannot be read.
        """
        if not self._papers:
            return
        number = self._audit.check.number
        await self._wait_until_dealt_with(number)
        kept_from_ms = await self._read_announcements(number)
        await self._read_dead_letters(number)
        for report in reports:
            papers = self._papers.pop(report.event_id, None)
            if papers is None:
                # It was created since the audit began.
                continue
            await self._list(papers)
            # Whatever was seen of a ticket follows from what the ledger holds by now.
            await self._audit.read_ledger()
            may_be_gone = self._kept_days > 0 and papers.may_be_over(self._kept_days, datetime.now(UTC))
            report.documents = papers.judge(self._store, kept_from_ms, may_be_gone=may_be_gone)
            report.differences += papers.problems.sentences
            self._note(report)

    async def events(self) -> AsyncIterator[str]:
        """The events that have documents in the store.

        Raises:
            StoreError: the store cannot be read.
        """
        for folder in await self._store.folders():
            async for _ in self._store.documents(folder):
                yield folder
                break

    def _note(self, report: EventReport) -> None:
        counts = report.documents
        if counts and counts.failed:
            failed = number_of(counts.failed, "ticket")
            self._report.notes.append(f"Event {report.event_id}: {failed} could not be drawn: see dead-letters.")
        if counts and counts.flawed:
            flawed = number_of(counts.flawed, "ticket")
            sentence = f"{flawed} with something that cannot be read as it was written: see flaws on ticket-documents."
            self._report.notes.append(f"Event {report.event_id}: {sentence}")
        if counts and counts.expired:
            gone = number_of(counts.expired, "document")
            self._report.notes.append(f"Event {report.event_id}: {gone} gone, as the event is over.")
        if counts and counts.renewing:
            again = number_of(counts.renewing, "ticket")
            self._report.notes.append(f"Event {report.event_id}: {again} to be drawn again, since it was changed.")

    async def _wait_until_dealt_with(self, number: int) -> None:
        """Of what is waited for in vain nothing is concluded but which events' tickets are drawn again still."""
        while True:
            until = await dealt_with_until(self._settings.kafka, [number])
            under_way = await self._note_renewals(number)
            if self._patience.is_over or (until[number] >= self._begun_at and not under_way):
                return
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _note_renewals(self, number: int) -> bool:
        """Whether tickets of these events are drawn again because of what the ledger held at the moment."""
        found = (await read_places(self._settings.kafka, [number]))[number]
        changed = {renewal.event_id for renewal in found.renewals if renewal.offset < self._begun_at}
        for event_id, papers in self._papers.items():
            papers.renewing = event_id in changed
        return any(papers.renewing for papers in self._papers.values())

    # What is said

    async def _read_announcements(self, number: int) -> float:
        """Read a partition of ``ticket-documents``; returns since when (ms) announcements are kept."""
        tp = TopicPartition(ticket_documents.TOPIC.full_name(self._settings.kafka.topic_prefix), number)
        kept_from_ms: float | None = None if (await self._offsets.beginning_offsets([tp]))[tp] else 0
        strange = 0
        async for record in self._records(tp):
            try:
                announcement = read_announcement(record.value)
            except UnreadableAnnouncementError:
                strange += 1
                continue
            if kept_from_ms is None:
                kept_from_ms = record.timestamp
            if papers := self._papers.get(announcement["event_id"]):
                papers.take(announcement)
        self._report.notes += strangers(ticket_documents.TOPIC.name, number, strange)
        return inf if kept_from_ms is None else kept_from_ms

    async def _read_dead_letters(self, number: int) -> None:
        letters = await partitions_of(self._settings.kafka, dead_letters.TOPIC)
        place = dead_letters.partition_of(number, len(letters))
        strange = 0
        async for record in self._records(letters[place]):
            _, marks = read_marks(record.headers)
            strange += marks is None
            if marks is not None and marks.ticket is not None:
                self._take_dead_letter(record.value, marks.ticket)
        if place == number:  # Where it has fewer partitions, it is read for several of the ledger's.
            self._report.notes += strangers(dead_letters.TOPIC.name, number, strange)

    def _take_dead_letter(self, value: bytes | None, ticket: str) -> None:
        """Take the fact whose ticket could not be drawn; a large one was cut, and cannot be read."""
        try:
            fact = read_fact(value)
        except UnreadableFactError:
            return
        event_id = fact["event_id"] or ""
        if (papers := self._papers.get(event_id)) and are_tickets_of(event_id, [ticket]):
            papers.failed(ticket, fact["seq"])

    async def _records(self, tp: TopicPartition) -> AsyncIterator[Record]:
        start = (await self._offsets.beginning_offsets([tp]))[tp]
        async with reader(self._settings.kafka, [tp]) as consumer:
            tape = Tape(consumer, tp, start, self._offsets)
            while run := await tape.next_run():
                for record in run:
                    yield record

    # What is stored

    async def _list(self, papers: Papers) -> None:
        async for documents in self._store.documents(papers.event.event_id):
            unknown = [document for document in documents if not papers.stored(document)]
            if unknown:
                # They may be of sales that were not read yet.
                await self._audit.read_ledger()
                papers.strays(document for document in unknown if not papers.stored(document))
