"""What people ask about documents: how far they are, and where a ticket's is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from boxoffice.documents.errors import NoDocumentError, WrongTicketError
from boxoffice.documents.places import dealt_with_until
from boxoffice.documents.store import DocumentStore
from boxoffice.kafka.asking import ledger_records
from boxoffice.kafka.clients import read_all, reader, topic_partitions
from boxoffice.kafka.side_records import read_marks
from boxoffice.kafka.topics import check_topics, partitions_of
from boxoffice.settings import KafkaSettings
from models.documents import name_stem, purchase_in
from models.tickets import event_of, is_ticket_name
from topics import dead_letters, purchase_results

_POLL_INTERVAL_S: Final = 0.2


@dataclass(frozen=True)
class DocumentsStatus:
    """How far the documents are.

    ``made`` lie in the store, ``size_bytes`` is their size; ``waiting`` are facts that are not dealt with,
    ``failed`` tickets that could not be drawn and are on ``dead-letters``.
    """

    made: int
    size_bytes: int
    waiting: int
    failed: int


async def documents_status(settings: KafkaSettings, store: DocumentStore) -> DocumentsStatus:
    """How far the documents are now.

    Raises:
        UnreachableError: no broker answered.
        StoreError: the store cannot be read.
        TopicsError: the topics cannot be used.
    """
    partitions = await check_topics(settings)
    waiting = await _waiting(settings, partitions)
    failed = await _failed(settings)
    made = size_bytes = 0
    async for some in store.documents():
        made += len(some)
        size_bytes += sum(document.size_bytes for document in some)
    return DocumentsStatus(made, size_bytes, waiting, failed)


async def _waiting(settings: KafkaSettings, partitions: int) -> int:
    """Facts behind what was dealt with."""
    ledger = topic_partitions(purchase_results.TOPIC.full_name(settings.topic_prefix), partitions)
    until = await dealt_with_until(settings, range(partitions))
    async with reader(settings, ledger) as consumer:
        begins, ends = await consumer.beginning_offsets(ledger), await consumer.end_offsets(ledger)
    return sum(max(ends[tp] - max(until[tp.partition], begins[tp]), 0) for tp in ledger)


async def _failed(settings: KafkaSettings) -> int:
    """Tickets among the dead letters; one that was given up again after a crash counts once."""
    letters = await partitions_of(settings, dead_letters.TOPIC)
    failed: set[tuple[int, int, str]] = set()
    async with reader(settings, letters) as consumer:
        async for records in read_all(consumer, letters):
            for record in records:
                _, marks = read_marks(record.headers)
                if marks is not None and marks.ticket is not None:
                    failed.add((marks.partition, marks.offset, marks.ticket))
    return len(failed)


async def document_of(settings: KafkaSettings, store: DocumentStore, ticket: str, wait_s: float = 0.0) -> bytes:
    """The document that a ticket has now, or within ``wait_s``.

    Raises:
        WrongTicketError: no ticket has such a name.
        NoDocumentError: it has none.
        StoreError: the store cannot be read.
        UnreachableError: several were found, and no broker answered.
    """
    if not is_ticket_name(ticket):
        raise WrongTicketError(ticket)
    deadline_s = monotonic() + wait_s
    while (pdf := await _find(settings, store, ticket)) is None:
        if monotonic() >= deadline_s:
            raise NoDocumentError(ticket)
        await asyncio.sleep(_POLL_INTERVAL_S)
    return pdf


async def _find(settings: KafkaSettings, store: DocumentStore, ticket: str) -> bytes | None:
    event_id = event_of(ticket)
    names = [document.name for document in await store.beginning_with(name_stem(event_id, ticket))]
    if len(names) > 1:
        # It was sold again a moment ago, and the old buyer's is not removed yet.
        holder = await _holder(settings, event_id, ticket)
        names = [name for name in names if purchase_in(name) == holder]
    return await store.read(names[0]) if names else None


async def _holder(settings: KafkaSettings, event_id: str, ticket: str) -> str | None:
    """The purchase that has the ticket by the ledger; None if it is on sale."""
    holder: str | None = None
    seq = 0
    async for found in ledger_records(settings, event_id=event_id, from_beginning=True, follow=False):
        fact = found.fact
        if fact["seq"] != seq + 1:
            continue
        seq += 1
        if fact["type"] == "purchase_confirmed" and ticket in fact["tickets"]:
            holder = fact["request_id"]
        elif fact["type"] == "purchase_cancelled" and ticket in fact["tickets"]:
            holder = None
    return holder
