"""What an outside consumer sees of the ledger and the dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from aiokafka import ConsumerRecord, TopicPartition

from boxoffice.kafka import header, reader, topic_partitions
from boxoffice.settings import Settings
from models.facts import Fact, read_fact, read_range
from topics import dead_letters, purchase_results
from topics.purchase_results import READ_HEADER

_POLL_MS: Final = 50


@dataclass
class Answered:
    """A ledger record, and when it was seen."""

    fact: Fact
    seen_s: float


class Watcher:
    """An outside consumer of the ledger and the dead letters."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.by_position: dict[tuple[int, int], Answered] = {}
        self.dead_letters = 0
        self.left = 0
        self._settings = settings
        self._results = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._dead_letters = dead_letters.TOPIC.full_name(settings.topic_prefix)
        self._read = [
            *topic_partitions(self._results, partitions),
            *topic_partitions(self._dead_letters, partitions),
        ]
        self._taken: dict[str, int] = {}

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
            if partition.topic == self._dead_letters:
                self.dead_letters += len(records)
                continue
            for record in records:
                self._take(record, seen_s)

    def _take(self, record: ConsumerRecord[bytes, bytes], seen_s: float) -> None:
        accounted = read_range(header(record.headers, READ_HEADER))
        if accounted is None or (record.partition, accounted[1]) in self.by_position:
            return
        fact = read_fact(record.value)
        self.by_position[record.partition, accounted[1]] = Answered(fact, seen_s)
        event_id = fact["event_id"]
        # The rule for every consumer: exactly the next seq, and all repeats are harmless.
        if event_id and fact["seq"] == self._taken.get(event_id, 0) + 1:
            self._taken[event_id] = fact["seq"]
            self.left += _change(fact)


def _change(fact: Fact) -> int:
    """By how much a fact changes the tickets that are left."""
    match fact["type"]:
        case "event_created":
            return fact["capacity"]
        case "purchase_confirmed":
            return -len(fact["tickets"])
        case "purchase_cancelled":
            return len(fact["tickets"])
        case _:
            return 0
