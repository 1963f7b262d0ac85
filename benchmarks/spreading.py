"""The same number of commands, over one event up to ten thousand: what a Lua call more costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from functools import partial
from typing import Final

from redis.asyncio import Redis

from benchmarks.bench import Bench
from benchmarks.measuring import REDIS, steady, undisturbed, watch
from benchmarks.processes import PURCHASES
from benchmarks.results import Outcome
from benchmarks.sale import event_ids, purchases, tickets_each

ROUNDS: Final = 3
EVENTS: Final = (1, 10, 100, 1_000, 10_000)


async def spreading(bench: Bench) -> Outcome:
    """The cost of a decision, as a + b for each Lua call, in CPU time of worker and Redis."""
    orders = bench.size(100_000, 10_000)
    calls: dict[int, list[float]] = defaultdict(list)
    costs_us: dict[str, dict[int, list[float]]] = {PURCHASES.name: defaultdict(list), REDIS: defaultdict(list)}
    for events in EVENTS * min(ROUNDS, bench.rounds):
        calls_each, of_processes_us = await undisturbed(partial(_run, bench, events, orders))
        calls[events].append(calls_each)
        for process, cost_us in of_processes_us.items():
            costs_us[process][events].append(cost_us)
    outcome = Outcome()
    for events in EVENTS:
        outcome.add("spreading_lua_calls_per_command", statistics.median(calls[events]), "calls", _label(events))
    for process, by_events in costs_us.items():
        points = [(statistics.median(calls[events]), statistics.median(by_events[events])) for events in EVENTS]
        outcome.series[f"spreading_{process}"] = points
        fit = statistics.linear_regression(*zip(*points, strict=True))
        outcome.add("spreading_a", fit.intercept, "µs a command", process)
        outcome.add("spreading_b", fit.slope, "µs a Lua call", process)
        for events, (_, cost_us) in zip(EVENTS, points, strict=True):
            outcome.add(f"spreading_{process}_cpu", cost_us, "µs a command", _label(events))
    return outcome


def _label(events: int) -> str:
    return f"{events:,} events" if events > 1 else "1 event"


async def _run(bench: Bench, events: int, orders: int) -> tuple[float, dict[str, float]]:
    """Lua calls a command, and the CPU time of worker and Redis a command, in µs."""
    ids = event_ids(events)
    async with bench.sale(ids, tickets_each(orders, events)) as sale:
        await sale.publish(purchases(ids, orders))
        async with Redis.from_url(bench.redis_url) as client, bench.worker(PURCHASES, sale) as worker:
            await client.config_resetstat()
            span = steady(await watch(sale, [worker], bench.servers, orders))
            statistics_of = await client.info("commandstats")
    calls = statistics_of["cmdstat_evalsha"]["calls"] / orders
    return calls, {name: span.cpu_us_per_fact(name) for name in (PURCHASES.name, REDIS)}
