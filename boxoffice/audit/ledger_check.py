"""One partition's ledger, judged by the rules beside the commands that it answers."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from aiokafka import ConsumerRecord

from boxoffice.errors import NewerReleaseError
from boxoffice.kafka.clients import header, home_partition
from boxoffice.kafka.side_records import read_origin
from boxoffice.selling.deciding import command_in
from models.commands import Command, UnreadableCommandError, earlier_releases_read
from models.event import Position
from models.facts import (
    UnreadableFactError,
    at_text,
    decided_alike,
    read_fact,
    read_range,
    same_decision,
    unreadable,
    write_fact,
)
from models.inventory import decide, is_second_copy
from models.ledger import Ledger, Taken
from models.shapes import Fact, Source
from models.statistics import Statistics
from models.words import number_of
from topics.purchase_results import READ_HEADER

Record = ConsumerRecord[bytes, bytes]

MAX_DIFFERENCES: Final = 20
"""Sentences about one partition, or one event: who is told more learns no more."""

_LONGEST_FACT: Final = 300


_PASSED: Final = b'{"type":"offsets_passed"'


class LedgerCheck:
    """Judges the records of one ledger partition, in order, beside the commands that they answer.

    ``commands`` holds the records of ``purchase-requests`` that are not accounted for yet; those before
    ``first_kept`` have expired, and their answers are taken as they are. Forwarded commands are counted
    up to ``ends``, by the partition on which they were found. ``ledger`` and ``statistics`` are folded
    together; where partitions of commands end was asked as ``possible``, after the facts judged first were written.
    """

    def __init__(
        self,
        number: int,
        partitions: int,
        first_kept: int = 0,
        ends: Mapping[int, int] | None = None,
        possible: Mapping[int, int] | None = None,
    ) -> None:
        self.number = number
        self.ledger = Ledger(number, ends=possible)
        self.statistics = Statistics.by_the_rules(self.ledger)
        self.commands: deque[Record] = deque()
        self.differences: list[str] = []
        self.checked = self.facts = self.repeated = self.damaged = 0
        self.forwarded: dict[int, array[int]] = {}
        self.arrived: dict[int, array[int]] = {}
        self._partitions = partitions
        self.first_kept = first_kept
        self.unreadable: list[range] = []
        self._ends = ends or {}
        self._decisions: dict[str, array[int]] = {}
        self._others_last, self._others = array("q"), array("q")
        self._strays: list[tuple[int, int, Fact]] = []

    def take(self, record: Record) -> None:
        """Judge the ledger's next record.

        Raises:
            NewerReleaseError: a newer release wrote it: only that one can judge what follows.
        """
        accounted = read_range(header(record.headers, READ_HEADER))
        if accounted is None:
            self.damaged += 1
        elif accounted[0] != self.ledger.bookmark + 1:
            self._take_stray(record, accounted[1])
        else:
            self._take_next(record, accounted[1])

    def judge_later_facts(self) -> None:
        """From now on facts may be younger than what is known of the partitions' ends."""
        self.ledger.inventory.ends = None

    def note_damage(self, first: int, last: int) -> None:
        """Records that the disk has damaged lie at these offsets of the ledger."""
        self.damaged += last - first + 1

    def note_damaged_commands(self, first: int, last: int) -> None:
        """Commands that the disk has damaged lie at these offsets: their answers are taken as they are."""
        self.unreadable.append(range(first, last + 1))

    def needs_answer(self, end: int) -> list[Record]:
        """The commands before offset ``end`` that have no answer, and are no second copies."""
        return [record for record in self.commands if record.offset < end and not self._is_second_copy(record)]

    def finish(self, end: int) -> None:
        """Judge what could only be known at the end; ``end`` is where the commands end that need an answer."""
        unanswered = self.needs_answer(end)
        if unanswered:
            self._differ(
                f"purchase-requests {self.number}: no answer to {number_of(len(unanswered), 'command')}, "
                f"the first at offset {unanswered[0].offset}."
            )
        for offset, last, fact in self._strays:
            if not self._repeats(fact, last):
                self._differ(f"{self._at(offset)} says what the ledger's chain does not: {_named(fact)}.")
        self._strays.clear()

    def _take_next(self, record: Record, last: int) -> None:
        accounted_for = self._commands_through(last)
        passes = _PASSED in (record.value or b"")[: len(_PASSED) + 1]
        expected = [] if passes else self._expected(accounted_for, record.offset, last)
        if passes:
            self._look_for_commands(accounted_for, record.offset)
        taken = self._fold(record)
        if taken is Taken.NEWER:
            raise NewerReleaseError(record.topic, self.number, self.ledger.newer or "")
        if taken is not Taken.TAKEN:
            self.damaged += 1
            return
        fact = self.ledger.last
        assert fact is not None
        as_expected = any(decided_alike(one, fact) for one in expected)
        if expected and not as_expected and not _is_of_an_earlier_release(fact, accounted_for[-1]):
            self._differ(f"{self._at(record.offset)} says {_named(fact)}, and should say {_named(expected[0])}.")
        self._note_origins(accounted_for, last, fact)
        self.checked += len(accounted_for)
        self.facts += 1
        self._remember(fact, last, record.offset)
        while self.commands and self.commands[0].offset <= last:
            self.commands.popleft()

    def _fold(self, record: Record) -> Taken:
        return self.statistics.read(record.offset, record.value, header(record.headers, READ_HEADER))

    def _commands_through(self, last: int) -> list[Record]:
        through = []
        for command in self.commands:
            if command.offset > last:
                break
            through.append(command)
        return through

    def _expected(self, accounted_for: Sequence[Record], offset: int, last: int) -> list[Fact]:
        """The fact that must be there; none where the command has expired or is damaged, or a difference was told.

        Where a command says that it was forwarded there are two: nobody knows any more whether that could be
        true when it was decided.
        """
        if last < self.first_kept or any(last in damaged for damaged in self.unreadable):
            return []
        self._look_for_commands([record for record in accounted_for if record.offset < last], offset)
        if not accounted_for or accounted_for[-1].offset != last:
            self._differ(f"{self._at(offset)} answers a command at {self.number}:{last}, where there is none.")
            return []
        command = accounted_for[-1]
        expected = expected_fact(command, self.ledger, self._partitions)
        if expected is None:
            self._differ(f"{self._at(offset)} answers the second copy at {self.number}:{last}.")
            return []
        if expected["source"]["partition"] == self.number or self._origin(command) is None:
            return [expected]
        own = expected_fact(command, self.ledger, self._partitions, believes=False)
        return [expected, own] if own is not None else [expected]

    def _look_for_commands(self, passed_over: Iterable[Record], offset: int) -> None:
        for command in passed_over:
            if not self._is_second_copy(command):
                self._differ(f"{self._at(offset)} passes over the command at {self.number}:{command.offset}.")

    def _is_second_copy(self, record: Record) -> bool:
        return expected_fact(record, self.ledger, self._partitions) is None

    def _origin(self, record: Record) -> Source | None:
        return read_origin(record.headers, self.number, self._partitions)

    def _note_origins(self, accounted_for: Sequence[Record], last: int, fact: Fact) -> None:
        if fact["type"] == "command_forwarded":
            self._note(self.forwarded, fact["home"], fact["source"], (fact["event_id"], fact["request_id"]))
        elif fact["type"] not in ("command_unreadable", "offsets_passed"):
            for record in accounted_for:
                origin = self._origin(record) if record.offset == last else None
                if origin is not None:
                    command = command_in(record)
                    self._note(self.arrived, origin["partition"], origin, (command.event_id, command.request_id))

    def _note(self, noted: dict[int, array[int]], other: int, origin: Source, ids: tuple[str, str]) -> None:
        if origin["offset"] < self._ends.get(origin["partition"], 0):
            noted.setdefault(other, array("q")).append(hash((origin["offset"], *ids)))

    def _take_stray(self, record: Record, last: int) -> None:
        try:
            fact = read_fact(record.value)
        except UnreadableFactError:
            self.damaged += 1
            return
        self.repeated += 1
        if not self._repeats(fact, last):
            self._strays.append((record.offset, last, fact))

    def _remember(self, fact: Fact, last: int, offset: int) -> None:
        if not fact["seq"]:
            self._others_last.append(last)
            self._others.append(_digest(fact))
            return
        digests = self._decisions.setdefault(str(fact["event_id"]), array("q"))
        if fact["seq"] == len(digests) + 1:
            digests.append(_digest(fact))
            return
        self.repeated += 1
        if not self._repeats(fact, last):
            self._differ(f"{self._at(offset)} repeats {_named(fact)} differently.")

    def _repeats(self, fact: Fact, last: int) -> bool:
        """Whether the chain has this very fact: by its seq, or with seq 0 by the command that it answers."""
        if not fact["seq"]:
            place = bisect_left(self._others_last, last)
            known = place < len(self._others_last) and self._others_last[place] == last
            return known and self._others[place] == _digest(fact)
        digests = self._decisions.get(str(fact["event_id"]), ())
        return fact["seq"] <= len(digests) and digests[fact["seq"] - 1] == _digest(fact)

    def _at(self, offset: int) -> str:
        return f"purchase-results {self.number}:{offset}"

    def _differ(self, sentence: str) -> None:
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(sentence)


