"""Commands: what clients ask for on ``purchase-requests``.

A command is strictly typed and bounded; whatever breaks a bound is unreadable, on every worker alike.
What a character may be is given by fixed code points, never by a library's Unicode tables, since two
workers may run different versions of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.complaints import in_words
from models.times import TIME_PATTERN, is_in_first_form, moment, why_no_time
from models.values import Members, look_at, unseen_in

MAX_COMMAND_BYTES: Final = 16 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
LEAST_HEADER_BYTES: Final = 16
"""What each header counts at least, so that they are not too many: an empty one takes place as well."""
MAX_QUANTITY: Final = 100
MAX_CAPACITY: Final = 1_000_000
MAX_EVENT_ID: Final = 10**18 - 1
MAX_PRICE_AMOUNT: Final = 10**12
MAX_COMPLAINT: Final = 1_000
"""Characters of what is said of an unreadable command; a member's name may be anything."""
MAX_NAME_SHOWN: Final = 64

PRINTABLE: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""No control characters: U+0000 to 1F and 7F to 9F."""

_SHOWS_NOTHING: Final = re.compile(
    "[\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)
"""Spaces, controls, what joins or turns other text, and fillers: white space, and what Unicode has ignored."""


def shows_something(text: str) -> bool:
    """Whether anything is to be seen of a text, in whatever font.

    A command whose name shows nothing is readable all the same: a worker of an older release decides it, and two must
    not decide the same command in two ways. Who types one is refused; a page says something in its place.
    """
    return _SHOWS_NOTHING.fullmatch(text) is None


def _a_date_that_exists(value: str) -> str:
    moment(value)
    return value


EVENT_ID_PATTERN: Final = "(0|[1-9][0-9]{0,17})"
EventIdText = Annotated[str, Field(pattern=f"^{EVENT_ID_PATTERN}$")]
if TYPE_CHECKING:
    EventId = str  # which it is once it was read
else:
    EventId = Annotated[
        EventIdText | Annotated[int, Field(ge=0, le=MAX_EVENT_ID), AfterValidator(str)],
        Field(
            union_mode="left_to_right",
            description="A decimal number of 1 to 18 digits without leading zeros, as a string or an integer.",
        ),
    ]
RequestId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Chosen by who sends the command; the same id again is answered with the same fact.",
    ),
]
Buyer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
        description="Opaque, not personal data: it is kept for ever.",
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
StartsAt = Annotated[
    str,
    Field(
        pattern=TIME_PATTERN,
        description="RFC 3339, with the offset of the event's own place; seconds may be left out. Kept as it came.",
    ),
    AfterValidator(_a_date_that_exists),
]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Count = Annotated[int, Field(ge=1, le=MAX_CAPACITY)]
Amount = Annotated[int, Field(ge=0, le=MAX_PRICE_AMOUNT, description="In the currency's smallest unit.")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.")]


def _null_is_left_out(schema: dict[str, Any]) -> None:
    """Say of each member that may be left out that it may be null as well."""
    for name in schema["properties"].keys() - set(schema["required"]):
        member = schema["properties"][name]
        if member.get("default") is None:
            member.pop("default", None)  # Null says no more than that it was left out.
        if {"type": "null"} not in member.get("anyOf", ()):
            kept = {key: member.pop(key) for key in ("description", "default") if key in member}
            schema["properties"][name] = {"anyOf": [member, {"type": "null"}], **kept}


class Message(BaseModel):
    """Strict: no ``"2"``, ``2.0`` or ``true`` for a number.

    A member that is not known makes a command unreadable: it may change what the command means, and a newer release
    that knows it must not be answered in another way by an older one. Null is left out, and changes nothing.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra=_null_is_left_out)


class Price(Message):
    """What one ticket costs, in the currency's smallest unit."""

    amount: Amount
    currency: Currency


class Purchase(Message):
    """Buy ``quantity`` tickets, all or none. ``type`` may be left out."""

    type: Annotated[Literal["purchase"], Field(title="PurchaseType")] = "purchase"
    request_id: RequestId
    event_id: EventId
    buyer: Buyer
    quantity: Quantity = 1


class CancelPurchase(Message):
    """Give back the tickets of the purchase whose request id is ``purchase``.

    With ``buyer`` only if that is who bought them; without, whoever did.
    """

    type: Literal["cancel_purchase"]
    request_id: RequestId
    event_id: EventId
    purchase: RequestId
    buyer: Annotated[Buyer | None, Field(description="Whoever bought them where it is left out.")] = None


