"""What can be read as a command: every bound at its edge, and nothing that is nearly right."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.kafka.side_records import MAX_DEAD_LETTER_BYTES
from models.commands import (
    BY_TYPE,
    MAX_COMMAND_BYTES,
    MAX_COMPLAINT,
    CloseEvent,
    Command,
    CreateEvent,
    Purchase,
    UnreadableCommandError,
    _read_without_nulls,
    read_command,
    without_nulls,
)
from models.complaints import in_words
from models.times import moment
from models.values import MAX_CLAIMED_BYTES, claimed_ids
from tests.unit.strangers import TIMES, WRAPPINGS, any_values
from tests.unit.strategies import members, with_nulls

Members = dict[str, Any]

PURCHASE: Members = {"type": "purchase", "request_id": "r-1", "event_id": "42", "buyer": "b-77", "quantity": 2}
EXAMPLES: dict[str, Members] = {
    "purchase": PURCHASE,
    "cancel_purchase": {
        "type": "cancel_purchase",
        "request_id": "x-1",
        "event_id": "42",
        "purchase": "r-1",
    },
    "create_event": {
        "type": "create_event",
        "request_id": "c-1",
        "event_id": "42",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10000,
        "max_per_order": 8,
        "price": {"amount": 4500, "currency": "EUR"},
    },
    "add_tickets": {"type": "add_tickets", "request_id": "a-1", "event_id": "42", "count": 500},
    "close_event": {"type": "close_event", "request_id": "z-1", "event_id": "42"},
    "confirm_purchase": {
        "type": "confirm_purchase",
        "request_id": "p-1",
        "event_id": "42",
        "purchase": "r-1",
        "payment": "pay-1",
        "amount": 9000,
        "currency": "EUR",
    },
    "expire_hold": {"type": "expire_hold", "request_id": "e-1", "event_id": "42", "purchase": "r-1"},
    "change_event": {
        "type": "change_event",
        "request_id": "h-1",
        "event_id": "42",
        "name": "Another night",
        "hold_s": 0,
        "prices": [{"category": "general", "amount": 5000}],
    },
    "remove_tickets": {"type": "remove_tickets", "request_id": "a-2", "event_id": "42", "count": 500},
    "cancel_event": {"type": "cancel_event", "request_id": "z-2", "event_id": "42"},
    "archive_event": {"type": "archive_event", "request_id": "z-3", "event_id": "42"},
}
ABSENT = object()


def read(command: Members, **changes: Any) -> Any:
    changed = {name: value for name, value in (command | changes).items() if value is not ABSENT}
    return read_command(json.dumps(changed).encode())


def why_unreadable(value: bytes | None) -> str:
    with pytest.raises(UnreadableCommandError) as unreadable:
        read_command(value)
    return str(unreadable.value)


def assert_unreadable(command: Members, **changes: Any) -> None:
    with pytest.raises(UnreadableCommandError):
        read(command, **changes)


@pytest.mark.parametrize("type_", BY_TYPE)
def test_every_type_of_command_is_read_with_all_its_members(type_: str) -> None:
    command = read(EXAMPLES[type_])
    assert type(command) is BY_TYPE[type_]
    assert command.model_dump(exclude_none=True) == EXAMPLES[type_]


@pytest.mark.parametrize(
    ("type_", "member", "value", "reason"),
    [
        ("create_event", "price", {"amount": 1, "currency": "eur"}, "price.currency: must be three capital letters,"),
        ("create_event", "starts_at", "tomorrow", "starts_at: "),
        ("create_event", "name", "\x1b[31m", "name: must have no control characters,"),
        ("create_event", "venue", "\x00", "venue: must have no control characters,"),
        ("purchase", "request_id", "r 1", "request_id: must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -"),
        ("purchase", "buyer", "\n", "buyer: must have no control characters,"),
        ("purchase", "event_id", "042", "event_id: must be a decimal number"),
        ("cancel_purchase", "purchase", "", "purchase: must be 1 to 64 of the characters"),
    ],
)
def test_no_reason_shows_a_regular_expression(type_: str, member: str, value: Any, reason: str) -> None:
    why = why_unreadable(json.dumps(EXAMPLES[type_] | {member: value}).encode())
    assert why.startswith(reason)
    assert not any(sign in why for sign in ("pattern", "^", "[0-9]", "[A-Z]"))


def test_every_member_with_a_form_of_its_own_has_it_in_words() -> None:
    patterned = {name for model in BY_TYPE.values() for name in _with_pattern(model.model_json_schema())}
    assert patterned
    for name in patterned:
        detail: Any = {"type": "string_pattern_mismatch", "loc": (name,), "msg": "pattern"}
        assert in_words(detail).startswith("must "), name


def _with_pattern(schema: Any) -> set[str]:
    """The members, of all objects in a schema, whose texts must have a form."""
    if isinstance(schema, list):
        return {name for one in schema for name in _with_pattern(one)}
    if not isinstance(schema, dict):
        return set()
    own = {name for name, of in schema.get("properties", {}).items() if "pattern" in json.dumps(of)}
    return own | {name for one in schema.values() for name in _with_pattern(one)}


def test_the_type_may_be_left_out_for_a_purchase() -> None:
    assert read(PURCHASE, type=ABSENT) == read(PURCHASE)


def test_a_purchase_is_of_one_ticket_if_it_does_not_say() -> None:
    assert read(PURCHASE, quantity=ABSENT).quantity == 1


def test_an_event_without_an_order_limit_has_none() -> None:
    assert read(EXAMPLES["create_event"], max_per_order=ABSENT).max_per_order is None


OPTIONAL = {
    (type_, name)
    for type_, model in BY_TYPE.items()
    for name, field in model.model_fields.items()
    if not field.is_required()
} - {("create_event", "capacity"), ("create_event", "price")}
"""Every member that may be left out, with the type of the command: without categories an event needs the others."""


@pytest.mark.parametrize(("type_", "member"), sorted(OPTIONAL))
def test_null_counts_as_left_out(type_: str, member: str) -> None:
    assert read(EXAMPLES[type_], **{member: None}) == read(EXAMPLES[type_], **{member: ABSENT})


@pytest.mark.parametrize("type_", EXAMPLES)
def test_a_member_that_nobody_knows_may_be_null_since_it_says_nothing(type_: str) -> None:
    assert read(EXAMPLES[type_], note=None, seats=None) == read(EXAMPLES[type_])


def test_null_counts_as_left_out_in_a_price_too() -> None:
    price = {"amount": 4500, "currency": "EUR"}
    assert read(EXAMPLES["create_event"], price={**price, "tax": None}) == read(EXAMPLES["create_event"])
    assert_unreadable(EXAMPLES["create_event"], price={**price, "amount": None})


@given(members().flatmap(lambda command: st.tuples(st.just(command), with_nulls(command))))
def test_a_command_means_the_same_with_nulls(both: tuple[Members, Members]) -> None:
    command, nulled = both
    assert read(nulled) == read(command)


def test_who_writes_null_where_something_is_required_is_told() -> None:
    why = why_unreadable(json.dumps(PURCHASE | {"buyer": None}).encode())
    assert why == "buyer: Field required; null counts as left out"
    assert why_unreadable(json.dumps(PURCHASE | {"event_id": None}).encode()).startswith("event_id: Field required")


@pytest.mark.parametrize(
    ("type_", "member"),
    [(type_, member) for type_, command in EXAMPLES.items() for member in command if (type_, member) not in OPTIONAL],
)
def test_every_other_member_is_required_and_never_null(type_: str, member: str) -> None:
    assert_unreadable(EXAMPLES[type_], **{member: ABSENT})
    assert_unreadable(EXAMPLES[type_], **{member: None})


def test_unknown_members_are_unreadable_since_they_may_change_what_is_meant() -> None:
    why = why_unreadable(json.dumps(PURCHASE | {"note": "front row", "seat": {"row": [1, None, 2.5]}}).encode())
    assert why == "note: no such member is known; seat: no such member is known"
    assert_unreadable(EXAMPLES["create_event"], price={"amount": 1, "currency": "EUR", "tax": 7})
    assert_unreadable(EXAMPLES["close_event"], buyer="b-77")


def test_what_is_said_of_unknown_members_is_bounded() -> None:
    value = json.dumps(PURCHASE | {"x" * 10_000: 1, **{f"{number}" * 50: 1 for number in range(40)}}).encode()
    assert len(why_unreadable(value)) <= MAX_COMPLAINT


@pytest.mark.parametrize("type_", ["refund", "Purchase", "", 1, ["purchase"], {"a": 1}])
def test_an_unknown_type_is_unreadable_and_the_known_ones_are_named(type_: Any) -> None:
    why = why_unreadable(json.dumps(PURCHASE | {"type": type_}).encode())
    assert why == f"type: must be one of {', '.join(BY_TYPE)}"


# Event ids


@pytest.mark.parametrize(
    ("event_id", "as_read"),
    [
        ("0", "0"),
        ("7", "7"),
        ("999999999999999999", "999999999999999999"),
        (0, "0"),
        (42, "42"),
        (999999999999999999, "999999999999999999"),
    ],
)
def test_an_event_id_is_a_string_or_an_integer_and_read_as_a_string(event_id: Any, as_read: str) -> None:
    assert read(PURCHASE, event_id=event_id).event_id == as_read


@pytest.mark.parametrize(
    "event_id",
    [
        "", "00", "042", "-1", "+1", " 42", "42 ", "42\n", "4.2", "1e3", "1000000000000000000", "abc",
        "\u0664\u0662", "\uff14\uff12", 1000000000000000000, -1, 42.0, 1e3, True, False, [42], {"id": 42},
    ],
)  # fmt: skip
def test_every_other_event_id_is_unreadable(event_id: Any) -> None:
    why = why_unreadable(json.dumps(PURCHASE | {"event_id": event_id}).encode())
    assert why == "event_id: must be a decimal number of 1 to 18 digits without leading zeros"


# Request ids


@pytest.mark.parametrize("type_", EXAMPLES)
@pytest.mark.parametrize("request_id", ["r", "A-Za-z0-9._:-", "x" * 64, "-", "."])
def test_a_request_id_is_1_to_64_of_a_few_characters(type_: str, request_id: str) -> None:
    assert read(EXAMPLES[type_], request_id=request_id).request_id == request_id


@pytest.mark.parametrize("type_", EXAMPLES)
@pytest.mark.parametrize("request_id", ["", "x" * 65, "r 1", "r/1", "r\n", "ä", "r\u0000", 1, True, ["r"]])
def test_every_other_request_id_is_unreadable(type_: str, request_id: Any) -> None:
    assert_unreadable(EXAMPLES[type_], request_id=request_id)


@pytest.mark.parametrize("purchase", ["", "x" * 65, "r 1", 1])
def test_the_purchase_to_cancel_is_named_by_a_request_id(purchase: Any) -> None:
    assert_unreadable(EXAMPLES["cancel_purchase"], purchase=purchase)


# The buyer of a purchase to cancel


@pytest.mark.parametrize("buyer", ["b", " ", "x" * 128, "Zoë, 2nd row"])
def test_a_cancellation_may_name_the_buyer(buyer: str) -> None:
    assert read(EXAMPLES["cancel_purchase"], buyer=buyer).buyer == buyer


def test_a_cancellation_without_a_buyer_names_none() -> None:
    assert read(EXAMPLES["cancel_purchase"]).buyer is None


@pytest.mark.parametrize("buyer", ["", "x" * 129, "b\n", 7])
def test_a_cancellation_of_no_buyer_is_unreadable(buyer: Any) -> None:
    assert_unreadable(EXAMPLES["cancel_purchase"], buyer=buyer)


# Text


@pytest.mark.parametrize(
    "text", ["b", " ", "x" * 128, "😀" * 128, "Zoë", "\u00a0", "\u2028", "\u200b", "\ufeff", "\U0010ffff", "\u0378"]
)
def test_what_is_printable_is_fixed_code_points_and_not_a_table_of_unicode(text: str) -> None:
    """Unassigned, invisible and private characters are taken: two workers may know different ones."""
    assert read(PURCHASE, buyer=text).buyer == text
    assert read(EXAMPLES["create_event"], name=text, venue=text).name == text


@pytest.mark.parametrize("code_point", [*range(0x20), *range(0x7F, 0xA0)])
def test_a_control_character_is_unreadable(code_point: int) -> None:
    assert_unreadable(PURCHASE, buyer=f"b{chr(code_point)}")
    assert_unreadable(EXAMPLES["create_event"], name=f"{chr(code_point)}n")
    assert_unreadable(EXAMPLES["create_event"], venue=chr(code_point))


def test_text_is_bounded_by_characters_and_not_by_bytes() -> None:
    assert_unreadable(PURCHASE, buyer="")
    assert_unreadable(PURCHASE, buyer="é" * 129)
    for member in ("name", "venue"):
        assert_unreadable(EXAMPLES["create_event"], **{member: ""})
        assert_unreadable(EXAMPLES["create_event"], **{member: "é" * 201})
        read(EXAMPLES["create_event"], **{member: "😀" * 200})


def test_a_lone_surrogate_is_unreadable_wherever_it_stands() -> None:
    assert_unreadable(PURCHASE, buyer="b\ud800")
    assert_unreadable(PURCHASE, note="\udfff")


# Numbers


@pytest.mark.parametrize(
    ("type_", "member", "least", "most"),
    [
        ("purchase", "quantity", 1, 100),
        ("create_event", "capacity", 1, 1_000_000),
        ("create_event", "max_per_order", 1, 1_000_000),
        ("add_tickets", "count", 1, 1_000_000),
    ],
)
def test_a_number_is_an_integer_within_its_bounds(type_: str, member: str, least: int, most: int) -> None:
    for good in (least, most):
        assert getattr(read(EXAMPLES[type_], **{member: good}), member) == good
    for bad in (least - 1, most + 1, 10**30, -1, 2.0, 2.5, "2", True, [2]):
        assert_unreadable(EXAMPLES[type_], **{member: bad})


@pytest.mark.parametrize("price", [{"amount": 0, "currency": "EUR"}, {"amount": 10**12, "currency": "JPY"}])
def test_a_price_is_an_amount_of_a_currency(price: Members) -> None:
    command = read(EXAMPLES["create_event"], price=price)
    assert isinstance(command, CreateEvent)
    assert command.price is not None
    assert command.price.model_dump() == price


@pytest.mark.parametrize(
    "price",
    [
        {},
        {"amount": 1},
        {"currency": "EUR"},
        {"amount": -1, "currency": "EUR"},
        {"amount": 10**12 + 1, "currency": "EUR"},
        {"amount": 1.0, "currency": "EUR"},
        {"amount": "1", "currency": "EUR"},
        {"amount": True, "currency": "EUR"},
        {"amount": 1, "currency": "eur"},
        {"amount": 1, "currency": "EURO"},
        {"amount": 1, "currency": "EUR\n"},
        4500,
        [4500, "EUR"],
    ],
)
def test_every_other_price_is_unreadable(price: Any) -> None:
    assert_unreadable(EXAMPLES["create_event"], price=price)


# Times


@pytest.mark.parametrize(
    "starts_at",
    [
        "2027-03-01T19:30:00Z",
        "2027-03-01T19:30:00+01:00",
        "2027-03-01T19:30:00-00:00",
        "2028-02-29T00:00:00.5Z",
        "2027-03-01T23:59:59.123456-23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        *TIMES,
    ],
)
def test_a_start_is_an_rfc_3339_time_and_kept_as_it_was_written(starts_at: str) -> None:
    assert read(EXAMPLES["create_event"], starts_at=starts_at).starts_at == starts_at


NO_TIMES = {
    "2027-03-01T19:30:00": "the offset is missing, which is Z or like +01:00",
    "2027-03-01T19:30": "the offset is missing, which is Z or like +01:00",
    "2027-03-01T19:30:00.0000000": "the offset is missing, which is Z or like +01:00",
    "2027-03-01": "the time of day is missing",
    "2027-03-01T19Z": "the minutes are missing",
    "2027-03-01T19": "the minutes are missing",
    "2027-03-01T19:30:Z": "digits are missing behind the last point or colon",
    "2027-03-01T19:30:00.Z": "digits are missing behind the last point or colon",
    "2027-03-01T19:30:00.1234567891Z": "there are more than 9 decimals",
    "2027-03-01T19:30:00,5Z": "a point must stand before decimals",
    "2027-03-01T19:30:00+01:00[Europe/Paris]": "a zone in brackets is not read, only the offset before it",
    "2027-03-01T18:30:00Z[UTC]": "a zone in brackets is not read, only the offset before it",
    "2027-03-01T19:30:00 CET": "no space may stand before the offset",
    "2027-03-01T19:30:00CET": "a zone's name is not read, only an offset",
    "2027-03-01 19:30:00 +0000 UTC": "no space may stand before the offset",
    "2027-03-01T19:30:00+0100": "a colon must stand in the offset",
    "2027-03-01 19:30:00+01": "the offset must have hours and minutes",
    "2027-03-01T19:30:00+01:00:30": "the offset must have hours and minutes only",
    "2027-03-01T19:30:00Z\n": "white space stands around it",
    "20270301T193000Z": "hyphens must stand in the date, and colons in the time",
    "2027-W09-1T19:30:00Z": "the date must be year, month and day",
    "2027-060T19:30:00Z": "the date must be year, month and day",
    "+12027-03-01T19:30:00Z": "the year must have 4 digits",
    "2027-02-29T19:30:00Z": "no calendar has this day",
    "2027-13-01T19:30:00Z": "no calendar has this day",
    "2027-00-01T19:30:00Z": "no calendar has this day",
    "2027-01-00T19:30:00Z": "no calendar has this day",
    "0000-01-01T00:00:00Z": "no calendar has this day",
    "2027-03-01T24:00:00Z": "a day ends at 23:59:59, and the next begins at 00:00",
    "2027-03-01T23:59:60Z": "a leap second is not read",
    "2027-03-01T19:60:00Z": "no clock shows this time, or no place has this offset",
    "2027-03-01T19:30:00+24:00": "no clock shows this time, or no place has this offset",
    "2027-03-01T19:30:00+00:60": "no clock shows this time, or no place has this offset",
    "P1D": "it is no single moment",
    "2027-03-01T19:30:00Z/PT2H": "it is no single moment",
    "1795341600": "epoch seconds are not read",
    "1795341600123": "epoch milliseconds are not read",
    1_795_341_600: "as text: epoch seconds are not read",
    1_795_341_600.123: "as text: epoch seconds are not read",
    1_795_341_600_123: "as text: epoch milliseconds are not read",
    True: "as text",
    "": "+01:00",
    "tomorrow": "+01:00",
    "\uff12027-03-01T19:30:00Z": "+01:00",
    "2027-03-01T19:30:00" + "[" * 10_000: "+01:00",
}


@pytest.mark.parametrize("starts_at", NO_TIMES)
def test_of_every_other_start_is_said_in_words_what_is_wrong(starts_at: Any) -> None:
    """Versions of Python differ on some of these: two workers agree, since no library's parser is asked."""
    why = why_unreadable(json.dumps(EXAMPLES["create_event"] | {"starts_at": starts_at}).encode())
    assert why.startswith("starts_at: must be a time like 2027-03-01T19:30:00+01:00")
    assert why.endswith(NO_TIMES[starts_at])


