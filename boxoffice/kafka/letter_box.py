"""The dead letters of commands that could not be read: written where they go, and noted how far they are kept."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from boxoffice.kafka.clients import group_id, producer, reader
from boxoffice.kafka.side_records import SideRecord
from boxoffice.settings import KafkaSettings
from topics import dead_letters, purchase_requests

GROUP: Final = "dead-letters"
"""What commits how far they are kept; it has no members."""


class LetterBox:
    """Dead letters go in; how far the commands of a partition are kept is noted beside.

    Both may fail with whatever a client of Kafka raises, and wait as long as a broker makes them wait.
    """

    def __init__(self, settings: KafkaSettings, sender: AIOKafkaProducer, log: AIOKafkaConsumer) -> None:
        self.log: Final = log
        """Reads the commands."""
        self._sender = sender
        self._topic = dead_letters.TOPIC.full_name(settings.topic_prefix)
        self._requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)

    def commands(self, number: int) -> TopicPartition:
        """Where a partition's commands lie."""
        return TopicPartition(self._requests, number)

    async def kept_to(self, number: int) -> int:
        """Before which offset all unreadable commands of a partition are kept, as was noted last."""
        return await self.log.committed(self.commands(number)) or 0

    async def keep(self, letters: Mapping[int, Sequence[SideRecord]]) -> None:
        """Write the letters of some partitions, each in order; when it returns they are acknowledged."""
        partitions = await self._sender.partitions_for(self._topic)
        places: defaultdict[int, list[SideRecord]] = defaultdict(list)
        for number, some in letters.items():
            places[dead_letters.partition_of(number, len(partitions))] += some
        sent = [
            await self._sender.send(self._topic, value, key=key, headers=headers, partition=place)
            for place, some in places.items()
            for key, value, headers in some
        ]
        await asyncio.gather(*sent)

    async def note(self, kept_to: Mapping[int, int]) -> None:
        """Note how far the commands of some partitions are kept."""
        await self.log.commit({self.commands(number): OffsetAndMetadata(to, "") for number, to in kept_to.items()})


OpenLetterBox = Callable[[KafkaSettings, Iterable[int]], AbstractAsyncContextManager[Any]]
"""What :func:`letter_box` is."""


@asynccontextmanager
async def letter_box(settings: KafkaSettings, numbers: Iterable[int]) -> AsyncIterator[LetterBox]:
    """A letter box for the commands of these partitions, with clients of its own: no sale's client waits for it.

    Raises:
        UnreachableError: no broker answered.
    """
    requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)
    partitions = [TopicPartition(requests, number) for number in numbers]
    async with producer(settings) as sender, reader(settings, partitions, group_id(settings, GROUP)) as log:
        yield LetterBox(settings, sender, log)
