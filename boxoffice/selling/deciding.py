"""One owned partition: its ledger's fold, and the answers to the commands that come next on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from boxoffice.kafka.clients import Headers, header, home_partition
from boxoffice.kafka.record_batches import why_unreadable
from boxoffice.kafka.side_records import SideRecord, counted_bytes, dead_letter, forward, read_origin
from lua.calls import Applied
from lua.effects import effect_of
from models.commands import MAX_HEADER_BYTES, Command, UnreadableCommandError, read_command
from models.event import Position
from models.facts import at_text, unreadable
from models.inventory import decide, fold, is_second_copy
from models.ledger import Ledger
from models.shapes import CommandForwarded, Fact, OffsetsPassed, Source
from topics.purchase_requests import TRACE_HEADER

Record = ConsumerRecord[bytes, bytes]

MAX_TRACE_BYTES = 256


class OriginAheadError(Exception):
    """A command says that it comes from behind the end known of a partition, which may have grown since."""


@dataclass(slots=True)
class Answer:
    """A ledger record to be: the fact, the offsets that it accounts for, and what follows from it.

    ``decided`` is for Redis to decide too, where the event was there before. A forward goes out before it; a dead
    letter is kept behind it, when that can be.
    """

    fact: Fact
    first: int
    last: int
    trace: bytes | None = None
    decided: Applied | None = None
    forward: SideRecord | None = None
    dead_letter: SideRecord | None = None


@dataclass(slots=True)
class OwnedPartition:
    """A partition that this worker decides.

    ``ledger`` is ahead of the topic by the answers that are not acknowledged yet (``unsettled``);
    should those be lost, the whole fold is thrown away and read again. ``settled_bookmark`` is the bookmark
    without them, ``settled_at`` where its record lies in the ledger; ``anchors`` are where the last record
    lies that was read at the take-over and the first that was written since, each with its bookmark.
    ``ledger_end`` is the offset at which the next record is expected to land, ``position`` the next offset to look
    at. ``not_believed`` are the origins that could not be true, ``second_copies`` counts what was answered before.
    """

    number: int
    partitions: int
    ledger: Ledger
    ledger_end: int = 0
    position: int = 0
    unsettled: int = 0
    settled_bookmark: int = -1
    settled_at: int = -1
    anchors: list[tuple[int, int]] = field(default_factory=list)
    not_believed: list[Source] = field(default_factory=list)
    second_copies: int = 0

    @property
    def checkpoints(self) -> list[tuple[int, int]]:
        """Where records of the ledger lie that tell whether it has lost any, and the bookmark of each."""
        return [*self.anchors, (self.settled_at, self.settled_bookmark)]

    def answer(self, records: list[Record], asked: Collection[int] | None = None) -> list[Answer]:
        """Decide consecutive commands, in order. Second copies of forwards get no answer.

        ``asked`` are the partitions of which was just asked where they end, None stands for all. Before a command that
        says it comes from behind the end of another it stops; ``position`` says where.
        """
        answers = []
        for record in records:
            try:
                answer = self._answer(record, asked)
            except OriginAheadError:
                self.position = record.offset
                break
            if answer is not None:
                self.ledger.bookmark, self.ledger.last = answer.last, answer.fact
                answers.append(answer)
        else:
            if records:
                self.position = records[-1].offset + 1
        self.unsettled += len(answers)
        return answers

    def is_second_copy(self, record: Record) -> bool:
        """Whether a record at home is the second copy of a forward, which needs no answer."""
        try:
            command = command_in(record)
        except UnreadableCommandError:
            return False
        origin = read_origin(record.headers, self.number, self.partitions)
        at_home = home_partition(command.event_id, self.partitions) == self.number
        return at_home and origin is not None and is_second_copy(self.ledger.inventory, origin, command)

    def pass_over(self, last: int) -> Answer:
        """Account for all offsets behind the bookmark up to ``last``: nothing lies there that needs an answer.

        Otherwise they would look lost once the topic's retention has removed them.
        """
        before = self.ledger.last
        fact: OffsetsPassed = {
            "type": "offsets_passed",
            "event_id": None,
            "seq": 0,
            "request_id": None,
            "source": {"partition": self.number, "offset": last},
            "at": before["at"] if before is not None else at_text(0),
        }
        answer = Answer(fact, self.ledger.bookmark + 1, last)
        self.ledger.bookmark, self.ledger.last = last, fact
        self.unsettled += 1
        return answer

    def _answer(self, record: Record, asked: Collection[int] | None) -> Answer | None:
        first = self.ledger.bookmark + 1
        headers = record.headers
        try:
            command = command_in(record)
        except UnreadableCommandError as error:
            return self._unreadable(record, str(error), first)
        home = home_partition(command.event_id, self.partitions)
        if home != self.number:
            return self._forwarded(record, command, home, first)
        origin = self._origin(headers, asked) if headers else None
        if origin is not None and is_second_copy(self.ledger.inventory, origin, command):
            self.second_copies += 1
            return None
        source: Source = origin or {"partition": self.number, "offset": record.offset}
        trace = _trace(record) if headers else None
        return self._decided(command, Position(record.offset, record.timestamp, source), first, trace)

    def _origin(self, headers: Headers, asked: Collection[int] | None) -> Source | None:
        """Where a command comes from that was forwarded; None also where that cannot be true.

        The record at an origin was there before its forward was. So what lies behind the end of its partition, asked
        for after the forward was read, was never forwarded. Where nobody can say where that is, it may be true.
        """
        origin = read_origin(headers, self.number, self.partitions)
        ends = self.ledger.ends
        if origin is None or ends is None:
            return origin
        end = ends.get(origin["partition"])
        if end is not None and origin["offset"] < end:
            return origin
        if asked is not None and origin["partition"] not in asked:
            raise OriginAheadError
        if end is None:
            return origin
        self.not_believed.append(origin)
        return None

    def _decided(self, command: Command, position: Position, first: int, trace: bytes | None) -> Answer:
        inventory = self.ledger.inventory
        fact = decide(inventory, command, position)
        event = inventory.events.get(command.event_id)
        is_new = fold(inventory, fact, position.offset)
        if event is None or not is_new:
            return Answer(fact, first, position.offset, trace)
        effect = effect_of(event, fact, self.number)
        return Answer(fact, first, position.offset, trace, Applied(fact, position.offset, effect))

    def _forwarded(self, record: Record, command: Command, home: int, first: int) -> Answer:
        fact: CommandForwarded = {
            "type": "command_forwarded",
            "event_id": command.event_id,
            "seq": 0,
            "request_id": command.request_id,
            "home": home,
            "source": {"partition": self.number, "offset": record.offset},
            "at": at_text(record.timestamp),
        }
        return Answer(fact, first, record.offset, _trace(record), forward=forward(record, command.event_id))

    def _unreadable(self, record: Record, reason: str, first: int) -> Answer:
        source: Source = {"partition": self.number, "offset": record.offset}
        fact = unreadable(record.value, reason, source, at_text(record.timestamp))
        self.ledger.last_unreadable = record.offset
        return Answer(fact, first, record.offset, dead_letter=dead_letter(record, reason))


def command_in(record: Record) -> Command:
    """The command in a record of ``purchase-requests``.

    Raises:
        UnreadableCommandError: its value is none, its headers are too large, or it came without either.
    """
    if (why := why_unreadable(record.value, record.headers)) is not None:
        raise UnreadableCommandError(why)
    if record.headers and counted_bytes(record.headers) > MAX_HEADER_BYTES:
        raise UnreadableCommandError(f"headers: {counted_bytes(record.headers)} bytes, more than {MAX_HEADER_BYTES}")
    return read_command(record.value)


def letter_of(record: Record) -> SideRecord | None:
    """The dead letter of a command that cannot be read; None if it can be."""
    try:
        command_in(record)
    except UnreadableCommandError as error:
        return dead_letter(record, str(error))
    return None


def new_partition(number: int, partitions: int, ends: Mapping[int, int] | None = None) -> OwnedPartition:
    """A partition of which nothing is known yet; without ``ends`` all origins are believed."""
    return OwnedPartition(number, partitions, Ledger(number, ends=ends))


def _trace(record: Record) -> bytes | None:
    trace = header(record.headers, TRACE_HEADER)
    return trace if trace is not None and len(trace) <= MAX_TRACE_BYTES else None
