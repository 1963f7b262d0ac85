"""What every benchmark is given: the servers, how much to measure, and the means to start workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from itertools import count as numbers_from
from pathlib import Path
from time import monotonic
from typing import Final

from redis.asyncio import Redis

from benchmarks.measuring import BROKER, POLL_S, REDIS
from benchmarks.processes import PURCHASES, BenchmarkError, Process, Program
from benchmarks.sale import PARTITIONS, Command, Creating, Sale, create_event
from boxoffice.embedded import EmbeddedStack
from boxoffice.embedded.environment import kafka_variables, redis_variables

START_DEADLINE_S: Final = 60.0


@dataclass
class Bench:
    """One embedded Kafka and one Redis, by their addresses and process ids."""

    kafka_servers: str
    redis_url: str
    servers: dict[str, int]
    log_folder: Path
    rounds: int = 5
    quick: bool = False
    _numbers: Iterator[int] = field(default_factory=lambda: numbers_from(1))

    @classmethod
    def on(cls, stack: EmbeddedStack, log_folder: Path, *, rounds: int, quick: bool) -> Bench:
        """On embedded servers that run."""
        assert stack.redis.pid is not None
        assert stack.kafka.pid is not None
        servers = {REDIS: stack.redis.pid, BROKER: stack.kafka.pid}
        return cls(stack.kafka_bootstrap_servers, stack.redis_url, servers, log_folder, rounds, quick)

    async def redis_version(self) -> str:
        """What the Redis server says it is."""
        async with Redis.from_url(self.redis_url) as client:
            server = await client.info("server")
        return str(server.get("valkey_version") or server["redis_version"])

    def size(self, full: int, quick: int) -> int:
        """How many of something, in this kind of run."""
        return quick if self.quick else full

    @asynccontextmanager
    async def sale(self, events: Sequence[str], capacity: int, create: Creating = create_event) -> AsyncIterator[Sale]:
        """A sale of events on topics of its own, which are deleted when the block ends."""
        variables = {**kafka_variables(self.kafka_servers), **redis_variables(self.redis_url)}
        sale = Sale(variables, f"bench{next(self._numbers)}")
        await sale.open(events, capacity, create)
        try:
            yield sale
        finally:
            await sale.close()

    @asynccontextmanager
    async def worker(self, program: Program, sale: Sale, **variables: str) -> AsyncIterator[Process]:
        """A process at work on a sale, until the block ends."""
        log_path = self.log_folder / f"{program.name}-{next(self._numbers)}.log"
        process = Process(program, {**sale.variables, **variables}, log_path)
        try:
            yield process
        finally:
            await process.stop()

    @asynccontextmanager
    async def ready_workers(self, count: int, sale: Sale) -> AsyncIterator[list[Process]]:
        """So many purchases processes that have shared the partitions, until the block ends."""
        async with AsyncExitStack() as running:
            workers = [await running.enter_async_context(self.worker(PURCHASES, sale)) for _ in range(count)]
            deadline_s = monotonic() + START_DEADLINE_S
            while not _is_shared([partitions_of(worker) for worker in workers]):
                for worker in workers:
                    worker.check()
                if monotonic() > deadline_s:
                    raise BenchmarkError(f"{count} workers have not shared the partitions in {START_DEADLINE_S:g} s.")
                await asyncio.sleep(POLL_S)
            yield workers


def partitions_of(worker: Process) -> list[int]:
    """The partitions that a purchases process decides, as it logged last."""
    ready = worker.last_said("partitions ready")
    return list(ready["partitions"]) if ready else []


def _is_shared(owned: Sequence[list[int]]) -> bool:
    return all(owned) and sorted(chain.from_iterable(owned)) == list(range(PARTITIONS))


async def give_backlog(sale: Sale, workers: Sequence[Process], commands: Iterable[Command]) -> None:
    """Publish commands while the workers are held, so that they find all of them at once."""
    async with sale.producer() as producer:
        batches = sale.batches(producer, commands)
        for worker in workers:
            worker.pause()
        try:
            for batch in batches:
                await batch.send(producer)
        finally:
            for worker in workers:
                worker.resume()