@pytest.mark.parametrize("starts_at", [[2027, 3, 1, 19, 30], {"epochSecond": 1_795_341_600}])
def test_a_start_is_text(starts_at: Any) -> None:
    why = why_unreadable(json.dumps(EXAMPLES["create_event"] | {"starts_at": starts_at}).encode())
    assert why == "starts_at: must be a time like 2027-03-01T19:30:00+01:00, as text"


@given(st.text(alphabet="0123456789-:.,TtZz+ []W/PE", max_size=100))
def test_any_other_text_is_a_start_or_said_to_be_none(text: str) -> None:
    with suppress(UnreadableCommandError):
        read(EXAMPLES["create_event"], starts_at=text)


@pytest.mark.parametrize("starts_at", TIMES)
def test_the_moment_of_a_start_is_that_of_rfc_3339(starts_at: str) -> None:
    whole = re.sub(r"(T\d\d:\d\d)(?=[Z+-])", r"\1:00", starts_at.upper().replace(" ", "T"))
    digits = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6].ljust(6, '0')}", whole)
    assert moment(starts_at) == datetime.fromisoformat(digits)
    assert moment(starts_at).utcoffset() == datetime.fromisoformat(digits).utcoffset()


# Bytes


def padded_to(size: int) -> bytes:
    command = json.dumps(PURCHASE).encode()
    return command[:-1] + b" " * (size - len(command)) + b"}"