class CreateEvent(Message):
    """Put ``capacity`` tickets on sale."""

    type: Literal["create_event"]
    request_id: RequestId
    event_id: EventId
    name: Name
    venue: Name
    starts_at: StartsAt
    capacity: Count
    max_per_order: Annotated[Count | None, Field(description="No limit where it is left out.")] = None
    price: Price


class AddTickets(Message):
    """Put ``count`` further tickets on sale, behind all others."""

    type: Literal["add_tickets"]
    request_id: RequestId
    event_id: EventId
    count: Count


class CloseEvent(Message):
    """End the sale; purchases can still be cancelled."""

    type: Literal["close_event"]
    request_id: RequestId
    event_id: EventId


Command = Purchase | CancelPurchase | CreateEvent | AddTickets | CloseEvent
BY_TYPE: Final[dict[str, type[Command]]] = {
    "purchase": Purchase,
    "cancel_purchase": CancelPurchase,
    "create_event": CreateEvent,
    "add_tickets": AddTickets,
    "close_event": CloseEvent,
}

# Purchases come first: they are nearly all of what is read.
_COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(union_mode="left_to_right")])
_validate = _COMMANDS.validator.validate_json


class UnreadableCommandError(Exception):
    """A command that breaks a bound of the schema: the message says what and where."""


def read_command(value: bytes | None) -> Command:
    """The command in a record's value. A member that is null counts as left out, whichever it is.

    Raises:
        UnreadableCommandError: it is too large, no JSON, of an unknown type, or breaks a bound.
    """
    if value is None:
        raise UnreadableCommandError("the record has no value")
    if not value:
        raise UnreadableCommandError("the record's value is empty")
    if len(value) > MAX_COMMAND_BYTES:
        raise UnreadableCommandError(f"{len(value)} bytes, more than {MAX_COMMAND_BYTES}")
    if b"null" in value:  # It would be looked at in vain: a failure costs ten times a command.
        return _read_without_nulls(value)
    try:
        command: Command = _validate(value)
    except ValidationError:
        return _read_without_nulls(value)
    return command


def _read_without_nulls(value: bytes) -> Command:
    """The command as the type that it claims to be, without the members that are null: serializers write those."""
    members, fault = look_at(value)
    if members is None or fault is not None:
        raise UnreadableCommandError(str(fault)[:MAX_COMPLAINT])
    given = without_nulls(members)
    claimed = given.get("type", "purchase")
    model = BY_TYPE.get(claimed) if isinstance(claimed, str) else None
    if model is None:
        raise UnreadableCommandError(f"type: must be one of {', '.join(BY_TYPE)}")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False)[:5]
        sentence = "; ".join(dict.fromkeys(_complaint(detail, members) for detail in details))
        raise UnreadableCommandError(sentence[:MAX_COMPLAINT]) from None


def earlier_releases_read(value: bytes | None) -> bool:
    """Whether a command that this release reads was readable to earlier ones: these read no nulls, and fewer times."""
    members = look_at(value or b"").members or {}
    if members.get("max_per_order") is None:
        members.pop("max_per_order", None)  # It could always be null.
    starts_at = members.get("starts_at")
    return without_nulls(members) == members and (not isinstance(starts_at, str) or is_in_first_form(starts_at))


def without_nulls(members: Members) -> Members:
    """The members that are not null, in the objects among them too."""
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in members.items()
        if value is not None
    }


def _complaint(detail: ErrorDetails, members: Members) -> str:
    """What is wrong with one of the members, in words that quote nothing of it."""
    where = ".".join(str(part)[:MAX_NAME_SHOWN] for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such member is known{_unseen(where)}"
    if detail["type"] == "missing":
        return f"{where}: {detail['msg']}{'; null counts as left out' if where in members else ''}"
    if detail["loc"][:1] == ("event_id",):
        return f"event_id: must be a decimal number of 1 to 18 digits without leading zeros{_unseen(detail['input'])}"
    if where == "starts_at":
        return f"{where}: {why_no_time(detail['input'])}{_unseen(detail['input'])}"
    return f"{where}: {in_words(detail)}{_unseen(detail['input'])}" if where else in_words(detail)


def _unseen(value: Any) -> str:
    unseen = unseen_in(value) if isinstance(value, str) else None
    return "" if unseen is None else f" (it has {unseen})"
