"""Rows of the statistics: what is kept of each event, and of each partition, and how it is written and read.

A row is absolute: it says what was counted up to ``offset`` of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from models.figures import BUCKETS, Status
from models.members import (
    MAX_CATEGORIES,
    PRINTABLE,
    Amount,
    CategoryId,
    Count,
    Currency,
    EventIdText,
    HoldS,
    Name,
    OffSaleAt,
    OnSaleAt,
    StartsAt,
)
from models.shapes import At, PartitionNumber

# Of a row that is read: what is counted on from there stays within what is published.
Counted = Annotated[int, Field(ge=0, le=2**53)]
CountedBySpan = Annotated[list[Counted], Field(min_length=BUCKETS, max_length=BUCKETS)]
# More than all tickets can cost.
Money = Annotated[int, Field(ge=0, le=10**36)]
CategoryName = Annotated[str, Field(max_length=100, pattern=PRINTABLE)]
"""Empty where the event names no categories."""
Bookmark = Annotated[int, Field(ge=-1, le=2**63 - 1)]

VERSION: Final = 2
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
class CategoryStatistics:
    """What is counted of one category.

    Of the tickets that were ``issued``, ``removed``, ``held`` and ``sold`` are those that are so now. The others count
    what has happened: ``expired`` and ``released`` to held ones, ``cancelled`` to sold ones; ``late`` were paid for
    when they were not held any more. ``taken`` is what all confirmed purchases have cost, and ``refunded`` what of
    that was given back, in the currency's smallest unit.
    """

    name: CategoryName
    price: Amount
    issued: Counted
    removed: Counted = 0
    held: Counted = 0
    sold: Counted = 0
    expired: Counted = 0
    released: Counted = 0
    cancelled: Counted = 0
    late: Counted = 0
    taken: Money = 0
    refunded: Money = 0
    rejected: dict[str, Counted] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        """Tickets that are left."""
        return self.issued - self.removed - self.held - self.sold

    @property
    def revenue(self) -> int:
        """What confirmed purchases have cost, less what was given back."""
        return self.taken - self.refunded


@dataclass(slots=True)
class EventStatistics:
    """An event's row. ``first_price`` is that of a ticket as the event began; None where it names categories.

    ``rejected`` counts purchases, ``refused`` other commands and ``payments_refused`` payments, by reason;
    ``decided_by`` all facts. ``at`` is the time of the last fact.
    """

    event_id: EventIdText
    name: Name
    venue: Name
    starts_at: StartsAt
    currency: Currency
    first_price: Amount | None
    categories: Annotated[dict[CategoryId, CategoryStatistics], Field(min_length=1, max_length=MAX_CATEGORIES)]
    on_sale_at: OnSaleAt | None = None
    off_sale_at: OffSaleAt | None = None
    hold_s: HoldS | None = None
    max_per_order: Count | None = None
    max_per_buyer: Count | None = None
    status: Status = Status.OPEN
    seq: Counted = 0
    offset: Counted = 0
    purchases: Counted = 0
    holds: Counted = 0
    cancellations: Counted = 0
    at: At = ""
    first_sale: At | None = None
    last_sale: At | None = None
    rejected: dict[str, Counted] = field(default_factory=dict)
    refused: dict[str, Counted] = field(default_factory=dict)
    payments_refused: dict[str, Counted] = field(default_factory=dict)
    decided_by: dict[str, Counted] = field(default_factory=dict)
    seconds: Seconds = field(default_factory=_seconds)
    minutes: Minutes = field(default_factory=_minutes)

    def total(self, figure: str) -> int:
        """A figure of all categories together."""
        return sum(getattr(category, figure) for category in self.categories.values())


@dataclass(slots=True)
class PartitionStatistics:
    """A partition's row: how far its ledger was read, and what belongs to no event.

    ``offset`` is the next record's, ``bookmark`` that of the last command accounted for, and ``facts`` how
    many facts all events' rows hold together: rows that do not add up to it are not all there.
    """

    partition: PartitionNumber
    version: Literal[2] = VERSION
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
    if write_row(row) != value or not row.seq or any(of.remaining < 0 for of in row.categories.values()):
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
