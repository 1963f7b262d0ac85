"""Workers of the small app in ``tests/support/batch_app.py``, what they are sent, and what must lie on their output."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from boxoffice.kafka import clients
from boxoffice.kafka.groups import committed_offsets
from boxoffice.settings import Settings, load_settings
from tests.support.batch_app import PARTITIONS, Options
from tests.support.office import POLL_S, ROOT, Process

WAIT_S = 30.0


class Written(NamedTuple):
    """What one partition holds: the offsets of an input, and what an output says, in order."""

    offsets: list[int]
    said: list[dict[str, Any]]


class Batching:
    """Topics of their own for one test, and the workers that read them."""

    def __init__(self, servers: str, prefix: str, folder: Path) -> None:
        self.options = Options(servers, prefix)
        self._settings: Settings = load_settings(
            kafka_bootstrap_servers=servers, topic_prefix=prefix, kafka_request_timeout_ms=40_000
        )
        self._folder = folder
        self._workers: list[Process] = []
        self._read: defaultdict[TopicPartition, Written] = defaultdict(lambda: Written([], []))
        self._read_to: dict[TopicPartition, int] = {}

    async def open(self) -> None:
        """Create the topics."""
        names = (*self.options.batched, *self.options.stock)
        async with clients.admin(self._settings.kafka) as admin:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])

    def close(self) -> None:
        """End what still runs."""
        for worker in self._workers:
            if worker.ended() is None:
                worker.kill()

    # Workers

    def start(self, **options: Any) -> Process:
        """Start a worker."""
        told = replace(self.options, **options)
        log_path = self._folder / f"worker-{len(self._workers)}.log"
        worker = Process(
            [sys.executable, "-m", "tests.support.batch_app"],
            {"PATH": "", "PYTHONPATH": str(ROOT), "APP_DATADIR": str(self._folder / "faust"), **told.environment()},
            log_path,
        )
        self._workers.append(worker)
        return worker

    async def shared_by(self, *workers: Process) -> None:
        """Wait until the partitions are shared by these workers, each with its part."""
        deadline_s = monotonic() + WAIT_S
        while not _all_taken(workers):
            ended = [worker.ended() for worker in workers]
            assert not any(ended), f"a worker ended with {ended}\n{self._tails()}"
            assert monotonic() < deadline_s, f"{len(workers)} workers do not share the partitions\n{self._tails()}"
            await asyncio.sleep(POLL_S)

    # Input

    @asynccontextmanager
    async def producer(self, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
        """A producer of input."""
        async with clients.producer(self._settings.kafka, **options) as producer:
            yield producer

    async def send(self, count: int, partitions: Iterable[int] = range(PARTITIONS), size_bytes: int = 100) -> None:
        """Send so many records to each partition of the topic that is read in batches."""
        async with self.producer(linger_ms=5) as producer:
            for number in partitions:
                for _ in range(count):
                    await producer.send(self.options.batched[0], b"." * size_bytes, partition=number)
            await producer.flush()

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Send, until the end of the block, to all partitions of both topics."""
        sending = asyncio.create_task(self._send_on())
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    async def _send_on(self) -> None:
        async with self.producer() as producer:
            while True:
                # What a broker refuses while it is away is not on the topic, and nobody's loss.
                with suppress(KafkaError):
                    for number in range(PARTITIONS):
                        await producer.send(self.options.stock[0], b".", partition=number)
                        for _ in range(5):
                            await producer.send(self.options.batched[0], b"." * 100, partition=number)
                await asyncio.sleep(0.02)

    # Output

    async def read(self) -> None:
        """Read on in all topics."""
        names = (*self.options.batched, *self.options.stock)
        partitions = [tp for name in names for tp in _partitions(name)]
        async with clients.reader(self._settings.kafka, partitions) as consumer:
            ends = await consumer.end_offsets(partitions)
            for tp in partitions:
                written, outputs = self._read[tp], tp.topic.endswith("-out")
                async for records in clients.read_between(consumer, tp, self._read_to.get(tp, 0), ends[tp]):
                    written.offsets.extend(record.offset for record in records)
                    if outputs:
                        written.said.extend(json.loads(record.value or b"") for record in records)
                self._read_to[tp] = ends[tp]

    def input(self, number: int) -> list[int]:
        """The offsets of the records in a partition of the topic that is read in batches."""
        return self._read[TopicPartition(self.options.batched[0], number)].offsets

    def said(self, number: int) -> list[dict[str, Any]]:
        """What the workers wrote of a partition of the topic that is read in batches."""
        return self._read[TopicPartition(self.options.batched[1], number)].said

    def output(self, number: int) -> list[int]:
        """The offsets that the workers wrote of a partition of the topic that is read in batches."""
        return [one["offset"] for one in self.said(number)]

    async def some_written(self) -> None:
        """Wait until the workers have written more of every partition, of both topics."""
        outputs = self._output_partitions()
        await self.read()
        before = {tp: len(self._read[tp].said) for tp in outputs}
        deadline_s = monotonic() + WAIT_S
        while any(len(self._read[tp].said) == count for tp, count in before.items()):
            assert monotonic() < deadline_s, f"nothing more was written\n{self._tails()}"
            await asyncio.sleep(POLL_S)
            await self.read()

    def _output_partitions(self) -> list[TopicPartition]:
        return [tp for topics in (self.options.batched, self.options.stock) for tp in _partitions(topics[1])]

    async def done(self) -> None:
        """Wait until something was written of every record, in both topics, and all is committed."""
        deadline_s, least_left = monotonic() + WAIT_S, math.inf
        while True:
            await self.read()
            missing = {**self._missing(*self.options.batched), **self._missing(*self.options.stock)}
            behind = await self.not_committed()
            if not missing and not behind:
                return
            assert any(worker.ended() is None for worker in self._workers), self._tails()
            # A busy machine may leave much to do: what counts is that it becomes less.
            if (left := sum(map(len, missing.values()))) < least_left:
                deadline_s, least_left = monotonic() + WAIT_S, left
            assert monotonic() < deadline_s, f"missing: {_first(missing)}; not committed: {behind}\n{self._tails()}"
            await asyncio.sleep(POLL_S)

    def _missing(self, topic: str, output: str) -> dict[str, list[int]]:
        missing = {}
        for number in range(PARTITIONS):
            written = {one["offset"] for one in self._read[TopicPartition(output, number)].said}
            left = [o for o in self._read[TopicPartition(topic, number)].offsets if o not in written]
            if left:
                missing[f"{topic} {number}"] = left
        return missing

    async def committed(self) -> dict[int, int]:
        """The offsets that are committed of the topic that is read in batches, by partition."""
        async with clients.admin(self._settings.kafka) as admin:
            committed = await committed_offsets(admin, self.options.group)
        return {tp.partition: offset for tp, offset in committed.items() if tp.topic == self.options.batched[0]}

    async def not_committed(self) -> dict[int, int | None]:
        """The partitions of which not all is committed, markers at the end included."""
        committed = await self.committed()
        ends = {n: self._read_to[TopicPartition(self.options.batched[0], n)] for n in range(PARTITIONS)}
        return {number: committed.get(number) for number, end in ends.items() if end and committed.get(number) != end}

    def judge(self, *, died: bool = False) -> None:
        """Each partition's records in order, none passed over; twice only where a worker died."""
        for number in range(PARTITIONS):
            expected, written = self.input(number), self.output(number)
            if died:
                written = first_times(written)
            assert written == expected, _difference(number, written, expected)

    def _tails(self) -> str:
        return "\n".join(f"{worker.log_path.name}: {worker.log_text()[-1500:]}" for worker in self._workers)


def _partitions(topic: str) -> list[TopicPartition]:
    return clients.topic_partitions(topic, PARTITIONS)


def first_times(offsets: list[int]) -> list[int]:
    """Each offset where it came first: if these ascend without gaps, none was passed over and then done late."""
    return list(dict.fromkeys(offsets))


def _difference(number: int, written: list[int], expected: list[int]) -> str:
    at = next((i for i, pair in enumerate(zip(written, expected, strict=False)) if pair[0] != pair[1]), -1)
    around = slice(max(0, at - 2), at + 5)
    return f"partition {number}, {len(written)} for {len(expected)}, from {at}: {written[around]}, {expected[around]}"


def _first(missing: dict[str, list[int]]) -> dict[str, list[int]]:
    return {partition: offsets[:5] for partition, offsets in missing.items()}


def _all_taken(workers: Iterable[Process]) -> bool:
    """Whether the parts that the workers took last make up the whole."""
    parts = []
    for worker in workers:
        lines = [line for line in worker.log_text().splitlines() if line.startswith("partitions ")]
        if not lines:
            return False
        parts.append(json.loads(lines[-1].removeprefix("partitions ")))
    return all(parts) and sorted(number for part in parts for number in part) == list(range(PARTITIONS))
