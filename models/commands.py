"""Commands: what clients ask for on ``purchase-requests``.

A command is strictly typed and bounded; whatever breaks a bound is unreadable, on every worker alike.
What a character may be is given by fixed code points, never by a library's Unicode tables, since two
workers may run different versions of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from models.complaints import in_words

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


def _a_date_that_exists(value: str) -> str:
    datetime.fromisoformat(value)
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
if TYPE_CHECKING:
    BuyerIfGiven = str | None
else:
    # Null is not read: who asks for a buyer, and has none, must not cancel whatever anybody bought.
    BuyerIfGiven = Annotated[Buyer, Field(json_schema_extra=lambda schema: schema.pop("default"))]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
StartsAt = Annotated[
    str,
    Field(
        # The clock's bounds stand here too: versions of Python differ on 24:00 and on offsets like +00:60.
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
        r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
        description="RFC 3339, with the offset of the event's own place.",
    ),
    AfterValidator(_a_date_that_exists),
]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Count = Annotated[int, Field(ge=1, le=MAX_CAPACITY)]
Amount = Annotated[int, Field(ge=0, le=MAX_PRICE_AMOUNT, description="In the currency's smallest unit.")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.")]


class Message(BaseModel):
    """Strict: no ``"2"``, ``2.0`` or ``true`` for a number.

    A member that is not known makes a command unreadable: it may change what the command means, and a newer release
    that knows it must not be answered in another way by an older one.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Price(Message):
    """What one ticket costs, in the currency's smallest unit."""

    amount: Amount
    currency: Currency


class Purchase(Message):
    """Buy ``quantity`` tickets, all or none. ``type`` may be left out."""

    type: Literal["purchase"] = "purchase"
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
    buyer: BuyerIfGiven = None


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
    """The command in a record's value.

    Raises:
        UnreadableCommandError: it is too large, no JSON, of an unknown type, or breaks a bound.
    """
    if not value:
        raise UnreadableCommandError("the record has no value")
    if len(value) > MAX_COMMAND_BYTES:
        raise UnreadableCommandError(f"{len(value)} bytes, more than {MAX_COMMAND_BYTES}")
    try:
        command: Command = _validate(value)
    except ValidationError:
        raise UnreadableCommandError(_why_unreadable(value)) from None
    return command


def _why_unreadable(value: bytes) -> str:
    """One sentence about the command as the type that it claims to be."""
    try:
        members = from_json(value)
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(members, dict):
        return "no JSON object"
    claimed = members.get("type", "purchase")
    model = BY_TYPE.get(claimed) if isinstance(claimed, str) else None
    if model is None:
        return f"type: must be one of {', '.join(BY_TYPE)}"
    try:
        model.model_validate_json(value)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        return "; ".join(dict.fromkeys(_complaint(detail) for detail in details[:5]))[:MAX_COMPLAINT]
    return "it cannot be read"


def _complaint(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join(str(part)[:MAX_NAME_SHOWN] for part in detail['loc'])}: no such member is known"
    if detail["loc"][:1] == ("event_id",) and detail["type"] != "missing":
        return "event_id: must be a decimal number of 1 to 18 digits without leading zeros"
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {in_words(detail)}" if where else in_words(detail)
