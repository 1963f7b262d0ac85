"""Statistics: facts counted for each CPU second of their process."""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import Final
from urllib.request import urlopen

from benchmarks.bench import Bench
from benchmarks.measuring import DEADLINE_S, Sample, steady, watch
from benchmarks.processes import PURCHASES, STATISTICS, BenchmarkError, Process, cpu_s
from benchmarks.results import Outcome
from benchmarks.sale import event_ids, purchases, tickets_each
from boxoffice.embedded.ports import HOST, free_port
from topics import event_stats, stats_changelog

EVENTS: Final = 50
_POLL_S: Final = 0.2
_COUNTED: Final = re.compile(r"^boxoffice_statistics_facts_total (\S+)$", re.MULTILINE)


async def counting(bench: Bench) -> Outcome:
    """A ledger that is there already, counted by a process that begins at its beginning."""
    count = bench.size(400_000, 40_000)
    ids = event_ids(EVENTS)
    per_cpu_second, per_second = [], []
    async with bench.sale(ids, tickets_each(count, EVENTS)) as sale:
        await sale.publish(purchases(ids, count))
        async with bench.worker(PURCHASES, sale) as worker:
            await watch(sale, [worker], {}, count)
        for _ in range(bench.rounds):
            port = free_port()
            async with bench.worker(STATISTICS, sale, BOXOFFICE_HEALTH_PORT=str(port)) as process:
                span = steady(await _watch(process, port, count + sale.opened))
            per_cpu_second.append(span.per_cpu_second(process.name))
            per_second.append(span.facts / span.wall_s)
            await sale.renew(event_stats.TOPIC, stats_changelog.TOPIC)
    outcome = Outcome()
    outcome.add_rounds("statistics_facts_per_cpu_second", per_cpu_second, "facts/CPU s")
    outcome.add_rounds("statistics_facts_per_second", per_second, "facts/s")
    return outcome


async def _watch(process: Process, port: int, until: int) -> list[Sample]:
    """Sample what the process says it has counted, until it has counted so much."""
    samples: list[Sample] = []
    deadline_s = monotonic() + DEADLINE_S
    while not samples or samples[-1].facts < until:
        process.check()
        facts = await asyncio.to_thread(_counted, port)
        if facts:
            samples.append(Sample(monotonic(), facts, {process.name: cpu_s(process.pid)}))
        if monotonic() > deadline_s:
            raise BenchmarkError(f"{facts} of {until} facts were counted in {DEADLINE_S:g} s.")
        await asyncio.sleep(_POLL_S)
    return samples


def _counted(port: int) -> int:
    try:
        with urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:  # our own process
            found = _COUNTED.search(answer.read().decode())
    except OSError:
        return 0
    return int(float(found[1])) if found else 0
