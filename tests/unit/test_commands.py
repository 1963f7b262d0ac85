"""What can be read as a command: every bound at its edge, and nothing that is nearly right."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.commands import (
    BY_TYPE,
    MAX_COMMAND_BYTES,
    MAX_COMPLAINT,
    CreateEvent,
    Purchase,
    UnreadableCommandError,
    read_command,
)
from models.complaints import in_words
from tests.unit.strategies import members

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
    assert read(EXAMPLES["create_event"], max_per_order=None).max_per_order is None


@pytest.mark.parametrize(
    ("type_", "member"),
    [
        (type_, member)
        for type_, command in EXAMPLES.items()
        for member in command
        if (type_, member) not in {("purchase", "type"), ("purchase", "quantity"), ("create_event", "max_per_order")}
    ],
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


@pytest.mark.parametrize("type_", ["refund", "Purchase", "", 1, None, ["purchase"], {"a": 1}])
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


@pytest.mark.parametrize("buyer", [None, "", "x" * 129, "b\n", 7])
def test_a_cancellation_of_no_buyer_is_unreadable(buyer: Any) -> None:
    """Whoever asks for a buyer and has none must not cancel whatever anybody bought."""
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
    ],
)
def test_a_start_is_an_rfc_3339_time_and_kept_as_it_was_written(starts_at: str) -> None:
    assert read(EXAMPLES["create_event"], starts_at=starts_at).starts_at == starts_at


@pytest.mark.parametrize(
    "starts_at",
    [
        "", "2027-03-01", "2027-03-01T19:30Z", "2027-03-01T19:30:00", "2027-03-01 19:30:00Z",
        "2027-03-01t19:30:00z", "2027-03-01T19:30:00,5Z", "2027-03-01T19:30:00.1234567Z",
        "2027-03-01T19:30:00+0100", "2027-03-01T19:30:00+01", "2027-03-01T19:30:00 Z", "2027-03-01T19:30:00Z\n",
        "2027-02-29T19:30:00Z", "2027-13-01T19:30:00Z", "2027-00-01T19:30:00Z", "2027-01-00T19:30:00Z",
        "0000-01-01T00:00:00Z", "2027-03-01T19:60:00Z", "2027-03-01T19:30:60Z", "\uff12027-03-01T19:30:00Z",
        1_795_341_600, None,
    ],
)  # fmt: skip
def test_every_other_start_is_unreadable(starts_at: Any) -> None:
    assert_unreadable(EXAMPLES["create_event"], starts_at=starts_at)


@pytest.mark.parametrize(
    "starts_at", ["2027-03-01T24:00:00Z", "2027-03-01T19:30:00+24:00", "2027-03-01T19:30:00+00:60"]
)
def test_times_on_which_versions_of_python_differ_are_refused_by_the_pattern(starts_at: str) -> None:
    """Two workers must agree on what is readable: from_isoformat alone would not see to that."""
    why = why_unreadable(json.dumps(EXAMPLES["create_event"] | {"starts_at": starts_at}).encode())
    assert "RFC 3339" in why


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


@pytest.mark.parametrize("value", [None, b""])
def test_a_record_without_a_value_is_unreadable(value: bytes | None) -> None:
    assert why_unreadable(value) == "the record has no value"


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
    assert why_unreadable(value) == "no JSON object"


def test_space_around_the_object_is_fine() -> None:
    assert read_command(b" \r\n\t" + json.dumps(PURCHASE, indent=2).encode() + b"\n") == read(PURCHASE)


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
    assert read_command(read_back.model_dump_json(exclude_none=True).encode()) == read_back
    assert read_back.model_dump(exclude_none=True) == command


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
def test_any_json_in_any_member_is_a_command_or_unreadable(command: Members, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(sorted(command)))
    with suppress(UnreadableCommandError):
        read(command, **{member: data.draw(JSON)})
