"""The clock at work, beside a broker of the test's own: how much it asks, of whom, and what ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import time
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError, NotLeaderForPartitionError
from faust.types import TP

from boxoffice.batching import Batch, BatchConsumer, BatchProducer, Outgoing, Run
from boxoffice.clock import expiring
from boxoffice.clock.expiring import Expiring
from boxoffice.clock.holds import Holds
from boxoffice.clock.sending import Sender
from boxoffice.errors import LedgerError, PublishError
from boxoffice.settings import Settings, load_settings
from tests.support.one_partition import OnePartition, buying, holding

LEDGER = "purchase-results"
REQUESTS = "purchase-requests"
HOLD_MS = 600_000
BEHIND_ALL = 100_000
"""The offset of the first question: behind all that was decided."""


class Broker:
    """What the clock publishes, by partition; some of which have no leader."""

    def __init__(self) -> None:
        self.sent: dict[int, list[Outgoing]] = {}
        self.in_flight: dict[int, int] = {}
        self.alone: set[int] = set()
        self.failure: KafkaError | None = None

    async def publish(self, topic: str, number: int, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        assert topic == REQUESTS
        self.in_flight[number] = self.in_flight.get(number, 0) + 1
        assert self.in_flight[number] == 1, "one record batch in flight"
        while number in self.alone:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.in_flight[number] -= 1
        sent = self.sent.setdefault(number, [])
        sent += records
        return [(BEHIND_ALL + len(sent) - len(records), len(records))]

    def is_left_alone(self, _: str, number: int) -> bool:
        return number in self.alone

    def asked(self, number: int) -> list[str]:
        """The purchases that were asked about."""
        return [json.loads(value or b"")["purchase"] for _, value, _ in self.sent.get(number, ())]


class Consumer:
    """Faust's, as far as the clock asks it: all assigned partitions, and how far they are read."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers
        self.read_to = dict.fromkeys(numbers, 0)
        self.starts: dict[int, int] = {}
        self.withheld: set[int] = set()

    def assignment(self) -> set[TP]:
        return {TP(LEDGER, number) for number in self.numbers}

    def start_at(self, tp: TP, offset: int) -> None:
        self.starts[tp.partition] = offset

    def withhold(self, tp: TP) -> None:
        self.withheld.add(tp.partition)

    def positions(self) -> dict[TP, tuple[int, int]]:
        return {TP(LEDGER, number): (at, at) for number, at in self.read_to.items()}


