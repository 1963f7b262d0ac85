"""Holding: whether a ticket is still its buyer's, by the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

from boxoffice.door.errors import (
    CancelledTicketError,
    LedgerTooLongError,
    NeverSoldError,
    NotPaidError,
    SoldAgainError,
)
from boxoffice.errors import NewerReleaseError
from boxoffice.kafka.clients import header, home_partition, read_between, reader
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from models.accepted import Kind, unpack
from models.codes import Claim
from models.event import Event
from models.facts import at_text
from models.ledger import Ledger
from topics import purchase_results
from topics.purchase_results import READ_HEADER

_ARCHIVED: Final = b'"event_archived"'


class Held(NamedTuple):
    """The sale that a ticket is held by: the purchase's request id, and when it was paid for, or bought at once.

    Of an event that was archived the ledger says what it was.
    """

    purchase: str
    at: str
    is_archived: bool = False


@dataclass
class _Read:
    """A partition's ledger, read up to an offset; archived events as they were."""

    ledger: Ledger
    next_offset: int
    archived: dict[str, Event] = field(default_factory=dict)

    def take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Read the next record."""
        events, before = self.ledger.inventory.events, None
        if _ARCHIVED in (record.value or b""):
            before = events.get((record.key or b"").decode(errors="replace"))
        self.ledger.read(record.value, header(record.headers, READ_HEADER))
        if before is not None and before.event_id in self.ledger.inventory.archived:
            self.archived[before.event_id] = before


class Holdings:
    """Who holds which ticket: reads an event's partition of the ledger when it is asked, and then what follows."""

    def __init__(self, settings: KafkaSettings, timeout_s: float) -> None:
        self._topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._settings = settings
        self._timeout_s = timeout_s
        self._partitions = 0
        self._read: dict[int, _Read] = {}

    async def held(self, claim: Claim) -> Held:
        """The sale that a code speaks of, if the ticket is held by it still.

        Raises:
            BadCodeError: there was no such sale, or it was cancelled, or never paid for.
            LedgerTooLongError: the ledger is too long for the time.
            NewerReleaseError: a newer release wrote there.
            UnreachableError: no broker answered.
            TopicsError: the topics cannot be used.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                read = await self._read_on(claim.event_id)
        except TimeoutError:
            raise LedgerTooLongError(self._timeout_s) from None
        archived = read.archived.get(claim.event_id)
        held = judge(archived or read.ledger.inventory.events.get(claim.event_id), claim)
        return held._replace(is_archived=archived is not None)

    async def _read_on(self, event_id: str) -> _Read:
        self._partitions = self._partitions or await check_topics(self._settings)
        number = home_partition(event_id, self._partitions)
        partition = TopicPartition(self._topic, number)
        async with reader(self._settings, [partition]) as consumer:
            if number not in self._read:
                start = (await consumer.beginning_offsets([partition]))[partition]
                self._read[number] = _Read(Ledger(number), start)
            read = self._read[number]
            end = (await consumer.end_offsets([partition]))[partition]
            async for records in read_between(consumer, partition, read.next_offset, end, lambda *_: None):
                for record in records:
                    read.take(record)
                read.next_offset = records[-1].offset + 1
        if read.ledger.newer is not None:
            raise NewerReleaseError(self._topic, number, read.ledger.newer)
        return read


def judge(event: Event | None, claim: Claim) -> Held:
    """The sale that a claim speaks of, if the ticket is held by it still.

    Raises:
        BadCodeError: there was no such sale, or it was cancelled, or never paid for.
    """
    if event is None:
        raise NeverSoldError(claim, 0)
    said = _Said(event, claim.number)
    sale = next((sale for sale in said.sales if sale.seq == claim.seq), None)
    if sale is None:
        if claim.seq in said.holds:
            raise NotPaidError(claim)
        raise NeverSoldError(claim, event.seq)
    cancelled_seq = said.cancelled.get(sale.purchase)
    if cancelled_seq is None:
        return Held(sale.purchase, at_text(sale.at_ms))
    held_seq = next((other.seq for other in said.sales if other.purchase not in said.cancelled), None)
    if held_seq is not None:
        raise SoldAgainError(claim, cancelled_seq, held_seq)
    raise CancelledTicketError(claim, cancelled_seq)


class _Sale(NamedTuple):
    """What made a ticket a purchase's own."""

    purchase: str
    seq: int
    at_ms: int


class _Said:
    """What the ledger says of one ticket: its sales, the seqs of its holds, and what took it from purchases again.

    A purchase has a ticket once: who gave it back, or was late and got it again, has it by another fact. Of a purchase
    that was given back in part the record has the tickets that are left; those that went stand in the cancellation's.
    """

    def __init__(self, event: Event, number: int) -> None:
        self.sales: list[_Sale] = []
        self.holds: set[int] = set()
        self.cancelled: dict[str, int] = {}
        gone = set()
        purchases = []
        for request_id, packed in event.accepted.items():
            accepted = unpack(packed)
            has_it = any(first <= number <= last for first, last in accepted.runs)
            if accepted.kind is Kind.PURCHASE:
                purchases.append((request_id, accepted, has_it))
            elif has_it and accepted.kind is Kind.CONFIRMATION:
                self.sales.append(_Sale(accepted.purchase, accepted.seq, accepted.at_ms))
            elif has_it and accepted.kind is Kind.CANCELLATION:
                gone.add(accepted.purchase)
                if not accepted.flag:
                    self.cancelled[accepted.purchase] = accepted.seq
            elif has_it and accepted.kind is Kind.EXPIRY:
                gone.add(accepted.purchase)
        for purchase, accepted, has_it in purchases:
            if not has_it and purchase not in gone:
                continue
            if accepted.due_ms:
                self.holds.add(accepted.seq)
            else:
                self.sales.append(_Sale(purchase, accepted.seq, accepted.at_ms))
