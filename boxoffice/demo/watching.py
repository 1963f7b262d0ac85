"""What an outside consumer sees of the ledger, the dead letters, the documents and the statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition

from boxoffice.kafka.clients import header, reader, topic_partitions
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.published import Published
from models.documents import DocumentAnnouncement, UnreadableAnnouncementError, read_announcement
from models.facts import UnreadableFactError, read_fact, read_range
from models.shapes import Fact
from topics import dead_letters, event_stats, purchase_results, ticket_documents
from topics.purchase_results import READ_HEADER

_POLL_MS: Final = 50


def is_clocks(fact: Any) -> bool:
    """Whether a fact answers the clock, which looks whether holds are due."""
    return bool(fact["type"] == "hold_expired" or fact.get("command") == "expire_hold")


@dataclass
class Answered:
    """A ledger record, and when it was seen."""

    fact: Fact
    seen_s: float


class Watcher:
    """An outside consumer of the ledger, the dead letters, and what follows from the ledger.

    ``announced`` are all announcements of documents by ticket and seq, ``documents`` the tickets that have one
    now. What nobody of ours wrote is passed over. ``see`` is told of each fact that counts, once.
    """

    def __init__(self, settings: KafkaSettings, partitions: int, see: Callable[[Any], None]) -> None:
        self.by_position: dict[tuple[int, int], Answered] = {}
        self.dead_letters = 0
        self.issued = self.held = self.sold = 0
        self.taken: dict[str, int] = {}
        self.announced: dict[tuple[str, int], DocumentAnnouncement] = {}
        self.documents: set[str] = set()
        self._published = Published()
        self._newest_seqs: dict[str, int] = {}
        self._looked = 0
        self._settings = settings
        self._see_fact = see
        self._take = {
            topic.full_name(settings.topic_prefix): take
            for topic, take in (
                (purchase_results.TOPIC, self._take_fact),
                (dead_letters.TOPIC, self._take_dead_letter),
                (ticket_documents.TOPIC, self._take_announcement),
                (event_stats.TOPIC, self._take_figures),
            )
        }
        self._read = [partition for name in self._take for partition in topic_partitions(name, partitions)]

    @property
    def figures(self) -> Mapping[str, Mapping[str, Any]]:
        """The newest statistics of each event."""
        return self._published.figures

    @property
    def answers(self) -> int:
        """Commands that are answered, but for those by which the clock looks after holds."""
        return len(self.by_position) - self._looked

    @property
    def left(self) -> int:
        """Tickets that are neither held nor sold."""
        return self.issued - self.held - self.sold

    async def watch(self) -> None:
        """Read until cancelled."""
        async with reader(self._settings, self._read) as consumer:
            await consumer.seek_to_beginning(*self._read)
            consumer.resume(*self._read)
            while True:
                self._see(await consumer.getmany(timeout_ms=_POLL_MS))

    def _see(self, found: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        seen_s = perf_counter()
        for partition, records in found.items():
            for record in records:
                self._take[partition.topic](record, seen_s)

    def _take_dead_letter(self, _: ConsumerRecord[bytes, bytes], __: float) -> None:
        self.dead_letters += 1

    def _take_announcement(self, record: ConsumerRecord[bytes, bytes], _: float) -> None:
        try:
            announcement = read_announcement(record.value)
        except UnreadableAnnouncementError:
            return
        ticket, seq = announcement["ticket"], announcement["seq"]
        self.announced[ticket, seq] = announcement
        # Of several about one ticket the one with the highest seq holds.
        if seq > self._newest_seqs.get(ticket, 0):
            self._newest_seqs[ticket] = seq
            (self.documents.add if announcement["type"] == "document_made" else self.documents.discard)(ticket)

    def _take_figures(self, record: ConsumerRecord[bytes, bytes], _: float) -> None:
        self._published.take(record)

    def _take_fact(self, record: ConsumerRecord[bytes, bytes], seen_s: float) -> None:
        accounted = read_range(header(record.headers, READ_HEADER))
        if accounted is None or (record.partition, accounted[1]) in self.by_position:
            return
        try:
            fact = read_fact(record.value)
        except UnreadableFactError:
            return
        self.by_position[record.partition, accounted[1]] = Answered(fact, seen_s)
        self._looked += is_clocks(fact)
        event_id = fact["event_id"]
        # The rule for every consumer: exactly the next seq, and all repeats are harmless.
        if event_id and fact["seq"] == self.taken.get(event_id, 0) + 1:
            self.taken[event_id] = fact["seq"]
            self._count(fact)
            self._see_fact(fact)

    def _count(self, fact: Any) -> None:
        tickets = len(fact.get("tickets", ()))
        match fact["type"]:
            case "event_created":
                categories = fact.get("categories", [fact])
                self.issued += sum(category["capacity"] for category in categories)
            case "purchase_held":
                self.held += tickets
            case "purchase_confirmed":
                self.sold += tickets
                self.held -= tickets if "payment" in fact and not fact["late"] else 0
            case "hold_expired":
                self.held -= tickets
            case "purchase_cancelled" if fact.get("held"):
                self.held -= tickets
            case "purchase_cancelled":
                self.sold -= tickets
