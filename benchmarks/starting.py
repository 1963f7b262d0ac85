"""How long a worker takes from its start to its first decision."""

from __future__ import annotations

from time import monotonic

from benchmarks.bench import Bench
from benchmarks.measuring import watch
from benchmarks.processes import PURCHASES
from benchmarks.results import Outcome
from benchmarks.sale import event_ids
from topics import purchase_results

POLL_S = 0.01


async def starting(bench: Bench) -> Outcome:
    """A ledger that is empty, and one command that waits."""
    seconds = []
    async with bench.sale(event_ids(1), capacity=1_000) as sale:
        sale.opened = 0
        for _ in range(bench.rounds):
            await sale.renew(purchase_results.TOPIC)
            begun_s = monotonic()
            async with bench.worker(PURCHASES, sale) as worker:
                samples = await watch(sale, [worker], {}, 1, POLL_S)
            seconds.append(samples[0].at_s - begun_s)
    outcome = Outcome()
    outcome.add_rounds("start_to_first_decision", seconds, "s")
    return outcome
