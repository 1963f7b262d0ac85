"""Holds: what they and their payments cost a worker, and what becomes of very many that expire in the same second."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from time import monotonic, time
from typing import Any, Final

from aiokafka import TopicPartition

from benchmarks.bench import Bench
from benchmarks.decisions import run
from benchmarks.measuring import DEADLINE_S, POLL_S, DisturbedError, Sample, Span, facts_per_second, undisturbed
from benchmarks.processes import CLOCK, PURCHASES, BenchmarkError, Process, Program
from benchmarks.results import Outcome
from benchmarks.sale import (
    PARTITIONS,
    PRICE,
    TICKETS_PER_ORDER,
    Command,
    Sale,
    create_event,
    event_ids,
    order_id,
    purchase,
    purchases,
    tickets_each,
)
from boxoffice.kafka import clients
from models.facts import at_ms

EVENTS: Final = 50
CATEGORIES: Final = ("stalls", "circle", "balcony")
LONG_HOLD_S: Final = 86_400
"""Nobody's time is over while it is measured what a hold costs."""

HOLD_S: Final = 60
RATE: Final = 5_000
"""Orders a second of other events, which confirm at once."""
OTHERS_FROM_S, OTHERS_S = 15.0, 35.0
"""How long before the holds are due the others' sale begins, and how long it lasts."""
BEFORE_S: Final = 5.0
"""So long before, the others' rate is compared with that meanwhile."""


async def holding(bench: Bench) -> Outcome:
    """Commands for each CPU second, by those of plain sales; and how soon all have expired that are due at once."""
    outcome = Outcome()
    await _compare(bench, outcome, bench.size(200_000, 20_000))
    await _expire(bench, outcome, bench.size(100_000, 5_000))
    return outcome


# What they cost


