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

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.commands import Currency, EventIdText, Name
from models.facts import (
    At,
    CommandRejected,
    Decider,
    EventCreated,
    Fact,
    NewerFactError,
    Offset,
    PartitionNumber,
    PurchaseCancelled,
    PurchaseConfirmed,
    PurchaseRejected,
    Reason,
    TicketsAdded,
    UnreadableFactError,
    at_ms,
    read_fact,
    read_range,
)
from models.ledger import Ledger, Taken

VERSION: Final = 1
"""Of the rows: rows of another version are made anew from the ledger."""

BUCKETS: Final = 60
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000


# What is published

Tally = Annotated[int, Field(ge=0, le=2**63 - 1)]
# Plain strings, as they are counted: see _fold_reason.
ByReason = dict[Annotated[str, Field(json_schema_extra={"enum": [*Reason]})], Tally]
ByDecider = dict[Annotated[str, Field(json_schema_extra={"enum": [*Decider]})], Tally]
FirstOrLastSale = Annotated[
    Annotated[At, Field(description="The sale's `at`.")] | None, Field(description="Null where nothing was sold.")
]


class WindowFigures(TypedDict):
    """Tickets sold in each of the last 60 spans of time; a cancellation takes nothing away."""

    newest_at: Annotated[
        Annotated[At, Field(description="When the newest span began: the one with the last sale.")] | None,
        Field(description="Null where nothing was sold."),
    ]
    sold: Annotated[
        list[Tally], Field(min_length=BUCKETS, max_length=BUCKETS, description="The newest span stands last.")
    ]


class RevenueFigures(TypedDict):
    """What the tickets cost that buyers hold."""

    amount: Annotated[int, Field(ge=0, description="In the currency's smallest unit.")]
    currency: Currency


class EventFigures(TypedDict):
    """The figures of an event, absolute: what its facts up to ``seq`` add up to."""

    event_id: EventIdText
    name: Name
    partition: Annotated[PartitionNumber, Field(description="Of the ledger: the event's home.")]
    seq: Annotated[int, Field(ge=1, le=2**63 - 1, description="The number of the last fact counted.")]
    offset: Annotated[Offset, Field(description="Of the ledger: behind the last fact counted.")]
    at: Annotated[At, Field(description="The last fact's.")]
    issued: Annotated[Tally, Field(description="Tickets that there are: the event's capacity, and those added.")]
    sold: Annotated[Tally, Field(description="Tickets that buyers hold.")]
    remaining: Annotated[Tally, Field(description="Tickets that nobody holds: `issued` without `sold`.")]
    cancelled: Annotated[Tally, Field(description="Tickets that were given back.")]
    purchases: Annotated[Tally, Field(description="Orders confirmed, those cancelled since too.")]
    cancellations: Annotated[Tally, Field(description="Orders cancelled.")]
    rejected: Annotated[ByReason, Field(description="Purchases refused, by reason; what never was is left out.")]
    refused: Annotated[ByReason, Field(description="Other commands refused, by reason.")]
    decided_by: Annotated[ByDecider, Field(description="All facts counted, by who decided: together `seq`.")]
    revenue: RevenueFigures
    closed: Annotated[bool, Field(description="Whether the sale has ended.")]
    first_sale_at: FirstOrLastSale
    last_sale_at: FirstOrLastSale
    sold_by_second: WindowFigures
    sold_by_minute: WindowFigures


# Counting


@dataclass(slots=True)
class Window:
    """Tickets sold in each of the last ``BUCKETS`` spans of ``width_ms``, the newest last.

    ``newest`` counts spans since 1970. It moves with the sales, never with the clock.
    """

    width_ms: int
    newest: int = 0
    sold: list[int] = field(default_factory=lambda: [0] * BUCKETS)

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


@dataclass(slots=True)
class EventStatistics:
    """An event's row. ``sold`` are the tickets that buyers hold, ``cancelled`` those they gave back.

    ``rejected`` counts purchases and ``refused`` other commands, by reason; ``decided_by`` all facts. ``at``
    is the time of the last fact.
    """

    event_id: str
    name: str
    currency: str
    price: int
    issued: int
    seq: int = 0
    offset: int = 0
    sold: int = 0
    cancelled: int = 0
    purchases: int = 0
    cancellations: int = 0
    closed: bool = False
    at: str = ""
    first_sale: str | None = None
    last_sale: str | None = None
    rejected: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    decided_by: dict[str, int] = field(default_factory=dict)
    seconds: Window = field(default_factory=_seconds)
    minutes: Window = field(default_factory=_minutes)

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

    partition: int
    version: Literal[1] = VERSION
    offset: int = 0
    bookmark: int = -1
    facts: int = 0
    forwarded: int = 0
    unreadable: int = 0
    unknown_event: int = 0
    seconds: Window = field(default_factory=_seconds)
    minutes: Window = field(default_factory=_minutes)


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
        return _EVENT.validate_json(value)
    except ValidationError as error:
        raise UnreadableRowError(str(error)) from None


def read_partition_row(value: bytes) -> PartitionStatistics:
    """The inverse of :func:`write_row`.

    Raises:
        UnreadableRowError: it is no partition's row, or one of another version.
    """
    try:
        return _PARTITION.validate_json(value)
    except ValidationError as error:
        raise UnreadableRowError(str(error)) from None


class Statistics:
    """The fold of one ledger partition.

    ``touched`` are the events whose rows have changed since it was emptied last.
    """

    def __init__(self, row: PartitionStatistics, events: Iterable[EventStatistics] = ()) -> None:
        self.row = row
        self.events = {event.event_id: event for event in events}
        self.touched: dict[str, EventStatistics] = {}
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
                return _fold_cancellation(event, fact)
            case "tickets_added":
                return _fold_addition(event, fact)
            case "event_closed":
                event.closed = True
                return True
        return False

    def _fold_sale(self, event: EventStatistics, fact: PurchaseConfirmed) -> bool:
        tickets, timestamp_ms = len(fact["tickets"]), _timestamp_ms(fact["at"])
        if timestamp_ms is None or tickets != fact["quantity"] or tickets > event.issued - event.sold:
            return False
        event.sold += tickets
        event.purchases += 1
        event.last_sale = fact["at"]
        if event.first_sale is None:
            event.first_sale = fact["at"]
        for window in (event.seconds, event.minutes, self.row.seconds, self.row.minutes):
            window.add(timestamp_ms, tickets)
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


def _fold_cancellation(event: EventStatistics, fact: PurchaseCancelled) -> bool:
    tickets = len(fact["tickets"])
    if tickets > event.sold:
        return False
    event.sold -= tickets
    event.cancelled += tickets
    event.cancellations += 1
    return True


def _fold_addition(event: EventStatistics, fact: TicketsAdded) -> bool:
    event.issued += fact["count"]
    return True


def _timestamp_ms(at: str) -> int | None:
    """None where it is no time at which a command can have come."""
    try:
        timestamp_ms = at_ms(at)
    except ValueError:
        return None
    return timestamp_ms if timestamp_ms >= 0 else None
