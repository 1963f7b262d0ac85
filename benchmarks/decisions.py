"""Decisions per CPU second: the product, a stock Faust agent, and a bare aiokafka loop."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from benchmarks.bench import Bench
from benchmarks.measuring import BROKER, REDIS, Span, steady, undisturbed, watch
from benchmarks.processes import PURCHASES, BenchmarkError, Program
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids, purchases, tickets_each

STOCK: Final = Program("stock", ("-m", "benchmarks.contestants.stock"))
BARE: Final = Program("bare", ("-m", "benchmarks.contestants.bare"))
CONTESTANTS: Final = (PURCHASES, STOCK, BARE)

EVENTS: Final = 50
STOCK_SHARE: Final = 0.15
"""So much of the backlog is left to the stock agent, which would take many times as long for all of it."""

Digests = dict[int, list[bytes]]


async def decisions(bench: Bench) -> Outcome:
    """Decisions per CPU second, of 50 events and of one hot event."""
    outcome = Outcome()
    await compare(bench, outcome, "", EVENTS, bench.size(400_000, 60_000))
    await compare(bench, outcome, "_hot", 1, bench.size(400_000, 60_000))
    _add_cores_worth(outcome)
    return outcome


async def compare(bench: Bench, outcome: Outcome, suffix: str, events: int, count: int) -> None:
    """Let the contestants decide the same commands in turn, and see that they wrote the same facts."""
    ids = event_ids(events)
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    ledgers: dict[str, Digests] = {}
    async with bench.sale(ids, capacity=tickets_each(count, events)) as sale:
        await sale.publish(purchases(ids, count))
        # Not counted: the broker's own compiler has just begun.
        await undisturbed(partial(run, bench, sale, PURCHASES, count))
        for program in CONTESTANTS * bench.rounds:
            wanted = round(count * STOCK_SHARE) if program is STOCK else count
            spans[program.name].append(await undisturbed(partial(run, bench, sale, program, wanted)))
            if program.name not in ledgers:
                ledgers[program.name] = await sale.ledger_digests()
    check_equal(ledgers)
    for name, of_contestant in spans.items():
        _add(outcome, suffix, name, of_contestant)
    for other in (STOCK, BARE):
        ratio = _rate(outcome, suffix, PURCHASES) / _rate(outcome, suffix, other)
        outcome.add(f"decisions_per_cpu_second{suffix}_ratio", ratio, "ratio", f"product/{other.name}")


async def run(bench: Bench, sale: Sale, program: Program, wanted: int) -> Span:
    """One contestant's run, from the first purchase on."""
    await sale.begin_again()
    async with bench.worker(program, sale) as worker:
        return steady(await watch(sale, [worker], bench.servers, wanted))


def check_equal(ledgers: dict[str, Digests]) -> None:
    """See that the ledgers say the same, as far as the shorter one goes.

    Raises:
        BenchmarkError: two records differ.
    """
    (first, expected), *others = ledgers.items()
    for name, found in others:
        for number, digests in found.items():
            shared = zip(digests, expected[number], strict=False)
            differing = next((at for at, (one, two) in enumerate(shared) if one != two), None)
            if differing is not None:
                raise BenchmarkError(f"{first} and {name} differ: partition {number}, offset {differing}.")


def _add(outcome: Outcome, suffix: str, name: str, spans: list[Span]) -> None:
    per_cpu = [span.per_cpu_second(name) for span in spans]
    outcome.add_rounds(f"decisions_per_cpu_second{suffix}", per_cpu, "decisions/CPU s", name)
    outcome.add_rounds(
        f"decisions_per_second{suffix}", [span.facts / span.wall_s for span in spans], "decisions/s", name
    )
    for server in (REDIS, BROKER):
        cpu_us = [span.cpu_us_per_fact(server) for span in spans]
        outcome.add_rounds(f"{server}_cpu_per_decision{suffix}", cpu_us, "µs", name)


def _add_cores_worth(outcome: Outcome) -> None:
    """How many worker cores a core of each server keeps up with."""
    for server in (REDIS, BROKER):
        worker_us = 1e6 / _rate(outcome, "", PURCHASES)
        outcome.add(f"{server}_cores_worth", worker_us / outcome.value(f"{server}_cpu_per_decision"), "worker cores")


def _rate(outcome: Outcome, suffix: str, program: Program) -> float:
    return outcome.value(f"decisions_per_cpu_second{suffix}", program.name)
