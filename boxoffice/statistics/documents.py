"""How many documents there are, by what is announced of them: made, and not removed since.

The topic forgets announcements (``topics/ticket_documents.py`` says after how long), and of what the scheduled
clean-up removes it does not hear: whoever needs to know what lies in the store asks :mod:`.status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiokafka import TopicPartition

from boxoffice.kafka.clients import read_between, reader, topic_partitions
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from models.documents import DocumentAnnouncement, UnreadableAnnouncementError, read_announcement
from topics import ticket_documents


@dataclass
class Announced:
    """Documents that were announced, and their size; ``strange`` counts records that announce nothing."""

    tickets: int = 0
    size_bytes: int = 0
    strange: int = 0
    _newest: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    """Of each ticket the highest seq, and the size of the document that it has since; 0 where it has none."""

    def read(self, value: bytes | None) -> None:
        """Take the announcement in a record's value, if it is one."""
        try:
            announcement = read_announcement(value)
        except UnreadableAnnouncementError:
            self.strange += 1
            return
        self.take(announcement)

    def take(self, announcement: DocumentAnnouncement) -> None:
        """Take one more announcement; they may come again, and in any order."""
        ticket, seq = announcement["ticket"], announcement["seq"]
        seq_before, size_before = self._newest.get(ticket, (0, 0))
        if seq < seq_before:
            return
        size_bytes = announcement["size_bytes"] if announcement["type"] == "document_made" else 0
        self._newest[ticket] = seq, size_bytes
        self.tickets += bool(size_bytes) - bool(size_before)
        self.size_bytes += size_bytes - size_before


class DocumentCounter:
    """Counts again and again: what was read once is not read a second time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._next: dict[TopicPartition, int] = {}
        self._announced = Announced()

    @property
    def partitions(self) -> int | None:
        """How many partitions all topics have, as soon as a broker has said so."""
        return len(self._next) or None

    async def count(self) -> Announced:
        """What is announced up to now.

        Raises:
            UnreachableError: no broker answered.
            TopicsError: there is no such topic.
        """
        if not self._next:
            partitions = await check_topics(self._settings, ticket_documents.TOPIC)
            topic = ticket_documents.TOPIC.full_name(self._settings.topic_prefix)
            self._next = dict.fromkeys(topic_partitions(topic, partitions), 0)
        async with reader(self._settings, self._next) as consumer:
            begins, ends = await consumer.beginning_offsets(self._next), await consumer.end_offsets(self._next)
            for tp, position in self._next.items():
                async for records in read_between(consumer, tp, max(position, begins[tp]), ends[tp]):
                    for record in records:
                        self._announced.read(record.value)
                self._next[tp] = max(position, ends[tp])
        return self._announced