class Desk:
    """A clock with partitions, each of which has an event of the same number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, numbers: Sequence[int], **settings: Any) -> None:
        self.broker = Broker()
        self.consumer = Consumer(numbers)
        self.failures: list[BaseException] = []
        self.partitions = {number: OnePartition() for number in numbers}
        self.ends = dict.fromkeys(numbers, 0)
        found: Settings = load_settings(**settings)
        producer = cast(BatchProducer, self.broker)
        self.clock = Expiring(found.kafka, found.clock, producer, self._noting)
        monkeypatch.setattr(expiring, "begin", self._begin)

    async def _begin(self, _: object, numbers: Sequence[int]) -> dict[int, tuple[Holds, int]]:
        return {number: (Holds(number, 0), self.ends[number]) for number in numbers}

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever would have ended the process
            self.failures.append(error)

    async def take_over(self) -> None:
        await self.clock.take_over(cast(BatchConsumer, self.consumer))

    def hold(self, number: int, *purchases: str, due_in_ms: int = -5_000) -> None:
        """Have purchases held that are due then."""
        at_ms = int(time() * 1000) + due_in_ms - HOLD_MS
        partition = self.partitions[number]
        if not partition.ledger:
            partition.ask(holding(str(number), 10_000), at_ms)
        for purchase in purchases:
            partition.ask(buying(purchase, str(number), 1), at_ms)

    async def deliver(self, number: int, first: int | None = None) -> None:
        """Let the clock read what lies there."""
        holds = self.clock._owned[number]
        begin = holds.next_offset if first is None else first
        records = [_record(number, *one) for one in self.partitions[number].ledger[begin:]]
        run = Run(TP(LEDGER, number), 1, begin, len(self.partitions[number].ledger), records)
        await self.clock.fold(cast(Batch, _Batch([run])))
        self.consumer.read_to[number] = len(self.partitions[number].ledger)


class _Batch:
    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs

    def ack(self) -> None:
        """It was folded."""


def _record(number: int, offset: int, value: bytes | None, read: bytes | None) -> ConsumerRecord[bytes, bytes]:
    headers = (("boxoffice-read", read),) if read is not None else ()
    sizes = (0, len(value or b""))
    return ConsumerRecord(LEDGER, number, offset, 0, 1, b"", value, None, *sizes, headers)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def desks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Desk]]:
    opened: list[Desk] = []

    def new(*numbers: int, **settings: Any) -> Desk:
        opened.append(Desk(monkeypatch, numbers, **settings))
        return opened[-1]

    yield new
    for desk in opened:
        desk.broker.alone.clear()
        await desk.clock.stop()


async def test_what_is_due_is_asked_once(desks: Callable[..., Desk]) -> None:
    desk = desks(3)
    await desk.take_over()
    desk.hold(3, "a", "b")
    desk.hold(3, "later", due_in_ms=60_000)
    await desk.deliver(3)
    await until(lambda: len(desk.broker.asked(3)) == 2)
    await asyncio.sleep(0.2)
    assert sorted(desk.broker.asked(3)) == ["a", "b"]
    assert desk.clock.details()["clock"] == {"holds": 3, "unanswered": 2}
    assert not desk.failures


async def test_nobody_is_asked_before_what_lay_there_was_read(desks: Callable[..., Desk]) -> None:
    """What has ended since would be asked about in vain."""
    desk = desks(3)
    desk.ends[3] = 100
    await desk.take_over()
    desk.hold(3, "a")
    await desk.deliver(3)
    await asyncio.sleep(0.2)
    assert desk.broker.asked(3) == []
    assert desk.clock.details()["partitions"] == {"ready": []}
    desk.consumer.read_to[3] = 100
    await until(lambda: desk.broker.asked(3) == ["a"])
    assert desk.clock.details()["partitions"] == {"ready": [3]}


async def test_no_more_is_asked_than_may_be_unanswered(desks: Callable[..., Desk]) -> None:
    desk = desks(3, 4, clock_most_unanswered=5)
    await desk.take_over()
    for number in (3, 4):
        desk.hold(number, *(f"r-{one}" for one in range(20)))
        await desk.deliver(number)
    await until(lambda: len(desk.broker.asked(3)) == len(desk.broker.asked(4)) == 5)
    await asyncio.sleep(0.2)
    assert len(desk.broker.asked(3)) == len(desk.broker.asked(4)) == 5


async def test_no_partition_waits_for_another_that_asks_much(desks: Callable[..., Desk]) -> None:
    desk = desks(3, 4, clock_rate=200)
    await desk.take_over()
    desk.hold(3, *(f"r-{one}" for one in range(500)))
    desk.hold(4, "alone")
    await desk.deliver(3)
    await desk.deliver(4)
    await until(lambda: desk.broker.asked(4) == ["alone"])
    assert len(desk.broker.asked(3)) < 500


async def test_a_partition_without_a_leader_holds_up_no_other(desks: Callable[..., Desk]) -> None:
    desk = desks(3, 4, publish_timeout_ms=1_000)
    desk.broker.alone.add(3)
    await desk.take_over()
    for number in (3, 4):
        desk.hold(number, "a")
        await desk.deliver(number)
    await until(lambda: desk.broker.asked(4) == ["a"])
    await asyncio.sleep(1.2)
    assert not desk.failures, "it waits for a leader as long as it takes"
    desk.broker.alone.clear()
    await until(lambda: desk.broker.asked(3) == ["a"])


async def test_what_the_broker_does_not_take_ends_the_process(desks: Callable[..., Desk]) -> None:
    desk = desks(3)
    await desk.take_over()
    desk.broker.failure = NotLeaderForPartitionError()
    desk.hold(3, "a")
    await desk.deliver(3)
    await until(lambda: bool(desk.failures))
    assert isinstance(desk.failures[0], PublishError)


async def test_what_is_not_acknowledged_in_time_is_a_failure() -> None:
    class Silent:
        async def publish(self, *_: object) -> list[tuple[int, int]]:
            await asyncio.sleep(3_600)
            return []

        def is_left_alone(self, *_: object) -> bool:
            return False

    with pytest.raises(PublishError, match=r"within 0\.05 s"):
        await Sender(cast(BatchProducer, Silent()), 0.05).send(REQUESTS, 3, [])


async def test_a_ledger_that_lost_its_tail_is_begun_anew(desks: Callable[..., Desk]) -> None:
    desk = desks(3)
    await desk.take_over()
    desk.hold(3, "a", "b")
    await desk.deliver(3)
    with pytest.raises(LedgerError, match="lost its tail"):
        await desk.deliver(3, first=1)


async def test_partitions_that_stay_go_on_where_they_were(desks: Callable[..., Desk]) -> None:
    desk = desks(3, 4)
    await desk.take_over()
    desk.hold(3, "a", due_in_ms=60_000)
    await desk.deliver(3)
    assert desk.consumer.starts == {3: 0, 4: 0}
    desk.consumer.numbers = [3]
    await desk.take_over()
    assert desk.consumer.starts[3] == 2
    assert desk.clock.details()["clock"]["holds"] == 1
    desk.consumer.numbers = [4]
    await desk.take_over()
    assert desk.clock.details()["clock"]["holds"] == 0


async def test_a_newer_release_s_fact_withholds_its_partition_alone(desks: Callable[..., Desk]) -> None:
    desk = desks(3, 4)
    await desk.take_over()
    desk.hold(3, "a", due_in_ms=60_000)
    newer = json.loads(desk.partitions[3].ledger[-1].value or b"") | {"type": "seat_swapped"}
    desk.partitions[3].write(json.dumps(newer).encode(), b"2-2")
    await desk.deliver(3)
    assert desk.consumer.withheld == {3}
    desk.hold(4, "b")
    await desk.deliver(4)
    await until(lambda: desk.broker.asked(4) == ["b"])
