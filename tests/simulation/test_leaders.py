"""A partition without a leader waits, of the ledger or of the commands; all others are answered meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final, NamedTuple

import pytest
import structlog

from boxoffice.errors import PublishError
from boxoffice.kafka.clients import header, home_partition
from boxoffice.selling.publishing import PATIENCE_S
from boxoffice.settings import load_settings
from models.ledger import Ledger
from tests.simulation.broker import Broker
from tests.simulation.group import Group
from tests.simulation.network import Network
from tests.simulation.processes import NOBODY, SimulatedLoop, State, simulate
from tests.simulation.redis_server import RedisServer
from tests.simulation.worker import Surroundings, Worker
from tests.support.checker import Record as CheckedRecord
from tests.support.checker import check
from tests.unit.records import creation, purchase
from topics import dead_letters, purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

PARTITIONS: Final = 3
EVENT_IDS: Final = {home_partition(event_id, PARTITIONS): event_id for event_id in map(str, range(1, 50))}
"""One event for each partition."""
REQUESTS, LEDGER, LETTERS = (
    definition.TOPIC.name for definition in (purchase_requests, purchase_results, dead_letters)
)
SOON_S: Final = PATIENCE_S + 2.0
LONG_S: Final = 100.0
"""Longer than any publish may take."""


class Scene(NamedTuple):
    """A box office of which one partition is going to lose its leader."""

    loop: SimulatedLoop
    broker: Broker
    surroundings: Surroundings
    workers: list[Worker]

    def start(self) -> Worker:
        """Start a worker."""
        settings = load_settings(partitions=PARTITIONS)
        worker = Worker(f"worker-{len(self.workers)}", self.loop, settings, self.surroundings)
        self.workers.append(worker)
        return worker

    def ask(self, number: int, request_id: str, *, at: int | None = None, markers: int = 0) -> None:
        """Buy from the event of a partition; ``at`` is where the command lies, and so many markers behind it."""
        self._append(number if at is None else at, purchase(request_id, EVENT_IDS[number]), markers)

    def create(self) -> None:
        """Create all events."""
        for number, event_id in EVENT_IDS.items():
            self._append(number, creation(event_id, 500))

    def _append(self, number: int, members: dict[str, Any], markers: int = 0) -> None:
        self.broker.append(REQUESTS, number, [(None, json.dumps(members).encode(), [])], markers)

    def folded(self, number: int) -> Ledger:
        """What a partition's ledger holds."""
        ledger = Ledger(number)
        for record in self.broker.partitions[LEDGER, number].records:
            ledger.read(record.value, header(record.headers, READ_HEADER))
        return ledger

    def unanswered(self) -> set[int]:
        """The partitions with commands that nobody has answered."""
        ends = {number: self.broker.partitions[REQUESTS, number].end for number in EVENT_IDS}
        return {number for number, end in ends.items() if self.folded(number).bookmark != end - 1}

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something is so; no worker may end meanwhile."""
        deadline_s = self.loop.time() + seconds
        while not condition():
            assert self.loop.time() < deadline_s, f"waited {seconds} s for {what}"
            await asyncio.sleep(0.05)
        assert all(worker.ended_by is None for worker in self.workers)

    async def sells_on(self, without: set[int], seconds: float, at: dict[int, int] | None = None) -> None:
        """For so long each partition is asked, and all but some are answered soon."""
        ends_s = self.loop.time() + seconds
        turn = 0
        while self.loop.time() < ends_s:
            turn += 1
            for number in EVENT_IDS:
                self.ask(number, f"{self.loop.time():.3f}-{turn}", at=(at or {}).get(number))
            await self.until(lambda: self.unanswered() <= without, SOON_S, "the others to be answered")
            await asyncio.sleep(1)

    def judge(self) -> None:
        """The independent checker finds nothing wrong."""
        requests, results, letters = (
            [
                CheckedRecord(r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp)
                for (topic, _), partition in self.broker.partitions.items()
                if topic == wanted
                for r in partition.records
            ]
            for wanted in (REQUESTS, LEDGER, LETTERS)
        )
        assert check(requests, results, PARTITIONS, letters).problems == []


@contextmanager
def _logged(lines: list[dict[str, Any]]) -> Iterator[None]:
    before = structlog.get_config()

    def note(_logger: object, _method: str, line: Any) -> Any:
        lines.append(dict(line))
        raise structlog.DropEvent

    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _play(act: Callable[[Scene], Coroutine[Any, Any, None]], workers: int = 1) -> list[dict[str, Any]]:
    """Let workers have taken all partitions over and answered their creations, then act; returns what was logged."""
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    lines: list[dict[str, Any]] = []

    async def main() -> None:
        broker, group = Broker(network), Group(network, PARTITIONS)
        scene = Scene(loop, broker, Surroundings(broker, RedisServer(network), group, lambda _: None), [])
        coordinating = asyncio.get_running_loop().create_task(group.coordinate(), context=NOBODY)
        scene.create()
        for _ in range(workers):
            scene.start()
        await scene.until(lambda: not scene.unanswered(), 30, "the events to be created")
        await act(scene)
        scene.judge()
        assert loop.failures == []
        coordinating.cancel()

    with _logged(lines):
        simulate(main(), loop)
    return lines


def said(lines: list[dict[str, Any]], what: str) -> list[int]:
    """Of which partitions something was logged, in order."""
    return [line["partition"] for line in lines if line["event"] == what]


async def _comes_back(scene: Scene, place: tuple[str, int]) -> None:
    scene.broker.left_alone.discard(place)
    scene.broker.wake()
    await scene.until(lambda: not scene.unanswered(), SOON_S, "all to be answered")
    await scene.until(lambda: not any(worker.selling.waiting for worker in scene.workers), SOON_S, "none to wait")
    await scene.sells_on(set(), 5)


@pytest.mark.parametrize("topic", [LEDGER, REQUESTS])
def test_one_partition_without_a_leader_waits_and_the_others_sell_on(topic: str) -> None:
    async def act(scene: Scene) -> None:
        scene.broker.left_alone.add((topic, 1))
        await scene.sells_on({1}, LONG_S)
        [worker] = scene.workers
        if topic == LEDGER:
            assert worker.selling.details()["partitions"]["waiting"] == [1]
            assert worker.selling.ready == [0, 2]
        await _comes_back(scene, (topic, 1))

    lines = _play(act)
    expected = [1] if topic == LEDGER else []
    assert said(lines, "partition waits: nobody leads it, or what it forwards to") == expected
    assert said(lines, "partition waits no more") == expected


@pytest.mark.parametrize("topic", [LEDGER, REQUESTS])
def test_who_takes_over_leaves_out_the_partition_without_a_leader(topic: str) -> None:
    async def act(scene: Scene) -> None:
        scene.broker.left_alone.add((topic, 1))
        [first] = scene.workers
        first.kill()
        scene.workers.remove(first)
        scene.surroundings.group.expel(first)
        second = scene.start()
        await scene.until(lambda: hasattr(second, "selling") and second.consumer.flows, SOON_S, "it to take over")
        assert (second.selling.ready, second.selling.waiting) == ([0, 2], {1})
        await scene.sells_on({1}, LONG_S)
        await _comes_back(scene, (topic, 1))

    _play(act)


def test_who_forwards_to_a_partition_without_a_leader_waits_alone() -> None:
    """Event 0's commands come on partition 2, which must wait until it can forward them; partition 1 need not."""

    async def act(scene: Scene) -> None:
        scene.broker.left_alone.add((REQUESTS, 0))
        await scene.sells_on({0, 2}, 100, at={0: 2})
        assert scene.workers[0].selling.waiting == {2}
        await _comes_back(scene, (REQUESTS, 0))

    _play(act)


