"""A gateway under pressure: others' facts, more orders than it can bear, and spectators beside its buyers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

from benchmarks.bench import Bench
from benchmarks.contestants.gateway_following import WATCHED_VARIABLE
from benchmarks.gateway import PRODUCT, WARM_UP_CONNECTIONS, WARM_UP_ORDERS, Summary, buy, listening, new_key, selling
from benchmarks.http_load import RESET, WARM_UP_S
from benchmarks.measuring import steady, watch
from benchmarks.processes import BenchmarkError, Program, memory_bytes
from benchmarks.results import Outcome
from benchmarks.sale import event_ids, purchases
from benchmarks.streams import spectators
from boxoffice.process.open_files import allow_connections

FOLLOWING: Final = Program("following", ("-m", "benchmarks.contestants.gateway_following"))
SITUATIONS: Final[Mapping[str, Mapping[str, str]]] = {"nobody waits": {}, "somebody waits": {WATCHED_VARIABLE: "1"}}
EVENTS: Final = 50

CONNECTIONS: Final = 2_000
OVERLOAD: Final = 2.0
OVERLOAD_CONNECTIONS: Final = 8_000
OVERLOAD_STATUSES: Final = frozenset({"201", "202", "409", "429", "503"})
MOST_WAITING: Final = {"BOXOFFICE_GATEWAY_MOST_WAITING": "1000", "BOXOFFICE_GATEWAY_MOST_WAITING_OF_ONE": "1000"}
"""What a gateway takes in at once where an answer has to come soon: a fifth of a second's orders."""

BUYERS_RATE: Final = 500
BUYERS_CONNECTIONS: Final = 50
MIB: Final = 1024 * 1024


async def pressure(bench: Bench) -> Outcome:
    """What others' facts cost, what is still answered under twice the load, and what viewers cost buyers."""
    outcome = Outcome()
    allow_connections(max(OVERLOAD_CONNECTIONS, bench.size(10_000, 1_000)))
    await _others(bench, outcome, bench.size(200_000, 20_000))
    await _overload(bench, outcome, bench.size(15, 4))
    await _viewers(bench, outcome, bench.size(10_000, 1_000), bench.size(10, 3))
    return outcome


async def _others(bench: Bench, outcome: Outcome, orders: int) -> None:
    """CPU time of a gateway for each fact that is nobody's there."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(bench.rounds):
        for situation, variables in SITUATIONS.items():
            async with (
                selling(bench, orders) as sale,
                listening(bench, sale, FOLLOWING, **variables) as (process, _port),
            ):
                await sale.publish(purchases(event_ids(EVENTS), orders))
                span = steady(await watch(sale, [process], {}, orders))
                found[situation].append(span.cpu_us_per_fact(process.name))
    for situation, rounds in found.items():
        outcome.add_rounds("others_fact", rounds, "µs", situation)


async def _overload(bench: Bench, outcome: Outcome, duration_s: float) -> None:
    """Orders at twice the rate that is answered at most, of which the surplus has to be refused soon."""
    rounds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(min(bench.rounds, 3)):
        peak = await _peak(bench, duration_s)
        orders = round(OVERLOAD * peak * (duration_s + WARM_UP_S))
        async with selling(bench, orders) as sale, listening(bench, sale, PRODUCT, **MOST_WAITING) as (process, port):
            key = await new_key(sale)
            await buy([port], key, WARM_UP_CONNECTIONS, WARM_UP_ORDERS)
            before = memory_bytes(process.pid)
            summary = await buy([port], key, OVERLOAD_CONNECTIONS, orders, OVERLOAD * peak)
            _see_that_all_were_told(summary)
            rounds["overload_peak", "answers/s"].append(peak)
            rounds["overload_answered", "answers/s"].append(summary["taken_per_second"])
            rounds["overload_refused_p99", "ms"].append(summary["refused_p99_s"] * 1000)
            rounds["overload_memory", "MiB"].append((memory_bytes(process.pid) - before) / MIB)
    for (name, unit), found in rounds.items():
        outcome.add_rounds(name, found, unit)
    outcome.add("overload_ratio", outcome.value("overload_answered") / outcome.value("overload_peak"), "ratio")


async def _peak(bench: Bench, duration_s: float) -> float:
    """Orders a second, as fast as they are answered."""
    orders = round(5_000 * duration_s)
    async with selling(bench, orders + WARM_UP_ORDERS) as sale, listening(bench, sale, PRODUCT) as (_, port):
        key = await new_key(sale)
        await buy([port], key, WARM_UP_CONNECTIONS, WARM_UP_ORDERS)
        return float((await buy([port], key, CONNECTIONS, orders))["taken_per_second"])


def _see_that_all_were_told(summary: Summary) -> None:
    statuses = summary["statuses"]
    if statuses.keys() - OVERLOAD_STATUSES or statuses.get(RESET):
        raise BenchmarkError(f"Under twice the load orders were answered with {statuses}.")


async def _viewers(bench: Bench, outcome: Outcome, viewers: int, duration_s: float) -> None:
    """How long buyers wait without spectators, and with them; they take turns."""
    found_ms: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    orders = round(BUYERS_RATE * (duration_s + WARM_UP_S))
    for _ in range(bench.rounds):
        for situation, count in (("without", 0), ("with", viewers)):
            async with selling(bench, orders) as sale, listening(bench, sale, PRODUCT) as (_process, port):
                key = await new_key(sale)
                async with spectators(bench, sale, count) if count else nullcontext():
                    summary = await buy([port], key, BUYERS_CONNECTIONS, orders, BUYERS_RATE)
            for name in ("p50", "p99"):
                found_ms[f"viewers_{name}", situation].append(summary[f"{name}_s"] * 1000)
    for (name, situation), rounds in found_ms.items():
        outcome.add_rounds(name, rounds, "ms", situation)
    ratio = outcome.value("viewers_p99", "with") / outcome.value("viewers_p99", "without")
    outcome.add("viewers_p99_ratio", ratio, "ratio", "with/without")
