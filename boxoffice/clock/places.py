"""Where the clock begins: its places on their topic, and whether they are of the ledger that there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException

from boxoffice import metrics
from boxoffice.clock.holds import Holds
from boxoffice.kafka.clients import TailLostError, read_between, reader, record_at, without_leader
from boxoffice.settings import KafkaSettings
from models.clock_places import ClockPlace, place_in
from models.facts import UnreadableFactError, read_fact
from models.places import UnreadablePlaceError
from topics import clock_places, purchase_results

log = structlog.get_logger(__name__)


async def begin(settings: KafkaSettings, numbers: Iterable[int]) -> dict[int, tuple[Holds, int]]:
    """Of each partition what to fold into, and where the ledger ends now.

    One that nobody leads, and one whose place cannot be believed, is read from its beginning.

    Raises:
        UnreachableError: no broker answered.
        KafkaError: a broker did not say.
    """
    places = await read_places(settings, numbers)
    ledger = purchase_results.TOPIC.full_name(settings.topic_prefix)
    partitions = {number: TopicPartition(ledger, number) for number in places}
    begun = {}
    async with reader(settings, partitions.values()) as consumer:
        away = await without_leader(consumer, partitions.values())
        led = [tp for tp in partitions.values() if tp not in away]
        begins, ends = await consumer.beginning_offsets(led), await consumer.end_offsets(led)
        for number, tp in partitions.items():
            first, end, place = begins.get(tp, 0), ends.get(tp, 0), places[number]
            if place is not None and first <= place.offset < end and await _stands(consumer, tp, place):
                begun[number] = Holds(number, place.offset, None), end
            else:
                if place is not None:
                    log.warning("a place of another ledger: reading from the beginning", partition=number)
                begun[number] = Holds(number, first), end
    return begun


async def _stands(consumer: AIOKafkaConsumer, tp: TopicPartition, place: ClockPlace) -> bool:
    """Whether the record is there on which the place is founded."""
    with suppress(CorruptRecordException, TailLostError, UnreadableFactError):
        record = await record_at(consumer, tp, place.offset)
        return record is not None and place.is_at(read_fact(record.value))
    return False


async def read_places(settings: KafkaSettings, numbers: Iterable[int]) -> dict[int, ClockPlace | None]:
    """What is kept of partitions.

    Raises:
        UnreachableError: no broker answered.
        KafkaError: a broker did not say.
    """
    topic = clock_places.TOPIC.full_name(settings.topic_prefix)
    partitions = {number: TopicPartition(topic, number) for number in numbers}
    places: dict[int, ClockPlace | None] = dict.fromkeys(partitions)
    async with reader(settings, partitions.values()) as consumer:
        away = await without_leader(consumer, partitions.values())
        led = {number: tp for number, tp in partitions.items() if tp not in away}
        begins, ends = await consumer.beginning_offsets(led.values()), await consumer.end_offsets(led.values())
        for number, tp in led.items():
            rows: dict[bytes | None, bytes] = {}
            async for records in read_between(consumer, tp, begins[tp], ends[tp], _pass_over):
                rows |= {record.key: record.value for record in records if record.value is not None}
            places[number] = _place(number, rows)
    return places


def _place(number: int, rows: Mapping[bytes | None, bytes]) -> ClockPlace | None:
    try:
        return place_in(number, rows)
    except UnreadablePlaceError as error:
        metrics.STRANGE_RECORDS.labels(clock_places.TOPIC.name).inc()
        log.warning("unreadable place: reading the ledger from its beginning", partition=number, error=str(error))
        return None


def _pass_over(first: int, last: int) -> None:
    """Rows that the disk has damaged: an older place means more to read."""