def test_markers_are_accounted_for_beside_a_partition_without_a_leader() -> None:
    async def act(scene: Scene) -> None:
        ledger = scene.broker.partitions[LEDGER, 1]
        before = ledger.end
        scene.ask(1, "r-0", markers=1)
        await scene.until(lambda: ledger.end > before, SOON_S, "a fact with a marker behind its command")
        scene.broker.left_alone.add((REQUESTS, 1))
        scene.ask(0, "r-1", markers=1)
        interval_s = load_settings().selling.tail_interval_s
        await scene.until(lambda: 0 not in scene.unanswered(), 3 * interval_s, "the marker to be accounted for")
        scene.broker.left_alone.clear()
        scene.broker.wake()
        await scene.until(lambda: not scene.unanswered(), 3 * interval_s, "the other marker to be accounted for")

    _play(act)


def test_what_was_given_up_is_decided_once_whoever_has_the_partition_when_it_comes_back() -> None:
    """Rebalances come in between; who gave up may still have the partition, or have lost it."""

    async def act(scene: Scene) -> None:
        scene.broker.left_alone.add((LEDGER, 1))
        await scene.sells_on({1}, 10)
        for _ in range(6):
            scene.surroundings.group.rebalance()
            await scene.sells_on({1}, 3)
        await _comes_back(scene, (LEDGER, 1))

    _play(act, workers=2)


def test_a_ledger_that_nobody_leads_at_all_ends_the_process_as_a_broker_that_is_gone_does() -> None:
    """There is nothing to sell on with. Who starts then waits."""

    async def act(scene: Scene) -> None:
        places = {(LEDGER, number) for number in EVENT_IDS}
        scene.broker.left_alone |= places
        for number in EVENT_IDS:
            scene.ask(number, "r-1")
        [first] = scene.workers
        while first.state is State.RUNNING:
            await asyncio.sleep(1)
        assert isinstance(first.ended_by, PublishError)
        scene.workers.remove(first)
        scene.surroundings.group.expel(first)
        second = scene.start()
        await scene.until(lambda: hasattr(second, "selling") and second.consumer.flows, SOON_S, "it to take over")
        assert (second.selling.ready, second.selling.waiting) == ([], set(EVENT_IDS))
        scene.broker.left_alone.clear()
        scene.broker.wake()
        await scene.until(lambda: not scene.unanswered(), SOON_S, "all to be answered")

    _play(act)
