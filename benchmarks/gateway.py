"""Purchases over HTTP for each CPU second of a gateway: the product, as little as it can be, and the usual way."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from time import monotonic
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from benchmarks.bench import Bench
from benchmarks.processes import ROOT, BenchmarkError, Process, Program, cpu_s
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids, tickets_each
from boxoffice.embedded.ports import free_port
from boxoffice.gateway.key_ring import KeyRing

PRODUCT: Final = Program("product", ("-m", "boxoffice.cli", "run", "gateway"))
BARE: Final = Program("bare", ("-m", "benchmarks.contestants.gateway_bare"))
USUAL: Final = Program("usual", ("-m", "benchmarks.contestants.gateway_usual"))
CONTESTANTS: Final = (PRODUCT, BARE, USUAL)

EVENTS: Final = 50
USUAL_SHARE: Final = 0.2
"""So much of the orders is left to the usual way, which would take many times as long for all of them."""
START_DEADLINE_S: Final = 60.0


async def gateway(bench: Bench) -> Outcome:
    """Purchases per CPU second at 256 connections and at 2,000."""
    outcome = Outcome()
    for connections, suffix in ((256, ""), (2_000, "_2000")):
        await _compare(bench, outcome, suffix, connections, bench.size(60_000, 20_000))
    return outcome


async def _compare(bench: Bench, outcome: Outcome, suffix: str, connections: int, orders: int) -> None:
    rates: defaultdict[str, list[float]] = defaultdict(list)
    summaries: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(bench.rounds):
        for program in CONTESTANTS:
            count = round(orders * USUAL_SHARE) if program is USUAL else orders
            rate, summary = await _run(bench, program, connections, count)
            rates[program.name].append(rate)
            summaries[program.name].append(summary)
    name = f"gateway_purchases_per_cpu_second{suffix}"
    for contestant, found in rates.items():
        outcome.add_rounds(name, found, "purchases/CPU s", contestant)
        outcome.add_rounds(
            f"gateway_answer_p99{suffix}", [one["p99_s"] * 1000 for one in summaries[contestant]], "ms", contestant
        )
    for other in (BARE, USUAL):
        ratio = outcome.value(name) / outcome.value(name, other.name)
        outcome.add(f"{name}_ratio", ratio, "ratio", f"product/{other.name}")


async def _run(bench: Bench, program: Program, connections: int, orders: int) -> tuple[float, dict[str, Any]]:
    """Purchases for each CPU second of a gateway, and what its callers saw."""
    ids = event_ids(EVENTS)
    port = free_port()
    async with (
        bench.sale(ids, tickets_each(orders, EVENTS)) as sale,
        bench.ready_workers(1, sale),
        bench.worker(program, sale, BOXOFFICE_GATEWAY_PORT=str(port), **_OPEN_TO_ALL) as process,
    ):
        key = await _key(sale)
        await _listens(process, port)
        before_s = cpu_s(process.pid)
        summary = await _buy(port, key, connections, orders, ids)
        used_s = cpu_s(process.pid) - before_s
        statuses = summary["statuses"]
        if statuses.keys() - {"201", "202"}:
            raise BenchmarkError(f"{program.name} answered {statuses}: {process.log_text()[-1_000:]}")
        return statuses.get("201", 0) / used_s, summary


_OPEN_TO_ALL: Final = {
    "BOXOFFICE_GATEWAY_RATE": "1000000",
    "BOXOFFICE_GATEWAY_BURST": "1000000",
    "BOXOFFICE_GATEWAY_ADDRESS_RATE": "1000000",
    "BOXOFFICE_GATEWAY_ADDRESS_BURST": "1000000",
    "BOXOFFICE_GATEWAY_MOST_WAITING_OF_ONE": "5000",
}


async def _key(sale: Sale) -> str:
    made = await KeyRing(sale.settings.kafka).create("a benchmark", ["buy"], None, None, None, "2026-01-01T00:00:00Z")
    return made.key


async def _listens(process: Process, port: int) -> None:
    """Wait until a gateway answers anything."""
    deadline_s = monotonic() + START_DEADLINE_S
    async with ClientSession() as session:
        while True:
            process.check()
            try:
                async with session.get(f"http://127.0.0.1:{port}/"):
                    return
            except (ClientError, OSError):
                if monotonic() > deadline_s:
                    raise BenchmarkError(f"{process.name} does not listen: {process.log_text()[-1_000:]}") from None
                await asyncio.sleep(0.1)


async def _buy(port: int, key: str, connections: int, orders: int, events: list[str]) -> dict[str, Any]:
    """Let a process of its own buy."""
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.http_load",
        str(port),
        key,
        str(connections),
        str(orders),
        *events,
        cwd=ROOT,
        env=os.environ.copy(),
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await load.communicate()
    if load.returncode:
        raise BenchmarkError(f"the load ended with status {load.returncode}")
    return dict(json.loads(written))
