"""Streams to spectators: the memory that each takes, and the CPU time of each send, beside the usual way."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import count
from time import monotonic
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from benchmarks.bench import Bench
from benchmarks.processes import ROOT, BenchmarkError, Process, Program, cpu_s, memory_bytes
from benchmarks.results import Outcome
from benchmarks.sale import Sale
from boxoffice.embedded.ports import free_port
from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from boxoffice.statistics.figures import event_figures, stats_record
from boxoffice.tasks import end_tasks
from models.members import GENERAL
from models.statistics_rows import CategoryStatistics, EventStatistics
from topics import event_stats

PRODUCT: Final = Program("product", ("-m", "boxoffice.cli", "run", "live"))
USUAL: Final = Program("usual", ("-m", "benchmarks.contestants.streams_usual"))

EVENT: Final = "1000"
UPDATES: Final = 8
BETWEEN_S: Final = 1.5
"""Longer than the product's interval, so that each update is told by itself."""
USUAL_SHARE: Final = 0.2
"""So many of the viewers watch the usual way, which would need minutes to open all of them."""
START_DEADLINE_S: Final = 60.0
_NEVER: Final = 10**9
"""An update that does not come."""


async def streams(bench: Bench) -> Outcome:
    """Memory of a stream, and CPU time of a send; the usual way only where sse-starlette is installed."""
    outcome = Outcome()
    contestants = [PRODUCT, *([USUAL] if find_spec("sse_starlette") is not None else [])]
    viewers = bench.size(19_000, 2_000)
    figures: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(bench.rounds):
        for program in contestants:
            share = USUAL_SHARE if program is USUAL else 1
            for name, (value, unit) in (await _run(bench, program, round(viewers * share))).items():
                figures[name, unit, program.name].append(value)
    for (name, unit, contestant), found in figures.items():
        outcome.add_rounds(name, found, unit, contestant)
    outcome.add("streams_open", viewers, "streams")
    if USUAL in contestants:
        ratio = outcome.value("stream_send", USUAL.name) / outcome.value("stream_send")
        outcome.add("stream_send_ratio", ratio, "ratio", "usual/product")
    return outcome


async def _run(bench: Bench, program: Program, viewers: int) -> dict[str, tuple[float, str]]:
    port = free_port()
    async with bench.sale([EVENT], 10) as sale, bench.worker(program, sale, **_room(port, viewers)) as process:
        await _publish(sale, 1)
        await _shows(process, port)
        memory_before, cpu_before_s = memory_bytes(process.pid), cpu_s(process.pid)
        async with _watching(port, viewers, UPDATES + 1) as load:
            await _said_open(process, load)
            memory, cpu_open_s = memory_bytes(process.pid), cpu_s(process.pid)
            for seq in range(2, UPDATES + 2):
                await asyncio.sleep(BETWEEN_S)
                await _publish(sale, seq)
            summary = await _summary(load)
            used_s = cpu_s(process.pid) - cpu_open_s
        if summary["lost"]:
            raise BenchmarkError(f"{program.name} ended {summary['lost']} of {viewers} streams.")
        return {
            "stream_memory": ((memory - memory_before) / viewers / 1024, "KiB"),
            "stream_open": ((cpu_open_s - cpu_before_s) / viewers * 1e6, "µs"),
            "stream_send": (used_s / summary["sends"] * 1e6, "µs"),
            "stream_first_to_last": (summary["first_to_last_s"] * 1000, "ms"),
        }


def _room(port: int, viewers: int) -> dict[str, str]:
    """A port, and room for so many viewers of one address."""
    return {
        "BOXOFFICE_LIVE_PORT": str(port),
        "BOXOFFICE_LIVE_MOST_STREAMS": str(viewers + 100),
        "BOXOFFICE_LIVE_MOST_STREAMS_OF_ONE": str(viewers + 100),
    }


@asynccontextmanager
async def spectators(bench: Bench, sale: Sale, viewers: int) -> AsyncIterator[None]:
    """So many viewers of a sale, who are told something each second, until the block ends."""
    port = free_port()
    async with bench.worker(PRODUCT, sale, **_room(port, viewers)) as process:
        await _publish(sale, 1)
        await _shows(process, port)
        async with _watching(port, viewers, _NEVER) as load:
            await _said_open(process, load)
            updating = asyncio.create_task(_update(sale))
            try:
                yield
            finally:
                await end_tasks([updating])


async def _update(sale: Sale) -> None:
    for seq in count(2):
        await _publish(sale, seq)
        await asyncio.sleep(1)


async def _publish(sale: Sale, seq: int) -> None:
    row = EventStatistics(
        EVENT,
        "Night at the Opera",
        "Main Hall",
        "2027-03-01T19:30:00Z",
        "EUR",
        4_500,
        {GENERAL: CategoryStatistics("", 4_500, 10_000, sold=seq, taken=4_500 * seq)},
        seq=seq,
        at="2026-11-22T10:00:00.000Z",
    )
    partition = home_partition(EVENT, sale.settings.kafka.partitions)
    key, value, headers = stats_record(EVENT, event_figures(row, partition))
    async with clients.producer(sale.settings.kafka) as producer:
        topic = event_stats.TOPIC.full_name(sale.settings.kafka.topic_prefix)
        await producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))


async def _shows(process: Process, port: int) -> None:
    """Wait until a process streams the event."""
    deadline_s = monotonic() + START_DEADLINE_S
    async with ClientSession() as session:
        while True:
            process.check()
            try:
                async with session.get(f"http://127.0.0.1:{port}/v1/events/{EVENT}/stream") as response:
                    if response.status == 200:  # noqa: PLR2004  # OK
                        async for line in response.content:
                            if line.startswith(b"data:"):
                                return
            except (ClientError, OSError):
                pass
            if monotonic() > deadline_s:
                raise BenchmarkError(f"{process.name} does not stream: {process.log_text()[-1_000:]}")
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _watching(port: int, viewers: int, last_seq: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that watches until an update."""
    path, last_id = f"/v1/events/{EVENT}/stream", f"{EVENT}-{last_seq}"
    command = [sys.executable, "-m", "benchmarks.stream_load", str(port), path, str(viewers), last_id]
    load = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=os.environ.copy(), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield load
    finally:
        if load.returncode is None:
            load.kill()
        await load.wait()


async def _said_open(process: Process, load: asyncio.subprocess.Process) -> None:
    assert load.stdout is not None
    if await load.stdout.readline() != b"open\n":
        raise BenchmarkError(f"the streams did not open: {process.log_text()[-1_000:]}")


async def _summary(load: asyncio.subprocess.Process) -> dict[str, Any]:
    assert load.stdout is not None
    line = await load.stdout.readline()
    if not line:
        raise BenchmarkError("the viewers were not told of the last update")
    return dict(json.loads(line))