def test_a_command_has_up_to_16_kib() -> None:
    assert MAX_COMMAND_BYTES == 16 * 1024
    largest = padded_to(16 * 1024)
    assert len(largest) == 16 * 1024
    assert isinstance(read_command(largest), Purchase)
    assert why_unreadable(padded_to(16 * 1024 + 1)) == "16385 bytes, more than 16384"


def test_a_record_without_a_value_is_unreadable_and_told_from_an_empty_one() -> None:
    """A Kafka UI shows both as nothing."""
    assert why_unreadable(None) == "the record has no value"
    assert why_unreadable(b"") == "the record's value is empty"


@pytest.mark.parametrize(
    "value",
    [
        b"tickets please",
        b"\x00\x00\x00\x00\x01\x08r-1",
        b"\xff\xfe",
        json.dumps(PURCHASE).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(PURCHASE).encode(),
        json.dumps(PURCHASE).encode() + b"x",
        json.dumps(PURCHASE).encode() * 2,
        json.dumps(PURCHASE).encode()[:-1],
        json.dumps(PURCHASE).encode().replace(b"b-77", b"b\xff"),
        json.dumps(PURCHASE).encode().replace(b"b-77", b"b\t"),
        json.dumps(PURCHASE).encode().replace(b"}", b",}"),
        json.dumps(PURCHASE).encode().replace(b'"', b"'"),
        b'{"a":' * 2_000,
        b"[" * 16_000,
    ],
)
def test_what_is_no_json_is_unreadable(value: bytes) -> None:
    assert why_unreadable(value).startswith("no JSON: ")


