"""The rows, in a Faust table that holds what its changelog holds.

Of Faust's table are used its changelog topic and the recovery from it. Writing is done here, a batch's
rows at once: Faust sends each row by itself, does not wait until it lies on the broker, and would commit
the source's offset all the same. Where a partition goes on is not the group's offset but what its own
row says, which is written last; so whatever a recovery finds is a state to go on from.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import faust
import structlog
from faust.types import TP

from boxoffice import metrics
from boxoffice.batching import BatchProducer, Outgoing, Removal
from models.members import EVENT_ID_PATTERN
from models.statistics import Statistics
from models.statistics_rows import (
    EventStatistics,
    PartitionStatistics,
    UnreadableRowError,
    read_event_row,
    read_partition_row,
    write_row,
)
from topics import stats_changelog

log = structlog.get_logger(__name__)

_PARTITION_KEY = b"partition-"
_EVENT_ID = re.compile(EVENT_ID_PATTERN.encode())

Rows = Mapping[bytes, bytes | None]
"""Values by key; None removes a row."""

_Place = tuple[int, bytes | None]
"""A partition, and a key on it."""


def rows_of(partition: PartitionStatistics, events: Iterable[EventStatistics]) -> dict[bytes, bytes | None]:
    """The rows to be written: the partition's last, since it says that the others are there."""
    rows: dict[bytes, bytes | None] = {event.event_id.encode(): write_row(event) for event in events}
    rows[_partition_key(partition.partition)] = write_row(partition)
    return rows


@dataclass(frozen=True)
class Recovered:
    """What a partition's rows add up to. ``unsure`` are the events whose rows were not believed.

    Those of them that the ledger turns out not to have are to be removed, or every start would read the
    ledger from its beginning because of them.
    """

    statistics: Statistics
    unsure: frozenset[str] = field(default_factory=frozenset)


class StatisticsTable(faust.Table[bytes, bytes]):
    """A Faust table that is written a batch at a time.

    Rows are kept by partition and key: anybody may have put another partition's key, or something else, there.
    """

    def __init__(self, app: faust.App, **kwargs: Any) -> None:
        super().__init__(app, key_type=bytes, value_type=bytes, **kwargs)
        # Of each partition whose rows are here: where its changelog ends, as far as is known.
        self._ends: dict[int, int] = {}

    def _rows_here(self) -> tuple[dict[_Place, bytes], dict[_Place, int]]:
        store: Any = self.data
        return store.data, store._key_partition

    # Recovering

    def apply_changelog_batch(self, batch: Iterable[faust.EventT[Any]]) -> None:
        """Take the changelog's next records as they are."""
        for event in batch:
            message = event.message
            self._keep(message.partition, [(message.key, message.value)])

    def persisted_offset(self, tp: TP) -> int | None:
        """How far a changelog need not be read again, since its rows are here."""
        end = self._ends.get(tp.partition)
        return None if end is None else end - 1

    def recovered(self, partitions: Iterable[int]) -> dict[int, Recovered]:
        """What the rows of partitions add up to, as soon as Faust has recovered them."""
        highest = cast(Any, self.app.tables).recovery.active_highwaters
        rows: defaultdict[int, dict[bytes | None, bytes]] = defaultdict(dict)
        values, _ = self._rows_here()
        for (number, key), value in values.items():
            rows[number][key] = value
        for number in partitions:
            self._ends[number] = highest.get(TP(self.changelog_topic_name, number), -1) + 1
        return {number: recovered_from(number, rows[number]) for number in partitions}

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the partitions that are somebody else's now: the store drops their rows in the same breath."""
        owned = {tp.partition for tp in active_tps}
        self._ends = {number: end for number, end in self._ends.items() if number in owned}
        await super().on_recovery_completed(active_tps, standby_tps)

    # Writing

    async def write(self, partition: int, rows: Rows) -> bool:
        """Write rows; when this returns they are acknowledged.

        Returns False if somebody else wrote to the partition in between, who may have put older rows
        on top of ours.

        Raises:
            KafkaError: they were not acknowledged.
        """
        records = [_record(key, value) for key, value in rows.items()]
        landed = await cast(BatchProducer, self.app.producer).publish(self.changelog_topic_name, partition, records)
        alone = True
        for base_offset, count in landed:
            alone = alone and base_offset == self._ends[partition]
            self._ends[partition] = base_offset + count
        self._keep(partition, rows.items())
        return alone

    def _keep(self, partition: int, rows: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        values, partition_of = self._rows_here()
        for key, value in rows:
            place = partition, key
            if value is None:
                values.pop(place, None)
                partition_of.pop(place, None)
            else:
                values[place] = value
                partition_of[place] = partition


def _record(key: bytes, value: bytes | None) -> Outgoing | Removal:
    # A list: aiokafka's record batches take no other.
    return (key, None, []) if value is None else (key, value, [])


def make_table(app: faust.App, topic: str) -> StatisticsTable:
    """The table, with its changelog on a topic that exists: Faust may not create any."""
    table = StatisticsTable(
        app,
        name=stats_changelog.TABLE,
        # Raw: a row that Faust could not decode would be dropped, and its recovery would wait for it for ever.
        changelog_topic=app.topic(
            topic,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
            internal=True,
            allow_empty=True,
            maxsize=131_072,
        ),
        beacon=cast(Any, app.tables).beacon,
    )
    app.tables.add(table)
    return table


def recovered_from(number: int, rows: Mapping[bytes | None, bytes]) -> Recovered:
    """The fold that a partition's rows stand for, or an empty one if they are not all there.

    Rows under other keys than ours are passed over.
    """
    events, strange = _of_events(number, rows)
    if strange:
        metrics.STRANGE_RECORDS.labels(stats_changelog.TOPIC.name).inc(strange)
        log.warning("rows that nobody of ours wrote: passed over", partition=number, rows=strange)
    try:
        statistics = _read(number, events, rows.get(_partition_key(number)))
    except UnreadableRowError as error:
        log.warning("unreadable rows: reading the ledger from its beginning", partition=number, error=str(error))
    else:
        if statistics.is_whole:
            return Recovered(statistics)
        log.warning("rows of different moments: reading the ledger from its beginning", partition=number)
    return Recovered(Statistics(PartitionStatistics(number)), frozenset(events))


def _of_events(number: int, rows: Mapping[bytes | None, bytes]) -> tuple[dict[str, bytes], int]:
    """The rows under events' keys, and how many there are under keys that are nobody's."""
    events = {key.decode(): value for key, value in rows.items() if key is not None and _EVENT_ID.fullmatch(key)}
    return events, len(rows) - len(events) - (_partition_key(number) in rows)


def _read(number: int, events: Mapping[str, bytes], own: bytes | None) -> Statistics:
    read = [read_event_row(value) for value in events.values()]
    row = read_partition_row(own) if own is not None else PartitionStatistics(number)
    if row.partition != number or [event.event_id for event in read] != [*events]:
        raise UnreadableRowError("a row is another's than its key says")
    return Statistics(row, read)


def _partition_key(number: int) -> bytes:
    return b"%b%d" % (_PARTITION_KEY, number)
