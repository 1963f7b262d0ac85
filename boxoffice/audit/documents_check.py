"""Documents, compared with the ledger: each sold ticket has its own, and those of cancelled purchases are gone.

Sales go on, and documents come a little later than the facts. So it is waited until all is dealt with that
the ledger held at one moment; what has happened since is not judged.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import inf

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from boxoffice.audit.reading import PartitionAudit, Tape
from boxoffice.audit.report import AuditReport, DocumentCounts, EventReport, strangers
from boxoffice.audit.waiting import POLL_INTERVAL_S, Patience
from boxoffice.documents.cleaning import is_over
from boxoffice.documents.places import dealt_with_until
from boxoffice.kafka.clients import reader
from boxoffice.kafka.side_records import read_marks
from boxoffice.kafka.topics import partitions_of
from boxoffice.settings import Settings
from boxoffice.storage.store import DocumentStore, Stored
from models.accepted import Accepted, Kind, State, unpack
from models.documents import (
    DocumentAnnouncement,
    UnreadableAnnouncementError,
    document_name,
    former_name,
    purchase_in,
    read_announcement,
)
from models.event import Event
from models.facts import UnreadableFactError, read_fact
from models.tickets import are_tickets_of, ticket_name, ticket_number
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
            report.documents = papers.judge(self._store, kept_from_ms, may_be_gone=self._may_be_gone(papers.event))
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

    def _may_be_gone(self, event: Event) -> bool:
        """Whether the clean-up may have removed the event's documents."""
        return self._kept_days > 0 and is_over(event.created["starts_at"], self._kept_days, datetime.now(UTC))

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

    async def _wait_until_dealt_with(self, number: int) -> None:
        """Nothing is concluded from waiting in vain: what follows judges for itself."""
        while not self._patience.is_over:
            until = await dealt_with_until(self._settings.kafka, [number])
            if until[number] >= self._begun_at:
                return
            await asyncio.sleep(POLL_INTERVAL_S)

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


