"""Commands: what clients ask for on ``purchase-requests``.

A command is strictly typed and bounded; whatever breaks a bound is unreadable, on every worker alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.complaints import in_words
from models.members import (
    MAX_CAPACITY,
    MAX_CATEGORIES,
    MAX_QUANTITY,
    Actor,
    Amount,
    Buyer,
    CategoryId,
    CategoryName,
    Count,
    Currency,
    EventId,
    HoldS,
    HoldSOrNone,
    LimitOrNone,
    Name,
    OffSaleAt,
    OnSaleAt,
    PaymentId,
    Quantity,
    RequestId,
    StartsAt,
    Sum,
)
from models.tickets import SomeTickets
from models.times import is_in_first_form, why_no_time
from models.values import Members, look_at, unseen_in

MAX_COMMAND_BYTES: Final = 16 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
LEAST_HEADER_BYTES: Final = 16
"""What each header counts at least, so that they are not too many: an empty one takes place as well."""
MAX_COMPLAINT: Final = 1_000
"""Characters of what is said of an unreadable command; a member's name may be anything."""
MAX_NAME_SHOWN: Final = 64


def _null_is_left_out(schema: dict[str, Any]) -> None:
    """Say of each member that may be left out that it may be null as well."""
    for name in schema["properties"].keys() - set(schema["required"]):
        member = schema["properties"][name]
        if member.get("default") is None:
            member.pop("default", None)  # Null says no more than that it was left out.
        if {"type": "null"} not in member.get("anyOf", ()):
            kept = {key: member.pop(key) for key in ("description", "default") if key in member}
            schema["properties"][name] = {"anyOf": [member, {"type": "null"}], **kept}


_NULL: Final = {"type": "null"}


