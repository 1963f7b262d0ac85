"""Reads a whole ledger: ``python -m benchmarks.contestants.recovering product`` as a worker that takes it over.

With ``reading`` instead it is read by the same client, and nothing is done with it. Prints how long it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic, process_time

from boxoffice.kafka import clients
from boxoffice.process.worker import collect_garbage_rarely
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import Settings, load_settings
from topics import purchase_results


async def recover(settings: Settings) -> int:
    """Take all partitions over; returns how many facts were read."""
    owned = {number: new_partition(number, settings.kafka.partitions) for number in range(settings.kafka.partitions)}
    await Recovery(settings.kafka, settings.kafka.partitions).recover(owned)
    return sum(partition.ledger_end for partition in owned.values())


async def read(settings: Settings) -> int:
    """Read all partitions, one after another; returns how many facts there were."""
    ledger = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
    partitions = clients.topic_partitions(ledger, settings.kafka.partitions)
    facts = 0
    async with clients.reader(settings.kafka, partitions) as consumer:
        ends = await consumer.end_offsets(partitions)
        for tp in partitions:
            async for records in clients.read_between(consumer, tp, 0, ends[tp]):
                facts += len(records)
    return facts


def main(contestant: str) -> None:
    """Print facts, and seconds of wall and CPU time, as one line of JSON."""
    collect_garbage_rarely()
    begun_s, used_s = monotonic(), process_time()
    facts = asyncio.run({"product": recover, "reading": read}[contestant](load_settings()))
    used = {"facts": facts, "wall_s": monotonic() - begun_s, "cpu_s": process_time() - used_s}
    print(json.dumps({"message": "ledger read", **used}))


if __name__ == "__main__":
    main(sys.argv[1])
