"""Many records of a partition go out as one record batch; and the transport that puts all of this into an app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import faust
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from boxoffice.batching.consumer import BatchConsumer
from boxoffice.batching.records import BatchOptions, Outgoing, Removal
from boxoffice.batching.stream import BatchConductor


class BatchProducer(driver.Producer):
    """Publishes many records of one partition as one record batch, idempotent, acknowledged by all."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {
            **super()._settings_extra(),
            "acks": "all",
            "enable_idempotence": True,
            "max_batch_size": cast(BatchTransport, self.transport).options.max_batch_bytes,
        }

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
