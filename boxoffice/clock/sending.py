"""Publish to partitions, each by itself: one that nobody leads holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from boxoffice.batching import BatchProducer, Outgoing
from boxoffice.errors import PublishError


class Sender:
    """Publishes within a deadline, or as soon as a partition has a leader again while others have one."""

    def __init__(self, producer: BatchProducer, timeout_s: float) -> None:
        self._producer = producer
        self._timeout_s = timeout_s

    async def send(self, topic: str, number: int, records: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Publish in order; returns (base offset, count) of each record batch.

        Raises:
            PublishError: the broker did not acknowledge in time, or at all.
        """
        sending = asyncio.create_task(self._producer.publish(topic, number, records))
        try:
            while not (await asyncio.wait({sending}, timeout=self._timeout_s))[0]:
                if not self._producer.is_left_alone(topic, number):
                    raise PublishError(f"Kafka did not acknowledge within {self._timeout_s:g} s.")
            return sending.result()
        except KafkaError as error:
            raise PublishError(f"Kafka refused a publish: {error!r}.") from error
        finally:
            sending.cancel()
