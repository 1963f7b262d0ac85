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
    """The ends of all partitions of ``purchase-requests``, as far as this worker knows.

    ``known`` has no end of a partition of which nobody could say one when it was asked for last: it may have grown
    beyond what was known before, so that whatever is said to come from there may be true.
    Shared by the partitions that this worker owns. Where several workers share the partitions, each batch that holds
    others' forwards asks one question, over a client that stays open.
    """

    def __init__(self, settings: KafkaSettings, partitions: int, open_reader: OpenReader) -> None:
        self.known: dict[int, int] = {}
        self._partitions = topic_partitions(purchase_requests.TOPIC.full_name(settings.topic_prefix), partitions)
        self._kept_reader = KeptReader(settings, open_reader)

    def learn(self, number: int, end: int) -> None:
        """Note that a partition goes on at least until ``end``, unless nobody could say how far it goes."""
        if end > self.known.get(number, end):
            self.known[number] = end

    async def ask(self, numbers: Iterable[int]) -> None:
        """Ask where these partitions end now. Of one without a leader nobody can say.

        Raises:
            UnreachableError: no broker answered, or not for all others.
        """
        try:
            async with self._kept_reader.reading(self._partitions) as client:
                asked = {self._partitions[number] for number in numbers}
                left_alone = led_by_nobody(client, asked)
                self._forget(left_alone)
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self._ask(client, asked - left_alone)
        except (KafkaError, TimeoutError, OSError) as error:
            raise UnreachableError(f"Nobody says where the partitions end ({type(error).__name__}).") from None

    async def ask_for_all(self, client: AIOKafkaConsumer) -> None:
        """Ask with somebody's client, once each: one partition that has no leader must not hide the others' ends."""
        left_alone = led_by_nobody(client, self._partitions)
        self._forget(left_alone)
        await asyncio.gather(*(self._ask_alone(client, tp) for tp in set(self._partitions) - left_alone))

    async def _ask_alone(self, client: AIOKafkaConsumer, partition: TopicPartition) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._ask(client, {partition})
        except (KafkaError, TimeoutError) as error:
            self._forget({partition})
            log.warning("nobody says where a partition ends", partition=partition.partition, error=type(error).__name__)

    async def _ask(self, client: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
        for tp, end in (await client.end_offsets(list(partitions))).items() if partitions else ():
            self.known[tp.partition] = max(end, self.known.get(tp.partition, 0))

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self.known.pop(tp.partition, None)

    async def aclose(self) -> None:
        """Close what was kept open."""
        await self._kept_reader.aclose()
