"""One partition's ledger, folded to its end and then further, as it grows: for commands that wait for what they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import TopicPartition

from boxoffice.audit.reading import Tape
from boxoffice.errors import NewerReleaseError
from boxoffice.kafka.clients import header, reader
from boxoffice.settings import KafkaSettings
from models.event import Event
from models.ledger import Ledger, Taken
from models.shapes import Fact
from topics import purchase_results
from topics.purchase_results import READ_HEADER

_POLL_S: Final = 0.02


class Told(NamedTuple):
    """A fact that counts, and the offset of the command that it answers; it was folded."""

    fact: Fact
    offset: int


class HomeLedger:
    """A partition of the ledger, read on as far as somebody asks."""

    def __init__(self, tape: Tape, topic: str, number: int) -> None:
        self._tape = tape
        self._topic = topic
        self.ledger = Ledger(number)

    def event(self, event_id: str) -> Event | None:
        """An event as far as it was read; None if there is none."""
        return self.ledger.inventory.events.get(event_id)

    async def facts(self) -> AsyncIterator[Told]:
        """The chain's next facts, up to the end that the ledger has now. Each is folded before it is told.

        Raises:
            NewerReleaseError: a newer release has written there.
        """
        while run := await self._tape.next_run():
            for record in run:
                taken = self.ledger.read(record.value, header(record.headers, READ_HEADER))
                if taken is Taken.NEWER:
                    raise NewerReleaseError(self._topic, self.ledger.partition, self.ledger.newer or "")
                if taken is Taken.TAKEN and self.ledger.last is not None:
                    yield Told(self.ledger.last, self.ledger.bookmark)

    async def facts_through(self, offset: int) -> AsyncIterator[Told]:
        """The same, until the command at ``offset`` is answered, however long that takes."""
        while True:
            async for told in self.facts():
                yield told
            if self.ledger.bookmark >= offset:
                return
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def home_ledger(settings: KafkaSettings, number: int) -> AsyncIterator[HomeLedger]:
    """A partition of the ledger, from its beginning.

    Raises:
        UnreachableError: no broker answered.
    """
    partition = TopicPartition(purchase_results.TOPIC.full_name(settings.topic_prefix), number)
    async with reader(settings, [partition]) as consumer:
        beginning = (await consumer.beginning_offsets([partition]))[partition]
        yield HomeLedger(Tape(consumer, partition, beginning), partition.topic, number)
