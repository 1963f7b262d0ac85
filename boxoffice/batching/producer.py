"""Many records of a partition go out as one record batch; and the transport that puts all of this into an app."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from boxoffice.batching.consumer import BatchConsumer
from boxoffice.batching.records import BatchOptions, Outgoing, Removal
from boxoffice.batching.stream import BatchConductor

FLUSH_LOOKS_S = 0.5
NO_LEADER = -1
"""What the brokers name as the leader of a partition that has none."""


class BatchProducer(driver.Producer):
    """Publishes many records of one partition as one record batch, idempotent, acknowledged by all."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {
            **super()._settings_extra(),
            "acks": "all",
            "enable_idempotence": True,
            "max_batch_size": cast(BatchTransport, self.transport).options.max_batch_bytes,
        }

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        """A producer that gives no record batch up.

        aiokafka drops a batch that has found no leader for long, and takes its sequence numbers along: the broker
        refuses whatever is sent to that partition after it. How long is too long is for the application to say.
        """
        producer: Any = super()._new_producer(transactional_id)
        producer._message_accumulator._batch_ttl = math.inf
        return cast(AIOKafkaProducer, producer)

    async def flush(self) -> None:
        """Wait for what is on its way, as Faust does before each commit; but not for what has no leader to go to.

        What is acknowledged on this path was published before; and whoever commits, or gives partitions back, must
        not wait for one that nobody can reach.
        """
        await self.buffer.flush()
        while waiting := self._unacknowledged(led=True):
            await asyncio.wait(waiting, timeout=FLUSH_LOOKS_S)

    async def on_stop(self) -> None:
        """Stop without waiting for what has no leader to go to: aiokafka would, for as long as it takes."""
        for future in self._unacknowledged(led=False):
            future.cancel()
        await super().on_stop()

    def _unacknowledged(self, *, led: bool) -> list[asyncio.Future[Any]]:
        """What was not acknowledged yet, of partitions that have a leader or of those that have none."""
        if self._producer is None:
            return []
        accumulator: Any = self._producer._message_accumulator
        cluster: Any = self._producer.client.cluster
        batches = [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]
        wanted = [batch for batch in batches if (cluster.leader_for_partition(batch.tp) != NO_LEADER) is led]
        return [batch.future for batch in wanted if not batch.future.done()]

    def is_left_alone(self, topic: str, partition: int) -> bool:
        """Whether a partition has no leader while others of its topic have one, as far as the client knows.

        It asks the brokers again and again as long as something waits for a leader.
        """
        cluster: Any = self._ensure_producer().client.cluster
        has_none = cluster.leader_for_partition(TopicPartition(topic, partition)) == NO_LEADER
        return has_none and bool(cluster.available_partitions_for_topic(topic))

    async def partition_count(self, topic: str) -> int:
        """How many partitions a topic has, as far as is known.

        Raises:
            KafkaError: no broker knows it.
        """
        return len(await self._ensure_producer().partitions_for(topic))

    async def publish(self, topic: str, partition: int, records: Sequence[Outgoing | Removal]) -> list[tuple[int, int]]:
        """Publish in order, one record batch in flight; returns (base offset, count) of each.

        It waits for a broker as long as it takes: bound it, and end the process at the first failure.

        Raises:
            KafkaError: the broker did not acknowledge a batch; those before it stand.
        """
        acknowledged = []
        at = 0
        while at < len(records):
            builder = self._ensure_producer().create_batch()
            begun = at
            while at < len(records):
                key, value, headers = records[at]
                # A batch that is full refuses by returning None.
                if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    break
                at += 1
            builder.close()
            metadata = await (await self._ensure_producer().send_batch(builder, topic, partition=partition))
            acknowledged.append((metadata.offset, at - begun))
        return acknowledged


class BatchTransport(driver.Transport):
    """Faust's transport, with the parts above."""

    Consumer = BatchConsumer
    Producer = BatchProducer
    Conductor = BatchConductor

    def __init__(self, urls: list[URL], app: faust.App, options: BatchOptions = BatchOptions()) -> None:  # noqa: B008  # it is frozen
        self.options = options
        super().__init__(urls, app)
