"""Follow ``event-stats``, from its beginning on: every process reads all of it, and is a member of no group.

Whoever follows does not depend on it. A topic that is missing, brokers that are away, a partition without a leader:
what was read so far is shown, and the rest is read when it can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError
from faust.types import TP

from boxoffice import metrics
from boxoffice.errors import BoxOfficeError
from boxoffice.kafka.clients import led_by_nobody, read_between, reader
from boxoffice.kafka.topics import partitions_of
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.states import EventStates
from boxoffice.tasks import in_background
from topics import event_stats

log = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
_LOOK_S: Final = 0.05
_POLL_MS: Final = 200
_AT_ONCE: Final = 200
"""Records that are looked at before others get their turn: figures are checked, which takes its time."""


class StatesFollower:
    """Reads into the states what is written, and tells ``on_change`` after each batch in which something was new."""

    def __init__(self, settings: KafkaSettings, states: EventStates, on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._states = states
        self._on_change = on_change
        self._consumer: AIOKafkaConsumer | None = None
        self._read_to: dict[TopicPartition, int] = {}

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Of each partition: how far it was read, and its end."""
        return {_faust(tp): (at, max(at, self._end(tp) or 0)) for tp, at in self._read_to.items()}

    @property
    def withheld(self) -> frozenset[TP]:
        """The partitions that nobody leads."""
        return frozenset(map(_faust, self._without_leader()))

    @property
    def is_cut_off(self) -> bool:
        """Whether no broker can be reached."""
        if self._consumer is None:
            return True
        client: Any = self._consumer._client
        return not any(connection.connected() for connection in list(client._conns.values()))

    async def whole(self) -> None:
        """Wait until all was read that is there, but for partitions that nobody leads."""
        while not self._states.is_whole:
            await asyncio.sleep(_LOOK_S)

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                partitions = await partitions_of(self._settings, event_stats.TOPIC)
                async with reader(self._settings, partitions) as consumer:
                    await self._begin(consumer, partitions)
                    while True:
                        await self._read(consumer)
            except (BoxOfficeError, KafkaError, OSError) as error:
                log.warning("the figures of events cannot be followed now", error=str(error)[:200], seldom=True)
            finally:
                self._consumer = None
            await asyncio.sleep(AGAIN_S)

    async def _begin(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        self._read_to = dict.fromkeys(partitions, 0)
        for partition in partitions:
            # Not where the client would ask each partition to begin: one without a leader would hold up all.
            consumer.seek(partition, 0)
        consumer.resume(*partitions)
        self._consumer = consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_AT_ONCE)
        except CorruptRecordException:
            await self._pass_over_damage(consumer)
            return
        for records in found.values():
            self._take(records)
        # By the client's own place, which is behind markers and what was compacted away too. What was taken together
        # with damage is not behind it: that is read again.
        self._read_to = {tp: _place(consumer, tp, before) for tp, before in self._read_to.items()}
        if found:
            # Others' turn, who would wait for as long as everything is there already.
            await asyncio.sleep(0)
        self._states.is_whole = self._states.is_whole or self._has_read_all()

    def _take(self, records: Iterable[ConsumerRecord[bytes, bytes]]) -> None:
        strange = self._states.strange
        version = self._states.version
        for record in records:
            self._states.take(record.key, record.value)
        metrics.SHOWN_EVENTS.set(len(self._states))
        if self._states.strange > strange:
            metrics.STRANGE_RECORDS.labels(event_stats.TOPIC.name).inc(self._states.strange - strange)
        if self._states.left_out:
            log.error("there are more events than BOXOFFICE_STATS_MOST_EVENTS: some are not shown", seldom=True)
        if self._states.version > version:
            self._on_change()

    def _has_read_all(self) -> bool:
        without_leader = self._without_leader()
        return all(
            (end := self._end(tp)) is not None and at >= end
            for tp, at in self._read_to.items()
            if tp not in without_leader
        )

    def _end(self, partition: TopicPartition) -> int | None:
        """Behind what can be read: for a transaction that a stranger leaves open nobody waits."""
        return self._consumer.last_stable_offset(partition) if self._consumer is not None else None

    def _without_leader(self) -> frozenset[TopicPartition]:
        return led_by_nobody(self._consumer, self._read_to) if self._consumer is not None else frozenset()

    async def _pass_over_damage(self, consumer: AIOKafkaConsumer) -> None:
        """Read on from what was taken last, of each partition: what else came with the damage is gone too."""
        partitions = [tp for tp in self._read_to if tp not in self._without_leader()]
        consumer.pause(*self._read_to)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            async for records in read_between(consumer, partition, self._read_to[partition], end, _tell_damage):
                self._take(records)
            self._read_to[partition] = end
            consumer.seek(partition, end)
        consumer.resume(*self._read_to)


def _tell_damage(first: int, last: int) -> None:
    log.error("records of event-stats are damaged: passed over", first=first, last=last)


def _place(consumer: AIOKafkaConsumer, partition: TopicPartition, before: int) -> int:
    """Where the client reads on; where it was before, while it looks for the beginning of what is left."""
    subscription: Any = consumer._subscription
    state = subscription.subscription.assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else before


def _faust(partition: TopicPartition) -> TP:
    return TP(partition.topic, partition.partition)


@asynccontextmanager
async def following(
    settings: KafkaSettings,
    states: EventStates,
    on_failure: Callable[[BaseException], None],
    on_change: Callable[[], None] = lambda: None,
) -> AsyncIterator[StatesFollower]:
    """The states, as the topic has them from now on; ``on_failure`` is told what nobody foresaw."""
    follower = StatesFollower(settings, states, on_change)
    async with in_background(follower.follow(), on_failure):
        yield follower
