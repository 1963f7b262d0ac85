"""How long an audit of everything takes, and how much memory."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import psutil

from benchmarks.bench import Bench
from benchmarks.measuring import watch
from benchmarks.processes import PURCHASES, Process, Program
from benchmarks.results import Outcome
from benchmarks.sale import event_ids, purchases, tickets_each

EVENTS: Final = 50
ROUNDS: Final = 2
AUDIT: Final = Program("product", ("-m", "boxoffice.cli", "audit", "--json"))
_POLL_S: Final = 0.2


async def auditing(bench: Bench) -> Outcome:
    """Seconds for a million facts and their commands, beside Redis; and the most memory that it held."""
    count = bench.size(1_000_000, 20_000)
    ids = event_ids(EVENTS)
    seconds, peaks = [], []
    async with bench.sale(ids, tickets_each(count, EVENTS)) as sale:
        await sale.publish(purchases(ids, count))
        async with bench.worker(PURCHASES, sale) as worker:
            await watch(sale, [worker], {}, count)
            for _ in range(min(ROUNDS, bench.rounds)):
                async with bench.worker(AUDIT, sale) as audit:
                    peaks.append(await _peak_bytes(audit))
                seconds.append(_report(audit)["seconds"])
    outcome = Outcome()
    outcome.add_rounds("audit_seconds", seconds, "s")
    outcome.add_rounds("audit_memory", [peak / 10**6 for peak in peaks], "MB")
    return outcome


async def _peak_bytes(audit: Process) -> int:
    """The most that the process holds until it ends."""
    ending = asyncio.create_task(audit.ended())
    peak = 0
    while not (await asyncio.wait([ending], timeout=_POLL_S))[0]:
        peak = max(peak, _memory_bytes(audit.pid))
    await ending
    return peak


def _memory_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _report(audit: Process) -> dict[str, float]:
    report: dict[str, float] = json.JSONDecoder().raw_decode(audit.log_text())[0]
    return report
