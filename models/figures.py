"""Figures: what is published of the statistics, and how it is read again, whoever wrote it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.complaints import in_words
from models.facts import at_ms
from models.members import Currency, EventIdText, Name
from models.shapes import At, Decider, Offset, PartitionNumber, Reason

BUCKETS: Final = 60

_strict = with_config(ConfigDict(strict=True))


def _a_time_that_exists(at: str) -> str:
    at_ms(at)
    return at


BeginningOfSpan = Annotated[
    At,
    AfterValidator(_a_time_that_exists),
    Field(description="When the newest span began: the one with the last sale."),
]
Tally = Annotated[int, Field(ge=0, le=2**63 - 1)]
SeqOfEvent = Annotated[int, Field(ge=1, le=2**63 - 1)]
# More than all tickets can cost, and of so few digits that Python prints it.
Sum = Annotated[int, Field(ge=0, le=10**36)]
Buckets = Annotated[list[Tally], Field(min_length=BUCKETS, max_length=BUCKETS)]
# Plain strings, as they are counted.
ByReason = dict[Annotated[str, Field(json_schema_extra={"enum": [*Reason]})], Tally]
ByDecider = dict[Annotated[str, Field(json_schema_extra={"enum": [*Decider]})], Tally]
FirstOrLastSale = Annotated[
    Annotated[At, Field(description="The sale's `at`.")] | None, Field(description="Null where nothing was sold.")
]


@_strict
class WindowFigures(TypedDict):
    """Tickets sold in each of the last 60 spans of time; a cancellation takes nothing away."""

    newest_at: Annotated[BeginningOfSpan | None, Field(description="Null where nothing was sold.")]
    sold: Annotated[Buckets, Field(description="The newest span stands last.")]


@_strict
class RevenueFigures(TypedDict):
    """What the tickets cost that buyers hold."""

    amount: Annotated[Sum, Field(description="In the currency's smallest unit.")]
    currency: Currency


@_strict
class EventFigures(TypedDict):
    """The figures of an event, absolute: what its facts up to ``seq`` add up to."""

    event_id: EventIdText
    name: Name
    partition: Annotated[PartitionNumber, Field(description="Of the ledger: the event's home.")]
    seq: Annotated[SeqOfEvent, Field(description="The number of the last fact counted.")]
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


@_strict
class PartitionFigures(TypedDict):
    """The figures of a partition's events added up, and of what belongs to none: a field of ``global:stats``."""

    partition: PartitionNumber
    offset: Offset
    events: Sum
    issued: Sum
    sold: Sum
    remaining: Sum
    cancelled: Sum
    purchases: Sum
    cancellations: Sum
    rejected: dict[str, Sum]
    refused: dict[str, Sum]
    decided_by: dict[str, Sum]
    revenue: dict[Currency, Sum]
    forwarded: Sum
    unreadable: Sum
    unknown_event: Sum
    sold_by_second: WindowFigures
    sold_by_minute: WindowFigures


_EVENT_FIGURES: Final = TypeAdapter(EventFigures)
_PARTITION_FIGURES: Final = TypeAdapter(PartitionFigures)
EVENT_MEMBERS: Final = frozenset(EventFigures.__annotations__)


class UnreadableFiguresError(Exception):
    """What should be figures, and is none of this release's."""


def read_figures(value: bytes | dict[str, Any]) -> EventFigures:
    """An event's figures, as JSON or as members that were read one by one; without members that are not known.

    Raises:
        UnreadableFiguresError: they are none.
    """
    try:
        if isinstance(value, bytes):
            return _EVENT_FIGURES.validate_json(value)
        return _EVENT_FIGURES.validate_python(value)
    except ValidationError as error:
        raise UnreadableFiguresError(_complaint(error)) from None


def read_totals(value: bytes) -> PartitionFigures:
    """A partition's figures.

    Raises:
        UnreadableFiguresError: they are none.
    """
    try:
        return _PARTITION_FIGURES.validate_json(value)
    except ValidationError as error:
        raise UnreadableFiguresError(_complaint(error)) from None


def _complaint(error: ValidationError) -> str:
    """What is wrong first; it may name members that strangers have chosen."""
    detail = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(ascii(part)[1:-1] if isinstance(part, str) else str(part) for part in detail["loc"])
    return f"{where}: {in_words(detail)}" if where else in_words(detail)
