"""Drawing again: the tickets of events that were changed, beside the sales and at a rate.

A change counts as dealt with as soon as its renewal is kept (:mod:`models.renewals`), so that an event of a million
tickets holds nothing up. Whose tickets these are is read from the ledger, twice: once for an array of which sale each
ticket is held by, and once for the sales themselves, in order, from where the renewal was kept last. What is cancelled
meanwhile is taken out of the array as its fact is taken; what waits already is done before the cancellation, as all
that concerns one ticket is done in order.

An event that is changed again is renewed anew: what the change before has not come to is drawn for the newer one.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faust.types import TP
from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from boxoffice import metrics
from boxoffice.documents.places import Places
from boxoffice.documents.queue import Order
from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks
from models.facts import UnreadableFactError, read_fact
from models.renewals import Renewal, key_of
from models.shapes import EventChanged, Fact, PurchaseCancelled
from models.tickets import are_tickets_of, ticket_number

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
"""Events whose tickets are drawn again at the same time; others wait, or the ledger would be read for all at once."""
OPEN: Final = 32
"""Tickets of an event that wait or are being drawn again: a sale of it waits behind no more than these."""

_RETRY_S: Final = 1.0

Record = ConsumerRecord[bytes, bytes]


class Holders:
    """By the numbers of an event's tickets the seq of the fact that made each its buyer's; 0 where it is nobody's."""

    def __init__(self, event_id: str) -> None:
        self._event_id = event_id
        self._seqs = array("q")
        self._seq = 0
        self._gone: set[int] = set()

    def between(self, after_seq: int, before_seq: int) -> int:
        """How many tickets are held by facts between two of the event's."""
        return sum(after_seq < seq < before_seq for seq in self._seqs)

    def begin_anew(self) -> None:
        """Forget what was read; what is given back stays so."""
        self._seqs = array("q")
        self._seq = 0

    def read(self, fact: Fact) -> None:
        """Take what the ledger holds of the event: facts in order, repeats are passed over."""
        if fact["seq"] != self._seq + 1:
            return
        self._seq += 1
        if fact["type"] == "purchase_confirmed":
            self._put(fact["tickets"], fact["seq"])
        elif fact["type"] == "purchase_cancelled":
            self._put(fact["tickets"], 0)

    def cancel(self, tickets: Iterable[str]) -> None:
        """Tickets were given back after all that is read, or will be."""
        self._gone.update(map(ticket_number, tickets))

    def held(self, tickets: Iterable[str], seq: int) -> list[str]:
        """Those of some tickets that are held by the fact ``seq`` still."""
        return [ticket for ticket in tickets if self._holds(ticket_number(ticket), seq)]

    def _holds(self, number: int, seq: int) -> bool:
        return number < len(self._seqs) and self._seqs[number] == seq and number not in self._gone

    def _put(self, tickets: Sequence[str], seq: int) -> None:
        if not are_tickets_of(self._event_id, tickets):
            return  # It would make room for whatever number stands there.
        for number in map(ticket_number, tickets):
            if number >= len(self._seqs):
                self._seqs.frombytes(bytes(self._seqs.itemsize * (number + 1 - len(self._seqs))))
            self._seqs[number] = seq


