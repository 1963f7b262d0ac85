"""From publishing a command to reading its fact, by a consumer of its own, at 5,000 commands a second."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import product
from time import monotonic_ns
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from benchmarks.bench import Bench
from benchmarks.decisions import BARE
from benchmarks.processes import PURCHASES, BenchmarkError, Process, Program
from benchmarks.results import Outcome
from benchmarks.sale import PARTITIONS, Sale, event_ids

RATE: Final = 5_000
WARM_UP_S: Final = 8.0
LEAST_SHARE: Final = 0.98
_LAST_FACT_AFTER_S: Final = 2.0
PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}

Arrival = tuple[int, bytes]
"""When a fact was read, in ns, and what it says."""


async def latency(bench: Bench) -> Outcome:
    """Percentiles of 50 events and of one hot event; the product and a bare loop take turns."""
    outcome = Outcome()
    for suffix, events in (("", 50), ("_hot", 1)):
        ids = event_ids(events)
        found: dict[tuple[str, str], list[float]] = {}
        # Not counted: the broker's own compiler takes its time over what it has not done before.
        await measure(bench, ids, RATE, 1)
        for _, program in product(range(bench.rounds), (PURCHASES, BARE)):
            latencies_ms = await measure(bench, ids, RATE, bench.size(10, 2), program=program)
            for name, share in PERCENTILES.items():
                found.setdefault((name, program.name), []).append(percentile(latencies_ms, share))
            outcome.series[f"latency{suffix}_{program.name}"] = [
                (100 * at / len(latencies_ms), latencies_ms[at]) for at in range(0, len(latencies_ms), 500)
            ]
        for (name, contestant), rounds_ms in found.items():
            outcome.add_rounds(f"latency_{name}{suffix}", rounds_ms, "ms", contestant)
        median_ms = [outcome.value(f"latency_p50{suffix}", program.name) for program in (PURCHASES, BARE)]
        outcome.add(f"latency_p50{suffix}_ratio", median_ms[0] / median_ms[1], "ratio", "product/bare")
    return outcome


def percentile(sorted_ms: Sequence[float], share: float) -> float:
    """What this share of the commands stayed below."""
    return sorted_ms[int(share * len(sorted_ms))]


Beside = Callable[[Sale], AbstractAsyncContextManager[object]]
"""What runs beside a sale, as long as it is measured."""


def alone(_: Sale) -> AbstractAsyncContextManager[None]:
    """Nothing runs beside it."""
    return nullcontext()


async def measure(
    bench: Bench,
    ids: Sequence[str],
    rate: int,
    duration_s: float,
    beside: Beside = alone,
    program: Program = PURCHASES,
) -> list[float]:
    """The latency of each command, in ms, but for those of the warm-up; the shortest first."""
    lasting_s = WARM_UP_S + duration_s
    load = Program("load", ("-m", "benchmarks.load", str(rate), str(lasting_s), *ids))
    async with (
        bench.sale(ids, capacity=1_000_000 // len(ids)) as sale,
        _at_work(bench, sale, program),
        beside(sale),
    ):
        published = threading.Event()
        reading = asyncio.create_task(asyncio.to_thread(_read, sale, published))
        try:
            async with bench.worker(load, sale) as publishing:
                await publishing.ended()
            await asyncio.sleep(_LAST_FACT_AFTER_S)
        finally:
            published.set()
        arrivals = await reading
    return sorted(_latencies_ms(arrivals, rate, duration_s))


def _at_work(
    bench: Bench, sale: Sale, program: Program
) -> AbstractAsyncContextManager[Process] | AbstractAsyncContextManager[list[Process]]:
    """A worker that decides the sale; a bare one becomes ready while the load warms up."""
    return bench.ready_workers(1, sale) if program is PURCHASES else bench.worker(program, sale)


def _read(sale: Sale, published: threading.Event) -> list[Arrival]:
    """What comes on the ledger until all is published and answered."""
    consumer = Consumer(
        {"bootstrap.servers": sale.settings.kafka.bootstrap_servers, "group.id": "none", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(sale.ledger, number, 0) for number in range(PARTITIONS)])
    arrivals: list[Arrival] = []
    while not published.is_set():
        message = consumer.poll(0.1)
        if message is not None:
            arrivals.append((monotonic_ns(), message.value() or b""))
    consumer.close()
    return arrivals


def _latencies_ms(arrivals: Sequence[Arrival], rate: int, duration_s: float) -> list[float]:
    """From each order's publishing to its fact's arrival; the first seconds are left out.

    Raises:
        BenchmarkError: fewer came than were to be published.
    """
    facts = ((at_ns, json.loads(value)) for at_ns, value in arrivals)
    times = [(int(fact["buyer"]), at_ns) for at_ns, fact in facts if fact["type"] == "purchase_confirmed"]
    begun_ns = min(published_ns for published_ns, _ in times) + WARM_UP_S * 1e9
    found = [(at_ns - published_ns) / 1e6 for published_ns, at_ns in times if published_ns >= begun_ns]
    if len(found) < LEAST_SHARE * rate * duration_s:
        raise BenchmarkError(f"{len(found)} facts in {duration_s:g} s: the load was not {rate} a second.")
    return found
