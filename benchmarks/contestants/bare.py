"""A bare aiokafka loop: no Faust, no group, nothing but reading, deciding and publishing.

It knows the product's tricks: a batch is what is there, goes out as one record batch a partition, and is
published while the next one is decided; fetches do not wait long, and the garbage collector looks rarely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.contestants.deciding import Deciding
from benchmarks.sale import publish_batches
from boxoffice.batching import FETCH_MAX_WAIT_MS, BatchOptions, Outgoing
from boxoffice.kafka import clients
from boxoffice.process.worker import collect_garbage_rarely
from boxoffice.settings import Settings, load_settings
from topics import purchase_requests, purchase_results


async def run(settings: Settings) -> None:
    """Decide until the process is ended."""
    deciding = Deciding(settings)
    await deciding.take_over()
    consumer = AIOKafkaConsumer(
        **clients.client_options(settings.kafka),
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
    requests = purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
    ledger = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
    partitions = clients.topic_partitions(requests, settings.kafka.partitions)
    async with clients.producer(settings.kafka, max_batch_size=BatchOptions().max_batch_bytes) as producer:
        await consumer.start()
        consumer.assign(partitions)
        for tp in partitions:
            consumer.seek(tp, deciding.owned[tp.partition].position)
        publishing = asyncio.create_task(_publish(producer, ledger, {}))
        while True:
            found = await consumer.getmany(timeout_ms=1_000, max_records=settings.selling.batch_size)
            outgoing = await deciding.decide({tp.partition: records for tp, records in found.items()})
            await publishing
            publishing = asyncio.create_task(_publish(producer, ledger, outgoing))


async def _publish(producer: AIOKafkaProducer, ledger: str, outgoing: Mapping[int, Sequence[Outgoing]]) -> None:
    await asyncio.gather(*(publish_batches(producer, ledger, number, records) for number, records in outgoing.items()))


if __name__ == "__main__":
    collect_garbage_rarely()
    asyncio.run(run(load_settings()))