@pytest.mark.parametrize("value", [b"null", b"1", b'"purchase"', b"[]", b"true", b"[{}]"])
def test_json_that_is_no_object_is_unreadable(value: bytes) -> None:
    assert why_unreadable(value).startswith("no JSON object: it is ")


NAMED = {
    "a zero byte and a schema's id": "a zero byte and a schema's id, a schema registry's frame that cannot be seen",
    "eight bytes of a schema's id": "a zero byte and a schema's id, a schema registry's frame that cannot be seen",
    "AWS Glue's frame": "AWS Glue's byte and a schema's id, a schema registry's frame that cannot be seen, before JSON",
    "a byte order mark": "a byte order mark, which cannot be seen",
    "UTF-16": "it is UTF-16",
    "UTF-16, the big end first": "it is UTF-16",
    "UTF-16 without a mark": "it is UTF-16",
    "UTF-16 without a mark, the big end first": "it is UTF-16",
    "UTF-32": "it is UTF-32",
    "UTF-32 without a mark": "it is UTF-32",
    "encoded twice": "it was encoded twice",
    "base64": "a string with one in base64",
    "an array": "it is an array",
    "an array of two": "it is an array",
    "a CloudEvent in structured mode": "it is a CloudEvent in structured mode",
    "Kafka Connect's envelope": "it holds a schema beside its payload",
    "a zero byte at the end": "it has U+0000, which cannot be seen",
    "cut": "EOF while parsing",
    "a comma too many": "trailing comma",
    "a byte that is no UTF-8": "is no UTF-8",
}
"""By what stands around a command, what its reason says."""


