"""One worker and two, on the same twelve partitions."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.bench import Bench, give_backlog, partitions_of
from benchmarks.measuring import steady, undisturbed, watch
from benchmarks.processes import Process
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids, purchases, tickets_each

EVENTS: Final = 50
ALONE: Final = "one worker"
SLOWER: Final = "two workers, the slower"


async def workers(bench: Bench) -> Outcome:
    """Decisions per CPU second of one worker, and of the slower one of two."""
    orders = bench.size(400_000, 40_000)
    rates: dict[str, list[float]] = {ALONE: [], SLOWER: []}
    together: dict[str, list[float]] = {ALONE: [], SLOWER: []}
    for _ in range(bench.rounds):
        for count, name in ((1, ALONE), (2, SLOWER)):
            of_each, of_all = await undisturbed(partial(_run, bench, count, orders))
            rates[name].append(min(of_each))
            together[name].append(of_all)
    outcome = Outcome()
    for name, found in rates.items():
        outcome.add_rounds("worker_decisions_per_cpu_second", found, "decisions/CPU s", name)
    for name, found in together.items():
        outcome.add_rounds("all_workers_decisions_per_second", found, "decisions/s", name)
    figure = "worker_decisions_per_cpu_second"
    outcome.add(f"{figure}_ratio", outcome.value(figure, SLOWER) / outcome.value(figure, ALONE), "ratio", "two/one")
    return outcome


async def _run(bench: Bench, count: int, orders: int) -> tuple[list[float], float]:
    """Decisions per CPU second of each worker, and of all in a second of wall time."""
    ids = event_ids(EVENTS)
    async with (
        bench.sale(ids, tickets_each(orders, EVENTS)) as sale,
        bench.ready_workers(count, sale) as running,
    ):
        for number, worker in enumerate(running):
            worker.name = f"worker {number}"
        await give_backlog(sale, running, purchases(ids, orders))
        span = steady(await watch(sale, running, bench.servers, orders), after=0)
    shares = [_share(sale, worker, ids) for worker in running]
    rates = [span.per_cpu_second(worker.name) * share for worker, share in zip(running, shares, strict=True)]
    return rates, span.facts / span.wall_s


def _share(sale: Sale, worker: Process, ids: list[str]) -> float:
    """How much of the orders, which all events get alike, lie on the worker's partitions."""
    owned = set(partitions_of(worker))
    return sum(sale.home(event_id) in owned for event_id in ids) / len(ids)
