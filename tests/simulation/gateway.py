"""A gateway's parts on the simulated log: its lanes, answers and follower are the product's, and so are the workers'.

What stands in for aiokafka here is as bad as a broker may be: it acknowledges late, or what it wrote long ago; it
refuses; it has no leader; it forgets where a batch lies; its facts overtake its acknowledgements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    KafkaStorageError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
    UnknownError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from boxoffice.batching import Outgoing, Record
from boxoffice.gateway.answers import Answers
from boxoffice.gateway.desk import ACKNOWLEDGED_WITHIN_S, Desk
from boxoffice.gateway.following import Follower
from boxoffice.gateway.lanes import Lanes
from boxoffice.gateway.waiters import Waiters
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.publishing import ledger_record
from tests.simulation.broker import NO_LEADER, Broker, Reader
from tests.simulation.processes import Process
from topics import purchase_requests, purchase_results

REQUESTS: Final = purchase_requests.TOPIC.name
LEDGER: Final = purchase_results.TOPIC.name
BROKERS: Final = (1, 2)
BATCH_RECORDS: Final = 3
AGAIN_S: Final = 0.1
NO_OFFSET: Final = -1


@dataclass
class Troubles:
    """What goes wrong with batches and fetches by itself, as chances."""

    reply_lost: float = 0.0
    """A batch was written, and nobody hears of it: the client sends it again."""
    forgotten: float = 0.0
    """The broker knows that it has a repeated batch, and does not know any more where."""
    refused: float = 0.0
    """The broker says that it has written nothing."""
    failed: float = 0.0
    """It says that something went wrong: it may have written the batch."""
    not_handed_over: float = 0.0
    fetch_failed: float = 0.0
    decided_twice: float = 0.0
    """A ledger record comes twice: a replaced owner has written it too."""


class _Builder:
    """As much of a BatchBuilder as the lanes use."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object | None:
        assert timestamp is None
        if len(self.records) >= BATCH_RECORDS:
            return None
        self.records.append((key, value, headers))
        return self


class _Metadata(NamedTuple):
    offset: int


@dataclass
class SimulatedSent:
    """Stands in for boxoffice.gateway.sending.Sent."""

    acknowledged: asyncio.Future[Any]
    was_repeated: bool = False


class SimulatedSender:
    """Stands in for boxoffice.gateway.sending.Sender: an idempotent producer that gives nothing up."""

    def __init__(self, broker: Broker, troubles: Troubles) -> None:
        self._broker = broker
        self._network = broker.network
        self._troubles = troubles
        self._has: set[int] = set()
        self._gaps: set[int] = set()
        """Partitions whose next batch has a number that the broker does not expect."""

    def create_batch(self) -> _Builder:
        return _Builder()

    async def send(self, batch: _Builder, number: int) -> SimulatedSent:
        assert number not in self._has, "one batch in flight a partition"
        if self._network.happens(self._troubles.not_handed_over):
            raise TopicAuthorizationFailedError(REQUESTS)
        self._has.add(number)
        sent = SimulatedSent(self._network.future())
        self._network.loop.create_task(self._deliver(batch.records, number, sent))
        return sent

    def begin_anew(self) -> None:
        self._gaps.clear()

    async def _deliver(self, records: Sequence[Outgoing], number: int, sent: SimulatedSent) -> None:
        base: int | None = None
        while True:
            await self._broker.reach_leader(REQUESTS, number)
            try:
                base = await self._network.exchange(partial(self._arrive, records, number, base))
            except _ReplyLostError as error:
                base, sent.was_repeated = error.base, True
                await asyncio.sleep(AGAIN_S)
            except KafkaError as error:
                self._has.discard(number)
                self._gaps.add(number)
                sent.acknowledged.set_exception(error)
                return
            else:
                if base is not None:
                    break
        self._has.discard(number)
        sent.acknowledged.set_result(_Metadata(base))

    def _arrive(self, records: Sequence[Outgoing], number: int, written_at: int | None) -> int | None:
        """At the broker; None if there is no leader any more."""
        if not self._broker.is_up or (REQUESTS, number) in self._broker.left_alone:
            return None
        if number in self._gaps:
            raise OutOfOrderSequenceNumber
        happens = self._network.happens
        if happens(self._troubles.refused):
            raise TopicAuthorizationFailedError(REQUESTS)
        if written_at is not None:
            return NO_OFFSET if happens(self._troubles.forgotten) else written_at
        if happens(self._troubles.failed):
            if self._network.random.random() < 0.5:
                self._broker.append(REQUESTS, number, records)
            raise UnknownError
        base = self._broker.append(REQUESTS, number, records, self._network.random.choice((0, 0, 0, 1)))
        if happens(self._troubles.reply_lost):
            raise _ReplyLostError(base)
        return base


class _ReplyLostError(Exception):
    def __init__(self, base: int) -> None:
        super().__init__()
        self.base = base


class _FetchResponse(NamedTuple):
    topics: list[tuple[str, list[tuple[Any, ...]]]]


