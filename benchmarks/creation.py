"""An event of a million tickets is created while others are being sold."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import Final

from aiokafka import TopicPartition
from redis.asyncio import Redis

from benchmarks.bench import Bench
from benchmarks.measuring import facts_per_second, undisturbed, watch
from benchmarks.processes import PURCHASES
from benchmarks.results import Outcome
from benchmarks.sale import Sale, create_event, event_ids, purchases, tickets_each
from boxoffice.kafka import clients
from lua.keys import event_keys
from models.members import MAX_CAPACITY

OTHERS: Final = 50
NEW_EVENT: Final = "777"
_POLL_S: Final = 0.02


async def creation(bench: Bench) -> Outcome:
    """Seconds until Redis has it, and the others' rate meanwhile by the rate before."""
    orders, capacity = bench.size(400_000, 60_000), bench.size(MAX_CAPACITY, 50_000)
    seconds, ratios = [], []
    for _ in range(bench.rounds):
        took_s, ratio = await undisturbed(partial(_run, bench, orders, capacity))
        seconds.append(took_s)
        ratios.append(ratio)
    outcome = Outcome()
    outcome.add_rounds("creation_seconds", seconds, "s")
    outcome.add_rounds("creation_others_rate_ratio", ratios, "ratio", "meanwhile/before")
    return outcome


async def _run(bench: Bench, orders: int, capacity: int) -> tuple[float, float]:
    """How long Redis took to have the event, and the others' rate meanwhile as a share of that before."""
    ids = event_ids(OTHERS)
    async with bench.sale(ids, tickets_each(orders, OTHERS)) as sale:
        await sale.publish(purchases(ids, orders // 2))
        home = TopicPartition(sale.ledger, sale.home(NEW_EVENT))
        offset = await sale.commands(home.partition)
        await sale.publish([create_event(NEW_EVENT, capacity), *purchases(ids, orders - orders // 2, orders // 2)])
        async with bench.worker(PURCHASES, sale) as worker:
            timing = asyncio.create_task(_time_creation(sale, home, offset))
            samples = await watch(sale, [worker], {}, orders + 1)
            decided_s, loaded_s = await timing
    began = samples[0].at_s
    before = facts_per_second(samples, began + (decided_s - began) / 4, decided_s)
    return loaded_s - decided_s, facts_per_second(samples, decided_s, loaded_s) / before


async def _time_creation(sale: Sale, home: TopicPartition, offset: int) -> tuple[float, float]:
    """When the event's creation was decided, and when Redis had it.

    A ledger partition has one record for each command, so that of the creation lies at the same offset.
    """
    meta = event_keys(sale.settings.kafka.topic_prefix, NEW_EVENT).meta
    async with clients.reader(sale.settings.kafka, [home]) as consumer:
        while (await consumer.end_offsets([home]))[home] <= offset:
            await asyncio.sleep(_POLL_S)
        decided_s = monotonic()
    async with Redis.from_url(sale.settings.redis.url.get_secret_value()) as client:
        while not await client.exists(meta):
            await asyncio.sleep(_POLL_S)
    return decided_s, monotonic()
