"""Publish what was done: announcements and dead letters, a partition's in order, many at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from aiokafka.errors import KafkaError

from boxoffice import metrics
from boxoffice.batching import BatchProducer, Outgoing, Record, Stage
from boxoffice.errors import PublishError
from boxoffice.kafka.clients import header
from boxoffice.kafka.side_records import dead_letter
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks
from models.documents import DocumentAnnouncement, announcement_id, write_announcement
from models.facts import ce_type
from topics import dead_letters, ticket_documents
from topics.purchase_requests import TRACE_HEADER

CE_SOURCE = b"boxoffice/documents"


def announcement_record(announcement: DocumentAnnouncement, fact: Record) -> Outgoing:
    """Key, value and headers of an announcement; ``fact`` is the ledger record that it follows from."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_source", CE_SOURCE),
        ("ce_type", ce_type(announcement["type"]).encode()),
        ("ce_id", announcement_id(announcement).encode()),
        ("ce_time", announcement["at"].encode()),
    ]
    trace = header(fact.headers, TRACE_HEADER)
    if trace is not None:
        headers.append((TRACE_HEADER, trace))
    return announcement["event_id"].encode(), write_announcement(announcement), headers


class _Gathered(NamedTuple):
    """A record that waits for those under way; whoever gave it waits until it is ``published``."""

    topic: str
    partition: int
    record: Outgoing
    published: asyncio.Event


class Announcer:
    """Publishes on the partition of the fact. While records are under way, further ones gather."""

    def __init__(
        self,
        settings: KafkaSettings,
        producer: BatchProducer,
        ending_on_failure: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._producer = producer
        self._ending_on_failure = ending_on_failure
        self._timeout_s = settings.publish_timeout_ms / 1000
        self._announcements = ticket_documents.TOPIC.full_name(settings.topic_prefix)
        self._dead_letters = dead_letters.TOPIC.full_name(settings.topic_prefix)
        self._publishing = Stage(self._publish_gathered)

    async def announce(self, announcement: DocumentAnnouncement, fact: Record) -> None:
        """Announce; returns when the broker has acknowledged it."""
        await self._publish(self._announcements, fact.partition, announcement_record(announcement, fact))

    async def bury(self, fact: Record, ticket: str, why: str) -> None:
        """Publish a fact as the dead letter of one of its tickets; returns when the broker has acknowledged it."""
        reason = f"Ticket {ticket} could not be drawn: {why}"
        with self._ending_on_failure():
            partitions = await self._producer.partition_count(self._dead_letters)
        place = dead_letters.partition_of(fact.partition, partitions)
        await self._publish(self._dead_letters, place, dead_letter(fact, reason, ticket))
        metrics.DEAD_LETTERS.labels("documents").inc()

    async def stop(self) -> None:
        """Give up what is not acknowledged."""
        await end_tasks(self._publishing.tasks)

    async def _publish(self, topic: str, partition: int, record: Outgoing) -> None:
        gathered = _Gathered(topic, partition, record, asyncio.Event())
        await self._publishing.put(gathered)
        await gathered.published.wait()

    async def _publish_gathered(self, gathered: Sequence[_Gathered]) -> None:
        with self._ending_on_failure():
            await self._send(gathered)
            for one in gathered:
                one.published.set()

    async def _send(self, gathered: Sequence[_Gathered]) -> None:
        records: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for one in gathered:
            records[one.topic, one.partition].append(one.record)
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.gather(
                    *(self._producer.publish(topic, partition, some) for (topic, partition), some in records.items())
                )
        except TimeoutError:
            raise PublishError(f"Kafka did not acknowledge within {self._timeout_s:g} s.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused a publish: {error!r}.") from error
