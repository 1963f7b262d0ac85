"""The shapes of facts: what stands in each record of ``purchase-results``.

Facts are plain dictionaries with a checked shape: they are written, read and folded by the hundred
thousand, and JSON objects are what they are. Consumers must accept members that they do not know.
Members that a fact may lack are those of a later version of the rules than its event was sold by.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.members import (
    MAX_CATEGORIES,
    MAX_PRICE_AMOUNT,
    MAX_QUANTITY,
    Actor,
    Amount,
    Buyer,
    CategoryId,
    CategoryName,
    Count,
    Currency,
    EventIdText,
    HoldS,
    Name,
    OffSaleAt,
    OnSaleAt,
    PaymentId,
    Quantity,
    RequestId,
    StartsAt,
    Sum,
)
from models.reasons import PaymentReason, Reason


class Decider(StrEnum):
    """Who decided: the only member that may differ when a fact is published again."""

    REDIS = "redis"
    LOCAL = "local"


MAX_OFFSET: Final = 2**63 - 1
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET)]
PartitionNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seq = Annotated[
    int,
    Field(
        ge=0,
        le=2**63 - 1,
        description="The fact's number within its event, from 1, without gaps; 0 counts nothing.",
    ),
]
# Not Literal[0], which takes false too.
Zero = Annotated[int, Field(ge=0, le=0, description="The fact counts nothing.")]
AT_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
At = Annotated[str, Field(pattern=AT_PATTERN, description="The broker's timestamp of the command's record, at home.")]
Due = Annotated[
    str,
    Field(pattern=AT_PATTERN, description="Until then the tickets are held; from then on `expire_hold` ends it."),
]
Tickets = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=MAX_QUANTITY,
        description="Their names, EVENT-NNNNNN with six digits or more.",
    ),
]
Remaining = Annotated[
    list[str],
    Field(max_length=MAX_QUANTITY, description="The names of the purchase's tickets that are left to the buyer."),
]
Refund = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_QUANTITY * MAX_PRICE_AMOUNT,
        description="What the cancelled tickets have cost, in the currency's smallest unit; 0 of held ones.",
    ),
]
ActorOfFact = Annotated[Actor, Field(description="Who sent the command, as it said.")]
_strict = with_config(ConfigDict(strict=True))


@_strict
class Source(TypedDict):
    """Where the command was produced."""

    partition: PartitionNumber
    offset: Offset


# What is not known of an event is kept, so that it is seen: a newer release may sell by it.
_strict_and_whole = with_config(ConfigDict(strict=True, extra="allow"))


@_strict_and_whole
class PriceOfEvent(TypedDict):
    """What one ticket costs, in the currency's smallest unit."""

    amount: Amount
    currency: Currency


@_strict_and_whole
class CategoryOfEvent(TypedDict):
    """Tickets of one kind and price."""

    id: CategoryId
    name: CategoryName
    capacity: Count
    price: PriceOfEvent


def _has(*names: str, without: tuple[str, ...]) -> dict[str, Any]:
    """A schema of objects with these members, and without any of others."""
    none_of = {"anyOf": [{"type": "object", "required": [name]} for name in without]}
    return {"type": "object", "required": [*names], "not": none_of}


# ``read_fact`` refuses what has neither or both.
_event = with_config(
    ConfigDict(
        strict=True,
        extra="allow",
        json_schema_extra={
            "anyOf": [
                _has("capacity", "price", without=("categories",)),
                _has("categories", without=("capacity", "price")),
            ]
        },
    )
)


StartsAtForm = Annotated[
    Literal["rfc_3339"],
    Field(
        title="StartsAtForm",
        # A constant would be there in whatever generated code writes.
        json_schema_extra=lambda schema: schema.update(enum=[schema.pop("const")]),
        description="There only if `starts_at` has another form than YYYY-MM-DDTHH:MM:SS, up to 6 decimals, and Z or "
        "an offset: releases that read no other one stop here.",
    ),
]


DecidedBy = Annotated[Literal["redis", "local"], Field(title="DecidedBy")]