class Papers:
    """An event's tickets by their numbers: what was said of each last, and what is stored of its purchase.

    What the event does after this was made is not judged.
    """

    def __init__(self, event: Event) -> None:
        self.event = event
        self.problems = _Problems()
        self._judged_seq = event.seq
        # The seq of the sale whose document was made, or less than 0 that of the cancellation it was removed for;
        # and its size, 0 where it could not be drawn. Arrays, since there are as many as tickets.
        self._said, self._said_bytes = array("q"), array("Q")
        self._stored_bytes = array("Q")
        self._flawed = array("B")

    # Taking

    def take(self, announcement: DocumentAnnouncement) -> None:
        """Take an announcement of the event."""
        number = ticket_number(announcement["ticket"])
        if announcement["type"] == "document_made":
            self._say(number, announcement["seq"], announcement["size_bytes"], flawed="flaws" in announcement)
        else:
            self._say(number, -announcement["seq"], 0)

    def failed(self, ticket: str, seq: int) -> None:
        """Take a dead letter: the ticket that was sold with ``seq`` could not be drawn."""
        self._say(ticket_number(ticket), seq, 0)

    def _say(self, number: int, said: int, size_bytes: int, *, flawed: bool = False) -> None:
        # What there is no ticket of was sold after the moment, or is nothing of ours.
        if number > self.event.issued:
            return
        _make_room(self._said, number)
        _make_room(self._said_bytes, number)
        _make_room(self._flawed, number)
        # Drawn in the end counts more than given up before, or after; drawn again, with another code, more than before.
        drawn, drawn_before = bool(size_bytes), bool(self._said_bytes[number])
        if (abs(said), drawn) >= (abs(self._said[number]), drawn_before):
            self._said[number], self._said_bytes[number], self._flawed[number] = said, size_bytes, flawed

    def stored(self, document: Stored) -> bool:
        """Take a document; returns False if no purchase that is known accounts for it."""
        purchase = purchase_in(document.name)
        packed = self.event.accepted.get(purchase)
        accepted = unpack(packed) if packed is not None else None
        number = self._number_of(document, purchase)
        if accepted is None or number is None or not _holds(accepted, number):
            return False
        if accepted.state is State.CANCELLED:
            return self._cancellation(accepted).seq > self._judged_seq
        _make_room(self._stored_bytes, number)
        self._stored_bytes[number] = document.size_bytes
        return True

    def strays(self, documents: Iterable[Stored]) -> None:
        """Take documents that no sale accounts for."""
        for document in documents:
            self.problems.add("document", "that no sale accounts for", document.name)

    def _number_of(self, document: Stored, purchase: str) -> int | None:
        """The ticket in a document's name; None where nobody makes such a name."""
        digits = document.name.rpartition("/")[2].partition(".")[0].rpartition("-")[2]
        number = int(digits) if digits.isdecimal() else 0
        former = former_name(self.event.event_id, self._ticket(number), purchase)
        return number if document.name in (self._name(number, purchase), former) else None

    # Judging

    def judge(self, store: DocumentStore, kept_from_ms: float, *, may_be_gone: bool) -> DocumentCounts:
        """Judge every ticket, once the ledger was read so far that whatever was taken follows from it.

        Announcements of before ``kept_from_ms`` have expired; documents ``may_be_gone`` where the event is over.
        """
        counts = DocumentCounts()
        for purchase, accepted in self._purchases():
            if accepted.state is State.CANCELLED:
                self._judge_cancelled(accepted, kept_from_ms)
            elif accepted.seq <= self._judged_seq:
                for number in _numbers(accepted):
                    self._judge_announcement(number, accepted, kept_from_ms)
                    self._judge_document(number, purchase, accepted, counts, store, may_be_gone)
        return counts

    def _purchases(self) -> Iterator[tuple[str, Accepted]]:
        for request_id, packed in self.event.accepted.items():
            accepted = unpack(packed)
            if accepted.kind == Kind.PURCHASE:
                yield request_id, accepted

    def _judge_announcement(self, number: int, sale: Accepted, kept_from_ms: float) -> None:
        said = _at(self._said, number)
        if said != sale.seq and (said or sale.at_ms >= kept_from_ms):
            self.problems.add("ticket", "whose document is not announced", self._ticket(number))

    def _judge_document(
        self,
        number: int,
        purchase: str,
        sale: Accepted,
        counts: DocumentCounts,
        store: DocumentStore,
        may_be_gone: bool,
    ) -> None:
        said, said_bytes = _at(self._said, number), _at(self._said_bytes, number)
        stored_bytes = _at(self._stored_bytes, number)
        if said == sale.seq and not said_bytes:
            counts.failed += 1
        elif not stored_bytes and may_be_gone:
            counts.expired += 1
        elif not stored_bytes:
            where = f"{self._ticket(number)} (at {store.location(self._name(number, purchase))})"
            self.problems.add("ticket", "without a document", where)
        else:
            counts.made += 1
            counts.flawed += said == sale.seq and _at(self._flawed, number)
            if said == sale.seq and stored_bytes != said_bytes:
                sizes = f"{self._name(number, purchase)} ({stored_bytes} bytes, announced {said_bytes})"
                self.problems.add("document", "of another size than announced", sizes)

    def _judge_cancelled(self, sale: Accepted, kept_from_ms: float) -> None:
        cancellation = self._cancellation(sale)
        if cancellation.seq > self._judged_seq:
            return
        for number in _numbers(sale):
            said = _at(self._said, number)
            # Whatever the event did with it later is judged with the later sale.
            later = abs(said) > cancellation.seq
            expired = not said and cancellation.at_ms < kept_from_ms
            if said != -cancellation.seq and not later and not expired:
                self.problems.add("cancelled ticket", "whose document's removal is not announced", self._ticket(number))

    def _cancellation(self, sale: Accepted) -> Accepted:
        return unpack(self.event.accepted[sale.by])

    def _ticket(self, number: int) -> str:
        return ticket_name(self.event.event_id, number)

    def _name(self, number: int, purchase: str) -> str:
        return document_name(self.event.event_id, self._ticket(number), purchase)


class _Problems:
    """What is wrong: of each kind how many there are, and the first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def add(self, noun: str, kind: str, which: str) -> None:
        """One more of a kind."""
        self._counts[noun, kind] += 1
        self._first.setdefault((noun, kind), which)

    @property
    def sentences(self) -> list[str]:
        """A sentence for each kind."""
        return [
            f"{number_of(count, noun)} {kind}, the first {self._first[noun, kind]}."
            for (noun, kind), count in self._counts.items()
        ]


def _numbers(sale: Accepted) -> Iterator[int]:
    for first, last in sale.runs:
        yield from range(first, last + 1)


def _holds(sale: Accepted, number: int) -> bool:
    return any(first <= number <= last for first, last in sale.runs)


def _at(numbers: array[int], number: int) -> int:
    return numbers[number] if number < len(numbers) else 0


def _make_room(numbers: array[int], number: int) -> None:
    if number >= len(numbers):
        numbers.frombytes(bytes(numbers.itemsize * (number + 1 - len(numbers))))
