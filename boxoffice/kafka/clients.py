"""Clients of Kafka beside Faust's own: made from the settings, and the few things asked of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any

import aiokafka.admin.client
import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.helpers import create_ssl_context
from aiokafka.partitioner import murmur2
from aiokafka.protocol.metadata import MetadataRequest

from boxoffice.errors import LedgerError, SettingsError
from boxoffice.kafka import fetching
from boxoffice.kafka.connecting import Admin, Connections, noting_connections, unreachable
from boxoffice.securing import RereadContext
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import others_cancellations_as

Headers = Sequence[tuple[str, bytes]]


class TailLostError(LedgerError):
    """A topic lost its tail while it was read."""

    remedy = "The supervisor starts the process again, and it reads what is there. See that no broker loses records."

    def __init__(self, partition: TopicPartition, end: int) -> None:
        super().__init__(
            f"{partition.topic} partition {partition.partition} lost its tail while it was read: it ended at {end}."
        )


RECORDS_AT_ONCE = 500
"""A fetch holds thousands: unpacked all at once they leave the processor's cache before they are looked at, which
made reading and folding a ledger slower by a tenth or more."""

fetching.install()


class LookingRequest(MetadataRequest):
    """Asks what topics there are, and makes none.

    aiokafka's own lets the broker create what it is asked for, which with Kafka's defaults it does: with one partition,
    the clients' time, and a ledger that is gone after a week.
    """

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


# For every client of this process, consumers, producers and admin, Faust's too: these are all the places that make one.
aiokafka.client.MetadataRequest = aiokafka.admin.client.MetadataRequest = LookingRequest  # type: ignore[assignment,attr-defined]

NO_LEADER = -1
"""What the brokers name as the leader of a partition that has none."""
ASK_FOR_LEADER_S = 0.1
_ask_brokers: Callable[[Any, Any, Any], Awaitable[bool]] = aiokafka.client.AIOKafkaClient._metadata_update


async def _ask_brokers_now_and_then(self: Any, cluster: Any, topics: Any) -> bool:
    """While something waits for a leader aiokafka asks for one without a pause, which takes a tenth of a core."""
    found = await _ask_brokers(self, cluster, topics)
    if any(one.leader == NO_LEADER for partitions in cluster._partitions.values() for one in partitions.values()):
        await asyncio.sleep(ASK_FOR_LEADER_S)
    return found


aiokafka.client.AIOKafkaClient._metadata_update = _ask_brokers_now_and_then  # type: ignore[method-assign]


@lru_cache(maxsize=65_536)
def home_partition(event_id: str, partitions: int) -> int:
    """The partition on which an event is decided: Java's default partitioner on its id."""
    return int((murmur2(event_id.encode()) & 0x7FFFFFFF) % partitions)


def group_id(settings: KafkaSettings, process: str) -> str:
    """The consumer group of a process."""
    return f"{settings.topic_prefix}boxoffice-{process}"


def ssl_context(settings: KafkaSettings) -> RereadContext | None:
    """The TLS context that the settings ask for, if any; each connection takes the newest.

    Raises:
        SettingsError: a file cannot be read or is no certificate or key.
    """
    if settings.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    authorities, certificate, key = settings.ssl_cafile, settings.ssl_certfile, settings.ssl_keyfile
    password = settings.ssl_password.get_secret_value() or None

    def read() -> ssl.SSLContext:
        return create_ssl_context(cafile=authorities, certfile=certificate, keyfile=key, password=password)

    context = RereadContext(read, [authorities, certificate, key])
    try:
        context.newest()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The BOXOFFICE_KAFKA_SSL files cannot be used: {error}.") from None
    return context


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes: where the brokers are, and who we are."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "client_id": "boxoffice",
        "request_timeout_ms": settings.request_timeout_ms,
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


