"""Which commands can be read: every member, its bounds, and which of them may stand beside each other."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.checker.records import Members, Record

KIB = 1024
MAX_VALUE_BYTES = 16 * KIB
MAX_HEADERS_BYTES = 16 * KIB
MAX_NESTING = 200
MAX_TICKETS = 1_000_000
MAX_OF_AN_ORDER = 100
GENERAL = "general"


class UnreadableError(Exception):
    """The command breaks a bound."""


def counted(header: tuple[str, bytes | None]) -> int:
    """What a header counts: its name and value, and 16 at least."""
    name, value = header
    return max(16, len(name.encode()) + len(value or b""))


def read(record: Record) -> Members:
    """The command's members: all that its type has, with None for what was left out.

    A purchase has ``wanted``, whichever way it says so; who names no category wants the general one.
    """
    headers_bytes = sum(counted(header) for header in record.headers if header[0] != "boxoffice-origin")
    if headers_bytes > MAX_HEADERS_BYTES or not record.value or len(record.value) > MAX_VALUE_BYTES:
        raise UnreadableError
    members = json_in(record.value)
    if not isinstance(members, dict):
        raise UnreadableError
    members = _without_nulls(members)
    type_ = members.pop("type", "purchase")
    if not isinstance(type_, str) or type_ not in _MEMBERS:
        raise UnreadableError
    command: Members = {"type": type_, **_object({**_ALL_HAVE, **_MEMBERS[type_]})(members)}
    return _WHOLE.get(type_, _as_it_is)(command)


def _without_nulls(value: Any) -> Any:
    """What is null counts as left out, in objects and lists too."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def json_in(value: bytes) -> Any:
    """The JSON in a value."""
    try:
        text = value.decode()
        if _nesting(text) > MAX_NESTING:
            raise UnreadableError
        parsed = json.loads(text)
        # A lone surrogate can be escaped in JSON, but is no character.
        json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UnreadableError from None
    return parsed


def _nesting(text: str) -> int:
    deepest = depth = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', text, re.DOTALL):
        depth += bool(bracket[0]) - bool(bracket[1])
        deepest = max(deepest, depth)
    return deepest


# One member

_LEFT_OUT = object()


def _may_lack(read_member: Callable[[Any], Any], otherwise: Any = None) -> Callable[[Any], Any]:
    return lambda value: otherwise if value is _LEFT_OUT else read_member(value)


def _object(known: dict[str, Callable[[Any], Any]]) -> Callable[[Any], Members]:
    """An object with these members and no other."""

    def read_object(value: Any) -> Members:
        if not isinstance(value, dict) or value.keys() - known.keys():
            raise UnreadableError
        return {name: read_member(value.get(name, _LEFT_OUT)) for name, read_member in known.items()}

    return read_object