async def _compare(bench: Bench, outcome: Outcome, orders: int) -> None:
    """Plain sales, and as many commands that hold tickets of three categories and pay for them, take turns."""
    ids, each = event_ids(EVENTS), tickets_each(orders, EVENTS)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    create = partial(_holding_event, hold_s=LONG_HOLD_S)
    async with bench.sale(ids, each) as plain, bench.sale(ids, each, create) as held:
        await plain.publish(purchases(ids, orders))
        await held.publish(chain(_held(ids, orders // 2), _paid(ids, orders // 2)))
        await undisturbed(partial(run, bench, plain, PURCHASES, orders))  # Not counted, as ever.
        for _ in range(bench.rounds):
            for name, sale in (("plain", plain), ("held", held)):
                span: Span = await undisturbed(partial(run, bench, sale, PURCHASES, orders))
                rates[name].append(span.per_cpu_second(PURCHASES.name))
    for name, of_kind in rates.items():
        outcome.add_rounds("commands_per_cpu_second", of_kind, "decisions/CPU s", name)
    ratio = outcome.value("commands_per_cpu_second", "held") / outcome.value("commands_per_cpu_second", "plain")
    outcome.add("commands_per_cpu_second_ratio", ratio, "ratio", "held/plain")


def _holding_event(event_id: str, capacity: int, hold_s: int) -> Command:
    """An event of three categories, each with its share of the tickets; they are held until they are paid for."""
    _, plain = create_event(event_id, capacity)
    members = json.loads(plain)
    price = members.pop("price")
    share = -(-members.pop("capacity") // len(CATEGORIES)) + TICKETS_PER_ORDER
    named = [{"id": one, "name": one.title(), "capacity": share, "price": price} for one in CATEGORIES]
    return event_id, json.dumps({**members, "categories": named, "hold_s": hold_s}).encode()


def _held(events: Sequence[str], count: int) -> Iterable[Command]:
    """So many orders of the events in turn, of their categories in turn."""
    for number in range(count):
        event_id, plain = purchase(events[number % len(events)], number)
        category = CATEGORIES[number // len(events) % len(CATEGORIES)]
        yield event_id, json.dumps({**json.loads(plain), "category": category}).encode()


def _paid(events: Sequence[str], count: int) -> Iterable[Command]:
    """The payments for all of them."""
    for number in range(count):
        event_id = events[number % len(events)]
        members = {
            "type": "confirm_purchase",
            "request_id": f"paid-{order_id(number)}",
            "event_id": event_id,
            "purchase": order_id(number),
            "payment": f"pay-{number}",
            "amount": TICKETS_PER_ORDER * PRICE,
            "currency": "EUR",
        }
        yield event_id, json.dumps(members).encode()


# When they expire


@dataclass(frozen=True)
class Expired:
    """How long it took until all had expired, from when the last was due; and the others' rates, in facts a second."""

    took_s: float
    before: float
    meanwhile: float
    within_s: float
    """Between the first that was due and the last."""


async def _expire(bench: Bench, outcome: Outcome, holds: int) -> None:
    found = [await undisturbed(partial(_expire_once, bench, holds)) for _ in range(bench.rounds)]
    outcome.add_rounds("expiry_seconds", [one.took_s for one in found], "s")
    outcome.add_rounds("expiry_due_within", [one.within_s for one in found], "s")
    ratios = [one.meanwhile / one.before for one in found]
    outcome.add_rounds("expiry_others_rate_ratio", ratios, "ratio", "meanwhile/before")


async def _expire_once(bench: Bench, holds: int) -> Expired:
    """One event's holds are all due in the same second, while others are sold at a steady rate."""
    [holding_id, *others] = _apart(event_ids(4 * EVENTS))
    capacity = tickets_each(holds, 1) + len(CATEGORIES) * TICKETS_PER_ORDER

    def create(event_id: str, _: int) -> Command:
        if event_id == holding_id:
            return _holding_event(event_id, capacity, HOLD_S)
        return create_event(event_id, 1_000_000 // EVENTS)

    load = Program("load", ("-m", "benchmarks.load", str(RATE), str(OTHERS_S), *others[:EVENTS]))
    async with (
        bench.sale([holding_id, *others[:EVENTS]], 1, create) as sale,
        bench.ready_workers(1, sale) as [worker],
        bench.worker(CLOCK, sale) as clock,
    ):
        await sale.publish(_held([holding_id], holds))
        home = TopicPartition(sale.ledger, sale.home(holding_id))
        due_s = await _due_s(sale, home, holds, worker)
        await asyncio.sleep(max(0.0, due_s[1] - monotonic() - OTHERS_FROM_S))
        async with bench.worker(load, sale) as publishing:
            samples = await _watch(sale, home, holds, due_s[1], [worker, clock])
            await publishing.ended()
        await _check(sale, home, holds)
    done_s = samples[-1].at_s
    return Expired(
        done_s - due_s[1],
        facts_per_second(samples, due_s[0] - BEFORE_S, due_s[0]),
        facts_per_second(samples, due_s[0], done_s),
        due_s[1] - due_s[0],
    )


def _apart(ids: Sequence[str]) -> list[str]:
    """The first of some events, and those whose home is another partition."""
    home = partial(clients.home_partition, partitions=PARTITIONS)
    return [ids[0], *(one for one in ids[1:] if home(one) != home(ids[0]))]


async def _due_s(sale: Sale, home: TopicPartition, holds: int, worker: Process) -> tuple[float, float]:
    """When the first and the last hold are due, by ``monotonic``: the broker stamps them by this machine's clock."""
    ahead_s = time() - monotonic()
    deadline_s = monotonic() + DEADLINE_S
    async with clients.reader(sale.settings.kafka, [home]) as consumer:
        while (await consumer.end_offsets([home]))[home] < holds + 1:
            worker.check()
            if monotonic() > deadline_s:
                raise BenchmarkError(f"{holds} holds took more than {DEADLINE_S:g} s.")
            await asyncio.sleep(POLL_S)
        due_s = [
            at_ms(fact["due"]) / 1_000 - ahead_s
            for offset in (1, holds)
            async for records in clients.read_between(consumer, home, offset, offset + 1)
            for fact in (json.loads(record.value or b"") for record in records)
        ]
    if due_s[0] < monotonic() + OTHERS_FROM_S:
        raise BenchmarkError(f"{holds} holds took so long that they are due already.")
    return due_s[0], due_s[1]


async def _watch(
    sale: Sale, home: TopicPartition, holds: int, due_s: float, processes: Sequence[Process]
) -> list[Sample]:
    """Sample the others' facts until as many holds have expired as there are."""
    samples: list[Sample] = []
    async with clients.reader(sale.settings.kafka, sale.ledger_partitions) as consumer:
        while True:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(sale.ledger_partitions)
            samples.append(Sample(monotonic(), sum(end for tp, end in ends.items() if tp != home), {}))
            if ends[home] >= 2 * holds + 1:
                return samples
            for process in processes:
                process.check()
            if monotonic() > due_s + DEADLINE_S:
                raise BenchmarkError(f"{ends[home] - holds - 1} of {holds} holds expired in {DEADLINE_S:g} s.")
            await asyncio.sleep(POLL_S)


async def _check(sale: Sale, home: TopicPartition, holds: int) -> None:
    """See that each has expired, and nothing else became of any.

    Raises:
        DisturbedError: the ledger says otherwise.
    """
    kinds: Counter[Any] = Counter()
    async with clients.reader(sale.settings.kafka, [home]) as consumer:
        end = (await consumer.end_offsets([home]))[home]
        async for records in clients.read_between(consumer, home, 0, end):
            kinds.update(json.loads(record.value or b"")["type"] for record in records)
    if kinds != {"event_created": 1, "purchase_held": holds, "hold_expired": holds}:
        raise DisturbedError(f"the ledger holds {dict(kinds)}.")