@asynccontextmanager
async def _started(settings: KafkaSettings, client: Any, close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """The client at work; closed whatever ends the block, or its start: a cancellation too."""
    with others_cancellations_as(KafkaError("the client has cancelled itself")):
        try:
            with noting_connections() as connections:
                try:
                    await client.start()
                except (KafkaError, OSError) as error:
                    raise unreachable(settings, connections.failure or error) from None
            yield
        finally:
            closing = asyncio.create_task(_close(close, connections))
            try:
                await asyncio.shield(closing)
            finally:
                await asyncio.wait([closing])


async def _close(close: Callable[[], Awaitable[None]], connections: Connections) -> None:
    """In a task of its own: aiokafka takes a cancellation of who closes it for one of its own, and passes over it."""
    # Those tasks must have begun before, or the closing is cancelled with them.
    await asyncio.sleep(0)
    try:
        await close()
    finally:
        await connections.close()


@asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administration client.

    Raises:
        UnreachableError: no broker answered.
    """
    client = Admin(**client_options(settings))
    async with _started(settings, client, client.close):
        yield client


@asynccontextmanager
async def producer(settings: KafkaSettings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that loses and repeats nothing: acks=all, idempotent.

    Raises:
        UnreachableError: no broker answered.
    """
    client = AIOKafkaProducer(**client_options(settings), acks="all", enable_idempotence=True, **options)
    async with _started(settings, client, client.stop):
        yield client


@asynccontextmanager
async def reader(
    settings: KafkaSettings, partitions: Iterable[TopicPartition], group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of given partitions, a member of no group: it reads what is committed.

    It commits nothing by itself; what it is told to commit, it commits as ``group``, which must have no members.

    Raises:
        UnreachableError: no broker answered.
    """
    client = AIOKafkaConsumer(
        **client_options(settings),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )
    async with _started(settings, client, client.stop):
        assigned = list(partitions)
        if assigned:
            client.assign(assigned)
            # Each is resumed while it is read: nobody waits for what another's fetch waits for.
            client.pause(*assigned)
        yield client


OpenReader = Callable[[KafkaSettings, Iterable[TopicPartition]], AbstractAsyncContextManager[AIOKafkaConsumer]]
"""What :func:`reader` is: whoever reads beside Faust's own consumer can be given another log to read."""


class KeptReader:
    """A reader that stays open between its uses: to open one costs more than most of them. One use at a time.

    It is opened when it is needed first, and again when a use has failed, or is about partitions that it does not
    have yet.
    """

    def __init__(self, settings: KafkaSettings, open_reader: OpenReader = reader) -> None:
        self._settings = settings
        self._open_reader = open_reader
        self._partitions: set[TopicPartition] = set()
        self._opened: tuple[AsyncExitStack, AIOKafkaConsumer] | None = None
        self._using = asyncio.Lock()

    @asynccontextmanager
    async def reading(self, partitions: Collection[TopicPartition]) -> AsyncIterator[AIOKafkaConsumer]:
        """The reader, to read these partitions, or to ask about them.

        Raises:
            UnreachableError: no broker answered.
        """
        async with self._using:
            if not self._partitions.issuperset(partitions):
                self._partitions.update(partitions)
                await self._close()
            consumer = await self._open()
            try:
                yield consumer
            except BaseException:
                await self._close()
                raise
            # What was fetched beyond what was asked for would wait here, and be waited for.
            for partition in partitions:
                consumer.seek(partition, 0)

    async def aclose(self) -> None:
        """Close it, when it is not in use any more."""
        async with self._using:
            await self._close()

    async def _open(self) -> AIOKafkaConsumer:
        if self._opened is None:
            stack = AsyncExitStack()
            consumer = await stack.enter_async_context(self._open_reader(self._settings, sorted(self._partitions)))
            self._opened = stack, consumer
        return self._opened[1]

    async def _close(self) -> None:
        if self._opened is not None:
            (stack, _), self._opened = self._opened, None
            await stack.aclose()


async def without_leader(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
    """Which of a reader's partitions nobody can read now: aiokafka would wait for their leader, for all others too."""
    await consumer._client.force_metadata_update()
    return led_by_nobody(consumer, partitions)


def led_by_nobody(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
    """The same, as far as the client knows by now."""
    cluster = consumer._client.cluster
    return frozenset(tp for tp in partitions if cluster.leader_for_partition(tp) == NO_LEADER)


async def read_between(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    first: int,
    end: int,
    on_damage: Callable[[int, int], object] | None = None,
) -> AsyncGenerator[list[ConsumerRecord[bytes, bytes]], None]:
    """The records of a reader's partition from offset ``first`` until ``end``, in lists as they arrive.

    ``end`` is exclusive. The offsets of markers and of aborted transactions hold no record. Record batches that
    the disk has damaged are passed over if ``on_damage`` is there to be told their first and last offset.

    Raises:
        CorruptRecordException: a record batch is damaged.
        TailLostError: the partition ends before ``end`` now, or is read from an earlier place.
    """
    consumer.seek(partition, first)
    consumer.resume(partition)
    carefully = False
    read_to = first
    try:
        while (position := await _position_behind(consumer, partition, read_to, end)) < end:
            read_to = position
            try:
                at_once = 1 if carefully else RECORDS_AT_ONCE
                fetched = await consumer.getmany(partition, timeout_ms=1_000, max_records=at_once)
            except CorruptRecordException:
                if on_damage is None:
                    raise
                if carefully:
                    behind = await _behind_damage(consumer, partition, position, end)
                    on_damage(position, behind - 1)
                    position = behind
                # What came before the damage in the same fetch is gone with the exception: it is read one by one.
                consumer.seek(partition, position)
                carefully = not carefully
                continue
            if not fetched and (await consumer.end_offsets([partition]))[partition] < end:
                raise TailLostError(partition, end)
            for records in fetched.values():
                wanted = records if records[-1].offset < end else [r for r in records if r.offset < end]
                if wanted:
                    yield wanted
    finally:
        consumer.pause(partition)


async def _position_behind(consumer: AIOKafkaConsumer, partition: TopicPartition, read_to: int, end: int) -> int:
    position: int = await consumer.position(partition)
    if position < read_to:
        raise TailLostError(partition, end)  # The client goes back to the beginning where an offset is gone.
    return position


async def record_at(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> ConsumerRecord[bytes, bytes] | None:
    """The record of a reader's partition at an offset before its end; None if none lies there.

    Raises:
        CorruptRecordException: its record batch is damaged.
    """
    found = None
    # To the end: a reader that is left in the middle pauses the partition later, whoever reads it then.
    async for records in read_between(consumer, partition, offset, offset + 1, _raise_damage):
        [found] = records
    return found


def _raise_damage(first: int, last: int) -> None:
    raise CorruptRecordException(f"The record batch at {first}-{last} is damaged.")


async def _behind_damage(consumer: AIOKafkaConsumer, partition: TopicPartition, damaged: int, end: int) -> int:
    """The next offset that can be read: a record batch is damaged as a whole, and does not say how long it is."""
    step = 1
    while damaged + step < end and not await _is_readable(consumer, partition, damaged + step):
        damaged, step = damaged + step, 2 * step
    readable = min(damaged + step, end)
    while readable - damaged > 1:
        middle = (damaged + readable) // 2
        if await _is_readable(consumer, partition, middle):
            readable = middle
        else:
            damaged = middle
    return readable


async def _is_readable(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> bool:
    consumer.seek(partition, offset)
    try:
        await consumer.getmany(partition, timeout_ms=1_000, max_records=1)
    except CorruptRecordException:
        return False
    return True


async def read_all(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
    """All that a reader's partitions hold now, one partition after the other, in lists as they arrive."""
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    for tp in partitions:
        async for records in read_between(consumer, tp, begins[tp], ends[tp]):
            yield records


def topic_partitions(topic: str, count: int) -> list[TopicPartition]:
    """All partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(count)]


def header(headers: Headers, name: str) -> bytes | None:
    """The last header of that name: the one that was added last."""
    for key, value in reversed(headers):
        if key == name:
            return value
    return None
