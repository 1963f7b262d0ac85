"""Tickets that were made, and on which something cannot be read as it was written: by what is announced of them.

The topic forgets announcements (``topics/ticket_documents.py`` says after how long): what is older is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from boxoffice.kafka.clients import read_between, reader
from boxoffice.kafka.topics import partitions_of
from boxoffice.settings import KafkaSettings
from models.documents import UnreadableAnnouncementError, read_announcement
from topics import ticket_documents

_MEMBER: Final = b'"flaws"'


class Flawed(NamedTuple):
    """A ticket, and a sentence for each thing on it that cannot be read as it was written."""

    ticket: str
    flaws: Sequence[str]


class _Said(NamedTuple):
    seq: int
    flaws: Sequence[str]


@dataclass
class Flaws:
    """What announcements say, a ticket's newest of each."""

    _said: dict[str, _Said] = field(default_factory=dict)
    _event_ids: set[bytes] = field(default_factory=set)

    def read(self, key: bytes | None, value: bytes | None) -> None:
        """Take an announcement. Nearly all say nothing of flaws, and are not looked into."""
        if value is None or (_MEMBER not in value and key not in self._event_ids):
            return
        try:
            announcement = read_announcement(value)
        except UnreadableAnnouncementError:
            return
        ticket, said = announcement["ticket"], _Said(announcement["seq"], ())
        if announcement["type"] == "document_made":
            said = said._replace(flaws=announcement.get("flaws", ()))
        known = self._said.get(ticket)
        # The same seq again is the same ticket, made again: with other fonts perhaps.
        if said.seq >= known.seq if known else said.flaws:
            self._said[ticket] = said
            self._event_ids.add(announcement["event_id"].encode())

    @property
    def flawed(self) -> list[Flawed]:
        """The tickets that have some now."""
        return [Flawed(ticket, said.flaws) for ticket, said in self._said.items() if said.flaws]


async def find_flawed(settings: KafkaSettings, newest: int | None = None) -> list[Flawed]:
    """The tickets with flaws; among so many announcements of each partition, or among all.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: there is no such topic.
    """
    partitions = await partitions_of(settings, ticket_documents.TOPIC)
    found = Flaws()
    async with reader(settings, partitions) as consumer:
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for tp in partitions:
            start = begins[tp] if newest is None else max(begins[tp], ends[tp] - newest)
            async for records in read_between(consumer, tp, start, ends[tp]):
                for record in records:
                    found.read(record.key, record.value)
    return found.flawed
