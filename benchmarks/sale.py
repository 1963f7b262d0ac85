"""A sale to measure: events that are open, a backlog of purchases, and a ledger that can be begun again.

All contestants read the same commands. Between two runs the ledger is made anew and Redis is emptied,
and both are given the events as they were before the first purchase; so every contestant begins at the
same place, and has to end with the same ledger.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from redis.asyncio import Redis

from boxoffice.batching import BatchOptions, Outgoing
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from boxoffice.redis.connection import connect
from boxoffice.redis.store import RedisStore, Snapshot
from boxoffice.selling.deciding import OwnedPartition, new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.settings import Settings, settings_from
from topics import TOPICS, TopicDefinition, purchase_requests, purchase_results

PARTITIONS: Final = 12
TICKETS_PER_ORDER: Final = 2
PRICE: Final = 4_500
_LOADED_AT_ONCE: Final = 8
_PATIENCE_MS: Final = 10_000
_TOPIC_POLL_S: Final = 0.1

Record = ConsumerRecord[bytes, bytes]
Command = tuple[str, bytes]
"""An event's id, and what is asked of it."""
Creating = Callable[[str, int], Command]
"""What :func:`create_event` is."""
Headers = list[tuple[str, bytes]]


def create_event(event_id: str, capacity: int) -> Command:
    """The command that puts an event on sale."""
    members = {
        "type": "create_event",
        "request_id": f"create-{event_id}",
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00+01:00",
        "capacity": capacity,
        "max_per_order": 8,
        "price": {"amount": PRICE, "currency": "EUR"},
    }
    return event_id, json.dumps(members).encode()


def order_id(number: int) -> str:
    """An order's request id, a UUID of 36 characters."""
    return f"550e8400-e29b-41d4-a716-{number:012d}"


def purchase(event_id: str, number: int, buyer: str = "") -> Command:
    """The command of one order of two tickets."""
    members = {
        "type": "purchase",
        "request_id": order_id(number),
        "event_id": event_id,
        "buyer": buyer or f"b-{number}",
        "quantity": TICKETS_PER_ORDER,
    }
    return event_id, json.dumps(members).encode()


def purchases(events: Sequence[str], count: int, first: int = 0) -> Iterable[Command]:
    """So many orders, of the events in turn."""
    return (purchase(events[number % len(events)], number) for number in range(first, first + count))


