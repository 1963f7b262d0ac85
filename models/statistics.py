"""Statistics: the fold of a ledger partition into figures, one row for each event.

Times are the facts' own, so that a ledger gives the same figures whenever it is read, and however its
records are cut into batches. A row is absolute: it says what was counted up to ``offset`` of the ledger.

The chain takes what its header and the event's seq say is next, which is all that an honest ledger
needs. What only the rules can refuse (tickets out of turn, a purchase that is not there) shows when its
command is decided again: the partition is ``contested``, and has to be read again from its beginning
by :meth:`Statistics.by_the_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from models.facts import NewerFactError, UnreadableFactError, at_ms, read_fact, read_range
from models.figures import BUCKETS
from models.ledger import Ledger, Taken
from models.members import Amount, Currency, EventIdText, Name
from models.shapes import (
    At,
    CommandRejected,
    EventCreated,
    Fact,
    PartitionNumber,
    PurchaseCancelled,
    PurchaseConfirmed,
    PurchaseRejected,
)

# Of a row that is read: what is counted on from there stays within what is published.
Counted = Annotated[int, Field(ge=0, le=2**53)]
CountedBySpan = Annotated[list[Counted], Field(min_length=BUCKETS, max_length=BUCKETS)]
Bookmark = Annotated[int, Field(ge=-1, le=2**63 - 1)]

VERSION: Final = 1
"""Of the rows: rows of another version are made anew from the ledger."""

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000


# Counting


@dataclass(slots=True)
class Window:
    """Tickets sold in each of the last ``BUCKETS`` spans of ``width_ms``, the newest last.

    ``newest`` counts spans since 1970. It moves with the sales, never with the clock.
    """

    width_ms: int
    newest: Counted = 0
    sold: CountedBySpan = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, timestamp_ms: int, tickets: int) -> None:
        """Count tickets; what is older than the window is left out."""
        back = self.newest - timestamp_ms // self.width_ms
        if back < 0:
            self.newest -= back
            self.sold = (self.sold + [0] * min(-back, BUCKETS))[-BUCKETS:]
            back = 0
        if back < BUCKETS:
            self.sold[-1 - back] += tickets


def added(windows: Iterable[Window], width_ms: int) -> Window:
    """Windows of one width as one."""
    total = Window(width_ms)
    for window in windows:
        for back, tickets in enumerate(reversed(window.sold)):
            if tickets:
                total.add((window.newest - back) * width_ms, tickets)
    return total


def _seconds() -> Window:
    return Window(SECOND_MS)


def _minutes() -> Window:
    return Window(MINUTE_MS)


def _of_width(width_ms: int) -> AfterValidator:
    """A window's spans may not be of another width than they are counted by."""

    def check(window: Window) -> Window:
        if window.width_ms != width_ms:
            raise ValueError(f"its spans must be of {width_ms} ms")
        return window

    return AfterValidator(check)


Seconds = Annotated[Window, _of_width(SECOND_MS)]
Minutes = Annotated[Window, _of_width(MINUTE_MS)]


@dataclass(slots=True)
class EventStatistics:
    """An event's row. ``sold`` are the tickets that buyers hold, ``cancelled`` those they gave back.

    ``rejected`` counts purchases and ``refused`` other commands, by reason; ``decided_by`` all facts. ``at``
    is the time of the last fact.
    """

    event_id: EventIdText
    name: Name
    currency: Currency
    price: Amount
    issued: Counted
    seq: Counted = 0
    offset: Counted = 0
    sold: Counted = 0
    cancelled: Counted = 0
    purchases: Counted = 0
    cancellations: Counted = 0
    closed: bool = False
    at: At = ""
    first_sale: At | None = None
    last_sale: At | None = None
    rejected: dict[str, Counted] = field(default_factory=dict)
    refused: dict[str, Counted] = field(default_factory=dict)
    decided_by: dict[str, Counted] = field(default_factory=dict)
    seconds: Seconds = field(default_factory=_seconds)
    minutes: Minutes = field(default_factory=_minutes)

    @property
    def remaining(self) -> int:
        """Tickets that can still be sold."""
        return self.issued - self.sold

    @property
    def revenue(self) -> int:
        """What the tickets cost that buyers hold, in the currency's smallest unit."""
        return self.sold * self.price


