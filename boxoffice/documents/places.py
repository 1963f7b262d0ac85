"""Where the documents process goes on, kept on a topic of its own: a group's offsets may be lost.

The group's offset and the place say the same, unless one of them is gone or behind: a place is kept only when the
group has committed it. So it is never ahead of what was announced; and a group that stands before it was set back
by somebody who wants documents made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from boxoffice import metrics
from boxoffice.batching import BatchProducer, Outgoing, Removal
from boxoffice.documents.progress import TakenLedger
from boxoffice.errors import PublishError
from boxoffice.kafka.clients import admin, group_id, read_between, reader
from boxoffice.kafka.groups import committed_offsets
from boxoffice.kafka.topics import check_partitions, check_topics
from boxoffice.settings import KafkaSettings
from models.places import Place, UnreadablePlaceError, events_in, place_from, rows_of
from models.renewals import Renewal, key_of, renewals_in, row_of
from topics import documents_places, purchase_results

log = structlog.get_logger(__name__)

KEEP_INTERVAL_S: Final = 2.0
"""How often it is looked whether a place has moved: so long ago is what a start has to read."""


@dataclass(frozen=True)
class Found:
    """What lies on the topic of a partition: its place, if there is one; events that have a row; where it ends.

    ``renewals`` are of events whose tickets are drawn again, and that is not done.
    """

    place: Place | None
    events: frozenset[str]
    end: int
    renewals: Sequence[Renewal] = ()


async def read_places(settings: KafkaSettings, numbers: Iterable[int]) -> dict[int, Found]:
    """What is kept of partitions.

    Raises:
        UnreachableError: no broker answered.
    """
    topic = documents_places.TOPIC.full_name(settings.topic_prefix)
    partitions = {number: TopicPartition(topic, number) for number in numbers}
    found = {}
    async with reader(settings, partitions.values()) as consumer:
        begins = await consumer.beginning_offsets(partitions.values())
        ends = await consumer.end_offsets(partitions.values())
        for number, tp in partitions.items():
            rows: dict[bytes | None, bytes] = {}
            async for records in read_between(consumer, tp, begins[tp], ends[tp], _pass_over):
                for record in records:
                    rows.pop(record.key, None)
                    if record.value is not None:
                        rows[record.key] = record.value
            found[number] = _found(number, rows, ends[tp])
    return found


async def dealt_with_until(settings: KafkaSettings, numbers: Iterable[int]) -> dict[int, int]:
    """Of partitions the offset behind what was dealt with: the group's, or where Kafka has forgotten that, the place.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topic of the places is missing, or has not the ledger's partitions.
    """
    numbers = list(numbers)
    topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
    async with admin(settings) as client:
        committed = await committed_offsets(client, group_id(settings, "documents"))
    until = {number: committed.get(TopicPartition(topic, number)) for number in numbers}
    forgotten = [number for number, offset in until.items() if offset is None]
    places = await _places_of(settings, forgotten) if forgotten else {}
    kept = {number: found.place.offset for number, found in places.items() if found.place is not None}
    return {number: kept.get(number, 0) if offset is None else offset for number, offset in until.items()}


async def _places_of(settings: KafkaSettings, numbers: Iterable[int]) -> dict[int, Found]:
    await check_partitions(settings, await check_topics(settings, documents_places.TOPIC), [documents_places.TOPIC])
    return await read_places(settings, numbers)


def _pass_over(first: int, last: int) -> None:
    """Rows that the disk has damaged: what is left does not add up."""


class Places:
    """Reads and keeps the places of the partitions that this worker owns."""

    def __init__(self, settings: KafkaSettings, producer: BatchProducer) -> None:
        self._settings = settings
        self._producer = producer
        self._timeout_s = settings.publish_timeout_ms / 1000
        self._topic = documents_places.TOPIC.full_name(settings.topic_prefix)
        # Where the topic's partitions end, as far as is known: who else wrote there shows.
        self._ends: dict[int, int] = {}
        self._shared: set[int] = set()
        self._writing = asyncio.Lock()

    async def read(self, numbers: Iterable[int]) -> dict[int, Found]:
        """What is kept of the partitions that this worker owns from now on.

        Raises:
            UnreachableError: no broker answered.
        """
        found = await read_places(self._settings, numbers)
        self._ends = {number: one.end for number, one in found.items()}
        self._shared.clear()
        return found

    async def keep(self, ledgers: Mapping[TP, TakenLedger], committed: Callable[[TP], int | None]) -> None:
        """Keep the places that have moved, as far as the group has committed them.

        Raises:
            PublishError: they were not acknowledged.
        """
        for tp, taken in ledgers.items():
            # One that has waited for the group, and what has moved since; or all of it, where somebody else wrote too.
            for _ in range(2):
                until = committed(tp)
                place = taken.place_until(until) if until is not None else None
                if place is None:
                    break
                taken.kept(place, anew=not await self._write(tp.partition, place))

    async def keep_renewals(self, number: int, renewals: Iterable[Renewal], done: Iterable[Renewal] = ()) -> None:
        """Keep how far renewals of a partition are; those that are ``done`` are forgotten.

        Raises:
            PublishError: they were not acknowledged.
        """
        rows: list[tuple[bytes, bytes | None]] = [row_of(renewal) for renewal in renewals]
        rows += [(key_of(renewal), None) for renewal in done]
        if rows:
            await self._publish(number, rows)

    async def _write(self, number: int, place: Place) -> bool:
        """Returns False if somebody else wrote in between, who may have put older rows on top of ours."""
        await self._publish(number, rows_of(number, place))
        if number not in self._shared:
            return True
        self._shared.discard(number)
        log.warning("another worker wrote this place too: writing all of it again", partition=number)
        return False

    async def _publish(self, number: int, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        # One after the other: what lands between two of ours would be taken for somebody else's.
        async with self._writing:
            for base_offset, count in await self._send(number, [_record(key, value) for key, value in rows]):
                if base_offset != self._ends[number]:
                    self._shared.add(number)
                self._ends[number] = base_offset + count

    async def _send(self, number: int, records: Sequence[Outgoing | Removal]) -> Sequence[tuple[int, int]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._producer.publish(self._topic, number, records)
        except TimeoutError:
            raise PublishError("Kafka did not acknowledge the documents' place in time.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused the documents' place: {error!r}.") from error


def _found(number: int, rows: Mapping[bytes | None, bytes], end: int) -> Found:
    events, renewals = frozenset(events_in(rows)), renewals_in(rows)
    try:
        return Found(place_from(number, rows), events, end, renewals)
    except UnreadablePlaceError as error:
        metrics.STRANGE_RECORDS.labels(documents_places.TOPIC.name).inc()
        log.warning("unreadable place: reading the ledger from its beginning", partition=number, error=str(error))
        return Found(None, events, end, renewals)


def _record(key: bytes, value: bytes | None) -> Outgoing | Removal:
    # A list: aiokafka's record batches take no other.
    return (key, None, []) if value is None else (key, value, [])
