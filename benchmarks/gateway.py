"""Purchases over HTTP for each CPU second of a gateway: the product, as little as it can be, and the usual way.

All three stand before the same worker, broker and Redis, and are asked by the same load, in turn. What is counted is
the gateway's CPU time, its start left out: how many purchases a second there are, the machine's cores decide, which the
load, the worker and the broker want too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.http_load import KEY_VARIABLE
from benchmarks.processes import ROOT, BenchmarkError, Process, Program, cpu_s
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids, tickets_each
from boxoffice.embedded.ports import accepts_connections, free_port
from boxoffice.gateway.key_ring import KeyRing
from boxoffice.process.open_files import allow_connections

PRODUCT: Final = Program("product", ("-m", "boxoffice.cli", "run", "gateway"))
BARE: Final = Program("bare", ("-m", "benchmarks.contestants.gateway_bare"))
USUAL: Final = Program("usual", ("-m", "benchmarks.contestants.gateway_usual"))
CONTESTANTS: Final = (PRODUCT, BARE, USUAL)

CONNECTIONS: Final = {256: "", 2_000: "_2000"}
"""Each number of them, and what its figures end with."""
EVENTS: Final = 50
USUAL_SHARE: Final = 0.25
"""So much of the orders is left to the usual way, which would take many times as long for all of them."""
WARM_UP_ORDERS: Final = 500
WARM_UP_CONNECTIONS: Final = 50
START_DEADLINE_S: Final = 60.0

ANSWERED: Final = frozenset({"201"})
OPEN_TO_ALL: Final = {
    "BOXOFFICE_GATEWAY_RATE": "1000000",
    "BOXOFFICE_GATEWAY_BURST": "1000000",
    "BOXOFFICE_GATEWAY_ADDRESS_RATE": "1000000",
    "BOXOFFICE_GATEWAY_ADDRESS_BURST": "1000000",
    "BOXOFFICE_GATEWAY_MOST_WAITING_OF_ONE": "5000",
}
"""One key and one address ask what many would."""

Summary = dict[str, Any]
"""What a load's callers saw: see benchmarks/http_load.py."""


async def gateway(bench: Bench) -> Outcome:
    """Purchases per CPU second at 256 connections and at 2,000."""
    outcome = Outcome()
    allow_connections(max(CONNECTIONS))
    for connections, suffix in CONNECTIONS.items():
        await _compare(bench, outcome, suffix, connections, bench.size(60_000, 24_000))
    return outcome


async def _compare(bench: Bench, outcome: Outcome, suffix: str, connections: int, orders: int) -> None:
    """Let the contestants take turns, and note their medians and how they compare."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    summaries: defaultdict[str, list[Summary]] = defaultdict(list)
    for _ in range(bench.rounds):
        async with selling(bench, len(CONTESTANTS) * (orders + WARM_UP_ORDERS)) as sale:
            for program in CONTESTANTS:
                count = round(orders * USUAL_SHARE) if program is USUAL else orders
                rate, summary = await _run(bench, sale, program, connections, count)
                rates[program.name].append(rate)
                summaries[program.name].append(summary)
    name = f"gateway_purchases_per_cpu_second{suffix}"
    for contestant, found in rates.items():
        outcome.add_rounds(name, found, "purchases/CPU s", contestant)
        seen = summaries[contestant]
        outcome.add_rounds(f"gateway_per_second{suffix}", [_per_second(one) for one in seen], "purchases/s", contestant)
        outcome.add_rounds(f"gateway_answer_p99{suffix}", [one["p99_s"] * 1000 for one in seen], "ms", contestant)
    for other in (BARE, USUAL):
        ratio = outcome.value(name) / outcome.value(name, other.name)
        outcome.add(f"{name}_ratio", ratio, "ratio", f"product/{other.name}")


@asynccontextmanager
async def selling(bench: Bench, orders: int) -> AsyncIterator[Sale]:
    """A sale with one worker, and tickets for so many orders."""
    async with bench.sale(event_ids(EVENTS), tickets_each(orders, EVENTS)) as sale, bench.ready_workers(1, sale):
        yield sale


@asynccontextmanager
async def listening(bench: Bench, sale: Sale, program: Program, **variables: str) -> AsyncIterator[tuple[Process, int]]:
    """A gateway that answers, and its port."""
    port = free_port()
    given = {"BOXOFFICE_GATEWAY_PORT": str(port), **OPEN_TO_ALL, **variables}
    async with bench.worker(program, sale, **given) as process:
        deadline_s = monotonic() + START_DEADLINE_S
        while not await accepts_connections(port):
            process.check()
            if monotonic() > deadline_s:
                raise BenchmarkError(f"{process.name} does not listen: {process.log_text()[-1_000:]}")
            await asyncio.sleep(0.1)
        yield process, port


async def _run(bench: Bench, sale: Sale, program: Program, connections: int, orders: int) -> tuple[float, Summary]:
    """Purchases for each CPU second of a gateway, and what its callers saw."""
    async with listening(bench, sale, program) as (process, port):
        key = await new_key(sale)
        # Whatever is done for the first time is done now: the broker's compiler, the usual way's joining of its group.
        await buy([port], key, WARM_UP_CONNECTIONS, WARM_UP_ORDERS)
        before_s = cpu_s(process.pid)
        summary = await buy([port], key, connections, orders)
        used_s = cpu_s(process.pid) - before_s
        check_answers(process, summary, orders)
    return orders / used_s, summary


def check_answers(process: Process, summary: Summary, orders: int, wanted: frozenset[str] = ANSWERED) -> None:
    """See that every order got an answer that is wanted: whoever refuses is not faster.

    Raises:
        BenchmarkError: one did not.
    """
    statuses = summary["statuses"]
    if statuses.keys() - wanted or sum(statuses.values()) != orders:
        raise BenchmarkError(f"{process.name} answered {orders} with {statuses}: {process.log_text()[-1_000:]}")


def _per_second(summary: Summary) -> float:
    return float(sum(summary["statuses"].values()) / summary["wall_s"])


async def new_key(sale: Sale) -> str:
    """A key that may buy."""
    made = await KeyRing(sale.settings.kafka).create("a benchmark", ["buy"], None, None, None, "2026-01-01T00:00:00Z")
    return made.key


async def buy(ports: Sequence[int], key: str, connections: int, orders: int, per_second: float = 0) -> Summary:
    """Let a process of its own buy, over so many connections in all, at a rate, or as fast as it is answered.

    Raises:
        BenchmarkError: it could not.
    """
    load = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.http_load"),
        ",".join(map(str, ports)),
        str(connections),
        str(orders),
        str(per_second),
        *event_ids(EVENTS),
        cwd=ROOT,
        # A key in a command line could be read by every user of the machine.
        env={**os.environ, KEY_VARIABLE: key},
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await load.communicate()
    if load.returncode:
        raise BenchmarkError(f"The load ended with status {load.returncode}.")
    return dict(json.loads(written))