class EventRenewal:
    """One event whose tickets are drawn again; all facts before ``known_until`` of the ledger were taken before.

    It is a number of orders, in the order of the ledger; ``kept`` is how far it is once all before that are done.
    """

    def __init__(self, tp: TP, kept: Renewal, known_until: int) -> None:
        self.tp = tp
        self.known_until = known_until
        self.holders = Holders(kept.event_id)
        self.left = 0
        self.record: Record | None = None
        """The ledger's, of the change, once it was read."""
        self._change: EventChanged | None = None
        self._done_until_seq = 0
        self._kept = kept
        self._read_until = kept.next_offset
        self._orders: deque[Order] = deque()
        self._open = 0
        self._moved = asyncio.Event()

    @property
    def event_id(self) -> str:
        """The event."""
        return self._kept.event_id

    @property
    def change(self) -> EventChanged:
        """The fact that it follows from, once the ledger was read."""
        assert self._change is not None, "whoever draws again has read why"
        return self._change

    @property
    def kept(self) -> Renewal:
        """How far it is."""
        until = self._orders[0].record.offset if self._orders else self._read_until
        return Renewal(self._kept.event_id, self._kept.seq, self._kept.offset, until)

    def read(self, record: Record) -> None:
        """Take a record of the ledger that is about the event."""
        fact = _fact(record)
        if fact is None or fact["event_id"] != self.event_id:
            return
        self.holders.read(fact)
        if record.offset < self._read_until:
            self._done_until_seq = fact["seq"]
        if record.offset == self._kept.offset and fact["type"] == "event_changed" and fact["seq"] == self._kept.seq:
            self._change, self.record = fact, record

    def count(self) -> bool:
        """Count what is left, once the ledger was read; returns whether it has the change: it may be another ledger."""
        self.left = self.holders.between(self._done_until_seq, self._kept.seq)
        return self._change is not None

    def order(self, record: Record) -> Order | None:
        """What is to be done about a sale of the event."""
        self._read_until = record.offset
        fact = _fact(record)
        if fact is None or fact["type"] != "purchase_confirmed" or fact["event_id"] != self.event_id:
            return None
        if not are_tickets_of(self.event_id, fact["tickets"]):
            return None
        tickets = self.holders.held(fact["tickets"], fact["seq"])
        return Order(fact, record, self, tickets) if tickets else None

    async def put(self, order: Order) -> None:
        """Note that an order is to be done, as soon as few enough tickets are open."""
        while self._open and self._open + len(order.subjects) > OPEN:
            await self._moves()
        self._open += len(order.subjects)
        self._orders.append(order)

    def did(self, order: Order) -> None:
        """One more ticket of an order is done."""
        order.done += 1
        self._open -= 1
        self.left -= 1
        metrics.DOCUMENTS_RENEWED.inc()
        while self._orders and self._orders[0].is_done:
            self._orders.popleft()
        self._moved.set()

    async def finish(self) -> None:
        """All orders were noted: wait until they are done."""
        while self._orders:
            await self._moves()
        self._read_until = self._kept.offset

    async def _moves(self) -> None:
        self._moved.clear()
        await self._moved.wait()


