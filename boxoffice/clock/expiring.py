"""The clock at work: fold the ledger, ask about holds that are due, keep the place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from itertools import chain
from time import monotonic, time
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP
from pydantic_core import to_json

from boxoffice import metrics
from boxoffice.batching import Batch, BatchConsumer, BatchProducer, Outgoing, Run
from boxoffice.clock.holds import Holds, Question
from boxoffice.clock.pace import Pace
from boxoffice.clock.places import begin
from boxoffice.clock.sending import Sender
from boxoffice.errors import LedgerError, UnreachableError
from boxoffice.kafka.clients import header, read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.settings import ClockSettings, KafkaSettings
from boxoffice.tasks import end_tasks
from models.clock_places import ClockPlace, row_of
from topics import clock_places, purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S: Final = 0.05
MEASURE_INTERVAL_S: Final = 1.0
KEEP_INTERVAL_S: Final = 2.0
"""How often it is looked whether a place has moved: so long ago is what a start has to read at least."""
RECORDS_AT_ONCE: Final = 2_000
"""Folded before others get their turn."""
_AGAIN_S: Final = 1.0
_FINISH_S: Final = 4.0


class Expiring:
    """Asks about the holds of the partitions that this process owns."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ClockSettings,
        producer: BatchProducer,
        ending_on_failure: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._sender = Sender(producer, kafka.publish_timeout_ms / 1000)
        self._ending_on_failure = ending_on_failure
        self._ledger = purchase_results.TOPIC.full_name(kafka.topic_prefix)
        self._requests = purchase_requests.TOPIC.full_name(kafka.topic_prefix)
        self._places = clock_places.TOPIC.full_name(kafka.topic_prefix)
        self._pace = Pace(settings.rate, monotonic())
        self._late = metrics.Gathered(metrics.CLOCK_LATE)
        self._consumer: BatchConsumer | None = None
        self._owned: dict[int, Holds] = {}
        self._turns: deque[int] = deque()
        """The partitions, the one that asks first next at the front."""
        self._reading: dict[int, int] = {}
        """Partitions that are read up to where they ended when they were taken over, and that end."""
        self._kept: dict[int, ClockPlace] = {}
        self._asking: set[int] = set()
        self._keeping: set[int] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    def details(self) -> dict[str, Any]:
        """What there is to know of its health."""
        return {
            "clock": {
                "holds": sum(map(len, self._owned.values())),
                "unanswered": sum(holds.unanswered for holds in self._owned.values()),
            },
            "partitions": {"ready": sorted(self._owned.keys() - self._reading.keys())},
        }

    # Taking over

    async def take_over(self, consumer: BatchConsumer) -> None:
        """Go on with the assigned partitions; of those that are new where their places say.

        Runs while nothing is delivered.
        """
        self._consumer = consumer
        numbers = sorted(tp.partition for tp in consumer.assignment() if tp.topic == self._ledger)
        begun = await self._begin([number for number in numbers if number not in self._owned])
        self._owned = {number: begun[number][0] if number in begun else self._owned[number] for number in numbers}
        self._reading = {number: end for number, end in self._reading.items() if number in self._owned}
        self._reading |= {number: end for number, (_, end) in begun.items()}
        self._turns = deque(numbers)
        for number, holds in self._owned.items():
            consumer.start_at(TP(self._ledger, number), holds.next_offset)
            if holds.newer_at is not None:
                consumer.withhold(TP(self._ledger, number))
        if not self._loops:
            self._loops = [asyncio.create_task(loop) for loop in (self._look(), self._keep(), self._tell())]
        log.info("partitions ready", partitions=numbers)

    async def _begin(self, numbers: list[int]) -> dict[int, tuple[Holds, int]]:
        while True:
            try:
                return await begin(self._kafka, numbers)
            except (UnreachableError, KafkaError) as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                log.warning("cannot see where to begin yet", error=str(error) or type(error).__name__, seldom=True)
                await asyncio.sleep(_AGAIN_S)

    # Folding

    async def fold(self, batch: Batch) -> None:
        """Take a batch of the ledger."""
        for run in batch.runs:
            holds = self._owned.get(run.tp.partition)
            if holds is not None and holds.newer_at is None:
                await self._fold_run(holds, run)
        batch.ack()
        self._ask()

    async def _fold_run(self, holds: Holds, run: Run) -> None:
        """Fold a run, or what the ledger has in its place where it leaves something out.

        Raises:
            LedgerError: the ledger lost its tail.
        """
        if run.first < holds.next_offset:
            raise LedgerError(f"{run.tp.topic} partition {run.tp.partition} lost its tail: it goes on at {run.first}.")
        if run.first == holds.next_offset and not run.has_gaps:
            await self._take(holds, run.records)
        else:
            await self._read(holds, run.next)
        if holds.newer_at is None:
            holds.next_offset = run.next

    async def _read(self, holds: Holds, end: int) -> None:
        tp = TopicPartition(self._ledger, holds.partition)
        async with reader(self._kafka, [tp]) as consumer:
            passed_over = tell_passed_over(tp.partition)
            async for records in read_between(consumer, tp, holds.next_offset, end, passed_over):
                await self._take(holds, records)

    async def _take(self, holds: Holds, records: list[ConsumerRecord[bytes, bytes]]) -> None:
        damaged, passed_ms = holds.damaged, _passed_ms()
        for at in range(0, len(records), RECORDS_AT_ONCE):
            for record in records[at : at + RECORDS_AT_ONCE]:
                holds.take(record.offset, record.value, header(record.headers, READ_HEADER), passed_ms)
            await asyncio.sleep(0)
        if holds.damaged > damaged:
            metrics.STRANGE_RECORDS.labels(purchase_results.TOPIC.name).inc(holds.damaged - damaged)
            log.warning(
                "passed over damaged ledger records", partition=holds.partition, records=holds.damaged - damaged
            )
        if holds.newer_at is not None:
            log.error("a newer release's fact: no hold ends from there on", partition=holds.partition)
            assert self._consumer is not None
            self._consumer.withhold(TP(self._ledger, holds.partition))
        self._count(holds)

    def _count(self, holds: Holds) -> None:
        for answer, count in holds.answers.items():
            metrics.CLOCK_ANSWERS.labels(answer).inc(count)
        for late_ms in holds.late_ms:
            self._late.observe(max(0, late_ms) / 1000)
        holds.answers.clear()
        holds.late_ms.clear()

    # Asking

    async def _look(self) -> None:
        with self._ending_on_failure():
            while True:
                await asyncio.sleep(LOOK_INTERVAL_S)
                self._see_what_was_read()
                self._ask()

    def _see_what_was_read(self) -> None:
        """What ended before it was taken over was read by now: who asked earlier would ask in vain."""
        if self._reading and self._consumer is not None:
            positions = self._consumer.positions()
            for number, end in list(self._reading.items()):
                at, _ = positions.get(TP(self._ledger, number), (-1, -1))
                if at >= end:
                    del self._reading[number]

    def _ask(self) -> None:
        """Ask as much as may be asked now, of each partition in its turn."""
        now_ms, passed_ms = _now_ms() - self._settings.margin_ms, _passed_ms()
        for number in list(self._turns):
            if number in self._asking or number in self._reading:
                continue
            holds = self._owned[number]
            most = min(self._pace.room(monotonic()), self._settings.most_unanswered - holds.unanswered)
            questions = holds.due(now_ms, passed_ms, most) if most > 0 else []
            if questions:
                self._pace.take(len(questions))
                self._asking.add(number)
                self._turns.remove(number)
                self._turns.append(number)
                self._start(self._publish(holds, questions))

    async def _publish(self, holds: Holds, questions: list[Question]) -> None:
        try:
            landed = await self._sender.send(self._requests, holds.partition, [record_of(one) for one in questions])
        finally:
            self._asking.discard(holds.partition)
        offsets = chain.from_iterable(range(base, base + count) for base, count in landed)
        for question, offset in zip(questions, offsets, strict=True):
            holds.landed(question, offset)
        metrics.CLOCK_ASKED.inc(len(questions))
        self._ask()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._ended_by_failure(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ended_by_failure(self, work: Coroutine[Any, Any, None]) -> None:
        with self._ending_on_failure():
            await work

    # Telling, keeping the place, and ending

    async def _tell(self) -> None:
        with self._ending_on_failure():
            while True:
                await asyncio.sleep(MEASURE_INTERVAL_S)
                now_ms = _now_ms()
                due_ms = [due_ms for holds in self._owned.values() if (due_ms := holds.first_due_ms) is not None]
                metrics.CLOCK_OVERDUE.set(max(0, now_ms - min(due_ms, default=now_ms)) / 1000)
                metrics.CLOCK_HOLDS.set(sum(map(len, self._owned.values())))
                self._late.tell()

    async def _keep(self) -> None:
        with self._ending_on_failure():
            while True:
                await asyncio.sleep(KEEP_INTERVAL_S)
                for number, holds in self._owned.items():
                    place = holds.place()
                    if place is None or number in self._keeping or number in self._reading:
                        continue
                    if place != self._kept.get(number):
                        self._keeping.add(number)
                        self._start(self._keep_place(place))

    async def _keep_place(self, place: ClockPlace) -> None:
        try:
            await self._sender.send(self._places, place.partition, [(*row_of(place), [])])
            self._kept[place.partition] = place
        finally:
            self._keeping.discard(place.partition)

    async def stop(self) -> None:
        """Ask no more, and see what is on its way acknowledged if that is soon: it may be asked twice."""
        await end_tasks(self._loops)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_FINISH_S)
        await end_tasks(list(self._under_way))


def record_of(question: Question) -> Outgoing:
    """The record of a question. It names no actor: whoever asks the same makes the same command."""
    request_id, event_id, purchase = question
    command = {"type": "expire_hold", "request_id": request_id, "event_id": event_id, "purchase": purchase}
    # A list: aiokafka's record batches take no other.
    return event_id.encode(), to_json(command), []


def _now_ms() -> int:
    return int(time() * 1000)


def _passed_ms() -> int:
    return int(monotonic() * 1000)