def _some(read_one: Callable[[Any], Any], most: int, differ_in: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """One or more, up to so many, none of which comes twice."""

    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise UnreadableError
        found = [read_one(one) for one in value]
        if len({differ_in(one) for one in found}) < len(found):
            raise UnreadableError
        return found

    return read_list


def _matching(pattern: str) -> Callable[[Any], str]:
    def read_text(value: Any) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise UnreadableError
        return value

    return read_text


def _text(longest: int) -> Callable[[Any], str]:
    """Characters that can be shown: no control character."""

    def read_text(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise UnreadableError
        if any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in value):
            raise UnreadableError
        return value

    return read_text


def _integer(least: int, most: int) -> Callable[[Any], int]:
    def read_integer(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise UnreadableError
        return value

    return read_integer


def _nothing_or(least: int, most: int) -> Callable[[Any], int]:
    """0 takes something away."""
    return lambda value: 0 if value == 0 and type(value) is int else _integer(least, most)(value)


_EVENT_ID = "(0|[1-9][0-9]{0,17})"


def _event_id(value: Any) -> str:
    if type(value) is int and 0 <= value < 10**18:
        return str(value)
    return _matching(_EVENT_ID)(value)


FIRST_SHAPE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""A time as every release reads it; of another one the fact says so."""
_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
_CLOCK = "([01][0-9]|2[0-3]):([0-5][0-9])"
_SECONDS = r"(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?"
_TIME = re.compile(rf"{_DATE}[Tt ]{_CLOCK}{_SECONDS}(?:[Zz]|([+-]){_CLOCK})")


def _time(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError
    microseconds_of(value)
    return value


def microseconds_of(text: str) -> int:
    """The moment that a time names, since 1970; what is finer is left away."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise UnreadableError
    year, month, day, hour, minute, second, decimals, sign, ahead_h, ahead_min = match.groups()
    ahead = timedelta(hours=int(ahead_h or 0), minutes=int(ahead_min or 0))
    clock = int(hour), int(minute), int(second or 0)
    try:
        moment = datetime(int(year), int(month), int(day), *clock, tzinfo=timezone(-ahead if sign == "-" else ahead))
    except ValueError:
        raise UnreadableError from None
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return whole + int((decimals or "")[:6].ljust(6, "0"))


# One command

_request_id = _matching("[A-Za-z0-9._:-]{1,64}")
_category = _matching("[a-z0-9][a-z0-9_-]{0,31}")
_buyer = _text(128)
_quantity = _integer(1, MAX_OF_AN_ORDER)
_count = _integer(1, MAX_TICKETS)
_limit = _nothing_or(1, MAX_TICKETS)
_amount = _integer(0, 10**12)
_sum = _integer(0, MAX_OF_AN_ORDER * 10**12)
_currency = _matching("[A-Z]{3}")
_price = _object({"amount": _amount, "currency": _currency})
_line = _object({"category": _category, "quantity": _quantity})
_named = _object({"id": _category, "name": _text(100), "capacity": _count, "price": _price})
_new_price = _object({"category": _category, "amount": _amount})
_ticket = _matching(f"{_EVENT_ID}-([0-9]{{6}}|[1-9][0-9]{{6,18}})")

MAX_CATEGORIES = 50
_ALL_HAVE: dict[str, Callable[[Any], Any]] = {
    "event_id": _event_id,
    "request_id": _request_id,
    "actor": _may_lack(_text(128)),
}
_MEMBERS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "purchase": {
        "buyer": _buyer,
        "quantity": _may_lack(_quantity),
        "category": _may_lack(_category),
        "lines": _may_lack(_some(_line, MAX_CATEGORIES, lambda line: line["category"])),
    },
    "confirm_purchase": {"purchase": _request_id, "payment": _request_id, "amount": _sum, "currency": _currency},
    "expire_hold": {"purchase": _request_id},
    "cancel_purchase": {
        "purchase": _request_id,
        "buyer": _may_lack(_buyer),
        "tickets": _may_lack(_some(_ticket, MAX_OF_AN_ORDER, lambda ticket: ticket)),
    },
    "create_event": {
        "name": _text(200),
        "venue": _text(200),
        "starts_at": _time,
        "capacity": _may_lack(_count),
        "price": _may_lack(_price),
        "categories": _may_lack(_some(_named, MAX_CATEGORIES, lambda category: category["id"])),
        "max_per_order": _may_lack(_count),
        "on_sale_at": _may_lack(_time),
        "off_sale_at": _may_lack(_time),
        "hold_s": _may_lack(_integer(60, 86_400)),
        "max_per_buyer": _may_lack(_count),
    },
    "change_event": {
        "name": _may_lack(_text(200)),
        "venue": _may_lack(_text(200)),
        "starts_at": _may_lack(_time),
        "on_sale_at": _may_lack(_time),
        "off_sale_at": _may_lack(_time),
        "hold_s": _may_lack(_nothing_or(60, 86_400)),
        "max_per_order": _may_lack(_limit),
        "max_per_buyer": _may_lack(_limit),
        "prices": _may_lack(_some(_new_price, MAX_CATEGORIES, lambda price: price["category"])),
    },
    "add_tickets": {"count": _count, "category": _may_lack(_category, GENERAL)},
    "remove_tickets": {"count": _count, "category": _may_lack(_category, GENERAL)},
    "close_event": {},
    "cancel_event": {},
    "archive_event": {},
}


def _as_it_is(command: Members) -> Members:
    return command


def _whole_purchase(command: Members) -> Members:
    """Lines, or a quantity of one category."""
    quantity, category, lines = command.pop("quantity"), command.pop("category"), command.pop("lines")
    if lines is None:
        return command | {"wanted": [(category or GENERAL, quantity or 1)]}
    wanted = [(line["category"], line["quantity"]) for line in lines]
    if quantity is not None or category is not None or sum(count for _, count in wanted) > MAX_OF_AN_ORDER:
        raise UnreadableError
    return command | {"wanted": wanted}


def _whole_creation(command: Members) -> Members:
    """Categories of one currency, or a capacity at a price."""
    categories, alone = command["categories"], [command["capacity"], command["price"]]
    if categories is None:
        if None in alone:
            raise UnreadableError
        return command
    currencies = {category["price"]["currency"] for category in categories}
    if alone != [None, None] or len(currencies) > 1 or sum(one["capacity"] for one in categories) > MAX_TICKETS:
        raise UnreadableError
    return command


_WHOLE: dict[str, Callable[[Members], Members]] = {"purchase": _whole_purchase, "create_event": _whole_creation}
