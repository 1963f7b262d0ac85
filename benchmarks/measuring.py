"""Watch a ledger grow, and what each process uses meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Final, TypeVar

from benchmarks.processes import BenchmarkError, Process, cpu_s
from benchmarks.sale import Sale
from boxoffice.kafka import clients

POLL_S: Final = 0.05
DEADLINE_S: Final = 300.0

REDIS: Final = "redis"
BROKER: Final = "broker"


REDIS_IS_DOWN: Final = "Redis is down"
"""What a worker logs when it goes on without Redis."""
MOST_ATTEMPTS: Final = 5

Found = TypeVar("Found")


class DisturbedError(BenchmarkError):
    """A round in which something else was measured than was meant."""


async def undisturbed(run: Callable[[], Awaitable[Found]]) -> Found:
    """What a round measures; where it was disturbed, the round is repeated.

    Raises:
        DisturbedError: time and again.
    """
    for _ in range(MOST_ATTEMPTS - 1):
        try:
            return await run()
        except DisturbedError as error:
            print(f"A round is repeated: {error}", file=sys.stderr)
    return await run()


@dataclass(frozen=True)
class Sample:
    """How far a sale was at one moment. ``facts`` are those behind the events' creation."""

    at_s: float
    facts: int
    cpu_s: Mapping[str, float]


@dataclass(frozen=True)
class Span:
    """What lies between two samples."""

    facts: int
    wall_s: float
    cpu_s: Mapping[str, float]

    @classmethod
    def between(cls, first: Sample, last: Sample) -> Span:
        """The difference of two samples."""
        used = {name: last.cpu_s[name] - first.cpu_s[name] for name in first.cpu_s}
        return cls(last.facts - first.facts, last.at_s - first.at_s, used)

    def per_cpu_second(self, process: str) -> float:
        """Facts for each CPU second of a process."""
        return self.facts / max(self.cpu_s[process], 0.01)

    def cpu_us_per_fact(self, process: str) -> float:
        """CPU time of a process for each fact, in µs."""
        return self.cpu_s[process] / self.facts * 1e6


async def watch(
    sale: Sale,
    workers: Sequence[Process],
    servers: Mapping[str, int],
    until: int,
    poll_s: float = POLL_S,
    *,
    without_redis: bool = False,
    look: Callable[[int], None] = lambda _: None,
) -> list[Sample]:
    """Sample a sale until its ledger holds so many facts; the first sample is of the first facts that were seen.

    CPU seconds are by the worker's name, and by those of the ``servers``, whose process ids are given. ``look``
    is told how many facts there are. ``without_redis``: it may be down.

    Raises:
        DisturbedError: Redis was not there for a worker all the time, which is another thing to measure.
        BenchmarkError: a worker ended, or it took too long.
    """
    samples: list[Sample] = []
    deadline_s = monotonic() + DEADLINE_S
    async with clients.reader(sale.settings.kafka, sale.ledger_partitions) as consumer:
        while not samples or samples[-1].facts < until:
            facts = await sale.facts(consumer)
            if facts:
                pids = {**{worker.name: worker.pid for worker in workers}, **servers}
                samples.append(Sample(monotonic(), facts, {name: cpu_s(pid) for name, pid in pids.items()}))
                look(facts)
            for worker in workers:
                worker.check()
            if monotonic() > deadline_s:
                raise BenchmarkError(f"{facts} of {until} facts after {DEADLINE_S:g} s: {workers[0].log_text()[-500:]}")
            await asyncio.sleep(poll_s)
    if not without_redis and any(REDIS_IS_DOWN in worker.log_text() for worker in workers):
        raise DisturbedError("Redis took longer than a worker waits for it.")
    return samples


def steady(samples: Sequence[Sample], after: float = 0.1) -> Span:
    """From the first sample behind a share of the facts to the last: the start is left out."""
    begin = samples[-1].facts * after
    first = next(sample for sample in samples if sample.facts >= begin)
    return Span.between(first, samples[-1])


def facts_per_second(samples: Sequence[Sample], first_s: float, last_s: float) -> float:
    """Facts a second between two moments."""
    return (_facts_at(samples, last_s) - _facts_at(samples, first_s)) / (last_s - first_s)


def _facts_at(samples: Sequence[Sample], at_s: float) -> float:
    """How many facts there were at a moment between two samples."""
    for before, after in pairwise(samples):
        if before.at_s <= at_s <= after.at_s:
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return before.facts + share * (after.facts - before.facts)
    raise BenchmarkError("The sale was not sampled at the moments that were to be compared.")
