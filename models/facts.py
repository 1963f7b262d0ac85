"""Facts: the decisions on ``purchase-results``, one record each.

Facts are plain dictionaries with a checked shape: they are written, read and folded by the hundred
thousand, and JSON objects are what they are. Consumers must accept members that they do not know.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NotRequired, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.commands import (
    MAX_QUANTITY,
    Amount,
    Buyer,
    Count,
    Currency,
    EventIdText,
    Name,
    Quantity,
    RequestId,
    StartsAt,
)
from models.complaints import in_words
from models.times import is_in_first_form
from models.values import claimed_ids

RULES_VERSION: Final = 1
"""The version of the rules that events are created under."""

MAX_TIMESTAMP_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, where the calendar of RFC 3339 ends."""


class Reason(StrEnum):
    """Why a command was refused."""

    UNKNOWN_EVENT = "unknown_event"
    EVENT_CLOSED = "event_closed"
    SOLD_OUT = "sold_out"
    NOT_ENOUGH_LEFT = "not_enough_left"
    OVER_ORDER_LIMIT = "over_order_limit"
    REQUEST_ID_REUSED = "request_id_reused"
    EVENT_EXISTS = "event_exists"
    NO_SUCH_PURCHASE = "no_such_purchase"
    ALREADY_CANCELLED = "already_cancelled"


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
At = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        description="The broker's timestamp of the command's record, at home.",
    ),
]
Tickets = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=MAX_QUANTITY,
        description="Their names, EVENT-NNNNNN with six digits or more.",
    ),
]
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
    source: Source
    at: At
    decided_by: DecidedBy


@_strict_and_whole
class EventCreated(Decision):
    """An event went on sale."""

    type: Literal["event_created"]
    name: Name
    venue: Name
    starts_at: StartsAt
    capacity: Count
    max_per_order: NotRequired[Count]
    price: PriceOfEvent
    rules: int
    starts_at_form: NotRequired[StartsAtForm]


@_strict
class PurchaseConfirmed(Decision):
    """The tickets are the buyer's."""

    type: Literal["purchase_confirmed"]
    buyer: Buyer
    quantity: Quantity
    tickets: Tickets


@_strict
class PurchaseRejected(Decision):
    """The buyer got nothing, for the reason given."""

    type: Literal["purchase_rejected"]
    reason: Reason
    buyer: Buyer
    quantity: Quantity


@_strict
class PurchaseCancelled(Decision):
    """The tickets of ``purchase`` are on sale again."""

    type: Literal["purchase_cancelled"]
    purchase: RequestId
    buyer: Buyer
    tickets: Tickets


@_strict
class TicketsAdded(Decision):
    """There are ``count`` tickets more."""

    type: Literal["tickets_added"]
    count: Count


@_strict
class EventClosed(Decision):
    """The sale has ended."""

    type: Literal["event_closed"]


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
    | PurchaseRejected
    | PurchaseCancelled
    | TicketsAdded
    | EventClosed
    | CommandRejected
)
Fact = DecisionFact | CommandForwarded | CommandUnreadable | OffsetsPassed

MODELS: Final = (
    EventCreated,
    PurchaseConfirmed,
    PurchaseRejected,
    PurchaseCancelled,
    TicketsAdded,
    EventClosed,
    CommandRejected,
    CommandForwarded,
    CommandUnreadable,
    OffsetsPassed,
)

# Of the strings in a fact only the members' names come again and again.
_FACTS: Final[TypeAdapter[Fact]] = TypeAdapter(
    Annotated[Fact, Field(discriminator="type")], config=ConfigDict(cache_strings="keys")
)
_validate = _FACTS.validator.validate_json


