"""Where the partitions of commands end: no forwarded command can come from there, or from behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import OpenReader, led_by_nobody, topic_partitions
from boxoffice.settings import KafkaSettings
from topics import purchase_requests

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 5.0


class RequestEnds:
    """The ends of all partitions of ``purchase-requests``, as far as this worker knows: they only grow.

    Shared by the partitions that it owns. One client stays open for the questions: where several workers share the
    partitions, each batch that holds others' forwards asks one.
    """

    def __init__(self, settings: KafkaSettings, partitions: int, open_reader: OpenReader) -> None:
        self.known: dict[int, int] = {}
        self._settings = settings
        self._open_reader = open_reader
        self._partitions = topic_partitions(purchase_requests.TOPIC.full_name(settings.topic_prefix), partitions)
        self._clients = AsyncExitStack()
        self._client: AIOKafkaConsumer | None = None

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
            if self._client is None:
                opened = self._open_reader(self._settings, self._partitions)
                self._client = await self._clients.enter_async_context(opened)
            asked = {self._partitions[number] for number in numbers}
            left_alone = led_by_nobody(self._client, asked)
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._ask(self._client, asked - left_alone)
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
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

    async def close(self) -> None:
        """Close the client; the next question opens another."""
        self._client = None
        clients, self._clients = self._clients, AsyncExitStack()
        await clients.aclose()