@pytest.mark.parametrize("name", WRAPPINGS)
def test_what_stands_around_a_command_is_named_and_its_ids_are_seen(name: str) -> None:
    value = WRAPPINGS[name](json.dumps(PURCHASE).encode())
    assert NAMED[name] in why_unreadable(value)
    ids = {"event_id": "42", "request_id": "r-1"}
    assert claimed_ids(value) == ({} if name == "an array of two" else ids)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"\0\0\0\0\x07\x06r-1\x0442", "before what looks like Avro or Protobuf"),
        (b"Obj\x01\x04\x14avro.codec", "an Avro file"),
        (b"\xc3\x01" + bytes(8) + b"\x06r-1", "Avro"),
        (b"\xac\xed\x00\x05sr\x00\x08Purchase", "Java's serialization"),
        (gzip.compress(b"{}", mtime=0), "packed by gzip"),
        (b"<purchase/>", "XML"),
        (b" \r\n", "nothing but white space"),
        ("\u00a0{}".encode(), "U+00A0, which cannot be seen"),
        ('{\u200b"a":1}'.encode(), "U+200B, which cannot be seen"),
        (b'{"a":1}\0', "U+0000, which cannot be seen"),
        (b"\x82\xa1a\x01", "byte 1 is no UTF-8"),
    ],
)
def test_other_bytes_are_named_too(value: bytes, named: str) -> None:
    assert named in why_unreadable(value)


