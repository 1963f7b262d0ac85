"""Publish answers: what goes out first, the ledger records in order, and whose records they landed behind."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from boxoffice import metrics
from boxoffice.batching import BatchProducer, Outgoing
from boxoffice.errors import LedgerError, NewerReleaseError, PublishError
from boxoffice.failpoints import Failpoint, passing
from boxoffice.kafka.clients import OpenReader, header, read_between, reader
from boxoffice.selling.deciding import Answer, OwnedPartition
from boxoffice.selling.recovery import check_settled
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks
from models.facts import (
    NewerFactError,
    UnreadableFactError,
    ce_id,
    ce_source,
    ce_type,
    read_fact,
    read_range,
    same_decision,
    write_fact,
)
from models.shapes import Fact
from topics import purchase_requests, purchase_results
from topics.purchase_requests import TRACE_HEADER
from topics.purchase_results import PARTITIONS_HEADER, READ_HEADER

log = structlog.get_logger(__name__)

PATIENCE_S = 3.0
"""After which a partition may be given up if it has no leader: an ordinary election takes less."""

Header = tuple[str, bytes]

Sold = Sequence[tuple[OwnedPartition, list[Answer]]]
"""The answers of one batch, by partition."""


def ledger_record(answer: Answer, partitions: int) -> Outgoing:
    """Key, value and headers of an answer's record in the ledger: CloudEvents, Kafka binary mode."""
    fact = answer.fact
    headers = [
        *_headers_of_type(fact["type"], ce_source(fact), partitions),
        _ce_time(fact["at"]),
        ("ce_id", ce_id(fact).encode()),
        (READ_HEADER, b"%d-%d" % (answer.first, answer.last)),
    ]
    if answer.trace is not None:
        headers.append((TRACE_HEADER, answer.trace))
    return (fact["event_id"] or "").encode(), write_fact(fact), headers


@cache
def _headers_of_type(fact_type: str, source: str, partitions: int) -> tuple[Header, ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_source", source.encode()),
        ("ce_type", ce_type(fact_type).encode()),
        (PARTITIONS_HEADER, b"%d" % partitions),
    )


@lru_cache(maxsize=4_096)
def _ce_time(at: str) -> Header:
    """Many commands come in the same millisecond."""
    return "ce_time", at.encode()