def expected_fact(record: Record, ledger: Ledger, partitions: int, *, believes: bool = True) -> Fact | None:
    """The fact that the rules give the command in ``record`` next; None for a second copy of a forward.

    ``believes`` says whether what it says of where it was forwarded from is taken for true.
    """
    number, at = ledger.partition, Position(record.offset, record.timestamp, _source(record))
    try:
        command = command_in(record)
    except UnreadableCommandError as error:
        return unreadable(record.value, str(error), at.source, at_text(record.timestamp))
    home = home_partition(command.event_id, partitions)
    if home != number:
        return _forwarded(at, command, home)
    origin = read_origin(record.headers, number, partitions) if believes else None
    if origin is None:
        return decide(ledger.inventory, command, at)
    if is_second_copy(ledger.inventory, origin, command):
        return None
    return decide(ledger.inventory, command, at._replace(source=origin))


def _source(record: Record) -> Source:
    return {"partition": record.partition, "offset": record.offset}


def _forwarded(position: Position, command: Command, home: int) -> Fact:
    return {
        "type": "command_forwarded",
        "event_id": command.event_id,
        "seq": 0,
        "request_id": command.request_id,
        "home": home,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
    }


def _is_of_an_earlier_release(fact: Fact, command: Record) -> bool:
    """Whether a fact calls a command unreadable that earlier releases could not read: that answer stands."""
    if fact["type"] != "command_unreadable" or earlier_releases_read(command.value):
        return False
    return same_decision(fact, unreadable(command.value, "", _source(command), at_text(command.timestamp)))


def _digest(fact: Fact) -> int:
    """Equal for facts that differ in nothing but who decided."""
    return hash(write_fact(_without_wording(cast(Fact, {**fact, "decided_by": None}))))


def _without_wording(fact: Fact) -> Fact:
    """Another release may say in other words why a command is unreadable, and see more of it, or less."""
    if fact["type"] != "command_unreadable":
        return fact
    return unreadable(None, "", fact["source"], fact["at"])


def _named(fact: Fact) -> str:
    text = write_fact(fact).decode()
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]}…"