def test_what_cannot_be_seen_in_the_name_of_a_member_is_named() -> None:
    why = why_unreadable(json.dumps(PURCHASE | {"quantity\u200b": 2}).encode())
    assert why.endswith("no such member is known (it has U+200B, which cannot be seen)")


@pytest.mark.parametrize("member", ["event_id", "request_id", "buyer"])
def test_what_cannot_be_seen_in_a_member_is_named(member: str) -> None:
    why = why_unreadable(json.dumps(PURCHASE | {member: "42\u200b" + "x" * 200}).encode())
    assert why.startswith(f"{member}: ")
    assert "(it has U+200B, which cannot be seen)" in why


# What an unreadable command claims


@pytest.mark.parametrize(
    ("event_id", "request_id", "claimed"),
    [
        ("42", "r-1", {"event_id": "42", "request_id": "r-1"}),
        (42, 17, {"event_id": "42", "request_id": "17"}),
        (-1, "user@example.com/17", {"event_id": "-1", "request_id": "user@example.com/17"}),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "x" * 128, {"event_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
         "request_id": "x" * 128}),
        (2**63 - 1, "r 1", {"event_id": "9223372036854775807", "request_id": "r 1"}),
        (2**63, "x" * 129, {}),
        (10**400, "", {}),
        (None, None, {}),
        (True, 1.5, {}),
        (["42"], {"id": "r-1"}, {}),
        ("\x1b[2J", "r\n1", {}),
        ("\u202e42", "r\u00e9", {}),
    ],
)  # fmt: skip
def test_ids_are_claimed_if_they_are_bounded_and_printable(event_id: Any, request_id: Any, claimed: Members) -> None:
    assert claimed_ids(json.dumps({"event_id": event_id, "request_id": request_id, "quantity": 0}).encode()) == claimed


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"[]", b"{}", b"null", b'{"event_id":', b"\xff\xfe\x00"])
def test_nothing_is_claimed_where_nothing_can_be_read(value: bytes | None) -> None:
    assert claimed_ids(value) == {}


