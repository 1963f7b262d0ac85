"""Gateways as a crowd meets them: two beside each other, a hundred thousand buyers at once, and how long one waits."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Final

from benchmarks.auditing import AUDIT
from benchmarks.bench import Bench
from benchmarks.gateway import (
    PRODUCT,
    WARM_UP_CONNECTIONS,
    WARM_UP_ORDERS,
    Summary,
    buy,
    check_answers,
    listening,
    new_key,
    selling,
)
from benchmarks.http_load import WARM_UP_S
from benchmarks.latency import PERCENTILES, measure, percentile
from benchmarks.processes import cpu_s
from benchmarks.results import Outcome
from benchmarks.sale import event_ids
from boxoffice.process.open_files import allow_connections

PAIR_CONNECTIONS: Final = 256
CROWD_CONNECTIONS: Final = 10_000
CROWD_ANSWERS: Final = frozenset({"201", "202", "409"})
WAITING: Final = {
    "BOXOFFICE_GATEWAY_MOST_CONNECTIONS": "12000",
    "BOXOFFICE_GATEWAY_MOST_WAITING": "20000",
    "BOXOFFICE_GATEWAY_MOST_WAITING_OF_ONE": "20000",
}
"""All of a crowd may wait at one gateway."""

RATE: Final = 1_000
RATE_CONNECTIONS: Final = 50
EVENTS: Final = 50


async def crowd(bench: Bench) -> Outcome:
    """Two gateways by one, a crowd's last answer, and an answer's way beyond that of a fact."""
    outcome = Outcome()
    allow_connections(CROWD_CONNECTIONS)
    await _pair(bench, outcome, bench.size(40_000, 10_000))
    await _all_at_once(bench, outcome, bench.size(100_000, 20_000))
    await _answers(bench, outcome, bench.size(10, 2))
    return outcome


async def _pair(bench: Bench, outcome: Outcome, orders: int) -> None:
    """Purchases for each CPU second of one gateway alone, and of each of two that are asked as much."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(bench.rounds):
        async with selling(bench, 3 * (orders + WARM_UP_ORDERS)) as sale:
            for name, count in (("one", 1), ("two", 2)):
                async with AsyncExitStack() as running:
                    gateways = [
                        await running.enter_async_context(listening(bench, sale, PRODUCT)) for _ in range(count)
                    ]
                    ports, key = [port for _, port in gateways], await new_key(sale)
                    await buy(ports, key, WARM_UP_CONNECTIONS, WARM_UP_ORDERS)
                    before_s = sum(cpu_s(process.pid) for process, _ in gateways)
                    summary = await buy(ports, key, count * PAIR_CONNECTIONS, count * orders)
                    used_s = sum(cpu_s(process.pid) for process, _ in gateways) - before_s
                    check_answers(gateways[0][0], summary, count * orders)
                    rates[name].append(count * orders / used_s)
    for name, found in rates.items():
        outcome.add_rounds("crowd_purchases_per_cpu_second", found, "purchases/CPU s", name)
    ratio = outcome.value("crowd_purchases_per_cpu_second", "two") / outcome.value(
        "crowd_purchases_per_cpu_second", "one"
    )
    outcome.add("crowd_purchases_per_cpu_second_ratio", ratio, "ratio", "two/one")


async def _all_at_once(bench: Bench, outcome: Outcome, orders: int) -> None:
    """Everybody asks in the same second: when the last has his answer; and the audit finds nobody's ticket twice."""
    summaries: list[Summary] = []
    for _ in range(min(bench.rounds, 3)):
        async with (
            selling(bench, orders + WARM_UP_ORDERS) as sale,
            listening(bench, sale, PRODUCT, **WAITING) as (process, port),
        ):
            key = await new_key(sale)
            await buy([port], key, WARM_UP_CONNECTIONS, WARM_UP_ORDERS)
            summaries.append(await buy([port], key, CROWD_CONNECTIONS, orders))
            check_answers(process, summaries[-1], orders, CROWD_ANSWERS)
            async with bench.worker(AUDIT, sale) as audit:
                await audit.ended()
    outcome.add_rounds("crowd_last_answer", [one["wall_s"] for one in summaries], "s")
    outcome.add_rounds("crowd_per_second", [orders / one["wall_s"] for one in summaries], "answers/s")
    outcome.add_rounds("crowd_answer_p50", [one["p50_s"] for one in summaries], "s")
    outcome.add_rounds("crowd_answer_worst", [one["worst_s"] for one in summaries], "s")


async def _answers(bench: Bench, outcome: Outcome, duration_s: float) -> None:
    """From a POST to its 201, beside the time from a publish to its fact, at the same rate and in turn."""
    found_ms: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(bench.rounds):
        facts_ms = await measure(bench, event_ids(EVENTS), RATE, duration_s)
        summary = await _steadily(bench, round(RATE * (WARM_UP_S + duration_s)))
        for name in ("p50", "p99"):
            found_ms[name, "publish to fact"].append(percentile(facts_ms, PERCENTILES[name]))
            found_ms[name, "POST to 201"].append(summary[f"{name}_s"] * 1000)
    for (name, contestant), rounds_ms in found_ms.items():
        outcome.add_rounds(f"answer_{name}", rounds_ms, "ms", contestant)
    for name in ("p50", "p99"):
        above_ms = outcome.value(f"answer_{name}", "POST to 201") - outcome.value(f"answer_{name}", "publish to fact")
        outcome.add(f"answer_{name}_above", above_ms, "ms")


async def _steadily(bench: Bench, orders: int) -> Summary:
    async with selling(bench, orders) as sale, listening(bench, sale, PRODUCT) as (process, port):
        summary = await buy([port], await new_key(sale), RATE_CONNECTIONS, orders, RATE)
        check_answers(process, summary, orders)
        return summary
