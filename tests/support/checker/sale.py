"""All commands, partition by partition, decided by the rules."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.support.checker.claims import claimed
from tests.support.checker.homes import at, clamped_ms, home_of, origin_of
from tests.support.checker.reading import UnreadableError, read
from tests.support.checker.repeats import answered_before, taken_by_another
from tests.support.checker.rules import PRESENT_RULES, begun, create, decide, rejection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.checker.events import Event
    from tests.support.checker.records import Members, Position, Record


ORIGINS_KEPT = 64


class Told(NamedTuple):
    """What the ledger's chain says of the request that a record answers, and nobody else can."""

    source: Position
    """Where it was produced."""
    rules: int | None
    """The version by which an event that it created is sold."""


class Answered(NamedTuple):
    """What the ledger must say of a range of offsets: the last of them is the command."""

    first: int
    fact: Members
    command: Members | None
    record: Record


class _Forwarded(NamedTuple):
    """A forwarded command that was answered."""

    offset: int
    event_id: str
    request_id: str


class Partition:
    """One partition of the requests, decided from its beginning to its end."""

    def __init__(self, number: int, origins_kept: int) -> None:
        self.number = number
        self.events: dict[str, Event] = {}
        self.archived: dict[str, int] = {}
        self.origins_kept = origins_kept
        self.highest_origins: defaultdict[int, list[_Forwarded]] = defaultdict(list)
        self.answers: dict[int, Answered] = {}
        self.bookmark = -1

    def answer(self, record: Record, fact: Members, command: Members | None) -> None:
        """The record at this offset has to be answered so."""
        self.answers[record.offset] = Answered(self.bookmark + 1, fact, command, record)
        self.bookmark = record.offset

    def needing_an_answer(self, first: int, end: int) -> list[int]:
        """The offsets from ``first`` on, before ``end``, at which something lies that has to be answered."""
        return [offset for offset in range(first, end) if offset in self.answers]

    def is_second_copy(self, origin: Position | None, command: Members) -> bool:
        """Whether it was answered before, or lies below all that are remembered, if those are as many as may be."""
        if origin is None:
            return False
        remembered = self.highest_origins[origin[0]]
        forwarded = _Forwarded(origin[1], command["event_id"], command["request_id"])
        return forwarded in remembered or (len(remembered) == self.origins_kept and forwarded < min(remembered))

    def decide(self, command: Members, source: Position, at_ms: int, rules: int) -> Members:
        """The fact that answers a command; it has had its effect. ``rules`` are those of an event that it creates."""
        event = self.events.get(command["event_id"])
        if event is not None and (answer := answered_before(event, command)) is not None:
            return answer
        if source[0] != self.number:
            answered = _Forwarded(source[1], command["event_id"], command["request_id"])
            remembered = {*self.highest_origins[source[0]], answered}
            self.highest_origins[source[0]] = sorted(remembered)[-self.origins_kept :]
        place = {"partition": source[0], "offset": source[1]}
        if event is None:
            return self._decide_without_event(command, place, at_ms, rules)
        event.seq += 1
        fact = begun(command, event.seq, place, at_ms)
        reason = taken_by_another(event, command)
        fact = rejection(command, reason, fact) if reason else decide(event, command, fact, at_ms)
        if fact["type"] == "event_archived":
            self.archived[event.event_id] = event.seq
            del self.events[event.event_id]
        return fact

    def _decide_without_event(self, command: Members, place: Members, at_ms: int, rules: int) -> Members:
        event_id: str = command["event_id"]
        if event_id in self.archived:
            self.archived[event_id] += 1
            return rejection(command, "event_archived", begun(command, self.archived[event_id], place, at_ms))
        if command["type"] != "create_event":
            return rejection(command, "unknown_event", begun(command, 0, place, at_ms))
        fact = begun(command, 1, place, at_ms)
        self.events[event_id] = create(command, fact, rules)
        return fact


class Sale:
    """All commands, decided."""

    def __init__(
        self,
        partitions: int,
        requests: Sequence[Record],
        told: Mapping[Position, Told],
        origins_kept: int,
        rules: Sequence[int] = (PRESENT_RULES,),
    ) -> None:
        self.partitions = [Partition(number, origins_kept) for number in range(partitions)]
        self.requests = {record.position: record for record in requests}
        self.ends = {record.partition: record.offset + 1 for record in requests}
        self.told = told
        self.rules = rules
        self.records: dict[Position, Record] = {}
        self.unreadable: list[Record] = []
        self.forwarded: list[Record] = []
        self.copies: defaultdict[Position, list[Record]] = defaultdict(list)
        self.second_copies: list[Record] = []

    def take(self, record: Record) -> None:
        """Decide the next record of its partition."""
        if record.position in self.records:
            raise ValueError(f"the request at {record.position} was given twice")
        self.records[record.position] = record
        partition = self.partitions[record.partition]
        source: Members = {"partition": record.partition, "offset": record.offset}
        common = {"seq": 0, "source": source, "at": at(record.timestamp_ms)}
        try:
            command = read(record)
        except UnreadableError:
            self.unreadable.append(record)
            fact = {
                "type": "command_unreadable",
                "event_id": None,
                "request_id": None,
                **claimed(record.value),
                **common,
            }
            partition.answer(record, fact, None)
            return
        home = home_of(command["event_id"], len(self.partitions))
        if home == record.partition:
            self._take_at_home(partition, record, command)
            return
        self.forwarded.append(record)
        ids = {"event_id": command["event_id"], "request_id": command["request_id"]}
        partition.answer(record, {"type": "command_forwarded", **ids, **common, "home": home}, command)

    def _take_at_home(self, partition: Partition, record: Record, command: Members) -> None:
        origin = self._believed(record)
        if origin is not None:
            self.copies[origin].append(record)
        if partition.is_second_copy(origin, command):
            self.second_copies.append(record)
            return
        at_ms = clamped_ms(record.timestamp_ms)
        fact = partition.decide(command, origin or record.position, at_ms, self._rules_of(record))
        # A cancellation replaces the fact of the purchase, but not what the ledger said of it.
        partition.answer(record, dict(fact), command)

    def _believed(self, record: Record) -> Position | None:
        """Where a command was forwarded from, if it says so and it can be true.

        What names a place that its partition did not have when it was decided counts as not forwarded. How far the
        partition went then nobody can tell afterwards, so the ledger may say either; not of one that was forwarded.
        """
        origin = origin_of(record, len(self.partitions))
        if origin is None or origin[1] >= self.ends.get(origin[0], 0):
            return None
        original = self.requests.get(origin)
        if original is not None and original.value == record.value:
            return origin
        told = self.told.get(record.position)
        return None if told is not None and told.source == record.position else origin

    def _rules_of(self, record: Record) -> int:
        """By which an event is sold that the command creates: the ledger says which of the releases decided it."""
        told = self.told.get(record.position)
        rules = told.rules if told is not None else None
        return rules if rules is not None and rules in self.rules else max(self.rules)