class FetchClient:
    """As much of AIOKafkaClient as the follower uses."""

    def __init__(self, broker: Broker, troubles: Troubles) -> None:
        self._broker = broker
        self._network = broker.network
        self._troubles = troubles

    @property
    def cluster(self) -> FetchClient:
        return self

    def leader_for_partition(self, tp: TopicPartition) -> int:
        return NO_LEADER if tp in self._broker.left_alone else BROKERS[tp.partition % len(BROKERS)]

    def force_metadata_update(self) -> None:
        """It knows all."""

    async def send(self, broker: int, request: Any) -> _FetchResponse:
        if not self._broker.is_up:
            await asyncio.sleep(AGAIN_S)
            raise NodeNotReadyError
        response = await self._network.exchange(partial(self._arrive, broker, request.topics))
        if not any(one[-1] or one[1] for _, partitions in response.topics for one in partitions):
            # As a broker does that has nothing, for a while.
            changes = self._broker.changes
            await asyncio.wait(
                [asyncio.ensure_future(self._broker.change(changes))], timeout=request._max_wait_ms / 1000
            )
        return response

    def _arrive(self, broker: int, topics: Iterable[tuple[str, Any]]) -> _FetchResponse:
        return _FetchResponse(
            [(topic, [self._fetched(broker, topic, *one[:2]) for one in partitions]) for topic, partitions in topics]
        )

    def _fetched(self, broker: int, topic: str, number: int, offset: int) -> tuple[Any, ...]:
        partition = self._broker.partitions[topic, number]
        if self.leader_for_partition(TopicPartition(topic, number)) != broker:
            return number, NotLeaderForPartitionError.errno, -1, -1, -1, [], b""
        if self._network.happens(self._troubles.fetch_failed):
            return number, KafkaStorageError.errno, -1, -1, -1, [], b""
        if not partition.start <= offset <= partition.end:
            return number, OffsetOutOfRangeError.errno, -1, -1, -1, [], b""
        records = partition.after(offset, self._network.random.choice((1, 4, 50)))
        return number, 0, partition.end, partition.end, partition.start, [], packed(records)


class FetchConsumer(Reader):
    """As much of AIOKafkaConsumer as the follower uses."""

    def __init__(self, broker: Broker, client: FetchClient) -> None:
        super().__init__(broker)
        self._fetch_client = client

    @property
    def _client(self) -> Any:
        return self._fetch_client


def packed(records: Sequence[Record]) -> bytes:
    """Record batches, as a broker sends them: those beside each other in one."""
    batches = bytearray()
    run: list[Record] = []
    for record in records:
        if run and record.offset != run[-1].offset + 1:
            batches += _batch(run)
            run = []
        run.append(record)
    return bytes(batches + _batch(run)) if run else b""


def _batch(records: Sequence[Record]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, record in enumerate(records):
        headers: Any = list(record.headers)
        assert builder.append(offset, record.timestamp, record.key, record.value, headers) is not None
    built = bytes(builder.build())
    # Its first offset is the broker's, and stands outside of what the checksum covers.
    return records[0].offset.to_bytes(8) + built[8:]


@dataclass
class Deciders:
    """Workers, one a partition; ``away`` are those that rest."""

    broker: Broker
    partitions: int
    troubles: Troubles
    away: set[int] = field(default_factory=set)

    async def decide(self, number: int) -> None:
        """Decide all that comes, until the simulation ends."""
        network = self.broker.network
        owned = new_partition(number, self.partitions)
        while True:
            seen = self.broker.changes
            records = self.broker.partitions[REQUESTS, number].after(owned.position, network.random.choice((1, 5)))
            if not records or number in self.away or (LEDGER, number) in self.broker.left_alone:
                await self.broker.change(seen)
                continue
            for answer in owned.answer(records):
                if answer.forward is not None and answer.fact["type"] == "command_forwarded":
                    self.broker.append(REQUESTS, answer.fact["home"], [answer.forward])
                written = [ledger_record(answer, self.partitions)]
                self.broker.append(LEDGER, number, written, network.random.choice((0, 0, 0, 1)))
                if network.happens(self.troubles.decided_twice):
                    self.broker.append(LEDGER, number, written)
            await asyncio.sleep(network.delay_s())


class SimulatedGateway(Process):
    """One gateway's process, which believes so many partitions."""

    def __init__(
        self, broker: Broker, partitions: int, troubles: Troubles, on_failure: Callable[[BaseException], None]
    ) -> None:
        super().__init__(broker.network.loop)
        self.partitions = partitions
        waiters = Waiters(broker.network.loop.time())
        self.waiters = waiters
        self.answers = Answers(partitions, waiters, ACKNOWLEDGED_WITHIN_S)
        sender: Any = SimulatedSender(broker, troubles)
        self.lanes = Lanes(sender, partitions, self.answers, on_failure)
        consumer: Any = FetchConsumer(broker, FetchClient(broker, troubles))
        ledger = [TopicPartition(LEDGER, number) for number in range(partitions)]
        self.follower = Follower(consumer, ledger, self.answers)
        self.desk = Desk(partitions, waiters, self.answers, self.lanes, self.follower)
        self._on_failure = on_failure

    async def begin(self) -> None:
        """Become ready."""
        await self.spawn(self.follower.begin())
        for endless in (self.follower.follow(), self.desk.sweep()):
            self.spawn(endless).add_done_callback(self._ended)

    def _ended(self, done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._on_failure(error)

    @property
    def left_behind(self) -> list[object]:
        """What it still keeps: nothing, when everybody was answered."""
        lanes = self.answers._lanes
        kept = [kept for lane in lanes for kept in (lane.waiting, lane.early, lane.on_their_way)]
        return [one for one in (*kept, *self.lanes._gathered, self.lanes._flying, len(self.waiters)) if one]
