"""What people ask about documents: how far they are, and where a ticket's is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from boxoffice.documents.errors import NoDocumentError, WrongTicketError
from boxoffice.documents.flaws import find_flawed
from boxoffice.documents.places import dealt_with_until, read_places
from boxoffice.errors import UnreachableError
from boxoffice.kafka.asking import LedgerRecord, ledger_records
from boxoffice.kafka.clients import read_all, reader, topic_partitions
from boxoffice.kafka.side_records import read_marks
from boxoffice.kafka.topics import check_topics, describe_topics, partitions_of
from boxoffice.settings import KafkaSettings
from boxoffice.storage.errors import NoStoreError
from boxoffice.storage.store import DocumentStore
from models.documents import name_stem, page_in, purchase_in
from models.facts import purchase_of
from models.renewals import Renewal
from models.shapes import Fact
from models.tickets import event_of, is_ticket_name
from topics import dead_letters, documents_places, purchase_results

_POLL_INTERVAL_S: Final = 0.2


@dataclass(frozen=True)
class DocumentsStatus:
    """How far the documents are.

    ``made`` lie in the ``store``, ``size_bytes`` is their size; on ``flawed`` something cannot be read as it was
    written, as far back as announcements are kept; ``waiting`` are facts that are not dealt with, ``renewing``
    changed events whose tickets are not all drawn again, ``failed`` tickets that could not be drawn and are on
    ``dead-letters``.
    """

    store: str
    made: int
    size_bytes: int
    flawed: int
    waiting: int
    renewing: int
    failed: int


async def documents_status(settings: KafkaSettings, store: DocumentStore) -> DocumentsStatus:
    """How far the documents are now.

    Raises:
        UnreachableError: no broker answered.
        StoreError: the store cannot be read.
        TopicsError: the topics cannot be used.
    """
    waiting, renewing = await facts_waiting(settings), len(await renewals_under_way(settings))
    failed = len(await _given_up(settings))
    flawed = len(await find_flawed(settings))
    made = size_bytes = 0
    try:
        async for some in store.documents():
            made += len(some)
            size_bytes += sum(document.size_bytes for document in some)
    except NoStoreError:
        # Where no documents process has begun, there need be none.
        if any((await dealt_with_until(settings, range(await check_topics(settings)))).values()):
            raise
    return DocumentsStatus(store.place, made, size_bytes, flawed, waiting, renewing, failed)


async def renewals_under_way(settings: KafkaSettings) -> list[Renewal]:
    """The changed events whose tickets are drawn again, and are not all yet.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topics cannot be used.
    """
    [report] = await describe_topics(settings, [documents_places.TOPIC])
    if report.existing is None:
        return []  # Of an earlier release, which draws nothing again.
    found = await read_places(settings, range(report.existing.partitions))
    return [renewal for place in found.values() for renewal in place.renewals]


async def facts_waiting(settings: KafkaSettings) -> int:
    """How many facts lie behind what was dealt with.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topics cannot be used.
    """
    partitions = await check_topics(settings)
    ledger = topic_partitions(purchase_results.TOPIC.full_name(settings.topic_prefix), partitions)
    until = await dealt_with_until(settings, range(partitions))
    async with reader(settings, ledger) as consumer:
        begins, ends = await consumer.beginning_offsets(ledger), await consumer.end_offsets(ledger)
    return sum(max(ends[tp] - max(until[tp.partition], begins[tp]), 0) for tp in ledger)


async def _given_up(settings: KafkaSettings) -> set[tuple[int, int, str]]:
    """Tickets among the dead letters, each with its sale; one that was given up again after a crash counts once."""
    letters = await partitions_of(settings, dead_letters.TOPIC)
    failed: set[tuple[int, int, str]] = set()
    async with reader(settings, letters) as consumer:
        async for records in read_all(consumer, letters):
            for record in records:
                _, marks = read_marks(record.headers)
                if marks is not None and marks.ticket is not None:
                    failed.add((marks.partition, marks.offset, marks.ticket))
    return failed


async def document_of(settings: KafkaSettings, store: DocumentStore, ticket: str, wait_s: float = 0.0) -> bytes:
    """The document that a ticket has now, or within ``wait_s``.

    Raises:
        WrongTicketError: no ticket has such a name.
        NoDocumentError: it has none; the ledger says why.
        StoreError: the store cannot be read.
        UnreachableError: the ledger has to be asked, and no broker answered.
    """
    if not is_ticket_name(ticket):
        raise WrongTicketError(ticket)
    deadline_s = monotonic() + wait_s
    while (pdf := await _find(settings, store, ticket)) is None:
        if monotonic() >= deadline_s:
            raise NoDocumentError(ticket, await _why_none(settings, store, ticket))
        await asyncio.sleep(_POLL_INTERVAL_S)
    return pdf


async def _find(settings: KafkaSettings, store: DocumentStore, ticket: str) -> bytes | None:
    try:
        found = await store.beginning_with(name_stem(event_of(ticket), ticket))
    except NoStoreError:
        # Perhaps nothing was ever to be drawn: the ledger knows.
        return None
    names = [document.name for document in found]
    if len({purchase_in(name) for name in names}) > 1:
        # It was sold again a moment ago, and the old buyer's is not removed yet.
        last = await _last_fact(settings, ticket)
        holder = purchase_of(last.fact) if last is not None and last.fact["type"] == "purchase_confirmed" else None
        names = [name for name in names if purchase_in(name) == holder]
    # One that was drawn again lies beside the older one for a moment.
    return await store.read(max(names, key=page_in)) if names else None


async def _last_fact(settings: KafkaSettings, ticket: str) -> LedgerRecord | None:
    """The last fact that says whose a ticket is, or for whom it is held."""
    last: LedgerRecord | None = None
    seq = 0
    async for found in ledger_records(settings, event_id=event_of(ticket), from_beginning=True, follow=False):
        fact = found.fact
        if fact["seq"] != seq + 1:
            continue
        seq += 1
        if ticket in _tickets_in(fact):
            last = found
    return last


def _tickets_in(fact: Fact) -> Sequence[str]:
    """The tickets that a fact says whose they are, or are no more."""
    match fact["type"]:
        case "purchase_confirmed" | "purchase_cancelled" | "purchase_held" | "hold_expired":
            return fact["tickets"]
    return ()


async def _why_none(settings: KafkaSettings, store: DocumentStore, ticket: str) -> str:
    """Why there is no document of a ticket in the store, as far as the ledger says it."""
    try:
        last = await _last_fact(settings, ticket)
        if last is None or last.fact["type"] == "hold_expired":
            return "it is not sold"
        if last.fact["type"] == "purchase_held":
            return f"it is held for purchase {last.fact['purchase']} until {last.fact['due']}, and not paid for yet"
        if last.fact["type"] == "purchase_cancelled":
            return f"it was given back with purchase {last.fact['purchase']}, and is not sold again"
        until = (await dealt_with_until(settings, [last.partition]))[last.partition]
        if until <= last.offset:
            return "it is sold, and not drawn yet; see how far they are with 'boxoffice documents status'"
        if (last.partition, last.offset, ticket) in await _given_up(settings):
            return "it is sold, and could not be drawn; 'boxoffice dead-letters list' says why"
    except UnreachableError as error:
        raise UnreachableError(f"There is no document of ticket {ticket} in {store.place}. {error}") from None
    return (
        f"it is sold and was drawn, but none lies in {store.place}. It was removed from there, or "
        "BOXOFFICE_DOCUMENTS_URL names another store here than where documents are made"
    )
