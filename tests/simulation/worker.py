"""A purchases process: the product's own parts, wired as agents/purchases.py does, without Faust."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple, cast

from faust.types import TP

from boxoffice.batching import Batch, BatchConsumer, BatchProducer, BatchStream, Run
from boxoffice.errors import RESTARTABLE, PartitionsChangedError, UnreachableError
from boxoffice.kafka.clients import OpenReader
from boxoffice.kafka.homes import look_at_ledger
from boxoffice.process.worker import WAIT_FOR_BROKER_S
from boxoffice.redis.connection import RedisClient as RealRedisClient
from boxoffice.redis.store import RedisStore
from boxoffice.selling.copies import Copies
from boxoffice.selling.keeping import Keeper
from boxoffice.selling.pipeline import Selling
from boxoffice.selling.publishing import Publisher
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import Settings
from models.facts import RULES_VERSION
from tests.simulation.broker import Broker, Producer
from tests.simulation.group import Group
from tests.simulation.processes import Process, SimulatedLoop
from tests.simulation.redis_server import RedisClient, RedisServer
from topics import purchase_requests, purchase_results

MOST_OF_A_RUN = 12


class Surroundings(NamedTuple):
    """What a worker meets."""

    broker: Broker
    redis: RedisServer
    group: Group
    on_acked: Callable[[Batch], None]


class Consumer:
    """Stands in for BatchConsumer and BatchStream: hands out runs of the partitions that it was assigned."""

    def __init__(self, broker: Broker, topic: str, on_acked: Callable[[Batch], None]) -> None:
        self._broker = broker
        self._topic = topic
        self._on_acked = on_acked
        self._random: Random = broker.network.random
        self._assigned: set[int] = set()
        self._next: dict[int, int] = {}
        self._withheld: set[int] = set()
        self._releases: dict[int, int] = {}
        self._generation = 0
        self._flowing = asyncio.Event()
        self._unsettled: deque[Batch] = deque()
        self._empty = asyncio.Event()
        self._empty.set()

    # What Selling asks of it

    def assignment(self) -> set[TP]:
        return {TP(self._topic, number) for number in self._assigned}

    def start_at(self, tp: TP, offset: int) -> None:
        self._next[tp.partition] = offset
        self._withheld.discard(tp.partition)

    def positions(self) -> dict[TP, tuple[int, int]]:
        """How far each partition was delivered, and its end as the last fetch found it."""
        tps = {number: TP(self._topic, number) for number in self._next}
        return {tp: (self._next[one], self._broker.partitions[self._topic, one].end) for one, tp in tps.items()}

    def withhold(self, tp: TP) -> None:
        self._withheld.add(tp.partition)

    def withdraw(self, tp: TP) -> None:
        """Read no further, and lose what was taken."""
        self._withheld.add(tp.partition)
        self._releases.pop(tp.partition, None)
        for batch in self._unsettled:
            batch.drop(tp)

    def release(self, tp: TP, offset: int) -> None:
        """Read on from an offset, from the next fetch on."""
        if tp.partition in self._withheld:
            self._releases[tp.partition] = offset
            self._broker.wake()

    def settle(self, batch: Batch) -> None:
        """A batch is acknowledged."""
        assert self._unsettled[0] is batch, "acknowledged in another order than taken"
        self._unsettled.popleft()
        self._on_acked(batch)
        if not self._unsettled:
            self._empty.set()

    # Assignments

    async def revoke(self) -> None:
        """Deliver nothing any more, and wait until what was taken is acknowledged."""
        self._flowing.clear()
        self._generation += 1
        await self._empty.wait()

    def assign(self, numbers: set[int]) -> None:
        """Get partitions; where the group's offset is, anyone may have set."""
        self._assigned = numbers
        self._releases.clear()
        self._withheld.clear()
        self._next = {number: self._random.choice((0, 3, 1_000)) for number in numbers}

    @property
    def flows(self) -> bool:
        """Whether it delivers: what was assigned last is taken over."""
        return self._flowing.is_set()

    @property
    def flow_active(self) -> bool:
        """The same, by Faust's name."""
        return self.flows

    def flow(self) -> None:
        """Deliver, also to who waits for something new."""
        self._flowing.set()
        self._broker.wake()

    # Fetching

    async def batch(self) -> Batch:
        """What is there next, of some partitions."""
        while True:
            await self._broker.reach()
            while not self._flowing.is_set():
                await self._flowing.wait()
            for number in list(self._releases):
                self._next[number] = self._releases.pop(number)
                self._withheld.discard(number)
            generation, seen = self._generation, self._broker.changes
            runs = await self._broker.network.exchange(self._fetch)
            if generation != self._generation or not self._flowing.is_set():
                continue
            runs = [run for run in runs if run.tp.partition not in self._withheld]
            if runs:
                return self._taken(runs)
            await self._broker.change(seen)

    def _fetch(self) -> list[Run]:
        if not self._broker.is_up:
            return []
        left_alone = {number for topic, number in self._broker.left_alone if topic == self._topic}
        numbers = sorted(self._assigned - self._withheld - left_alone)
        self._random.shuffle(numbers)
        runs = [run for number in numbers if (run := self._run(number)) is not None]
        return runs[: self._random.choice((1, 2, 9))]

    def _run(self, number: int) -> Run | None:
        first = self._next[number]
        partition = self._broker.partitions[self._topic, number]
        records = partition.after(first, self._random.choice((1, 4, MOST_OF_A_RUN)))
        if len(records) > 1 and self._broker.network.happens(self._broker.network.faults.delivery_dropped):
            del records[self._random.randrange(len(records) - 1)]
        if not records:
            return None
        return Run(TP(self._topic, number), self._generation, first, records[-1].offset + 1, records)

    def _taken(self, runs: list[Run]) -> Batch:
        batch = Batch(runs, cast(BatchStream, self))
        for run in runs:
            self._next[run.tp.partition] = run.next
        self._unsettled.append(batch)
        self._empty.clear()
        return batch


