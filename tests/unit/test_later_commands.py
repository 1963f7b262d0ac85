"""What commands say of categories, holds, payments and changes: every bound at its edge, and what is said beyond it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.commands import (
    MAX_COMMAND_BYTES,
    CreateEvent,
    Purchase,
    UnreadableCommandError,
    earlier_releases_read,
    read_command,
)
from tests.unit.desk import category, lines
from tests.unit.strategies import STARTS, members, with_nulls
from tests.unit.test_commands import ABSENT, EXAMPLES, Members, assert_unreadable, read, why_unreadable

PURCHASE, CREATION, CHANGE = EXAMPLES["purchase"], EXAMPLES["create_event"], EXAMPLES["change_event"]
WITHOUT_QUANTITY = {name: value for name, value in PURCHASE.items() if name != "quantity"}
WITH_CATEGORIES = {name: value for name, value in CREATION.items() if name not in ("capacity", "price")} | {
    "categories": [category("stalls", 400, 4500), category("balcony", 200, 1500)]
}


def why(command: Members, **changes: Any) -> str:
    changed = {name: value for name, value in (command | changes).items() if value is not ABSENT}
    return why_unreadable(json.dumps(changed).encode())


# Purchases


def test_a_purchase_names_a_category_or_has_lines() -> None:
    assert read(PURCHASE, category="stalls").category == "stalls"
    bought = read(WITHOUT_QUANTITY, lines=lines(stalls=2, balcony=98))
    assert [(line.category, line.quantity) for line in bought.lines] == [("stalls", 2), ("balcony", 98)]


@pytest.mark.parametrize("beside", [{"quantity": 1}, {"category": "stalls"}, {"quantity": 2, "category": "stalls"}])
def test_what_stands_in_the_lines_does_not_stand_beside_them(beside: Members) -> None:
    said = why(WITHOUT_QUANTITY, lines=lines(stalls=2), **beside)
    assert said == "lines: quantity and category stand in the lines, and not beside them"


def test_lines_are_of_up_to_a_hundred_tickets_of_up_to_fifty_categories_each_once() -> None:
    fifty = [{"category": f"c-{number}", "quantity": 2} for number in range(50)]
    assert len(read(WITHOUT_QUANTITY, lines=fifty).lines) == 50
    one_more = [{**fifty[0], "quantity": 3}, *fifty[1:]]
    assert why(WITHOUT_QUANTITY, lines=one_more) == "lines: more than 100 tickets in all"
    twice = [*lines(stalls=1), *lines(stalls=1)]
    assert why(WITHOUT_QUANTITY, lines=twice) == "lines: the category stalls comes more than once"
    assert_unreadable(WITHOUT_QUANTITY, lines=[])
    assert_unreadable(WITHOUT_QUANTITY, lines=[{"category": f"c-{number}", "quantity": 1} for number in range(51)])


@pytest.mark.parametrize(
    "line",
    [{}, {"category": "a"}, {"quantity": 1}, {"category": "a", "quantity": 0}, {"category": "a", "quantity": 101},
     {"category": "a", "quantity": 1.0}, {"category": "A", "quantity": 1}, {"category": "a", "quantity": 1, "seat": 7},
     None, 7, "stalls"],
)  # fmt: skip
def test_every_other_line_is_unreadable(line: Any) -> None:
    assert_unreadable(WITHOUT_QUANTITY, lines=[line])


@pytest.mark.parametrize("id_", ["a", "0", "a-b_c", "x" * 32])
def test_a_category_is_named_by_a_few_characters(id_: str) -> None:
    assert read(PURCHASE, category=id_).category == id_
    assert read(WITH_CATEGORIES, categories=[category(id_, 1, 1)]).categories[0].id == id_


@pytest.mark.parametrize("id_", ["", "x" * 33, "A", "-a", "_a", "a b", "a:b", "a\n", "é", "a}", 7, True])
def test_every_other_name_of_a_category_is_unreadable(id_: Any) -> None:
    """It stands in keys of Redis."""
    assert_unreadable(PURCHASE, category=id_)
    assert_unreadable(WITH_CATEGORIES, categories=[{**category("a", 1, 1), "id": id_}])


# Events


def test_an_event_has_categories_instead_of_capacity_and_price() -> None:
    created = read(WITH_CATEGORIES)
    assert isinstance(created, CreateEvent)
    assert (created.capacity, created.price) == (None, None)
    beside = "categories: capacity and price stand in the categories, and not beside them"
    assert why(WITH_CATEGORIES, capacity=10) == beside
    assert why(WITH_CATEGORIES, price=CREATION["price"]) == beside


@pytest.mark.parametrize("missing", ["capacity", "price"])
def test_an_event_without_categories_needs_capacity_and_price(missing: str) -> None:
    assert why(CREATION, **{missing: ABSENT}) == f"{missing}: it is missing, and there are no categories either"
    assert why(CREATION, **{missing: None}) == f"{missing}: it is missing, and there are no categories either"


def test_categories_differ_have_one_currency_and_a_million_tickets_at_most() -> None:
    stalls, francs = category("stalls", 1, 4500), category("balcony", 1, 4500)
    francs["price"] = {"amount": 1, "currency": "CHF"}
    assert why(WITH_CATEGORIES, categories=[stalls, francs]) == "categories: all prices must have one currency"
    twice = why(WITH_CATEGORIES, categories=[stalls, stalls])
    assert twice == "categories: the category stalls comes more than once"
    large = [category("a", 999_999, 1), category("b", 1, 1)]
    assert len(read(WITH_CATEGORIES, categories=large).categories) == 2
    too_large = [category("a", 999_999, 1), category("b", 2, 1)]
    assert why(WITH_CATEGORIES, categories=too_large) == "categories: more than 1000000 tickets in all"


def test_an_event_has_up_to_fifty_categories() -> None:
    fifty = [category(f"c-{number}", 1, 1) for number in range(50)]
    assert len(read(WITH_CATEGORIES, categories=fifty).categories) == 50
    assert_unreadable(WITH_CATEGORIES, categories=[*fifty, category("more", 1, 1)])
    assert_unreadable(WITH_CATEGORIES, categories=[])


def test_the_largest_event_that_people_write_fits_into_a_command() -> None:
    fifty = [category(f"{number:032d}", 10_000, 10**12, "C" * 100) for number in range(50)]
    largest = json.dumps(WITH_CATEGORIES | {"categories": fifty, "name": "N" * 200, "venue": "V" * 200}).encode()
    assert len(largest) <= MAX_COMMAND_BYTES
    assert isinstance(read_command(largest), CreateEvent)


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "x" * 101}, {"name": "a\n"}, {"capacity": 0}, {"capacity": 1_000_001}, {"price": 4500},
     {"price": {"amount": -1, "currency": "EUR"}}, {"price": {"amount": 1}}, {"row": 7}],
)  # fmt: skip
def test_every_other_category_is_unreadable(changes: Members) -> None:
    assert_unreadable(WITH_CATEGORIES, categories=[category("a", 1, 1) | changes])


@pytest.mark.parametrize(
    ("type_", "member", "good", "bad"),
    [
        ("create_event", "hold_s", (60, 86_400), (0, 59, 86_401, 60.0, "60", True)),
        ("create_event", "max_per_buyer", (1, 1_000_000), (0, 1_000_001, -1, "1")),
        ("change_event", "hold_s", (0, 60, 86_400), (1, 59, 86_401, -1, False)),
        ("change_event", "max_per_buyer", (0, 1, 1_000_000), (-1, 1_000_001)),
        ("change_event", "max_per_order", (0, 1, 1_000_000), (-1, 1_000_001)),
        ("remove_tickets", "count", (1, 1_000_000), (0, 1_000_001)),
        ("confirm_purchase", "amount", (0, 10**14), (-1, 10**14 + 1, 1.0, "1")),
    ],
)
def test_a_number_is_an_integer_within_its_bounds(
    type_: str, member: str, good: tuple[int, ...], bad: tuple[Any, ...]
) -> None:
    for value in good:
        assert getattr(read(EXAMPLES[type_], **{member: value}), member) == value
    for value in bad:
        assert why(EXAMPLES[type_], **{member: value}).startswith(f"{member}: ")


def test_a_hold_of_less_than_a_minute_is_told_in_words() -> None:
    assert why(CHANGE, hold_s=59) == "hold_s: must be 0, or 60 to 86400"


@pytest.mark.parametrize("member", ["on_sale_at", "off_sale_at", "starts_at"])
@pytest.mark.parametrize("type_", ["create_event", "change_event"])
def test_a_time_of_the_sale_is_one_like_that_of_the_start(type_: str, member: str) -> None:
    for time in STARTS:
        assert getattr(read(EXAMPLES[type_], **{member: time}), member) == time
    said = why(EXAMPLES[type_], **{member: "2027-03-01 19:30"})
    assert said.startswith(f"{member}: must be a time like 2027-03-01T19:30:00+01:00")
    assert said.endswith("the offset is missing, which is Z or like +01:00")
    assert why(EXAMPLES[type_], **{member: "2027-02-29T19:30:00Z"}).endswith("no calendar has this day")
    assert why(EXAMPLES[type_], **{member: 1_795_341_600}).endswith("epoch seconds are not read")


def test_a_change_names_each_category_once() -> None:
    prices = [{"category": "stalls", "amount": 1}, {"category": "stalls", "amount": 2}]
    assert why(CHANGE, prices=prices) == "prices: the category stalls comes more than once"
    assert_unreadable(CHANGE, prices=[])
    assert_unreadable(CHANGE, prices=[{"category": "stalls", "amount": 1, "currency": "EUR"}])
    fifty = [{"category": f"c-{number}", "amount": number} for number in range(50)]
    assert len(read(CHANGE, prices=fifty).prices) == 50
    assert_unreadable(CHANGE, prices=[*fifty, {"category": "more", "amount": 1}])


# Others


@pytest.mark.parametrize("tickets", [["42-000001"], ["42-000001", "42-1000000"], [f"42-{n:06d}" for n in range(100)]])
def test_a_cancellation_may_name_some_tickets(tickets: list[str]) -> None:
    assert read(EXAMPLES["cancel_purchase"], tickets=tickets).tickets == tickets


@pytest.mark.parametrize(
    ("tickets", "said"),
    [
        ([], "tickets: "),
        (["42-000001", "42-000001"], "tickets: none may come twice"),
        ([f"42-{n:06d}" for n in range(101)], "tickets: "),
        (["42-1"], "tickets.0: must be tickets' names, such as 42-000001"),
        (["42-000001", "42-0000001"], "tickets.1: must be tickets' names, such as 42-000001"),
        (["42-000001\n"], "tickets.0: must be tickets' names, such as 42-000001"),
        ([1], "tickets.0: "),
        ("42-000001", "tickets: "),
    ],
)
def test_tickets_to_give_back_are_names_each_once(tickets: Any, said: str) -> None:
    assert why(EXAMPLES["cancel_purchase"], tickets=tickets).startswith(said)


@pytest.mark.parametrize("payment", ["p", "pi_3Ox:cash.7-x", "x" * 64])
def test_a_payment_is_named_by_whoever_took_it(payment: str) -> None:
    assert read(EXAMPLES["confirm_purchase"], payment=payment).payment == payment


@pytest.mark.parametrize("payment", ["", "x" * 65, "a b", "ä", 7])
def test_every_other_payment_is_unreadable(payment: Any) -> None:
    said = why(EXAMPLES["confirm_purchase"], payment=payment)
    assert said.startswith("payment: ")
    assert "pattern" not in said


@pytest.mark.parametrize("type_", EXAMPLES)
def test_every_command_may_say_who_sends_it(type_: str) -> None:
    for actor in ("till 3", "Zoë", "x" * 128):
        assert read(EXAMPLES[type_], actor=actor).actor == actor
    others: tuple[Any, ...] = ("", "x" * 129, "a\n", 7)
    for other in others:
        assert why(EXAMPLES[type_], actor=other).startswith("actor: ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (WITHOUT_QUANTITY | {"lines": [{"category": "Stalls", "quantity": 1}]}, "lines.0.category: must be 1 to 32"),
        (WITHOUT_QUANTITY | {"lines": [{"category": "stalls"}]}, "lines.0.quantity: Field required"),
        (WITHOUT_QUANTITY | {"lines": [{**lines(a=1)[0], "row": 7}]}, "lines.0.row: no such member is known"),
        (WITH_CATEGORIES | {"categories": [category("a", 1, 1) | {"price": {"amount": 1, "currency": "eur"}}]},
         "categories.0.price.currency: must be three capital letters, such as EUR"),
        (CHANGE | {"prices": [{"category": "", "amount": 1}]}, "prices.0.category: must be 1 to 32 of the characters"),
        (EXAMPLES["confirm_purchase"] | {"currency": "€"}, "currency: must be three capital letters, such as EUR"),
        (EXAMPLES["confirm_purchase"] | {"actor": "\x1b"}, "actor: must have no control characters,"),
    ],
)  # fmt: skip
def test_what_is_wrong_inside_is_said_where_it_is_in_a_persons_words(command: Members, said: str) -> None:
    assert why(command).startswith(said)


def test_nothing_of_what_is_wrong_is_quoted_but_a_categorys_name() -> None:
    assert "secret" not in why(EXAMPLES["confirm_purchase"], payment="secret 1", currency="secret", actor="secret\n")
    assert "secret" not in why(EXAMPLES["cancel_purchase"], tickets=["secret"])


# Earlier releases

FIRST_MEMBERS = {
    "purchase": {"buyer", "quantity"},
    "cancel_purchase": {"purchase", "buyer"},
    "create_event": {"name", "venue", "starts_at", "capacity", "max_per_order", "price"},
    "add_tickets": {"count"},
    "close_event": set(),
}
"""What the first release read of each command, beside what every command has."""


def was_readable(command: Members) -> bool:
    known = FIRST_MEMBERS.get(command["type"])
    return known is not None and command.keys() <= known | {"type", "request_id", "event_id"}


@given(members().flatmap(lambda command: st.tuples(st.just(command), with_nulls(command))))
def test_earlier_releases_read_what_has_no_nulls_no_later_member_and_a_whole_time(
    both: tuple[Members, Members],
) -> None:
    command, nulled = both
    was_read = was_readable(command) and command.get("starts_at", STARTS[0]) == STARTS[0]
    assert earlier_releases_read(json.dumps(command).encode()) == was_read
    nulls = "null" in json.dumps({name: value for name, value in nulled.items() if name != "max_per_order"})
    assert earlier_releases_read(json.dumps(nulled).encode()) == (was_read and not nulls)


@pytest.mark.parametrize("type_", EXAMPLES)
def test_earlier_releases_read_no_command_of_a_later_type(type_: str) -> None:
    assert earlier_releases_read(json.dumps(EXAMPLES[type_]).encode()) == (type_ in FIRST_MEMBERS)
    assert not earlier_releases_read(json.dumps(EXAMPLES[type_] | {"actor": "till 3"}).encode())


@pytest.mark.parametrize(
    "command",
    [
        PURCHASE | {"category": "general"},
        WITHOUT_QUANTITY | {"lines": lines(general=1)},
        EXAMPLES["cancel_purchase"] | {"tickets": ["42-000001"]},
        WITH_CATEGORIES,
        CREATION | {"hold_s": 60},
        CREATION | {"max_per_buyer": 1},
        CREATION | {"on_sale_at": "2027-01-01T00:00:00Z"},
        CREATION | {"off_sale_at": "2027-01-01T00:00:00Z"},
        EXAMPLES["add_tickets"] | {"category": "general"},
    ],
)
def test_earlier_releases_read_no_command_with_a_later_member(command: Members) -> None:
    read(command)
    assert not earlier_releases_read(json.dumps(command).encode())


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"garbage", b'{"type":7}', b'{"type":["purchase"]}'])
def test_what_is_no_command_was_none_then(value: bytes | None) -> None:
    """It is asked of what this release reads; whatever else comes, it does not fail."""
    assert isinstance(earlier_releases_read(value), bool)


def test_a_purchase_without_a_type_was_read() -> None:
    assert earlier_releases_read(b'{"request_id":"r-1","event_id":"42","buyer":"b"}')
    with pytest.raises(UnreadableCommandError):
        read_command(b'{"request_id":"r-1","event_id":"42"}')
    assert Purchase.model_fields["type"].default == "purchase"