def test_ids_of_a_value_that_no_dead_letter_holds_whole_are_not_looked_for() -> None:
    assert MAX_CLAIMED_BYTES == MAX_DEAD_LETTER_BYTES
    assert claimed_ids(padded_to(MAX_CLAIMED_BYTES)) == {"event_id": "42", "request_id": "r-1"}
    assert claimed_ids(padded_to(MAX_CLAIMED_BYTES + 1)) == {}


@given(any_values)
def test_what_is_claimed_is_always_bounded_and_printable(value: bytes | None) -> None:
    for claim in claimed_ids(value).values():
        assert claim.isascii()
        assert claim.isprintable()
        assert len(claim) <= 128


def test_space_around_the_object_is_fine() -> None:
    assert read_command(b" \r\n\t" + json.dumps(PURCHASE, indent=2).encode() + b"\n") == read(PURCHASE)


@pytest.mark.parametrize(
    ("value", "is_a"),
    [
        (b'{"type":"purchase","request_id":"r","event_id":"42","type":"close_event"}', CloseEvent),
        (b'{"typ\\u0065":"close_event","request_id":"r","event_id":"42"}', CloseEvent),
        (b'{"request_id":"r","event_id":"42","buyer":"\\"type\\":\\"close_event\\""}', Purchase),
        (b'{"request_id":"r","event_id":"42","buyer":"type","type" : "purchase"}', Purchase),
    ],
)
def test_a_command_is_of_the_type_that_its_json_says(value: bytes, is_a: type) -> None:
    """Which type it seems to claim is no more than a hint."""
    assert type(read_command(value)) is is_a


