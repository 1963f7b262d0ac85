"""Decisions per second end to end: from publishing a command to the broker's word for its fact."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from aiokafka import AIOKafkaProducer

from benchmarks.bench import Bench
from benchmarks.measuring import BROKER, REDIS, Span, steady, undisturbed, watch
from benchmarks.results import Outcome
from benchmarks.sale import Prepared, Sale, event_ids, purchases, tickets_each
from boxoffice.kafka import clients

WINDOW: Final = 20_000
"""Commands that wait for their facts, at most: as much as the clients keep in flight."""
COMMANDS_A_BATCH: Final = 500
_POLL_S: Final = 0.02


async def end_to_end(bench: Bench) -> Outcome:
    """One worker, one hot event, while its commands are being published."""
    count = bench.size(300_000, 60_000)
    outcome = Outcome()
    ids = event_ids(1)
    spans = [await undisturbed(partial(_run, bench, ids, count)) for _ in range(bench.rounds)]
    outcome.add_rounds("end_to_end_per_second", [span.facts / span.wall_s for span in spans], "decisions/s")
    outcome.add_rounds(
        "end_to_end_per_cpu_second", [span.per_cpu_second("product") for span in spans], "decisions/CPU s"
    )
    for server in (REDIS, BROKER):
        used = [span.cpu_us_per_fact(server) for span in spans]
        outcome.add_rounds(f"end_to_end_{server}_cpu_per_decision", used, "µs")
    return outcome


async def _run(bench: Bench, ids: Sequence[str], count: int) -> Span:
    async with (
        bench.sale(ids, tickets_each(count, 1)) as sale,
        bench.ready_workers(1, sale) as workers,
        sale.producer() as producer,
    ):
        batches = sale.batches(producer, purchases(ids, count), COMMANDS_A_BATCH)
        publishing = asyncio.create_task(_publish(sale, producer, batches))
        samples = await watch(sale, workers, bench.servers, count)
        await publishing
    return steady(samples)


async def _publish(sale: Sale, producer: AIOKafkaProducer, batches: Sequence[Prepared]) -> None:
    """Publish as fast as facts come, at most a window ahead of them."""
    published = answered = 0
    async with clients.reader(sale.settings.kafka, sale.ledger_partitions) as consumer:
        for batch in batches:
            await batch.send(producer)
            published += batch.records
            while published - answered > WINDOW:
                await asyncio.sleep(_POLL_S)
                answered = await sale.facts(consumer)