class Worker(Process):
    """One process. It ends as the product's processes end: whatever fails, and without committing."""

    def __init__(
        self, name: str, loop: SimulatedLoop, settings: Settings, surroundings: Surroundings, rules: int = RULES_VERSION
    ) -> None:
        super().__init__(loop)
        self.name = name
        self.rules = rules
        self.ended_by: BaseException | None = None
        self._settings = settings
        self._surroundings = surroundings
        self.consumer: Consumer
        self.copies: Copies
        self.keeper: Keeper
        self.selling: Selling
        self.main = self.spawn(self._run())

    async def _run(self) -> None:
        settings, (broker, redis, _, on_acked) = self._settings, self._surroundings
        reader = cast(OpenReader, broker.reader)
        await self._look_at_ledger(reader)
        self.consumer = Consumer(broker, purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix), on_acked)
        client = cast(RealRedisClient, RedisClient(redis))
        self.copies = Copies(settings.redis, RedisStore(client, settings.redis))
        publisher = Publisher(settings.kafka, cast(BatchProducer, Producer(broker)), reader)
        recovery = Recovery(settings.kafka, settings.kafka.partitions, open_reader=reader)
        self.keeper = Keeper(settings.kafka, settings.kafka.partitions, broker.letter_box)
        self.selling = Selling(
            settings.kafka,
            settings.selling,
            recovery,
            self.copies,
            publisher,
            self.keeper,
            ending_on_failure=self.ending_on_failure,
        )
        agent = asyncio.create_task(self._sell())
        await self._belong()
        await agent

    async def _look_at_ledger(self, reader: OpenReader) -> None:
        """As boxoffice.process.worker.wait_for_topics does before the process begins."""
        partitions = self._settings.kafka.partitions
        with self.ending_on_failure():
            while True:
                try:
                    left_alone = self._surroundings.broker.left_alone
                    numbers = {number for topic, number in left_alone if topic.endswith(purchase_results.TOPIC.name)}
                    otherwise = await look_at_ledger(self._settings.kafka, partitions, numbers, open_reader=reader)
                except UnreachableError:
                    await asyncio.sleep(WAIT_FOR_BROKER_S)
                    continue
                if otherwise is not None:
                    raise PartitionsChangedError(str(otherwise))
                return

    async def _sell(self) -> None:
        while True:
            batch = await self.consumer.batch()
            with self.ending_on_failure():
                await self.selling.sell(batch)

    async def _belong(self) -> None:
        """Be a member of the group: give partitions back when it asks for them, take over what it gives."""
        group = self._surroundings.group
        membership = group.join(self)
        while True:
            await membership.called
            await self.consumer.revoke()
            numbers = await membership.give_back()
            if numbers is None:  # It was taken for dead.
                membership = group.join(self)
                continue
            self.consumer.assign(numbers)
            with self.ending_on_failure():
                await self.selling.take_over(cast(BatchConsumer, self.consumer))
            self.consumer.flow()

    @contextmanager
    def ending_on_failure(self) -> Iterator[None]:
        """Stands in for boxoffice.process.worker.ending_on_failure."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever it is
            self.end(error)
            # Nothing of a process that has ended runs on.
            raise asyncio.CancelledError from None

    def end(self, error: BaseException) -> None:
        """End at once."""
        self.ended_by = error
        self.kill()

    @property
    def ended_orderly(self) -> bool:
        """Whether it was killed, or ended so that ``boxoffice up`` starts it again; all else is a defect."""
        return self.ended_by is None or getattr(self.ended_by, "exit_status", None) in RESTARTABLE

    def __repr__(self) -> str:
        return self.name