class Pace:
    """Lets so many a second go on, one after the other."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._next_s = 0.0

    async def wait(self, count: int) -> None:
        """Wait for the turn of so many."""
        now_s = monotonic()
        turn_s, self._next_s = self._next_s, max(self._next_s, now_s) + count / self._per_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)


class Renewing:
    """The renewals of the partitions that this worker owns; ``add`` takes the orders that follow."""

    def __init__(
        self,
        kafka: KafkaSettings,
        places: Places,
        per_s: float,
        add: Callable[[Order], None],
        ending_on_failure: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._kafka = kafka
        self._places = places
        self._pace = Pace(per_s)
        self._add = add
        self._ending_on_failure = ending_on_failure
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._renewals: dict[str, EventRenewal] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._kept: dict[bytes, Renewal] = {}

    @property
    def left(self) -> int:
        """Tickets that are to be drawn again, as far as they were counted."""
        return sum(renewal.left for renewal in self._renewals.values())

    async def begin(self, tp: TP, kept: Iterable[Renewal], known_until: int) -> None:
        """Go on with what was kept of a partition, all of whose facts before ``known_until`` were taken.

        A change that was not dealt with is taken again, and begins anew then.
        """
        newest: dict[str, Renewal] = {}
        old: list[Renewal] = []
        for renewal in sorted((one for one in kept if one.offset < known_until), key=lambda one: one.seq):
            if renewal.event_id in newest:
                old.append(newest[renewal.event_id])
            newest[renewal.event_id] = renewal
        await self._places.keep_renewals(tp.partition, (), done=old)
        for renewal in newest.values():
            self._start(EventRenewal(tp, renewal, known_until))

    async def note(self, tp: TP, renewal: Renewal, known_until: Callable[[], int]) -> None:
        """Keep a renewal of an event that was changed, and begin with it; one for a change before is over."""
        await self._places.keep_renewals(tp.partition, [renewal])
        before = self._renewals.get(renewal.event_id)
        if before is not None and before.kept.seq > renewal.seq:
            await self._places.keep_renewals(tp.partition, (), done=[renewal])
            return
        if before is not None:
            await end_tasks([self._tasks[renewal.event_id]])
            if before.kept.seq < renewal.seq:
                await self._places.keep_renewals(tp.partition, (), done=[before.kept])
        # What is taken from here on is told, and not before.
        self._start(EventRenewal(tp, renewal, known_until()))

    def saw(self, cancellation: PurchaseCancelled) -> None:
        """Tickets were given back: they are not drawn again."""
        renewal = self._renewals.get(cancellation["event_id"])
        if renewal is not None:
            renewal.holders.cancel(cancellation["tickets"])

    async def keep(self) -> None:
        """Keep how far renewals are that have moved.

        Raises:
            PublishError: it was not acknowledged.
        """
        for renewal in list(self._renewals.values()):
            kept = renewal.kept
            if self._kept.get(key_of(kept)) != kept:
                await self._places.keep_renewals(renewal.tp.partition, [kept])
                if self._renewals.get(renewal.event_id) is renewal:
                    self._kept[key_of(kept)] = kept

    async def stop(self) -> None:
        """Put in no more orders; how far it is can be kept still."""
        await end_tasks(list(self._tasks.values()))

    async def let_go(self) -> None:
        """Drop everything: whoever has the partitions next goes on where it was kept."""
        await self.stop()
        for kept in (self._tasks, self._renewals, self._kept):
            kept.clear()

    def _start(self, renewal: EventRenewal) -> None:
        self._renewals[renewal.event_id] = renewal
        self._kept[key_of(renewal.kept)] = renewal.kept
        self._tasks[renewal.event_id] = asyncio.create_task(self._renew(renewal))

    async def _renew(self, renewal: EventRenewal) -> None:
        with self._ending_on_failure():
            async with self._turns:
                await AsyncRetrying(wait=wait_fixed(_RETRY_S), retry=retry_if_exception_type(UnreachableError))(
                    self._draw_again, renewal
                )
            await self._forget(renewal)

    async def _draw_again(self, renewal: EventRenewal) -> None:
        partition = TopicPartition(*renewal.tp)
        async with reader(self._kafka, [partition]) as consumer:
            renewal.holders.begin_anew()
            begin = (await consumer.beginning_offsets([partition]))[partition]
            async for record in _about(consumer, partition, renewal, begin, renewal.known_until):
                renewal.read(record)
            kept = renewal.kept
            if not renewal.count():
                log.warning("no renewal: the ledger has no such change", event_id=kept.event_id, seq=kept.seq)
                return
            log.info("drawing tickets again", event_id=kept.event_id, seq=kept.seq, tickets=renewal.left)
            start = max(begin, kept.next_offset)
            async for record in _about(consumer, partition, renewal, start, kept.offset):
                order = renewal.order(record)
                if order is not None:
                    await self._pace.wait(len(order.subjects))
                    await renewal.put(order)
                    self._add(order)
        await renewal.finish()
        log.info("drew tickets again", event_id=renewal.event_id, seq=renewal.kept.seq)

    async def _forget(self, renewal: EventRenewal) -> None:
        await self._places.keep_renewals(renewal.tp.partition, (), done=[renewal.kept])
        self._kept.pop(key_of(renewal.kept), None)
        del self._renewals[renewal.event_id], self._tasks[renewal.event_id]


async def _about(
    consumer: AIOKafkaConsumer, partition: TopicPartition, renewal: EventRenewal, first: int, end: int
) -> AsyncIterator[Record]:
    """The records about the event between two offsets."""
    key = renewal.event_id.encode()
    async for records in read_between(consumer, partition, first, end, tell_passed_over(partition.partition)):
        for record in records:
            if record.key == key:
                yield record
        # A long ledger lets others have their turn.
        await asyncio.sleep(0)


def _fact(record: Record) -> Fact | None:
    with suppress(UnreadableFactError):
        return read_fact(record.value)
    return None
