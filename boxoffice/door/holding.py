"""Holding: whether a ticket is still its buyer's, by the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from aiokafka import TopicPartition

from boxoffice.door.errors import CancelledTicketError, LedgerTooLongError, NeverSoldError, SoldAgainError
from boxoffice.errors import NewerReleaseError
from boxoffice.kafka.clients import header, home_partition, read_between, reader
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from models.accepted import Accepted, Kind, unpack
from models.codes import Claim
from models.event import Event
from models.facts import at_text
from models.ledger import Ledger
from topics import purchase_results
from topics.purchase_results import READ_HEADER


class Held(NamedTuple):
    """The sale that a ticket is held by: the purchase's request id, and when it was."""

    purchase: str
    at: str


class Holdings:
    """Who holds which ticket: reads an event's partition of the ledger when it is asked, and then what follows."""

    def __init__(self, settings: KafkaSettings, timeout_s: float) -> None:
        self._topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._settings = settings
        self._timeout_s = timeout_s
        self._partitions = 0
        self._read: dict[int, tuple[Ledger, int]] = {}

    async def held(self, claim: Claim) -> Held:
        """The sale that a code speaks of, if the ticket is held by it still.

        Raises:
            BadCodeError: there was no such sale, or it was cancelled.
            LedgerTooLongError: the ledger is too long for the time.
            NewerReleaseError: a newer release wrote there.
            UnreachableError: no broker answered.
            TopicsError: the topics cannot be used.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                event = await self._event(claim.event_id)
        except TimeoutError:
            raise LedgerTooLongError(self._timeout_s) from None
        return judge(event, claim)

    async def _event(self, event_id: str) -> Event | None:
        self._partitions = self._partitions or await check_topics(self._settings)
        number = home_partition(event_id, self._partitions)
        partition = TopicPartition(self._topic, number)
        async with reader(self._settings, [partition]) as consumer:
            if number not in self._read:
                self._read[number] = Ledger(number), (await consumer.beginning_offsets([partition]))[partition]
            ledger, start = self._read[number]
            end = (await consumer.end_offsets([partition]))[partition]
            async for records in read_between(consumer, partition, start, end, lambda *_: None):
                for record in records:
                    ledger.read(record.value, header(record.headers, READ_HEADER))
                self._read[number] = ledger, records[-1].offset + 1
        if ledger.newer is not None:
            raise NewerReleaseError(self._topic, number, ledger.newer)
        return ledger.inventory.events.get(event_id)


def judge(event: Event | None, claim: Claim) -> Held:
    """The sale that a claim speaks of, if the ticket is held by it still.

    Raises:
        BadCodeError: there was no such sale, or it was cancelled.
    """
    if event is None:
        raise NeverSoldError(claim, 0)
    sales = {sale.seq: (purchase, sale) for purchase, sale in _sales(event, claim.number)}
    if claim.seq not in sales:
        raise NeverSoldError(claim, event.seq)
    purchase, sale = sales[claim.seq]
    if not sale.cancelled_by:
        return Held(purchase, at_text(sale.at_ms))
    cancelled_seq = unpack(event.accepted[sale.cancelled_by]).seq
    held_seq = next((seq for seq, (_, other) in sales.items() if not other.cancelled_by), None)
    if held_seq is not None:
        raise SoldAgainError(claim, cancelled_seq, held_seq)
    raise CancelledTicketError(claim, cancelled_seq)


def _sales(event: Event, number: int) -> Iterator[tuple[str, Accepted]]:
    """Every sale of a ticket, cancelled or not, with its purchase."""
    for purchase, packed in event.accepted.items():
        accepted = unpack(packed)
        if accepted.kind is Kind.PURCHASE and any(first <= number <= last for first, last in accepted.runs):
            yield purchase, accepted
