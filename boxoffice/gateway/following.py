"""Follow the ledger's end. Every instance reads all that is added, so others' facts have to cost next to nothing.

No group is joined, so no rebalance can take an answer away. Fetches are made and read here, not by aiokafka's consumer,
which makes an object of each record: a record batch of a partition on which nobody waits is not even opened.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from faust.types import TP

from boxoffice import metrics
from boxoffice.gateway.answers import Answers
from boxoffice.kafka.clients import NO_LEADER
from boxoffice.kafka.record_batches import TolerantRecords
from boxoffice.tasks import end_tasks
from models.facts import read_range
from topics import purchase_results
from topics.purchase_results import READ_HEADER

log = structlog.get_logger(__name__)

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_PARTITION_BYTES: Final = 1024 * 1024
LONGEST_WAIT_MS: Final = 200
PAUSE_S: Final = 0.1
"""Before a broker is asked again that could not answer, or one that leads nothing; and for a partition of which it
sent an error, so that the others are not held up by it."""
TYPE_HEADER: Final = "ce_type"

_READ_UNCOMMITTED: Final = 0
"""The ledger has no transactions."""
_MOVED: Final = (NotLeaderForPartitionError, LeaderNotAvailableError, UnknownTopicOrPartitionError)


class Follower:
    """Reads what is added to the ledger from :meth:`begin` on, and hands each fact to the answers."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], answers: Answers) -> None:
        self._consumer = consumer
        """Of these partitions, all paused: its connections are used, and it reads nothing by itself."""
        self._client: Any = consumer._client
        self._partitions = list(partitions)
        self._answers = answers
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._brokers: dict[int, asyncio.Task[None]] = {}
        self._silent: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._set_aside: dict[TopicPartition, float] = {}
        """Partitions of which a broker sent an error, and until when they are not asked for again."""
        self._lost: set[TopicPartition] = set()
        """Partitions that do not hold any more what was read of them last: their ends are asked for anew."""

    async def begin(self) -> None:
        """Learn where each partition ends: whatever is written from now on is read.

        Raises:
            KafkaError: a broker has not answered.
        """
        self._positions = dict(await self._consumer.end_offsets(self._partitions))
        self._ends = dict(self._positions)

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Of each partition: how far it was read, and its end as a broker said last."""
        return {TP(tp.topic, tp.partition): (at, self._ends[tp]) for tp, at in self._positions.items()}

    @property
    def is_cut_off(self) -> bool:
        """Whether no broker has answered the last fetch."""
        return bool(self._silent) and all(task.done() or node in self._silent for node, task in self._brokers.items())

    async def follow(self) -> None:
        """Read until cancelled; a task for each broker that leads something, which go on until :meth:`stop`."""
        while True:
            for broker in {node for node in self._leaders() if node is not None and node != NO_LEADER}:
                self._follow_also(broker)
            await asyncio.sleep(PAUSE_S)

    async def stop(self) -> None:
        """Read no more, once :meth:`follow` has ended."""
        await end_tasks(self._brokers.values())

    def _follow_also(self, broker: int) -> None:
        task = self._brokers.get(broker)
        if task is not None and task.done():
            task.result()
        if task is None or task.done():
            self._brokers[broker] = asyncio.create_task(self._follow_broker(broker))

    def _leaders(self) -> list[int | None]:
        return [self._client.cluster.leader_for_partition(tp) for tp in self._partitions]

    async def _follow_broker(self, broker: int) -> None:
        """Fetch from one broker what it leads, one request at a time."""
        while led := [tp for tp, node in zip(self._partitions, self._leaders(), strict=True) if node == broker]:
            now_s = self._loop.time()
            wanted = [tp for tp in led if self._set_aside.get(tp, 0.0) <= now_s]
            if not wanted:
                await self._look_again()
                continue
            try:
                await self._find_ends([tp for tp in wanted if tp in self._lost])
                asked = {tp: self._positions[tp] for tp in wanted}
                response = await self._client.send(broker, _request(asked))
            except KafkaError:
                self._silent.add(broker)
                await self._look_again()
                continue
            self._silent.discard(broker)
            self._take(response, asked)
        self._silent.discard(broker)

    async def _find_ends(self, lost: list[TopicPartition]) -> None:
        """Begin again at the ends of partitions that have lost their tails: what is written next stands there."""
        if lost:
            ends = await self._consumer.end_offsets(lost)
            self._positions.update(ends)
            self._ends.update(ends)
            self._lost.difference_update(lost)

    async def _look_again(self) -> None:
        self._client.force_metadata_update()
        await asyncio.sleep(PAUSE_S)

    def _take(self, response: Any, asked: dict[TopicPartition, int]) -> None:
        """Read what a broker has sent."""
        for topic, partitions in response.topics:
            for partition, error_code, end, *_, raw in partitions:
                tp = TopicPartition(topic, partition)
                if self._positions[tp] != asked.get(tp):
                    continue
                if error_code:
                    self._wait_with(tp, for_code(error_code))
                else:
                    self._set_aside.pop(tp, None)
                    self._ends[tp] = end
                    self._read(tp, raw, end)

    def _wait_with(self, tp: TopicPartition, error: type[KafkaError]) -> None:
        """Set a partition aside for a moment, and say once why."""
        if error is OffsetOutOfRangeError:
            self._lost.add(tp)
        if tp not in self._set_aside and error not in _MOVED:
            log.error("a partition of the ledger cannot be followed", partition=tp.partition, reason=error.__name__)
        self._set_aside[tp] = self._loop.time() + PAUSE_S
        self._client.force_metadata_update()

    def _read(self, tp: TopicPartition, raw: bytes, end: int) -> None:
        position = self._positions[tp]
        batches = TolerantRecords(raw)
        try:
            while batches.has_next():
                batch: Any = batches.next_batch()
                if batch.next_offset <= position:
                    continue
                if self._answers.is_watched(tp.partition):
                    self._open(tp.partition, batch, position)
                position = batch.next_offset
        except CorruptRecordException:
            log.error("the ledger is damaged: its answers are not seen", partition=tp.partition, first=position)
            metrics.STRANGE_RECORDS.labels(purchase_results.TOPIC.name).inc()
            position = end
        self._positions[tp] = position

    def _open(self, partition: int, batch: Any, position: int) -> None:
        if not batch.validate_crc():
            raise CorruptRecordException(f"The record batch at {position} is damaged.")
        for record in batch:
            if record.offset < position or record.value is None:
                continue
            accounted, kind = None, ""
            for name, value in record.headers:
                if name == READ_HEADER:
                    accounted = read_range(value)
                elif name == TYPE_HEADER:
                    kind = (value or b"").decode(errors="replace")
            if accounted is not None:
                self._answers.read(partition, accounted[1], record.value, kind)


def _request(positions: Mapping[TopicPartition, int]) -> FetchRequest:
    topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for tp, position in positions.items():
        topics[tp.topic].append((tp.partition, position, MOST_PARTITION_BYTES))
    return FetchRequest(LONGEST_WAIT_MS, 1, MOST_BYTES, _READ_UNCOMMITTED, list(topics.items()))