class Decision(TypedDict):
    """What every fact about a readable command has."""

    event_id: EventIdText
    seq: Seq
    request_id: RequestId
    actor: NotRequired[ActorOfFact]
    source: Source
    at: At
    decided_by: DecidedBy


class _Terms(Decision):
    """What an event is, and on what terms it is sold."""

    name: Name
    venue: Name
    starts_at: StartsAt
    max_per_order: NotRequired[Count]
    on_sale_at: NotRequired[OnSaleAt]
    off_sale_at: NotRequired[OffSaleAt]
    hold_s: NotRequired[HoldS]
    max_per_buyer: NotRequired[Count]
    rules: int
    starts_at_form: NotRequired[StartsAtForm]


Categories = Annotated[list[CategoryOfEvent], Field(min_length=1, max_length=MAX_CATEGORIES)]


@_event
class EventCreated(_Terms):
    """An event went on sale: ``capacity`` tickets at one ``price``, or those of its ``categories``."""

    type: Literal["event_created"]
    capacity: NotRequired[Count]
    price: NotRequired[PriceOfEvent]
    categories: NotRequired[Categories]


CapacityNow = Annotated[int, Field(ge=0, description="The tickets that there are, less those that were removed.")]


@_strict_and_whole
class ChangedCategory(TypedDict):
    """A category as it is now."""

    id: CategoryId
    name: CategoryName
    capacity: CapacityNow
    price: PriceOfEvent


@_event
class EventChanged(_Terms):
    """The whole event as it is now. What was bought before keeps its price."""

    type: Literal["event_changed"]
    capacity: NotRequired[CapacityNow]
    price: NotRequired[PriceOfEvent]
    categories: NotRequired[Annotated[list[ChangedCategory], Field(min_length=1, max_length=MAX_CATEGORIES)]]


@_strict
class SoldLine(TypedDict):
    """Tickets of one category: ``price`` is that of each, in the currency's smallest unit."""

    category: CategoryId
    quantity: Quantity
    price: Amount
    tickets: Tickets


Lines = Annotated[list[SoldLine], Field(min_length=1, max_length=MAX_CATEGORIES)]


@_strict
class PurchaseConfirmed(Decision):
    """The tickets are the buyer's: at once, or because ``purchase`` was held and is paid for."""

    type: Literal["purchase_confirmed"]
    purchase: NotRequired[RequestId]
    buyer: Buyer
    quantity: Quantity
    tickets: Tickets
    lines: NotRequired[Lines]
    amount: NotRequired[Sum]
    currency: NotRequired[Currency]
    payment: NotRequired[PaymentId]
    late: NotRequired[Annotated[bool, Field(description="Paid when it was not held any more: it has other tickets.")]]


@_strict
class PurchaseHeld(Decision):
    """The tickets are kept for the buyer until ``due``, to be paid for."""

    type: Literal["purchase_held"]
    purchase: RequestId
    buyer: Buyer
    quantity: Quantity
    tickets: Tickets
    lines: Lines
    amount: Sum
    currency: Currency
    due: Due


@_strict
class WantedLine(TypedDict):
    """Tickets of one category that nobody got."""

    category: CategoryId
    quantity: Quantity


@_strict
class PurchaseRejected(Decision):
    """The buyer got nothing, for the reason given."""

    type: Literal["purchase_rejected"]
    reason: Reason
    buyer: Buyer
    quantity: Quantity
    lines: NotRequired[Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_CATEGORIES)]]


@_strict
class PaymentRefused(Decision):
    """The payment is of no use, for the reason given, and will never be: the money has to be given back."""

    type: Literal["payment_refused"]
    purchase: RequestId
    payment: PaymentId
    amount: Sum
    currency: Currency
    reason: PaymentReason


@_strict
class ReturnedLine(TypedDict):
    """Tickets of one category that are on sale again: ``price`` is what each cost, in the currency's smallest unit.

    They stand among the fact's ``tickets`` in the order of the lines.
    """

    category: CategoryId
    quantity: Quantity
    price: Amount