class Publisher:
    """Publishes what was decided, within a deadline, and checks where it landed."""

    def __init__(self, settings: KafkaSettings, producer: BatchProducer, open_reader: OpenReader = reader) -> None:
        self._settings = settings
        self._producer = producer
        self._open_reader = open_reader
        self._timeout_s = settings.publish_timeout_ms / 1000
        self._requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)
        self._ledger = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._late: dict[int, asyncio.Task[None]] = {}

    async def publish(self, sold: Sold) -> set[int]:
        """Publish the answers of a batch; when this returns they are acknowledged, but for the partitions returned.

        Those are given up: what they wait for has no leader, while other partitions have one. What was sent stays
        with the client, and lands as soon as there is a leader again (:meth:`is_late`). Until then it is as if a
        replaced owner had sent it: whoever has the partition meanwhile decides the same, the chain takes whichever
        comes first, and :meth:`_explain` sees that the other says no different.

        Raises:
            PublishError: the broker did not acknowledge in time, or at all.
            LedgerError: somebody else's records are in the way.
        """
        try:
            with metrics.PUBLISH_DURATION.time():
                async with asyncio.timeout(self._timeout_s):
                    given_up = await self._publish_all(sold)
        except TimeoutError:
            raise PublishError(f"Kafka did not acknowledge within {self._timeout_s:g} s.") from None
        except OutOfOrderSequenceNumber:
            raise LedgerError("Kafka has lost records that it had acknowledged: a topic lost its tail.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused a publish: {error!r}.") from error
        metrics.count_decisions(
            answer.fact for owned, answers in sold if owned.number not in given_up for answer in answers
        )
        return given_up

    def is_late(self, number: int) -> bool:
        """Whether something of a partition that was given up may still land."""
        return number in self._late

    async def stop(self) -> None:
        """Leave to whoever comes next what has not landed."""
        await end_tasks(list(self._late.values()))

    async def _publish_all(self, sold: Sold) -> set[int]:
        forwards, homes = self._publish_forwards(sold)
        tasks = {
            owned.number: asyncio.create_task(
                self._publish_facts(owned, answers, [forwards[home] for home in homes[owned.number]])
            )
            for owned, answers in sold
            if answers
        }
        waiting = set(tasks.values())
        given_up: set[int] = set()
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=PATIENCE_S, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                for number in [number for number, task in tasks.items() if task in waiting]:
                    places = [(self._ledger, number), *((self._requests, home) for home in homes[number])]
                    if any(self._producer.is_left_alone(*place) for place in places):
                        given_up.add(number)
                        waiting.discard(tasks[number])
                        self._leave_late(number, tasks[number])
        finally:
            for task in waiting:
                task.cancel()
        return given_up

    def _leave_late(self, number: int, task: asyncio.Task[None]) -> None:
        """Let it go on: the client cannot take back what it may have sent, and this tells when it has landed."""
        self._late[number] = task

        def landed(_: asyncio.Task[None]) -> None:
            del self._late[number]
            if not task.cancelled() and (error := task.exception()) is not None:
                # The partition is taken over again: what is wrong with it shows there, or at its next publish.
                log.warning("what was given up did not land", partition=number, error=str(error))

        task.add_done_callback(landed)

    def _publish_forwards(self, sold: Sold) -> tuple[dict[int, asyncio.Task[None]], defaultdict[int, set[int]]]:
        """Begin to publish forwards, by their homes; says also which homes each partition's facts wait for.

        They go out before any record that accounts for their commands.
        """
        outgoing: defaultdict[int, list[Outgoing]] = defaultdict(list)
        homes: defaultdict[int, set[int]] = defaultdict(set)
        for owned, answers in sold:
            for answer in answers:
                if answer.forward is not None and answer.fact["type"] == "command_forwarded":
                    outgoing[answer.fact["home"]].append(answer.forward)
                    homes[owned.number].add(answer.fact["home"])
        forwards = {home: asyncio.create_task(self._forward(home, records)) for home, records in outgoing.items()}
        return forwards, homes

    async def _forward(self, home: int, records: list[Outgoing]) -> None:
        await self._producer.publish(self._requests, home, records)
        passing(Failpoint.SIDE_RECORDS_OUT)
        metrics.FORWARDED.inc(len(records))

    async def _publish_facts(
        self, owned: OwnedPartition, answers: list[Answer], first: Sequence[asyncio.Task[None]]
    ) -> None:
        if first:
            # Others may wait for the same: who is cancelled does not take it along.
            await asyncio.gather(*map(asyncio.shield, first))
        records = [ledger_record(answer, owned.partitions) for answer in answers]
        landed = await self._producer.publish(self._ledger, owned.number, records)
        passing(Failpoint.AMONG_PARTITIONS)
        settled = 0
        for base_offset, count in landed:
            if base_offset != owned.ledger_end:
                await self._explain(owned, answers, base_offset)
            settled += count
            owned.ledger_end = base_offset + count
            owned.settled_bookmark = answers[settled - 1].last
            owned.settled_at = owned.ledger_end - 1
            if len(owned.anchors) == 1:
                owned.anchors.append((owned.settled_at, owned.settled_bookmark))
        metrics.LEDGER_RECORDS.labels(str(owned.number)).set(owned.ledger_end)
        owned.unsettled -= len(answers)

    async def _explain(self, owned: OwnedPartition, answers: list[Answer], base_offset: int) -> None:
        """Read what lies between the ledger's known end and where our records landed.

        Harmless is what the chain ignores, and what says the same as our own answers.

        Raises:
            LedgerError: the ledger lost its tail, or holds what we would not have written.
            NewerReleaseError: a newer release has decided there.
        """
        if base_offset < owned.ledger_end:
            raise LedgerError(
                f"{self._ledger} partition {owned.number} lost its tail: a record landed at {base_offset}, "
                f"its end was {owned.ledger_end}."
            )
        tp = TopicPartition(self._ledger, owned.number)
        bookmark = owned.settled_bookmark
        ours = {answer.last: answer for answer in answers}
        foreign = 0
        async with self._open_reader(self._settings, [tp]) as consumer:
            start = (await consumer.beginning_offsets([tp]))[tp]
            await check_settled(consumer, tp, range(start, base_offset), owned.checkpoints)
            async for records in read_between(consumer, tp, owned.ledger_end, base_offset):
                for record in records:
                    foreign += 1
                    offsets = read_range(header(record.headers, READ_HEADER))
                    if offsets is None or offsets[0] != bookmark + 1:
                        continue
                    _see_that_no_newer_release_wrote(tp, record.value)
                    if not _says_the_same(ours.get(offsets[1]), offsets[0], record.value):
                        raise LedgerError(
                            f"{self._ledger} partition {owned.number} has at offset {record.offset} a record "
                            "that this worker did not write and would not have written."
                        )
                    bookmark = offsets[1]
        if foreign:
            log.warning("others' records in the ledger, all harmless", partition=owned.number, records=foreign)


def _see_that_no_newer_release_wrote(tp: TopicPartition, value: bytes | None) -> None:
    try:
        read_fact(value)
    except NewerFactError as error:
        raise NewerReleaseError(tp.topic, tp.partition, str(error)) from None
    except UnreadableFactError:
        pass


def _says_the_same(answer: Answer | None, first: int, value: bytes | None) -> bool:
    if answer is None or answer.first != first:
        return False
    try:
        fact: Fact = read_fact(value)
    except UnreadableFactError:
        return False
    return same_decision(answer.fact, fact)
