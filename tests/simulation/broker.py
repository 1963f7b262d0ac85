"""Kafka: the log, and as much of a reader and of a producer as the product uses."""

from __future__ import annotations

import asyncio
from asyncio import Future
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, OutOfOrderSequenceNumber, RequestTimedOutError

from boxoffice.batching import Outgoing, Record
from boxoffice.errors import UnreachableError
from boxoffice.settings import KafkaSettings, Settings
from tests.simulation.network import Network, deliver
from topics import dead_letters, purchase_requests

FIRST_TIMESTAMP_MS = 1_795_341_600_000
LETTER_PARTITIONS = 2
REQUEST_TIMEOUT_S = 40.0
NO_LEADER = -1
_offset = attrgetter("offset")


@dataclass
class Partition:
    """Records in order; the offsets between them are markers of transactions.

    ``written`` are the batches of idempotent producers: where each ends, whose it is, and its producer's next sequence
    number.
    """

    records: list[Record] = field(default_factory=list)
    expired: list[Record] = field(default_factory=list)
    written: list[tuple[int, object, int]] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def after(self, offset: int, most: int | None = None) -> list[Record]:
        """Records from an offset on."""
        at = bisect_left(self.records, offset, key=_offset)
        return self.records[at : None if most is None else at + most]

    def cut(self, end: int) -> None:
        """Lose the tail."""
        del self.records[bisect_left(self.records, end, key=_offset) :]
        self.end = min(self.end, end)
        self.written = [batch for batch in self.written if batch[0] <= end]

    def next_sequence(self, producer: object) -> int | None:
        """What the broker expects of a producer; None where it knows nothing of it, and takes whatever comes."""
        return next((sequence for _, whose, sequence in reversed(self.written) if whose is producer), None)

    def expire(self, start: int) -> None:
        """Let retention remove what lies before an offset."""
        self.expired += self.records[: bisect_left(self.records, start, key=_offset)]
        del self.records[: bisect_left(self.records, start, key=_offset)]
        self.start = max(self.start, start)

    def replace(self, place: int, **changes: Any) -> None:
        """Damage a record."""
        self.records[place] = replace(self.records[place], **changes)


class Broker:
    """All topics of a cluster. ``is_up`` says whether anybody can reach it; ``left_alone`` is what nobody leads."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.partitions: defaultdict[tuple[str, int], Partition] = defaultdict(Partition)
        self.is_up = True
        self.takes_letters = True
        """Whether ``dead-letters`` is there, may be written, and has leaders."""
        self.letters_kept_to: defaultdict[int, int] = defaultdict(int)
        self.left_alone: set[tuple[str, int]] = set()
        self.changes = 0
        self._waiting: list[Future[Any]] = []
        self.speed = 1
        """How fast its clock goes: holds end while a schedule runs."""

    def now_ms(self) -> int:
        """What its clock shows."""
        return FIRST_TIMESTAMP_MS + int(self.network.loop.time() * 1000 * self.speed)

    def append(self, topic: str, number: int, records: Iterable[Outgoing], markers: int = 0) -> int:
        """Write a record batch, and so many markers behind it; returns its first offset."""
        partition = self.partitions[topic, number]
        base = partition.end
        for key, value, headers in records:
            partition.records.append(self._record(topic, number, partition.end, key, value, headers))
            partition.end += 1
        partition.end += markers
        self.wake()
        return base

    def _record(
        self, topic: str, number: int, offset: int, key: bytes | None, value: bytes | None, headers: Any
    ) -> Record:
        return ConsumerRecord(
            topic=topic,
            partition=number,
            offset=offset,
            timestamp=self.now_ms(),
            timestamp_type=1,
            key=key,
            value=value,
            checksum=None,
            serialized_key_size=len(key or b""),
            serialized_value_size=len(value or b""),
            headers=tuple(headers),
        )

    def wake(self) -> None:
        """Whoever waits for something to change looks again."""
        self.changes += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            self.network.later(self.network.delay_s(), deliver, future, None)

    async def change(self, seen: int) -> None:
        """Wait until something is written, or the broker can be reached again, after so many changes were seen."""
        if self.changes == seen:
            future = self.network.future()
            self._waiting.append(future)
            await future

    async def reach(self) -> None:
        """Wait for the broker, as clients do by themselves."""
        while not self.is_up:
            await self.change(self.changes)

    async def reach_leader(self, topic: str, number: int) -> None:
        """Wait for a partition's leader, as clients do by themselves."""
        while not self.is_up or (topic, number) in self.left_alone:
            await self.change(self.changes)

    @asynccontextmanager
    async def letter_box(self, settings: KafkaSettings, _numbers: Iterable[int]) -> AsyncIterator[LetterBox]:
        """Stands in for boxoffice.kafka.letter_box.letter_box."""
        if not self.is_up or self.network.happens(self.network.faults.reader_unreachable):
            raise UnreachableError("Kafka cannot be reached.")
        yield LetterBox(self, settings.topic_prefix)

    @asynccontextmanager
    async def reader(self, _settings: Settings, _partitions: Iterable[TopicPartition]) -> AsyncIterator[Reader]:
        """Stands in for boxoffice.kafka.clients.reader."""
        if not self.is_up or self.network.happens(self.network.faults.reader_unreachable):
            raise UnreachableError("Kafka cannot be reached.")
        yield Reader(self)


