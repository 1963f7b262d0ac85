"""Figures: what is published of the statistics, and how it is read again, whoever wrote it.

Members that figures may lack are those that an earlier release does not tell: :func:`completed` puts in their places
what was so then, when nothing could be held.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.complaints import in_words
from models.facts import at_ms
from models.members import (
    GENERAL,
    MAX_CATEGORIES,
    PRINTABLE,
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
from models.reasons import PaymentReason, Reason
from models.shapes import At, Decider, Offset, PartitionNumber, PriceOfEvent
from models.times import moment

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
ByPaymentReason = dict[Annotated[str, Field(json_schema_extra={"enum": [*PaymentReason]})], Tally]
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
    """What confirmed purchases have cost, less what is given back for those tickets of them that were cancelled."""

    amount: Annotated[Sum, Field(description="In the currency's smallest unit, less `refunded`.")]
    currency: Currency
    refunded: NotRequired[Annotated[Sum, Field(description="What cancelled tickets have cost.")]]


class Status(StrEnum):
    """How far an event is, by its facts; the hours in which it is sold are not looked at."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


StatusText = Annotated[
    str,
    Field(
        title="EventStatus",
        max_length=64,
        json_schema_extra={"enum": [*Status]},
        description="While it is `open` it is sold, in its hours.",
    ),
]
"""Plain, so that figures of a release that knows more of them can be read."""


class SaleStatus(StrEnum):
    """Whether an event is sold at a time."""

    NOT_ON_SALE_YET = "not_on_sale_yet"
    ON_SALE = "on_sale"
    ENDED = "ended"
    """Its `off_sale_at` has come."""
    CLOSED = "closed"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


_Issued = Annotated[Tally, Field(description="Tickets that there ever were: those it began with, and those added.")]
_Removed = Annotated[Tally, Field(description="Of these, tickets that were taken from sale.")]
_Remaining = Annotated[Tally, Field(description="Tickets left: `issued` without `removed`, `held` and `sold`.")]
_Held = Annotated[Tally, Field(description="Tickets kept for buyers who have not paid yet.")]
_Sold = Annotated[Tally, Field(description="Tickets that are their buyers'.")]
_Expired = Annotated[Tally, Field(description="Tickets that were held, and not paid for in time.")]
_Released = Annotated[Tally, Field(description="Tickets that were held, and given back by their buyers.")]
_Cancelled = Annotated[Tally, Field(description="Tickets that were sold, and given back.")]
_Late = Annotated[Tally, Field(description="Tickets sold for payments that came when they were not held any more.")]


@_strict
class CategoryFigures(TypedDict):
    """The figures of one category."""

    id: CategoryId
    name: Annotated[
        str,
        Field(max_length=100, pattern=PRINTABLE, description="Empty where the event names no categories."),
    ]
    price: Annotated[PriceOfEvent, Field(description="Of one ticket, now.")]
    issued: _Issued
    removed: _Removed
    remaining: _Remaining
    held: _Held
    sold: _Sold
    expired: _Expired
    released: _Released
    cancelled: _Cancelled
    late: _Late
    rejected: Annotated[
        ByReason, Field(description="Purchases refused that asked for tickets of this category, among others or alone.")
    ]
    revenue: RevenueFigures


@_strict
class EventFigures(TypedDict):
    """The figures of an event, absolute: what its facts up to ``seq`` add up to."""

    event_id: EventIdText
    name: Name
    venue: NotRequired[Name]
    starts_at: NotRequired[StartsAt]
    status: NotRequired[StatusText]
    on_sale_at: NotRequired[OnSaleAt | None]
    off_sale_at: NotRequired[OffSaleAt | None]
    hold_s: NotRequired[HoldS | None]
    max_per_order: NotRequired[Count | None]
    max_per_buyer: NotRequired[Count | None]
    partition: Annotated[PartitionNumber, Field(description="Of the ledger: the event's home.")]
    seq: Annotated[SeqOfEvent, Field(description="The number of the last fact counted.")]
    offset: Annotated[Offset, Field(description="Of the ledger: behind the last fact counted.")]
    at: Annotated[At, Field(description="The last fact's.")]
    issued: _Issued
    removed: NotRequired[_Removed]
    remaining: _Remaining
    held: NotRequired[_Held]
    sold: _Sold
    expired: NotRequired[_Expired]
    released: NotRequired[_Released]
    cancelled: _Cancelled
    late: NotRequired[_Late]
    purchases: Annotated[Tally, Field(description="Orders confirmed, those cancelled since too.")]
    holds: NotRequired[Annotated[Tally, Field(description="Orders that were held, whatever became of them.")]]
    cancellations: Annotated[Tally, Field(description="Times that tickets of an order were given back.")]
    rejected: Annotated[ByReason, Field(description="Purchases refused, by reason; what never was is left out.")]
    refused: Annotated[ByReason, Field(description="Other commands refused, by reason.")]
    payments_refused: NotRequired[
        Annotated[ByPaymentReason, Field(description="Payments refused, whose money is given back, by reason.")]
    ]
    decided_by: Annotated[ByDecider, Field(description="All facts counted, by who decided: together `seq`.")]
    revenue: RevenueFigures
    closed: Annotated[bool, Field(description="Whether the sale has ended for good: `status` is not `open`.")]
    first_sale_at: FirstOrLastSale
    last_sale_at: FirstOrLastSale
    sold_by_second: WindowFigures
    sold_by_minute: WindowFigures
    categories: NotRequired[
        Annotated[
            list[CategoryFigures],
            Field(max_length=MAX_CATEGORIES, description="One, `general`, of an event that names none."),
        ]
    ]


