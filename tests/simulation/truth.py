"""What the rules make of all commands: each event at each of its seqs."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from boxoffice.batching import Record
from boxoffice.kafka.clients import header, home_partition
from boxoffice.selling.deciding import OwnedPartition, command_in, new_partition
from lua.copies import Snapshot
from models.commands import CreateEvent, UnreadableCommandError
from models.event import Event
from models.facts import RULES_VERSION
from models.ledger import Ledger
from tests.simulation.broker import Broker
from tests.simulation.releases import by_rules
from topics.purchase_results import READ_HEADER


class Truth:
    """All commands, decided as soon as they are asked.

    Where two releases sell side by side, the ledger alone says by which rules an event was created. So a partition
    waits there until it does.
    """

    def __init__(self, requests: str, ledger: str, partitions: int, *, has_two_releases: bool = False) -> None:
        self.ends: dict[int, int] = {}
        self.partitions = [new_partition(number, partitions, self.ends) for number in range(partitions)]
        self.copies: Final[defaultdict[str, dict[int, Snapshot]]] = defaultdict(dict)
        self.answered: list[list[int]] = [[] for _ in range(partitions)]
        self.waits: set[int] = set()
        """The partitions that wait for the ledger."""
        self._requests, self._ledger = requests, ledger
        self._has_two_releases = has_two_releases

    def catch_up(self, broker: Broker) -> None:
        """Decide what was asked since."""
        self.ends |= {number: broker.partitions[self._requests, number].end for number in range(len(self.partitions))}
        self.waits = {partition.number for partition in self.partitions if not self._catch_up(broker, partition)}

    def _catch_up(self, broker: Broker, partition: OwnedPartition) -> bool:
        number = partition.number
        for record in broker.partitions[self._requests, number].after(partition.position):
            rules = self._rules_of(broker, partition, record)
            if rules is None:
                return False
            with by_rules(rules):
                answers = partition.answer([record])
            for answer in answers:
                self.answered[number].append(answer.last)
                event = partition.ledger.inventory.events.get(answer.fact["event_id"] or "")
                if event is not None:
                    self.copies[event.event_id][event.seq] = Snapshot.of(event, number)
        return True

    def _rules_of(self, broker: Broker, partition: OwnedPartition, record: Record) -> int | None:
        """By which rules an event is sold that a command creates; None as long as nobody can know."""
        if not self._has_two_releases or not self._may_create(partition, record):
            return RULES_VERSION
        ledger = Ledger(partition.number)
        for written in broker.partitions[self._ledger, partition.number].records:
            ledger.read(written.value, header(written.headers, READ_HEADER))
            if ledger.bookmark >= record.offset:
                created = ledger.last
                is_of_it = created is not None and created["type"] == "event_created"
                return created["rules"] if is_of_it else RULES_VERSION  # type: ignore[index,typeddict-item]
        return None

    def _may_create(self, partition: OwnedPartition, record: Record) -> bool:
        try:
            command = command_in(record)
        except UnreadableCommandError:
            return False
        is_at_home = home_partition(command.event_id, len(self.partitions)) == partition.number
        return is_at_home and isinstance(command, CreateEvent) and self.event(command.event_id) is None

    # What it knows

    def event(self, event_id: str) -> Event | None:
        """The event as it is now; None where there is none, or it was archived."""
        number = home_partition(event_id, len(self.partitions))
        return self.partitions[number].ledger.inventory.events.get(event_id)

    def is_archived(self, event_id: str) -> bool:
        """Whether it was archived."""
        number = home_partition(event_id, len(self.partitions))
        return event_id in self.partitions[number].ledger.inventory.archived

    def newest(self) -> dict[str, Snapshot]:
        """Each event that is there, as it is now."""
        return {
            event_id: copies[max(copies)]
            for event_id, copies in self.copies.items()
            if copies and not self.is_archived(event_id)
        }
