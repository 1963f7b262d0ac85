"""How fast a worker reads a ledger when it takes partitions over."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from benchmarks.bench import Bench
from benchmarks.measuring import watch
from benchmarks.processes import PURCHASES, Program
from benchmarks.results import Outcome
from benchmarks.sale import event_ids, purchases, tickets_each

EVENTS: Final = 50
RECOVERING: Final = Program("product", ("-m", "benchmarks.contestants.recovering", "product"))
READING: Final = Program("reading alone", ("-m", "benchmarks.contestants.recovering", "reading"))
"""The bound: the same records by the same client, and nothing done with them."""


async def recovery(bench: Bench) -> Outcome:
    """How long a million facts take, and whole facts a second and for each CPU second, by the product's recovery."""
    count = bench.size(1_000_000, 20_000)
    ids = event_ids(EVENTS)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    rates: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    async with bench.sale(ids, tickets_each(count, EVENTS)) as sale:
        await sale.publish(purchases(ids, count))
        async with bench.worker(PURCHASES, sale) as worker:
            # Who decided is nothing to who reads.
            await watch(sale, [worker], {}, count, without_redis=True)
        for program in (RECOVERING, READING) * bench.rounds:
            async with bench.worker(program, sale) as process:
                await process.ended()
            said = process.last_said("ledger read")
            assert said is not None
            seconds[program.name].append(said["wall_s"])
            rates["", program.name].append(said["facts"] / said["wall_s"])
            rates["cpu_", program.name].append(said["facts"] / said["cpu_s"])
    outcome = Outcome()
    for name, found in seconds.items():
        outcome.add_rounds("recovery_seconds", found, "s", name)
    for (kind, name), found in rates.items():
        outcome.add_rounds(f"recovery_facts_per_{kind}second", found, f"facts/{'CPU ' if kind else ''}s", name)
    return outcome