def test_of_a_member_that_stands_twice_the_last_counts() -> None:
    twice = b'{"request_id":"r","event_id":"42","buyer":"b","quantity":"none","quantity":2}'
    command = read_command(twice)
    assert isinstance(command, Purchase)
    assert command.quantity == 2


def test_the_reason_names_each_wrong_member_and_quotes_none_of_the_input() -> None:
    """It goes into the ledger, which is kept for ever."""
    why = why_unreadable(b'{"request_id":"secret word","event_id":"secret","buyer":"secret\\u0000","quantity":0}')
    assert [part.partition(":")[0] for part in why.split("; ")] == ["request_id", "event_id", "buyer", "quantity"]
    assert "secret" not in why


@given(members())
def test_a_command_survives_being_written_and_read(command: Members) -> None:
    read_back = read(command)
    assert read_command(read_back.model_dump_json(exclude_unset=True).encode()) == read_back
    assert read_back.model_dump(exclude_unset=True) == command


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_command_or_unreadable(value: bytes) -> None:
    with suppress(UnreadableCommandError):
        read_command(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(members(), st.data())
def test_a_command_is_read_alike_whether_or_not_nulls_are_looked_for(command: Members, data: st.DataObject) -> None:
    """A buyer may be called null, and every worker has to read the same all the same."""
    changed = {**command, data.draw(st.sampled_from(sorted(command))): data.draw(JSON)}
    for members_ in (command, changed):
        value = json.dumps(without_nulls(members_)).encode()
        assert _read_or_none(_read_without_nulls, value) == _read_or_none(read_command, value)
    assert read(PURCHASE, buyer="null").buyer == "null"


def _read_or_none(reading: Callable[[bytes], Command], value: bytes) -> Command | None:
    try:
        return reading(value)
    except UnreadableCommandError:
        return None


@given(members(), st.data())
def test_any_json_in_any_member_is_a_command_or_unreadable(command: Members, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(sorted(command)))
    with suppress(UnreadableCommandError):
        read(command, **{member: data.draw(JSON)})