class Reader:
    """As much of AIOKafkaConsumer as boxoffice.kafka.clients.read_between and the recovery use."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._positions: dict[TopicPartition, int] = {}

    def _partition(self, tp: TopicPartition) -> Partition:
        return self._broker.partitions[tp.topic, tp.partition]

    async def _ask(self) -> None:
        await self._broker.reach()
        await self._broker.network.exchange(lambda: None)

    # What the client knows of its cluster: all.

    @property
    def _client(self) -> Reader:
        return self

    @property
    def cluster(self) -> Reader:
        return self

    async def force_metadata_update(self) -> bool:
        await self._ask()
        return True

    def leader_for_partition(self, tp: TopicPartition) -> int:
        return NO_LEADER if tp in self._broker.left_alone else 1

    async def _ask_leaders(self, partitions: Iterable[TopicPartition]) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                for tp in partitions:
                    await self._broker.reach_leader(*tp)
        except TimeoutError:
            raise KafkaTimeoutError from None
        await self._ask()

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await self._ask_leaders(partitions)
        return {tp: self._partition(tp).start for tp in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await self._ask_leaders(partitions)
        return {tp: self._partition(tp).end for tp in partitions}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    def resume(self, tp: TopicPartition) -> None:
        """Reading begins when it is asked for."""

    def pause(self, tp: TopicPartition) -> None:
        """Nothing is fetched ahead."""

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def getmany(self, tp: TopicPartition, **_timeout: int) -> dict[TopicPartition, list[Record]]:
        await self._ask()
        if tp in self._broker.left_alone:
            await asyncio.sleep(1)
            return {}
        partition = self._partition(tp)
        most = self._broker.network.random.choice((1, 5, 100))
        records = partition.after(self._positions[tp], most)
        if len(records) < most:
            self._positions[tp] = max(self._positions[tp], partition.end)
        else:
            self._positions[tp] = records[-1].offset + 1
        return {tp: records} if records else {}


class Producer:
    """Stands in for boxoffice.batching.consumer.BatchProducer, which is idempotent: see KIP-98."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sequences: Counter[tuple[str, int]] = Counter()

    async def publish(self, topic: str, partition: int, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Publish in order, in one record batch or several; returns (base offset, count) of each."""
        acknowledged = []
        random = self._broker.network.random
        at = 0
        while at < len(records):
            count = random.choice((1, 3, len(records), len(records)))
            part = records[at : at + count]
            acknowledged.append((await self._publish_batch(topic, partition, part), len(part)))
            at += len(part)
        return acknowledged

    def is_left_alone(self, topic: str, partition: int) -> bool:
        """Whether a partition has no leader while others have one."""
        led = {place for place in self._broker.partitions if place[0] == topic} - self._broker.left_alone
        return self._broker.is_up and (topic, partition) in self._broker.left_alone and bool(led)

    async def _publish_batch(self, topic: str, partition: int, records: Sequence[Outgoing]) -> int:
        network = self._broker.network
        await self._broker.reach_leader(topic, partition)
        if network.happens(network.faults.publish_refused):
            raise KafkaError("refused")
        reply_lost = network.happens(network.faults.publish_reply_lost)

        def arrive() -> int | None:
            if not self._broker.is_up:
                raise RequestTimedOutError
            if (topic, partition) in self._broker.left_alone:
                return None
            base = self._append(topic, partition, records, network.random.choice((0, 0, 0, 0, 1)))
            if reply_lost:
                raise RequestTimedOutError
            return base

        while (base := await network.exchange(arrive)) is None:
            await self._broker.reach_leader(topic, partition)
        return base

    def _append(self, topic: str, number: int, records: Sequence[Outgoing], markers: int) -> int:
        """Write a batch, unless the log has lost what this producer has written before it."""
        place = self._broker.partitions[topic, number]
        if place.next_sequence(self) not in (None, self._sequences[topic, number]):
            raise OutOfOrderSequenceNumber
        base = self._broker.append(topic, number, records, markers)
        self._sequences[topic, number] += len(records)
        place.written.append((base + len(records), self, self._sequences[topic, number]))
        return base


class LetterBox:
    """Stands in for boxoffice.kafka.letter_box.LetterBox; its topic has another number of partitions."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._broker = broker
        self._topic = dead_letters.TOPIC.full_name(prefix)
        self._requests = purchase_requests.TOPIC.full_name(prefix)
        self.log = Reader(broker)

    def commands(self, number: int) -> TopicPartition:
        return TopicPartition(self._requests, number)

    async def kept_to(self, number: int) -> int:
        await self._broker.reach()
        return await self._broker.network.exchange(lambda: self._broker.letters_kept_to[number])

    async def keep(self, letters: Mapping[int, Sequence[Outgoing]]) -> None:
        while not self._broker.takes_letters:
            await self._broker.change(self._broker.changes)
        for number, some in letters.items():
            place = dead_letters.partition_of(number, LETTER_PARTITIONS)
            assert place < LETTER_PARTITIONS, "Unrecognized partition"
            await self._exchange(partial(self._broker.append, self._topic, place, some))

    async def note(self, kept_to: Mapping[int, int]) -> None:
        await self._exchange(lambda: self._broker.letters_kept_to.update(kept_to))

    async def _exchange(self, arrive: Callable[[], object]) -> None:
        network = self._broker.network
        await self._broker.reach()
        if network.happens(network.faults.letters_refused):
            raise KafkaError("refused")
        reply_lost = network.happens(network.faults.letters_refused)

        def arrive_or_fail() -> None:
            arrive()
            if reply_lost:
                raise RequestTimedOutError

        await network.exchange(arrive_or_fail)
