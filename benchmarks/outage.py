"""Redis hangs while tickets are sold, and comes back: what sales lose, and how soon it has caught up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from time import monotonic
from typing import Any, Final
from urllib.request import urlopen

from benchmarks.bench import Bench, give_backlog
from benchmarks.measuring import DEADLINE_S, REDIS, Sample, facts_per_second, watch
from benchmarks.processes import PURCHASES, BenchmarkError, Process
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids, purchases, tickets_each
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.settings import RedisSettings

EVENTS: Final = (50, 5_000, 50_000)
"""Half of them have a backlog. What a batch costs must not grow with how many a worker owns."""
WARMING_UP: Final = 4
"""The last of so many equal parts of the backlog is sold by a worker that was held just before."""
_POLL_S: Final = 0.02
_ASK_S: Final = 0.2
"""A worker's answer about its health costs it some of what is measured."""

_TIMEOUT_MS: Final = str(RedisSettings.model_fields["timeout_ms"].default)
"""What a worker waits for Redis unless told otherwise is part of what is measured."""


async def outage(bench: Bench) -> Outcome:
    """Rates during the outage, and while the backlog is settled, by those at other times; and how long that took.

    Half of the events sell during the outage, and have a backlog then; the others sell before and after it.
    """
    outcome = Outcome()
    for events in EVENTS:
        await _compare(bench, outcome, "" if events == EVENTS[0] else f"_{events}", events)
    return outcome


async def _compare(bench: Bench, outcome: Outcome, suffix: str, events: int) -> None:
    found: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        for name, value in (await _run(bench, events, bench.size(100_000, 10_000))).items():
            found.setdefault(name, []).append(value)
    outcome.add_rounds(f"outage_rate_ratio{suffix}", found["during"], "ratio", "during/before")
    outcome.add_rounds(f"outage_longest_gap{suffix}", found["gap_ms"], "ms")
    outcome.add_rounds(f"outage_settled_seconds{suffix}", found["settled_s"], "s")
    outcome.add_rounds(f"outage_settling_others_rate_ratio{suffix}", found["meanwhile"], "ratio", "meanwhile/otherwise")


async def _run(bench: Bench, events: int, backlog: int) -> dict[str, float]:
    ids = event_ids(events)
    suffering, others = ids[: events // 2], ids[events // 2 :]
    port = free_port()
    async with (
        bench.sale(ids, tickets_each(6 * backlog, events // 2)) as sale,
        bench.worker(
            PURCHASES, sale, BOXOFFICE_HEALTH_PORT=str(port), BOXOFFICE_REDIS_TIMEOUT_MS=_TIMEOUT_MS
        ) as worker,
    ):
        await _until(lambda: worker.last_said("partitions ready") is not None, worker)
        async with _hanging(bench) as (hang, go_on):
            last = backlog // WARMING_UP
            most = purchases(suffering, backlog - last, backlog)
            await give_backlog(sale, [worker], [*purchases(others, backlog), *most])
            samples, hung_s = await _watch(sale, worker, 2 * backlog - last, hang, at=backlog)
            before = facts_per_second(samples, samples[0].at_s + (hung_s - samples[0].at_s) / 5, hung_s)
            # The worker is held while it is given more. Redis goes on once it sells at its pace again.
            rest = purchases(suffering, last, 2 * backlog - last)
            await give_backlog(sale, [worker], [*rest, *purchases(others, 4 * backlog, 2 * backlog)])
            settling = asyncio.create_task(_until(lambda: _in_step(port) == len(ids), worker))
            after, back_s = await _watch(sale, worker, 6 * backlog, go_on, at=2 * backlog)
            settled_s = await settling
            # The pace of a shared machine changes within seconds: what is on both sides is the measure.
            otherwise = (before + facts_per_second(after, settled_s, after[-1].at_s)) / 2
    return {
        "during": facts_per_second(samples, hung_s, samples[-1].at_s) / before,
        "gap_ms": 1_000 * _longest_gap_s(samples, hung_s),
        "settled_s": settled_s - back_s,
        "meanwhile": facts_per_second(after, back_s, settled_s) / otherwise,
    }


@asynccontextmanager
async def _hanging(bench: Bench) -> AsyncIterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Ways to make Redis hang and go on; it goes on in any case when the block ends."""
    pid = bench.servers[REDIS]
    try:
        yield lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _watch(
    sale: Sale, worker: Process, until: int, act: Callable[[], None], *, at: int
) -> tuple[list[Sample], float]:
    """Sample a sale, and do something when it has so many facts; returns when that was done, too."""
    acted_s: list[float] = []

    def look(facts: int) -> None:
        if facts >= at and not acted_s:
            act()
            acted_s.append(monotonic())

    samples = await watch(sale, [worker], {}, until, _POLL_S, without_redis=True, look=look)
    return samples, acted_s[0]


def _longest_gap_s(samples: Sequence[Sample], since_s: float) -> float:
    """The longest time in which no fact came."""
    moments = [since_s]
    moments += [
        after.at_s for before, after in pairwise(samples) if after.facts > before.facts and after.at_s > since_s
    ]
    return max(after - before for before, after in pairwise(moments))


async def _until(condition: Callable[[], bool], worker: Process) -> float:
    """Wait until something is so; returns when that was seen."""
    deadline_s = monotonic() + DEADLINE_S
    while not await asyncio.to_thread(condition):
        worker.check()
        if monotonic() > deadline_s:
            raise BenchmarkError(f"A worker did not get there in {DEADLINE_S:g} s: {worker.log_text()[-500:]}")
        await asyncio.sleep(_ASK_S)
    return monotonic()


def _in_step(port: int) -> int:
    """Events whose copies are in step, by the worker's own health."""
    try:
        with urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:  # our own process
            health: dict[str, Any] = json.load(answer)
    except OSError:
        return 0
    redis = health["redis"]
    return int(redis["copies"].get("in_step", 0)) if redis["connected"] else 0