def tickets_each(orders: int, events: int) -> int:
    """The tickets that each of the events needs so that it is never sold out."""
    return TICKETS_PER_ORDER * -(-orders // events)


def event_ids(count: int) -> list[str]:
    """The ids of so many events."""
    return [str(1_000 + number) for number in range(count)]


def no_headers(_number: int) -> Headers:
    """Of commands that have none."""
    return []


class Sale:
    """A box office on topics of its own."""

    def __init__(self, variables: Mapping[str, str], name: str) -> None:
        self.variables = {
            **variables,
            "BOXOFFICE_TOPIC_PREFIX": f"{name}-",
            "BOXOFFICE_PARTITIONS": str(PARTITIONS),
            "BOXOFFICE_HEALTH_PORT": "0",
            # Nothing on the way is slower for it, and a busy machine does not turn one measurement into another.
            "BOXOFFICE_REDIS_TIMEOUT_MS": "5000",
        }
        self.settings = settings_from(self.variables)
        self.requests = purchase_requests.TOPIC.full_name(self.settings.kafka.topic_prefix)
        self.ledger = purchase_results.TOPIC.full_name(self.settings.kafka.topic_prefix)
        self.ledger_partitions = clients.topic_partitions(self.ledger, PARTITIONS)
        self.opened = 0

    async def open(self, events: Iterable[str], capacity: int, create: Creating = create_event) -> None:
        """Create the topics, and put the events on sale."""
        await create_topics(self.settings.kafka)
        commands = [create(event_id, capacity) for event_id in events]
        await self.publish(commands)
        self._creations = await self._read(self.requests)
        self.opened = len(commands)
        await self._begin()

    async def begin_again(self) -> None:
        """Take back all that was sold."""
        await self.renew(purchase_results.TOPIC)
        await self._begin()

    async def close(self) -> None:
        """Delete the topics."""
        await self._delete([topic.full_name(self.settings.kafka.topic_prefix) for topic in TOPICS])

    async def renew(self, *topics: TopicDefinition) -> None:
        """Make topics anew, without their records."""
        await self._delete([topic.full_name(self.settings.kafka.topic_prefix) for topic in topics])
        await create_topics(self.settings.kafka)

    async def _delete(self, names: Sequence[str]) -> None:
        async with clients.admin(self.settings.kafka) as client:
            await client.delete_topics(list(names))
            while set(names) & set(await client.list_topics()):
                await asyncio.sleep(_TOPIC_POLL_S)

    def home(self, event_id: str) -> int:
        """The partition on which an event is decided."""
        return clients.home_partition(event_id, PARTITIONS)

    async def commands(self, partition: int) -> int:
        """Commands that lie on a partition."""
        tp = TopicPartition(self.requests, partition)
        async with clients.reader(self.settings.kafka, [tp]) as consumer:
            return int((await consumer.end_offsets([tp]))[tp])

    async def facts(self, consumer: AIOKafkaConsumer) -> int:
        """Facts that the ledger holds, those of the events' creation apart."""
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self.ledger_partitions)
        return sum(ends.values()) - self.opened

    async def _begin(self) -> None:
        """Write to the ledger and to Redis what the creations lead to."""
        owned = {number: new_partition(number, PARTITIONS) for number in range(PARTITIONS)}
        answers = {number: owned[number].answer(records) for number, records in self._creations.items()}
        async with self.producer() as producer:
            for number, of_partition in answers.items():
                records = [ledger_record(one, PARTITIONS) for one in of_partition]
                await publish_batches(producer, self.ledger, number, records)
        await self._load(owned.values())

    async def _load(self, owned: Iterable[OwnedPartition]) -> None:
        async with Redis.from_url(self.settings.redis.url.get_secret_value()) as client:
            await client.flushall()
        store = patient_store(self.settings)
        loading = asyncio.Semaphore(_LOADED_AT_ONCE)

        async def load(event: Snapshot) -> None:
            async with loading:
                await store.rebuild(event)

        snapshots = [Snapshot.of(event, one.number) for one in owned for event in one.ledger.inventory.events.values()]
        await asyncio.gather(*map(load, snapshots))
        await store.aclose()

    async def publish(self, commands: Iterable[Command], headers_of: Callable[[int], Headers] = no_headers) -> None:
        """Put commands on their home partitions, and wait until they are acknowledged."""
        async with self.producer() as producer:
            for batch in self.batches(producer, commands, headers_of=headers_of):
                await batch.send(producer)

    def producer(self) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        """A producer of large record batches."""
        return clients.producer(self.settings.kafka, max_batch_size=BatchOptions().max_batch_bytes)

    def batches(
        self,
        producer: AIOKafkaProducer,
        commands: Iterable[Command],
        most_commands: int | None = None,
        *,
        headers_of: Callable[[int], Headers] = no_headers,
    ) -> list[Prepared]:
        """Commands as record batches, made beforehand so that sending them costs next to nothing.

        ``headers_of`` says by a command's number which headers it has.
        """
        by_home: defaultdict[int, list[Outgoing]] = defaultdict(list)
        home = cache(self.home)
        for number, (event_id, value) in enumerate(commands):
            by_home[home(event_id)].append((event_id.encode(), value, headers_of(number)))
        return [
            batch
            for partition, records in by_home.items()
            for batch in prepare(producer, self.requests, partition, records, most_commands)
        ]

    async def ledger_digests(self) -> dict[int, list[bytes]]:
        """What distinguishes each ledger record, by partition: key, value and headers, but not who decided."""
        return {number: list(map(_digest, records)) for number, records in (await self._read(self.ledger)).items()}

    async def _read(self, topic: str) -> dict[int, list[Record]]:
        found: dict[int, list[Record]] = {number: [] for number in range(PARTITIONS)}
        partitions = clients.topic_partitions(topic, PARTITIONS)
        async with clients.reader(self.settings.kafka, partitions) as consumer:
            ends = await consumer.end_offsets(partitions)
            for tp in partitions:
                async for records in clients.read_between(consumer, tp, 0, ends[tp]):
                    found[tp.partition] += records
        return found


def patient_store(settings: Settings) -> RedisStore:
    """The events in Redis, for who has nothing else to do than wait for it."""
    patient = settings.redis.model_copy(update={"timeout_ms": _PATIENCE_MS})
    return RedisStore(connect(patient, time_each_reply=False), patient)


@dataclass(frozen=True)
class Prepared:
    """A record batch, ready to be sent to its partition."""

    topic: str
    partition: int
    records: int
    builder: BatchBuilder

    async def send(self, producer: AIOKafkaProducer) -> None:
        """Send it, and wait until it is acknowledged."""
        await (await producer.send_batch(self.builder, self.topic, partition=self.partition))


def prepare(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Sequence[Outgoing],
    most_records: int | None = None,
) -> Iterator[Prepared]:
    """Records as record batches, in order: each as large as the producer allows, or of so many records."""
    at = 0
    while at < len(records):
        builder = producer.create_batch()
        first, end = at, min(len(records), at + (most_records or len(records)))
        while at < end:
            key, value, headers = records[at]
            # A batch that is full refuses by returning None.
            if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                break
            at += 1
        builder.close()
        yield Prepared(topic, partition, at - first, builder)


async def publish_batches(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
    """Publish records in order, in as few record batches as will hold them."""
    for batch in prepare(producer, topic, partition, records):
        await batch.send(producer)


def _digest(record: Record) -> bytes:
    digest = hashlib.blake2b(record.key or b"", digest_size=8)
    digest.update((record.value or b"").replace(b'"decided_by":"local"', b'"decided_by":"redis"'))
    digest.update(repr(sorted(record.headers)).encode())
    return digest.digest()
