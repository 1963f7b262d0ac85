"""The statistics process at work: take partitions over, count batches of facts, write their rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from boxoffice import metrics
from boxoffice.batching import Batch, BatchConsumer, Run
from boxoffice.errors import PublishError
from boxoffice.kafka.clients import header, read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.publishing import Publisher
from boxoffice.statistics.table import Recovered, Rows, StatisticsTable, rows_of
from models.ledger import Ledger, Taken
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from topics import purchase_results
from topics.purchase_results import READ_HEADER

log = structlog.get_logger(__name__)

RECORDS_AT_ONCE: Final = 2_000
"""Folded before others get their turn."""


class Counting:
    """Folds the ledger partitions that this worker owns."""

    def __init__(self, settings: KafkaSettings, table: StatisticsTable, publishers: Sequence[Publisher]) -> None:
        self._settings = settings
        self._table = table
        self._publishers = publishers
        self._topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._owned: dict[int, Statistics] = {}
        self._consumer: BatchConsumer | None = None
        # Partitions that stand before a newer release's fact.
        self._held: set[int] = set()
        # Events whose rows were not believed, and where the ledger ended then.
        self._unsure: dict[int, tuple[int, frozenset[str]]] = {}

    @property
    def ready(self) -> list[int]:
        """The partitions that it counts."""
        return sorted(self._owned)

    # Taking over

    async def take_over(self, consumer: BatchConsumer) -> None:
        """Go on with the assigned partitions where their rows say, whatever the group has committed."""
        self._consumer = consumer
        self._held.clear()
        numbers = sorted(tp.partition for tp in consumer.assignment() if tp.topic == self._topic)
        ends = await consumer.highwaters(*(TP(self._topic, number) for number in numbers)) if numbers else {}
        self._owned, self._unsure = {}, {}
        for number, recovered in self._table.recovered(numbers).items():
            self._adopt(recovered, ends[TP(self._topic, number)])
        for metric in (metrics.TICKETS_ISSUED, metrics.TICKETS_HELD, metrics.TICKETS_SOLD):
            metric.clear()
        self._measure(self._owned)
        for number, statistics in self._owned.items():
            consumer.start_at(TP(self._topic, number), statistics.row.offset)
        for publisher in self._publishers:
            publisher.adopt(self._owned)
        log.info("partitions ready", partitions=numbers)

    def _adopt(self, recovered: Recovered, end: int) -> None:
        """Go on from a partition's rows, whose ledger ends at ``end``."""
        statistics = _within(recovered.statistics, end)
        number = statistics.row.partition
        self._owned[number] = statistics
        self._unsure[number] = end, recovered.unsure | (recovered.statistics.events.keys() - statistics.events.keys())

    async def let_go(self) -> None:
        """Others go on with the partitions: publish what is theirs to know."""
        await asyncio.gather(*(publisher.hand_over() for publisher in self._publishers))

    async def stop(self) -> None:
        """Publish what waits, and no more."""
        await asyncio.gather(*(publisher.stop() for publisher in self._publishers))

    # Counting

    async def count(self, batch: Batch) -> None:
        """Fold a batch; when this returns its rows are written and acknowledged."""
        touched = {run.tp.partition: self._owned[run.tp.partition] for run in batch.runs}
        before = {number: statistics.row.facts for number, statistics in touched.items()}
        for run in batch.runs:
            if run.tp.partition not in self._held:
                await self._fold_run(self._owned[run.tp.partition], run)
        rows = {number: await self._rows(number) for number in touched}
        await self._write(rows)
        batch.ack()
        metrics.STATISTICS_FACTS.inc(sum(max(0, self._owned[n].row.facts - facts) for n, facts in before.items()))
        self._measure(before)

    def _measure(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            metrics.TICKETS_ISSUED.labels(str(number)).set(self._owned[number].issued)
            metrics.TICKETS_HELD.labels(str(number)).set(self._owned[number].held)
            metrics.TICKETS_SOLD.labels(str(number)).set(self._owned[number].sold)

    async def _fold_run(self, statistics: Statistics, run: Run) -> None:
        """Fold a run, or what the ledger has in its place where it does not follow, or leaves something out."""
        position = statistics.row.offset
        if run.first == position and not run.has_gaps:
            self._fold(statistics, run.records)
        elif run.next > position:
            if run.first > position:
                log.warning("facts were not delivered: reading them", partition=run.tp.partition, first=position)
            await self._read(statistics, position, run.next)
        await asyncio.sleep(0)

    async def _read(self, statistics: Statistics, first: int, end: int) -> None:
        tp = TopicPartition(self._topic, statistics.row.partition)
        goes_on = True
        async with reader(self._settings, [tp]) as consumer:
            async for records in read_between(consumer, tp, first, end, tell_passed_over(tp.partition)):
                for at in range(0, len(records), RECORDS_AT_ONCE):
                    goes_on = goes_on and self._fold(statistics, records[at : at + RECORDS_AT_ONCE])
                    await asyncio.sleep(0)
        if goes_on:
            # Markers at the end hold no record.
            statistics.row.offset = end

    def _fold(self, statistics: Statistics, records: Sequence[ConsumerRecord[bytes, bytes]]) -> bool:
        """Take records that follow, up to what a newer release wrote; returns whether there was no such."""
        newer_at = fold(statistics, records)
        if newer_at is None:
            return True
        number = statistics.row.partition
        log.error("a newer release's fact: the partition is not counted on", partition=number, at=newer_at)
        self._held.add(number)
        assert self._consumer is not None
        self._consumer.withhold(TP(self._topic, number))
        return False

    async def _rows(self, number: int) -> Rows:
        """The rows that a batch has changed."""
        removed: set[str] = set()
        if self._owned[number].contested:
            removed = await self._read_again(number)
        statistics = self._owned[number]
        rows = rows_of(statistics.row, statistics.touched.values())
        for publisher in self._publishers:
            publisher.touched(number, [*statistics.touched, *removed])
        statistics.touched.clear()
        return {**{event_id.encode(): None for event_id in removed | self._foreign(statistics)}, **rows}

    async def _read_again(self, number: int) -> set[str]:
        """Fold a contested partition again from its beginning, by the rules; returns the events that were none."""
        contested = self._owned[number]
        log.warning("a second owner's facts: reading the ledger again", partition=number, records=contested.row.offset)
        judged = Statistics.by_the_rules(Ledger(number))
        await self._read(judged, 0, contested.row.offset)
        judged.touched.update(judged.events)
        self._owned[number] = judged
        return contested.events.keys() - judged.events.keys()

    def _foreign(self, statistics: Statistics) -> set[str]:
        """The events that have a row and are none, once the ledger was read so far that it is known."""
        number = statistics.row.partition
        end, unsure = self._unsure[number]
        if not unsure or statistics.row.offset < end:
            return set()
        self._unsure[number] = end, frozenset()
        return {*unsure} - statistics.events.keys()

    # Writing

    async def _write(self, rows: Mapping[int, Rows]) -> None:
        try:
            async with asyncio.timeout(self._settings.publish_timeout_ms / 1000):
                await asyncio.gather(*(self._write_rows(number, of_partition) for number, of_partition in rows.items()))
        except TimeoutError:
            raise PublishError("Kafka did not acknowledge the statistics' rows in time.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused the statistics' rows: {error!r}.") from error

    async def _write_rows(self, number: int, rows: Rows) -> None:
        if await self._table.write(number, rows):
            return
        log.warning("another worker wrote these rows too: writing all of them again", partition=number)
        statistics = self._owned[number]
        await self._table.write(number, rows_of(statistics.row, statistics.events.values()))


def fold(statistics: Statistics, records: Sequence[ConsumerRecord[bytes, bytes]]) -> int | None:
    """Take records that follow; the offset of the first that a newer release wrote, which is not taken."""
    damaged, newer_at = 0, None
    for record in records:
        taken = statistics.read(record.offset, record.value, header(record.headers, READ_HEADER))
        if taken is Taken.NEWER:
            newer_at = record.offset
            break
        damaged += taken is Taken.DAMAGED
    if damaged:
        metrics.STRANGE_RECORDS.labels(purchase_results.TOPIC.name).inc(damaged)
        log.error(
            "passed over damaged ledger records",
            partition=statistics.row.partition,
            records=damaged,
            first=records[0].offset,
            next=records[-1].offset + 1,
        )
    return newer_at


def _within(statistics: Statistics, end: int) -> Statistics:
    """The statistics, unless they are of a longer ledger than there is."""
    if statistics.row.offset <= end:
        return statistics
    number = statistics.row.partition
    log.error("the ledger lost its tail: reading it from its beginning", partition=number, end=end)
    return Statistics(PartitionStatistics(number))
