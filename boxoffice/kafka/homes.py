"""Whether the ledger was written with as many partitions as its topic has: an event's home depends on their number.

Who sells with another number finds the events that others sold nowhere, and sells their tickets again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from boxoffice.errors import PartitionsChangedError
from boxoffice.kafka.clients import (
    OpenReader,
    TailLostError,
    header,
    home_partition,
    read_between,
    reader,
    topic_partitions,
)
from boxoffice.kafka.connecting import BrokerLostError
from boxoffice.settings import KafkaSettings
from models.facts import UnreadableFactError, read_fact, read_range
from models.words import number_of
from topics import purchase_results
from topics.purchase_results import PARTITIONS_HEADER, READ_HEADER

LOOKED_AT: Final = 20
"""Records at the end of each partition: the newest that says a number counts, since others may have written there."""

_MOST_DIGITS: Final = 10


@dataclass(frozen=True)
class WrittenOtherwise:
    """A ledger of another number of partitions than the ``found`` ones: of ``written``, None where nobody can tell."""

    ledger: str
    found: int
    written: int | None

    def __str__(self) -> str:
        number = number_of(self.written, "partition") if self.written is not None else "another number of partitions"
        way = "lowered" if (self.written or 0) > self.found else "raised"
        return (
            f"The partitions were {way}: {self.ledger} was written with {number} and has {self.found} now, so that "
            "events do not lie at their homes and their tickets would be sold again."
        )

    @property
    def remedy(self) -> str:
        """What to do."""
        return (
            f"Move the box office with 'boxoffice topics grow --to {self.found} --prefix NEW': "
            "see Growing in docs/operations.md."
        )


async def check_written(settings: KafkaSettings, partitions: int, without_leader: Collection[int] = ()) -> None:
    """See that the ledger was written with so many partitions, or is empty.

    Raises:
        PartitionsChangedError: it was not.
        UnreachableError: no broker answered.
    """
    otherwise = await look_at_ledger(settings, partitions, without_leader)
    if otherwise is not None:
        raise PartitionsChangedError(f"{otherwise} {otherwise.remedy}")


async def look_at_ledger(
    settings: KafkaSettings, partitions: int, without_leader: Collection[int] = (), open_reader: OpenReader = reader
) -> WrittenOtherwise | None:
    """What is wrong with the ledger, if it was written with another number of partitions.

    Its newest records say their number. If none does, an earlier release wrote them, and they are judged by where
    their events lie: in one partition they may all be strangers'. Partitions that have no leader now are left out.

    Raises:
        UnreachableError: no broker answered.
    """
    topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
    ledger = [tp for tp in topic_partitions(topic, partitions) if tp.partition not in without_leader]
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000), open_reader(settings, ledger) as consumer:
            written, homes = await _read(consumer, ledger)
    except (KafkaError, TimeoutError, TailLostError) as error:
        raise BrokerLostError(f"The ledger {topic} cannot be looked at ({type(error).__name__}).") from None
    others = written - {partitions}
    if others:
        return WrittenOtherwise(topic, partitions, min(others))
    if not written and any(home_partition(event_id, partitions) != number for event_id, number in homes.items()):
        return WrittenOtherwise(topic, partitions, _number_of(homes, partitions))
    return None


async def _read(consumer: AIOKafkaConsumer, ledger: Collection[TopicPartition]) -> tuple[set[int], dict[str, int]]:
    """The numbers that partitions say; and, of partitions that say none, where which event was decided."""
    written: set[int] = set()
    homes: dict[str, int] = {}
    starts, ends = await consumer.beginning_offsets(ledger), await consumer.end_offsets(ledger)
    for tp in ledger:
        tail: list[ConsumerRecord[bytes, bytes]] = []
        async for records in read_between(consumer, tp, max(starts[tp], ends[tp] - LOOKED_AT), ends[tp], _pass_over):
            tail += records
        number = next((found for record in reversed(tail) if (found := partitions_in(record)) is not None), None)
        if number is not None:
            written.add(number)
        else:
            homes |= dict.fromkeys(_decided(tail), tp.partition)
    return written, homes


def _pass_over(first: int, last: int) -> None:
    """What the disk has damaged says nothing."""


def partitions_in(record: ConsumerRecord[bytes, bytes]) -> int | None:
    """The number of partitions that a ledger record says there were; None where it says none."""
    text = header(record.headers, PARTITIONS_HEADER) or b""
    return int(text) if text.isdigit() and len(text) < _MOST_DIGITS and text[:1] != b"0" else None


def _decided(records: Iterable[ConsumerRecord[bytes, bytes]]) -> Iterable[str]:
    """The events that records decide on; what others wrote accounts for no command."""
    for record in records:
        if read_range(header(record.headers, READ_HEADER)) is None:
            continue
        try:
            fact = read_fact(record.value)
        except UnreadableFactError:
            continue
        if fact["seq"] and fact["event_id"] is not None:
            yield fact["event_id"]


def _number_of(homes: Mapping[str, int], fewer_than: int) -> int | None:
    """The only smaller number of partitions with which these events lie at home."""
    fitting = [
        partitions
        for partitions in range(max(homes.values()) + 1, fewer_than)
        if all(home_partition(event_id, partitions) == number for event_id, number in homes.items())
    ]
    return fitting[0] if len(fitting) == 1 else None