@dataclass(slots=True)
class PartitionStatistics:
    """A partition's row: how far its ledger was read, and what belongs to no event.

    ``offset`` is the next record's, ``bookmark`` that of the last command accounted for, and ``facts`` how
    many facts all events' rows hold together: rows that do not add up to it are not all there.
    """

    partition: PartitionNumber
    version: Literal[1] = VERSION
    offset: Counted = 0
    bookmark: Bookmark = -1
    facts: Counted = 0
    forwarded: Counted = 0
    unreadable: Counted = 0
    unknown_event: Counted = 0
    seconds: Seconds = field(default_factory=_seconds)
    minutes: Minutes = field(default_factory=_minutes)


_EVENT: Final = TypeAdapter(EventStatistics)
_PARTITION: Final = TypeAdapter(PartitionStatistics)


class UnreadableRowError(Exception):
    """A row that is none, or of another version."""


def write_row(row: EventStatistics | PartitionStatistics) -> bytes:
    """The row as one line of JSON."""
    return _EVENT.dump_json(row) if isinstance(row, EventStatistics) else _PARTITION.dump_json(row)


def read_event_row(value: bytes) -> EventStatistics:
    """The inverse of :func:`write_row`.

    Raises:
        UnreadableRowError: it is no event's row.
    """
    try:
        row = _EVENT.validate_json(value, strict=True)
    except ValidationError as error:
        raise UnreadableRowError(str(error)) from None
    if write_row(row) != value or not row.seq or row.sold > row.issued:
        raise UnreadableRowError(f"nobody of ours wrote the row of event {row.event_id}")
    return row


def read_partition_row(value: bytes) -> PartitionStatistics:
    """The inverse of :func:`write_row`.

    Raises:
        UnreadableRowError: it is no partition's row, or one of another version.
    """
    try:
        row = _PARTITION.validate_json(value, strict=True)
    except ValidationError as error:
        raise UnreadableRowError(str(error)) from None
    if write_row(row) != value:
        raise UnreadableRowError(f"nobody of ours wrote the row of partition {row.partition}")
    return row