@with_config(ConfigDict(strict=True, extra="allow"))
class _Envelope(TypedDict):
    """What the facts of every release have."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    event_id: EventIdText | None
    seq: Seq
    request_id: RequestId | None
    source: Source
    at: At


_ENVELOPE: Final[TypeAdapter[Any]] = TypeAdapter(_Envelope)
_TYPES: Final = frozenset(get_args(get_type_hints(model)["type"])[0] for model in MODELS)
_REFUSALS: Final = frozenset({"purchase_rejected", "command_rejected"})
_EVENT_MEMBERS: Final = frozenset(EventCreated.__annotations__)
_PRICE_MEMBERS: Final = frozenset(PriceOfEvent.__annotations__)
_STARTS_AT_FORM: Final[Literal["rfc_3339"]] = "rfc_3339"
_MAX_SHOWN: Final = 64


class UnreadableFactError(Exception):
    """A ledger record that is no fact."""


class NewerFactError(UnreadableFactError):
    """A fact that a newer release wrote: this one cannot know what follows from it.

    ``event_id`` and ``seq`` are the fact's own, as every release writes them.
    """

    def __init__(self, what: str, event_id: str | None, seq: int) -> None:
        super().__init__(f"written by a newer release: {what}")
        self.event_id = event_id
        self.seq = seq


def read_fact(value: bytes | None) -> Fact:
    """The fact in a ledger record's value.

    Raises:
        NewerFactError: it is well-formed, and has a type, a reason, a decider, a version of the rules or a member
            of the event that this release does not know.
        UnreadableFactError: it is no JSON or lacks what a fact of its type has.
    """
    try:
        fact: Fact = _validate(value or b"")
    except ValidationError as error:
        _raise_if_newer(value or b"")
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise UnreadableFactError(f"{where}: {in_words(detail)}".lstrip(": ")) from None
    if fact["type"] == "event_created" and (what := _unknown_of_event(fact)) is not None:
        raise NewerFactError(what, fact["event_id"], fact["seq"])
    return fact


def _raise_if_newer(value: bytes) -> None:
    try:
        fact = _ENVELOPE.validate_json(value)
    except ValidationError:
        return
    what = _unknown(fact)
    if what is not None:
        raise NewerFactError(what, fact["event_id"], fact["seq"])


def _unknown(fact: Any) -> str | None:
    """What this release does not know of a well-formed fact, in words; None if there is nothing."""
    kind = fact["type"]
    if kind not in _TYPES:
        return f"it knows facts of the type {kind}"
    if isinstance(reason := fact.get("reason"), str) and kind in _REFUSALS and reason not in set(Reason):
        return f"it knows the reason {reason[:_MAX_SHOWN]}"
    if isinstance(decider := fact.get("decided_by"), str) and decider not in set(Decider):
        return f"it knows the decider {decider[:_MAX_SHOWN]}"
    return _unknown_of_event(fact) if kind == "event_created" else None


def _unknown_of_event(created: Any) -> str | None:
    rules, price = created.get("rules"), created.get("price")
    if isinstance(rules, int) and rules > RULES_VERSION:
        return f"it sells by the rules {rules}"
    if isinstance(form := created.get("starts_at_form"), str) and form != _STARTS_AT_FORM:
        return f"it knows times of the form {form[:_MAX_SHOWN]}"
    unknown = sorted(created.keys() - _EVENT_MEMBERS)
    if isinstance(price, dict):
        unknown += [f"price.{name}" for name in sorted(price.keys() - _PRICE_MEMBERS)]
    return f"it knows the event's member {unknown[0][:_MAX_SHOWN]}" if unknown else None


def with_form_of_time(created: EventCreated) -> EventCreated:
    """An event that says so if earlier releases do not read its time: so they refuse the partition.

    Without that they would take the fact for damage, and decide the command again: as unreadable.
    """
    if not is_in_first_form(created["starts_at"]):
        created["starts_at_form"] = _STARTS_AT_FORM
    return created


def write_fact(fact: Fact) -> bytes:
    """The fact as one line of JSON, members in the order of the documentation."""
    return to_json(fact)


def unreadable(value: bytes | None, reason: str, source: Source, at: str) -> CommandUnreadable:
    """The fact about a record that could not be read, with the ids that its value claims."""
    fact: CommandUnreadable = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "reason": reason,
        "source": source,
        "at": at,
    }
    claimed = claimed_ids(value)
    if "event_id" in claimed:
        fact["claimed_event_id"] = claimed["event_id"]
    if "request_id" in claimed:
        fact["claimed_request_id"] = claimed["request_id"]
    return fact


def same_decision(one: Fact, other: Fact) -> bool:
    """Whether two facts differ in nothing but who decided, or in what a reader says of what it could not read.

    Of offsets that were passed the time says nothing either.
    """
    ignored: dict[str, None] = {"decided_by": None}
    if one["type"] == "command_unreadable":
        ignored |= dict.fromkeys(("reason", "claimed_event_id", "claimed_request_id"))
    if one["type"] == "offsets_passed":
        ignored["at"] = None
    return {**one, **ignored} == {**other, **ignored}


@lru_cache(maxsize=4096)
def at_text(timestamp_ms: int) -> str:
    """A record's timestamp as facts show it: RFC 3339, UTC, milliseconds, clamped to the calendar."""
    clamped_ms = min(max(timestamp_ms, 0), MAX_TIMESTAMP_MS)
    seconds, milliseconds = divmod(clamped_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


@lru_cache(maxsize=4096)
def at_ms(text: str) -> int:
    """The inverse of :func:`at_text`, in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def ce_type(fact_type: str) -> str:
    """The CloudEvents type of a fact."""
    return f"boxoffice.{fact_type}.v{RULES_VERSION}"


def ce_id(fact: Fact) -> str:
    """EVENT-SEQ, or PARTITION-OFFSET of the source with seq 0: the same in every repeat."""
    if fact["seq"]:
        return f"{fact['event_id']}-{fact['seq']}"
    return f"{fact['source']['partition']}-{fact['source']['offset']}"


def ce_source(fact: Fact) -> str:
    """What ``ce_id`` is unique within: the events; for seq 0 the facts of one type, one for a position."""
    return "boxoffice/events" if fact["seq"] else f"boxoffice/{fact['type']}"


_RANGE = re.compile(r"(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})")


def read_range(header: bytes | None) -> tuple[int, int] | None:
    """FROM and TO of a ledger record's ``boxoffice-read`` header; None where it is missing or damaged."""
    match = _RANGE.fullmatch((header or b"").decode("ascii", "replace"))
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return (first, last) if first <= last <= MAX_OFFSET else None


def schema() -> dict[str, Any]:
    """The JSON Schema of every fact."""
    return _FACTS.json_schema()
