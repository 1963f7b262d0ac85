"""Where the partitions of commands end: no forwarded command can come from there, or from behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import KeptReader, OpenReader, led_by_nobody, topic_partitions
from boxoffice.settings import KafkaSettings
from topics import purchase_requests

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 5.0


class RequestEnds:
    """The ends of all partitions of ``purchase-requests``, as far as this worker knows: they only grow.

    Shared by the partitions that it owns. Where several workers share the partitions, each batch that holds
    others' forwards asks one question, over a client that stays open.
    """

    def __init__(self, settings: KafkaSettings, partitions: int, open_reader: OpenReader) -> None:
        self.known: dict[int, int] = {}
        self._partitions = topic_partitions(purchase_requests.TOPIC.full_name(settings.topic_prefix), partitions)
        self._kept_reader = KeptReader(settings, open_reader)

    def learn(self, number: int, end: int) -> None:
        """Note that a partition goes on at least until ``end``."""
        if end > self.known.get(number, 0):
            self.known[number] = end

    async def ask(self, numbers: Iterable[int]) -> set[int]:
        """Ask where these partitions end now; returns those of which nobody can say, since they have no leader.

        Raises:
            UnreachableError: no broker answered, or not for all others.
        """
        try:
            async with self._kept_reader.reading(self._partitions) as client:
                asked = {self._partitions[number] for number in numbers}
                left_alone = led_by_nobody(client, asked)
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self._ask(client, asked - left_alone)
        except (KafkaError, TimeoutError, OSError) as error:
            raise UnreachableError(f"Nobody says where the partitions end ({type(error).__name__}).") from None
        return {tp.partition for tp in left_alone}

    async def ask_for_all(self, client: AIOKafkaConsumer) -> None:
        """Ask with somebody's client, once each: one partition that has no leader must not hide the others' ends."""
        led = set(self._partitions) - led_by_nobody(client, self._partitions)
        await asyncio.gather(*(self._ask_alone(client, tp) for tp in led))

    async def _ask_alone(self, client: AIOKafkaConsumer, partition: TopicPartition) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._ask(client, {partition})
        except (KafkaError, TimeoutError) as error:
            log.warning("nobody says where a partition ends", partition=partition.partition, error=type(error).__name__)

    async def _ask(self, client: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
        for tp, end in (await client.end_offsets(list(partitions))).items() if partitions else ():
            self.learn(tp.partition, end)

    async def aclose(self) -> None:
        """Close what was kept open."""
        await self._kept_reader.aclose()
