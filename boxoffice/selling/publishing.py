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
from models.facts import (
    Fact,
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
from topics import purchase_requests, purchase_results
from topics.purchase_requests import TRACE_HEADER
from topics.purchase_results import PARTITIONS_HEADER, READ_HEADER

log = structlog.get_logger(__name__)

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

    async def publish(self, sold: Sold) -> None:
        """Publish the answers of a batch; when this returns they are acknowledged.

        Raises:
            PublishError: the broker did not acknowledge in time, or at all.
            LedgerError: somebody else's records are in the way.
        """
        try:
            with metrics.PUBLISH_DURATION.time():
                async with asyncio.timeout(self._timeout_s):
                    await self._publish_forwards(sold)
                    await asyncio.gather(*(self._publish_facts(owned, answers) for owned, answers in sold if answers))
        except TimeoutError:
            raise PublishError(f"Kafka did not acknowledge within {self._timeout_s:g} s.") from None
        except OutOfOrderSequenceNumber:
            raise LedgerError("Kafka has lost records that it had acknowledged: a topic lost its tail.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused a publish: {error!r}.") from error
        metrics.count_decisions(answer.fact for _, answers in sold for answer in answers)

    async def _publish_forwards(self, sold: Sold) -> None:
        """Forwards go out before any record that accounts for their commands."""
        outgoing: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for _, answers in sold:
            for answer in answers:
                if answer.forward is not None and answer.fact["type"] == "command_forwarded":
                    outgoing[answer.fact["home"]].append(answer.forward)
        if outgoing:
            await asyncio.gather(
                *(self._producer.publish(self._requests, home, records) for home, records in outgoing.items())
            )
            passing(Failpoint.SIDE_RECORDS_OUT)
            metrics.FORWARDED.inc(sum(map(len, outgoing.values())))

    async def _publish_facts(self, owned: OwnedPartition, answers: list[Answer]) -> None:
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
            await check_settled(consumer, tp, base_offset, owned)
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