ReturnedLines = Annotated[list[ReturnedLine], Field(min_length=1, max_length=MAX_CATEGORIES)]


@_strict
class HoldExpired(Decision):
    """The tickets of ``purchase`` were not paid for in time, and are on sale again."""

    type: Literal["hold_expired"]
    purchase: RequestId
    buyer: Buyer
    tickets: Tickets
    lines: ReturnedLines


@_strict
class PurchaseCancelled(Decision):
    """The tickets of ``purchase`` are on sale again: all that it had, or some."""

    type: Literal["purchase_cancelled"]
    purchase: RequestId
    buyer: Buyer
    tickets: Tickets
    lines: NotRequired[ReturnedLines]
    remaining: NotRequired[Remaining]
    held: NotRequired[Annotated[bool, Field(description="There, and true, if they were held and not paid for.")]]
    payment: NotRequired[PaymentId]
    refund: NotRequired[Refund]
    currency: NotRequired[Currency]


@_strict
class TicketsAdded(Decision):
    """There are ``count`` tickets more."""

    type: Literal["tickets_added"]
    category: NotRequired[CategoryId]
    count: Count


@_strict
class TicketsRemoved(Decision):
    """There are ``count`` tickets less: the last ones of the queue."""

    type: Literal["tickets_removed"]
    category: CategoryId
    count: Count


@_strict
class EventClosed(Decision):
    """The sale has ended."""

    type: Literal["event_closed"]


@_strict
class EventCancelled(Decision):
    """The event was called off, and its sale has ended. What was bought is cancelled one by one."""

    type: Literal["event_cancelled"]


@_strict
class EventArchived(Decision):
    """Workers and Redis have forgotten the event."""

    type: Literal["event_archived"]


@_strict
class CommandRejected(Decision):
    """A command other than a purchase was refused; ``command`` is its type."""

    type: Literal["command_rejected"]
    command: str
    reason: Reason


@_strict
class CommandForwarded(TypedDict):
    """The command was found away from home and sent there; its decision follows there."""

    type: Literal["command_forwarded"]
    event_id: EventIdText
    seq: Zero
    request_id: RequestId
    source: Source
    at: At
    home: PartitionNumber


# Without a pattern: it decides nothing, so a fact is not damaged because another release repeats more.
ClaimedId = Annotated[
    str,
    Field(description="As it stands in the record, for whoever sent it and waits: at most 128 characters, ASCII."),
]


@_strict
class CommandUnreadable(TypedDict):
    """The record could not be read; it is kept on ``dead-letters``. Ids that cannot be read either are left out."""

    type: Literal["command_unreadable"]
    event_id: None
    seq: Zero
    request_id: None
    claimed_event_id: NotRequired[ClaimedId]
    claimed_request_id: NotRequired[ClaimedId]
    source: Source
    at: At
    reason: str


@_strict
class OffsetsPassed(TypedDict):
    """Offsets up to that of ``source`` hold no command that needs an answer: markers of transactions, second copies."""

    type: Literal["offsets_passed"]
    event_id: None
    seq: Zero
    request_id: None
    source: Source
    at: At


DecisionFact = (
    EventCreated
    | PurchaseConfirmed
    | PurchaseHeld
    | PurchaseRejected
    | PaymentRefused
    | HoldExpired
    | PurchaseCancelled
    | EventChanged
    | TicketsAdded
    | TicketsRemoved
    | EventClosed
    | EventCancelled
    | EventArchived
    | CommandRejected
)
Fact = DecisionFact | CommandForwarded | CommandUnreadable | OffsetsPassed

MODELS: Final = (
    EventCreated,
    PurchaseConfirmed,
    PurchaseHeld,
    PurchaseRejected,
    PaymentRefused,
    HoldExpired,
    PurchaseCancelled,
    EventChanged,
    TicketsAdded,
    TicketsRemoved,
    EventClosed,
    EventCancelled,
    EventArchived,
    CommandRejected,
    CommandForwarded,
    CommandUnreadable,
    OffsetsPassed,
)
