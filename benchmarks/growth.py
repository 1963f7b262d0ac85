"""One event as it grows from nothing to a million sold tickets: the cost of a decision, the memory of a ticket."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from redis.asyncio import Redis

from benchmarks.bench import Bench, give_backlog
from benchmarks.measuring import REDIS, Sample, Span, undisturbed, watch
from benchmarks.processes import memory_bytes
from benchmarks.results import Outcome
from benchmarks.sale import TICKETS_PER_ORDER, Sale, event_ids, purchases

ROUNDS: Final = 3
STEPS: Final = 20
EARLY: Final = slice(1, 5)
LATE: Final = slice(16, 20)
TOGETHER: Final = "product and redis"
_REST_S: Final = 2.0


@dataclass(frozen=True)
class Grown:
    """One round: the cost of a decision in each step, in µs, and the bytes that a sold ticket takes."""

    worker_us: list[float]
    redis_us: list[float]
    worker_bytes: float
    redis_bytes: float


async def growth(bench: Bench) -> Outcome:
    """A hot event with a backlog that buys all of its tickets, two an order."""
    tickets = bench.size(1_000_000, 100_000)
    rounds = [await undisturbed(partial(_run, bench, tickets)) for _ in range(min(ROUNDS, bench.rounds))]
    outcome = Outcome()
    sold = [tickets * (step + 0.5) / STEPS for step in range(STEPS)]
    worker_us = _medians([one.worker_us for one in rounds])
    redis_us = _medians([one.redis_us for one in rounds])
    outcome.series["growth_worker"] = list(zip(sold, worker_us, strict=True))
    outcome.series["growth_redis"] = list(zip(sold, redis_us, strict=True))
    both_us = [sum(of_step) for of_step in zip(worker_us, redis_us, strict=True)]
    for name, costs_us in (("product", worker_us), (REDIS, redis_us), (TOGETHER, both_us)):
        early_us, late_us = (statistics.mean(costs_us[steps]) for steps in (EARLY, LATE))
        outcome.add("growth_cost_early", early_us, "µs", name)
        outcome.add("growth_cost_late", late_us, "µs", name)
        outcome.add("growth_late_to_early", late_us / early_us, "ratio", name)
    outcome.add_rounds("memory_per_sold_ticket", [one.worker_bytes for one in rounds], "bytes")
    outcome.add_rounds("memory_per_sold_ticket", [one.redis_bytes for one in rounds], "bytes", REDIS)
    return outcome


async def _run(bench: Bench, tickets: int) -> Grown:
    ids, orders = event_ids(1), tickets // TICKETS_PER_ORDER
    async with bench.sale(ids, tickets) as sale, bench.ready_workers(1, sale) as workers:
        before = memory_bytes(workers[0].pid)
        await give_backlog(sale, workers, purchases(ids, orders))
        samples = await watch(sale, workers, bench.servers, orders)
        await asyncio.sleep(_REST_S)
        worker_bytes = memory_bytes(workers[0].pid) - before
        redis_bytes = await _redis_bytes(sale)
    return Grown(
        _costs_us(samples, "product"), _costs_us(samples, REDIS), worker_bytes / tickets, redis_bytes / tickets
    )


async def _redis_bytes(sale: Sale) -> int:
    """What Redis has allocated since it was started."""
    async with Redis.from_url(sale.settings.redis.url.get_secret_value()) as client:
        memory = await client.info("memory")
    return int(memory["used_memory"] - memory["used_memory_startup"])


def _costs_us(samples: Sequence[Sample], process: str) -> list[float]:
    """The cost of a fact in each of the steps that the facts are cut into."""
    ends = [samples[-1].facts * step / STEPS for step in range(STEPS + 1)]
    borders = [min(samples, key=lambda sample: abs(sample.facts - end)) for end in ends]
    return [Span.between(first, last).cpu_us_per_fact(process) for first, last in pairwise(borders)]


def _medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(of_step) for of_step in zip(*rounds, strict=True)]