def _one_of(*given: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Say which members may stand beside each other, which is the schema's half of :func:`fault_of`."""

    def say(schema: dict[str, Any]) -> None:
        _null_is_left_out(schema)
        schema["anyOf"] = [{"type": "object", **members} for members in given]

    return say


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


class Line(Message):
    """So many tickets of one category."""

    category: CategoryId
    quantity: Quantity


class Purchase(Message):
    """Buy tickets, all or none: ``quantity`` of one category, or ``lines`` of several. ``type`` may be left out."""

    model_config = ConfigDict(
        json_schema_extra=_one_of(
            {"properties": {"lines": _NULL}},
            {"properties": {"quantity": _NULL, "category": _NULL}},
        )
    )

    type: Annotated[Literal["purchase"], Field(title="PurchaseType")] = "purchase"
    request_id: RequestId
    event_id: EventId
    buyer: Buyer
    quantity: Quantity = 1
    category: Annotated[CategoryId | None, Field(description="`general` where it is left out.")] = None
    lines: Annotated[
        list[Line] | None,
        Field(
            min_length=1,
            max_length=MAX_CATEGORIES,
            description="Instead of `quantity` and `category`: each category once, up to 100 tickets in all.",
        ),
    ] = None
    actor: Actor | None = None


class ConfirmPurchase(Message):
    """Somebody has paid for the purchase whose request id is ``purchase``.

    While its tickets are held they are the buyer's; later others are, if as many are left. Otherwise the payment is
    refused, for ever: the money has to be given back.
    """

    type: Literal["confirm_purchase"]
    request_id: RequestId
    event_id: EventId
    purchase: RequestId
    payment: PaymentId
    amount: Sum
    currency: Currency
    actor: Actor | None = None


class ExpireHold(Message):
    """Look whether the purchase whose request id is ``purchase`` is due; then its tickets are on sale again."""

    type: Literal["expire_hold"]
    request_id: RequestId
    event_id: EventId
    purchase: RequestId
    actor: Actor | None = None


class CancelPurchase(Message):
    """Give back the tickets of the purchase whose request id is ``purchase``, or some of them.

    With ``buyer`` only if that is who bought them; without, whoever did.
    """

    type: Literal["cancel_purchase"]
    request_id: RequestId
    event_id: EventId
    purchase: RequestId
    buyer: Annotated[Buyer | None, Field(description="Whoever bought them where it is left out.")] = None
    tickets: SomeTickets | None = None
    actor: Actor | None = None


class Category(Message):
    """Tickets of one kind and price."""

    id: CategoryId
    name: CategoryName
    capacity: Count
    price: Price


class CreateEvent(Message):
    """Put tickets on sale: ``capacity`` at one ``price``, or those of ``categories``."""

    model_config = ConfigDict(
        json_schema_extra=_one_of(
            {
                "properties": {"capacity": {"type": "integer"}, "price": {"type": "object"}, "categories": _NULL},
                "required": ["capacity", "price"],
            },
            {
                "properties": {"categories": {"type": "array"}, "capacity": _NULL, "price": _NULL},
                "required": ["categories"],
            },
        )
    )

    type: Literal["create_event"]
    request_id: RequestId
    event_id: EventId
    name: Name
    venue: Name
    starts_at: StartsAt
    capacity: Annotated[Count | None, Field(description="Of an event without categories.")] = None
    max_per_order: Annotated[Count | None, Field(description="No limit where it is left out.")] = None
    price: Annotated[Price | None, Field(description="Of an event without categories.")] = None
    categories: Annotated[
        list[Category] | None,
        Field(
            min_length=1,
            max_length=MAX_CATEGORIES,
            description="Instead of `capacity` and `price`: ids that differ, one currency, up to 1,000,000 tickets "
            "in all. Tickets are numbered through, one category after the other.",
        ),
    ] = None
    on_sale_at: OnSaleAt | None = None
    off_sale_at: OffSaleAt | None = None
    hold_s: HoldS | None = None
    max_per_buyer: Annotated[
        Count | None,
        Field(description="Tickets that one buyer may have, held ones too; no limit where it is left out."),
    ] = None
    actor: Actor | None = None


class CategoryPrice(Message):
    """What a ticket of a category costs from now on, in the event's currency."""

    category: CategoryId
    amount: Amount


class ChangeEvent(Message):
    """Change what is given of an event. Purchases and holds keep their amounts."""

    type: Literal["change_event"]
    request_id: RequestId
    event_id: EventId
    name: Name | None = None
    venue: Name | None = None
    starts_at: StartsAt | None = None
    on_sale_at: OnSaleAt | None = None
    off_sale_at: OffSaleAt | None = None
    hold_s: HoldSOrNone | None = None
    max_per_order: LimitOrNone | None = None
    max_per_buyer: LimitOrNone | None = None
    prices: Annotated[
        list[CategoryPrice] | None,
        Field(min_length=1, max_length=MAX_CATEGORIES, description="Each category once."),
    ] = None
    actor: Actor | None = None


class AddTickets(Message):
    """Put ``count`` further tickets on sale, behind all others of their category."""

    type: Literal["add_tickets"]
    request_id: RequestId
    event_id: EventId
    count: Count
    category: Annotated[CategoryId | None, Field(description="`general` where it is left out.")] = None
    actor: Actor | None = None


class RemoveTickets(Message):
    """Take ``count`` tickets from sale, from the tail of what is left of their category; all or none."""

    type: Literal["remove_tickets"]
    request_id: RequestId
    event_id: EventId
    count: Count
    category: Annotated[CategoryId | None, Field(description="`general` where it is left out.")] = None
    actor: Actor | None = None


class CloseEvent(Message):
    """End the sale; purchases can still be paid and cancelled."""

    type: Literal["close_event"]
    request_id: RequestId
    event_id: EventId
    actor: Actor | None = None


class CancelEvent(Message):
    """Call the event off: its sale ends. Its purchases are cancelled one by one, by whoever sends the commands."""

    type: Literal["cancel_event"]
    request_id: RequestId
    event_id: EventId
    actor: Actor | None = None


class ArchiveEvent(Message):
    """Forget an event whose sale has ended, in workers and in Redis; its ledger stays."""

    type: Literal["archive_event"]
    request_id: RequestId
    event_id: EventId
    actor: Actor | None = None


Command = (
    Purchase
    | ConfirmPurchase
    | ExpireHold
    | CancelPurchase
    | CreateEvent
    | ChangeEvent
    | AddTickets
    | RemoveTickets
    | CloseEvent
    | CancelEvent
    | ArchiveEvent
)
BY_TYPE: Final[dict[str, type[Command]]] = {
    "purchase": Purchase,
    "confirm_purchase": ConfirmPurchase,
    "expire_hold": ExpireHold,
    "cancel_purchase": CancelPurchase,
    "create_event": CreateEvent,
    "change_event": ChangeEvent,
    "add_tickets": AddTickets,
    "remove_tickets": RemoveTickets,
    "close_event": CloseEvent,
    "cancel_event": CancelEvent,
    "archive_event": ArchiveEvent,
}

_TYPE: Final = re.compile(rb'"type"\s*:\s*"([a-z_]+)"')
_VALIDATE: Final[dict[bytes, Callable[[bytes], Command]]] = {
    name.encode(): TypeAdapter[Command](model).validator.validate_json for name, model in BY_TYPE.items()
}
_VALIDATE_PURCHASE: Final = _VALIDATE[b"purchase"]


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
        command = _validator(value)(value)
    except ValidationError:
        return _read_without_nulls(value)
    if type(command) is Purchase and command.lines is None:  # as nearly all are
        return command
    return _whole(command)


def _validator(value: bytes) -> Callable[[bytes], Command]:
    """That of the type which a value seems to claim: no other accepts it, and to ask each costs more than reading."""
    if b'"type"' not in value:
        return _VALIDATE_PURCHASE
    claimed = _TYPE.search(value)
    return _VALIDATE.get(claimed[1], _VALIDATE_PURCHASE) if claimed is not None else _VALIDATE_PURCHASE


# A validator of pydantic's would be called for each purchase, and cost as much as all the rest of reading it.
def fault_of(command: Command) -> str | None:
    """What is wrong with members that are right one by one, and where; None if nothing is."""
    match command:
        case Purchase(lines=list(lines)):
            if {"quantity", "category"} & command.model_fields_set:
                return "lines: quantity and category stand in the lines, and not beside them"
            if sum(line.quantity for line in lines) > MAX_QUANTITY:
                return f"lines: more than {MAX_QUANTITY} tickets in all"
            return _fault_of_repeated("lines", [line.category for line in lines])
        case CreateEvent():
            return _fault_of_creation(command)
        case ChangeEvent(prices=list(prices)):
            return _fault_of_repeated("prices", [price.category for price in prices])
    return None


def _fault_of_creation(command: CreateEvent) -> str | None:
    categories = command.categories
    if categories is None:
        missing = [name for name in ("capacity", "price") if getattr(command, name) is None]
        return f"{missing[0]}: it is missing, and there are no categories either" if missing else None
    if command.capacity is not None or command.price is not None:
        return "categories: capacity and price stand in the categories, and not beside them"
    if len({category.price.currency for category in categories}) > 1:
        return "categories: all prices must have one currency"
    if sum(category.capacity for category in categories) > MAX_CAPACITY:
        return f"categories: more than {MAX_CAPACITY} tickets in all"
    return _fault_of_repeated("categories", [category.id for category in categories])


def _fault_of_repeated(where: str, ids: list[str]) -> str | None:
    repeated = next((one for one in ids if ids.count(one) > 1), None)
    return None if repeated is None else f"{where}: the category {repeated} comes more than once"


def _whole(command: Command) -> Command:
    fault = fault_of(command)
    if fault is not None:
        raise UnreadableCommandError(fault[:MAX_COMPLAINT])
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
        return _whole(model.model_validate(given))
    except ValidationError as error:
        details = error.errors(include_url=False)[:5]
        sentence = "; ".join(dict.fromkeys(_complaint(detail, members) for detail in details))
        raise UnreadableCommandError(sentence[:MAX_COMPLAINT]) from None


_OF_ALL: Final = frozenset({"type", "request_id", "event_id"})
_FIRST_MEMBERS: Final = {
    "purchase": _OF_ALL | {"buyer", "quantity"},
    "cancel_purchase": _OF_ALL | {"purchase", "buyer"},
    "create_event": _OF_ALL | {"name", "venue", "starts_at", "capacity", "max_per_order", "price"},
    "add_tickets": _OF_ALL | {"count"},
    "close_event": _OF_ALL,
}
"""The commands of the rules 1, and their members."""


def earlier_releases_read(value: bytes | None) -> bool:
    """Whether a command that this release reads was readable to earlier ones.

    These read no nulls, and fewer times, and know the commands and members of the rules 1.
    """
    members = look_at(value or b"").members or {}
    given = {name for name, member in members.items() if member is not None}
    if not given <= _FIRST_MEMBERS.get(str(members.get("type") or "purchase"), frozenset()):
        return False
    if members.get("max_per_order") is None:
        members.pop("max_per_order", None)  # It could always be null.
    starts_at = members.get("starts_at")
    return without_nulls(members) == members and (not isinstance(starts_at, str) or is_in_first_form(starts_at))


def without_nulls(members: Members) -> Members:
    """The members that are not null, in the objects among them and in lists too."""
    return {name: _without_nulls(value) for name, value in members.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return without_nulls(value)
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _complaint(detail: ErrorDetails, members: Members) -> str:
    """What is wrong with one of the members, in words that quote nothing of it."""
    where = ".".join(str(part)[:MAX_NAME_SHOWN] for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such member is known{_unseen(where)}"
    if detail["type"] == "missing":
        return f"{where}: {detail['msg']}{'; null counts as left out' if where in members else ''}"
    if detail["loc"][:1] == ("event_id",):
        return f"event_id: must be a decimal number of 1 to 18 digits without leading zeros{_unseen(detail['input'])}"
    if where in _TIMES:
        return f"{where}: {why_no_time(detail['input'])}{_unseen(detail['input'])}"
    return f"{where}: {in_words(detail)}{_unseen(detail['input'])}" if where else in_words(detail)


_TIMES: Final = frozenset({"starts_at", "on_sale_at", "off_sale_at"})


def _unseen(value: Any) -> str:
    unseen = unseen_in(value) if isinstance(value, str) else None
    return "" if unseen is None else f" (it has {unseen})"