class Statistics:
    """The fold of one ledger partition.

    ``touched`` are the events whose rows have changed since it was emptied last; ``issued`` and ``sold`` are what all
    events' rows add up to.
    """

    def __init__(self, row: PartitionStatistics, events: Iterable[EventStatistics] = ()) -> None:
        self.row = row
        self.events = {event.event_id: event for event in events}
        self.touched: dict[str, EventStatistics] = {}
        self.issued = sum(event.issued for event in self.events.values())
        self.sold = sum(event.sold for event in self.events.values())
        self.contested = False
        self._rules: Ledger | None = None

    @classmethod
    def by_the_rules(cls, ledger: Ledger) -> Statistics:
        """An empty one, to be fed from the ledger's beginning: ``ledger``, empty too, judges every record first."""
        statistics = cls(PartitionStatistics(ledger.partition))
        statistics._rules = ledger
        return statistics

    @property
    def is_whole(self) -> bool:
        """Whether the events' rows are those of the moment at which the partition's was written."""
        rows = self.events.values()
        return sum(row.seq for row in rows) == self.row.facts and all(row.offset <= self.row.offset for row in rows)

    def read(self, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        """Take the ledger's next record, if it is the chain's next."""
        taken = self._read(offset, value, read_header)
        if taken is not Taken.NEWER:
            self.row.offset = offset + 1
        return taken

    def _read(self, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        if self._rules is not None:
            return self._read_by_the_rules(self._rules, offset, value, read_header)
        commands = read_range(read_header)
        if commands is None:
            return Taken.DAMAGED
        first, last = commands
        if first != self.row.bookmark + 1:
            self.contested |= first <= self.row.bookmark
            return Taken.IGNORED
        try:
            fact = read_fact(value)
        except NewerFactError:
            return Taken.NEWER
        except UnreadableFactError:
            return Taken.DAMAGED
        if not self._fold(fact, offset):
            return Taken.DAMAGED
        self.row.bookmark = last
        return Taken.TAKEN

    def _read_by_the_rules(self, rules: Ledger, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        taken = rules.read(value, read_header)
        if taken is Taken.TAKEN:
            assert rules.last is not None
            self._fold(rules.last, offset)
            self.row.bookmark = rules.bookmark
        return taken

    # Folding

    def _fold(self, fact: Fact, offset: int) -> bool:
        """Count a fact, or pass over a repeat; returns False where it cannot follow."""
        seq = fact["seq"]
        if not seq:
            return self._fold_uncounted(fact)
        event = self.events.get(fact["event_id"] or "")
        if event is None:
            if fact["type"] != "event_created" or seq != 1 or _timestamp_ms(fact["at"]) is None:
                return False
            event = self.events[fact["event_id"]] = _created(fact)
            self.issued += event.issued
        elif seq <= event.seq:
            return True
        elif seq != event.seq + 1 or not self._fold_into(event, fact):
            return False
        event.seq = seq
        event.offset = offset + 1
        event.at = fact["at"]
        decider = fact["decided_by"]  # type: ignore[typeddict-item]  # whatever has a seq has it
        event.decided_by[decider] = event.decided_by.get(decider, 0) + 1
        self.row.facts += 1
        self.touched[event.event_id] = event
        return True

    def _fold_uncounted(self, fact: Fact) -> bool:
        match fact["type"]:
            case "command_forwarded":
                self.row.forwarded += 1
            case "command_unreadable":
                self.row.unreadable += 1
            case "purchase_rejected" | "command_rejected":
                self.row.unknown_event += 1
            case "offsets_passed":
                pass
            case _:
                return False
        return True

    def _fold_into(self, event: EventStatistics, fact: Fact) -> bool:
        if fact["type"] == "purchase_confirmed":
            return self._fold_sale(event, fact)
        if fact["type"] == "purchase_rejected":
            return _fold_reason(event.rejected, fact)
        if fact["type"] == "command_rejected":
            return _fold_reason(event.refused, fact)
        if _timestamp_ms(fact["at"]) is None:
            return False
        match fact["type"]:
            case "purchase_cancelled":
                return self._fold_cancellation(event, fact)
            case "tickets_added":
                event.issued += fact["count"]
                self.issued += fact["count"]
                return True
            case "event_closed":
                event.closed = True
                return True
        return False

    def _fold_sale(self, event: EventStatistics, fact: PurchaseConfirmed) -> bool:
        tickets, timestamp_ms = len(fact["tickets"]), _timestamp_ms(fact["at"])
        if timestamp_ms is None or tickets != fact["quantity"] or tickets > event.issued - event.sold:
            return False
        event.sold += tickets
        self.sold += tickets
        event.purchases += 1
        event.last_sale = fact["at"]
        if event.first_sale is None:
            event.first_sale = fact["at"]
        for window in (event.seconds, event.minutes, self.row.seconds, self.row.minutes):
            window.add(timestamp_ms, tickets)
        return True

    def _fold_cancellation(self, event: EventStatistics, fact: PurchaseCancelled) -> bool:
        tickets = len(fact["tickets"])
        if tickets > event.sold:
            return False
        event.sold -= tickets
        self.sold -= tickets
        event.cancelled += tickets
        event.cancellations += 1
        return True


def _created(fact: EventCreated) -> EventStatistics:
    return EventStatistics(
        event_id=fact["event_id"],
        name=fact["name"],
        currency=fact["price"]["currency"],
        price=fact["price"]["amount"],
        issued=fact["capacity"],
    )


def _fold_reason(counts: dict[str, int], fact: PurchaseRejected | CommandRejected) -> bool:
    # A plain string: as a key an enum's member would be written more slowly.
    reason = str(fact["reason"])
    counts[reason] = counts.get(reason, 0) + 1
    return True


def _timestamp_ms(at: str) -> int | None:
    """None where it is no time at which a command can have come."""
    try:
        timestamp_ms = at_ms(at)
    except ValueError:
        return None
    return timestamp_ms if timestamp_ms >= 0 else None