@_strict
class PartitionFigures(TypedDict):
    """The figures of a partition's events added up, and of what belongs to none: a field of ``global:stats``."""

    partition: PartitionNumber
    offset: Offset
    events: Sum
    archived: NotRequired[Annotated[Sum, Field(description="Events whose figures are not in Redis any more.")]]
    issued: Sum
    removed: NotRequired[Sum]
    remaining: Sum
    held: NotRequired[Sum]
    sold: Sum
    expired: NotRequired[Sum]
    released: NotRequired[Sum]
    cancelled: Sum
    late: NotRequired[Sum]
    purchases: Sum
    holds: NotRequired[Sum]
    cancellations: Sum
    rejected: dict[str, Sum]
    refused: dict[str, Sum]
    payments_refused: NotRequired[dict[str, Sum]]
    decided_by: dict[str, Sum]
    revenue: dict[Currency, Sum]
    refunded: NotRequired[dict[Currency, Sum]]
    forwarded: Sum
    unreadable: Sum
    unknown_event: Sum
    sold_by_second: WindowFigures
    sold_by_minute: WindowFigures


_EVENT_FIGURES: Final = TypeAdapter(EventFigures)
_PARTITION_FIGURES: Final = TypeAdapter(PartitionFigures)
EVENT_MEMBERS: Final = frozenset(EventFigures.__annotations__)

_UNTOLD: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("venue", "starts_at", "on_sale_at", "off_sale_at", "hold_s", "max_per_order", "max_per_buyer")),
    **dict.fromkeys(("removed", "held", "expired", "released", "late", "holds"), 0),
    "payments_refused": {},
    "categories": [],
}


class UnreadableFiguresError(Exception):
    """What should be figures, and is none of this release's."""


UNTOLD_BY_EARLIER: Final = frozenset({*_UNTOLD, "status", "archived", "refunded"})
"""Members of figures and totals that an earlier release does not write."""


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


def completed(figures: Mapping[str, Any]) -> dict[str, Any]:
    """An event's figures with all members: those that an earlier release does not tell as they were then."""
    return {
        **_UNTOLD,
        "status": (Status.CLOSED if figures["closed"] else Status.OPEN).value,
        **figures,
        "revenue": {"refunded": 0, **figures["revenue"]},
    }


def names_categories(figures: Mapping[str, Any]) -> bool:
    """Whether the event was created with categories of its own, as far as completed figures tell."""
    return [(of["id"], of["name"]) for of in figures["categories"]] not in ([], [(GENERAL, "")])


def sale_status(figures: Mapping[str, Any], now_ms: int) -> SaleStatus:
    """Whether the event of completed figures is sold at a time."""
    if figures["status"] != Status.OPEN:
        # What a newer release calls otherwise is not sold either.
        return _ENDED.get(figures["status"], SaleStatus.CLOSED)
    on_sale_at, off_sale_at = figures["on_sale_at"], figures["off_sale_at"]
    if on_sale_at is not None and now_ms < moment_ms(on_sale_at):
        return SaleStatus.NOT_ON_SALE_YET
    if off_sale_at is not None and now_ms >= moment_ms(off_sale_at):
        return SaleStatus.ENDED
    return SaleStatus.ON_SALE


_ENDED: Final = {status.value: SaleStatus(status.value) for status in Status if status is not Status.OPEN}


def moment_ms(text: str) -> int:
    """The moment that a time of an event names, in milliseconds since 1970, as the rules see it."""
    return round(moment(text).timestamp() * 1000)


def _complaint(error: ValidationError) -> str:
    """What is wrong first; it may name members that strangers have chosen."""
    detail = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(ascii(part)[1:-1] if isinstance(part, str) else str(part) for part in detail["loc"])
    return f"{where}: {in_words(detail)}" if where else in_words(detail)
