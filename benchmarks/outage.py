"""Redis hangs while tickets are sold, and comes back: what sales lose, and how soon it has caught up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
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

    Half of the events sell during the outage, and have a backlog then; the others sell before and after it. With many
    events only the outage itself is compared, and the backlog is settled while nothing is sold.
    """
    backlog = bench.size(100_000, 10_000)
    outcome = Outcome()
    few, *many = EVENTS
    found = await _rounds(bench, partial(_run, bench, few, backlog, _sell_on))
    _add(outcome, "", found)
    outcome.add_rounds("outage_settling_others_rate_ratio", found["meanwhile"], "ratio", "meanwhile/otherwise")
    for events in many:
        _add(outcome, f"_{events}", await _rounds(bench, partial(_run, bench, events, backlog, _settle)))
    return outcome


Figures = dict[str, float]


async def _rounds(bench: Bench, run: Callable[[], Awaitable[Figures]]) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(bench.rounds):
        for name, value in (await run()).items():
            found[name].append(value)
    return found


def _add(outcome: Outcome, suffix: str, found: Mapping[str, list[float]]) -> None:
    outcome.add_rounds(f"outage_rate_ratio{suffix}", found["during"], "ratio", "during/before")
    outcome.add_rounds(f"outage_longest_gap{suffix}", found["gap_ms"], "ms")
    outcome.add_rounds(f"outage_settled_seconds{suffix}", found["settled_s"], "s")


@dataclass(frozen=True)
class Hung:
    """A sale in which Redis hangs, and can be let go on; ``before`` is its rate until then, in facts a second."""

    sale: Sale
    worker: Process
    port: int
    ids: Sequence[str]
    backlog: int
    before: float
    go_on: Callable[[], None]

    async def in_step(self) -> float:
        """Wait until Redis has all events again; returns when that was."""
        return await _until(lambda: _in_step(self.port) == len(self.ids), self.worker)


async def _run(bench: Bench, events: int, backlog: int, then: Callable[[Hung], Awaitable[Figures]]) -> Figures:
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
            settled = await then(Hung(sale, worker, port, ids, backlog, before, go_on))
    return {
        "during": facts_per_second(samples, hung_s, samples[-1].at_s) / before,
        "gap_ms": 1_000 * _longest_gap_s(samples, hung_s),
        **settled,
    }


async def _settle(hung: Hung) -> Figures:
    """Redis goes on, and nothing is sold."""
    hung.go_on()
    back_s = monotonic()
    return {"settled_s": await hung.in_step() - back_s}


async def _sell_on(hung: Hung) -> Figures:
    """The worker is held while it is given more. Redis goes on once it sells at its pace again."""
    backlog, suffering, others = hung.backlog, hung.ids[: len(hung.ids) // 2], hung.ids[len(hung.ids) // 2 :]
    last = backlog // WARMING_UP
    rest = purchases(suffering, last, 2 * backlog - last)
    await give_backlog(hung.sale, [hung.worker], [*rest, *purchases(others, 4 * backlog, 2 * backlog)])
    settling = asyncio.create_task(hung.in_step())
    after, back_s = await _watch(hung.sale, hung.worker, 6 * backlog, hung.go_on, at=2 * backlog)
    settled_s = await settling
    # The pace of a shared machine changes within seconds: what is on both sides is the measure.
    otherwise = (hung.before + facts_per_second(after, settled_s, after[-1].at_s)) / 2
    return {"settled_s": settled_s - back_s, "meanwhile": facts_per_second(after, back_s, settled_s) / otherwise}


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
