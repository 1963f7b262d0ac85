"""What becomes of a body, whatever it is: a command that workers read, or a problem that callers can; never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway import commands
from boxoffice.gateway.commands import KINDS
from boxoffice.gateway.messages import Problem
from boxoffice.gateway.preferences import purchase_key
from boxoffice.schema.openapi_examples import BODIES, CALLER, EVENT
from models.commands import BY_TYPE, Purchase, read_command
from tests.fuzz.bodies import CORPUS, LONG_NUMBER, command_of, one_input

NO_EVENTS = [
    b"null", b'""', b'"042"', b'"-1"', b'"x"', b'"' + b"1" * 19 + b'"', b'"42\\n"', b"true", b"1.0", b"-1",
    b"1" + b"0" * 18, LONG_NUMBER, b"[]", b"{}",
]  # fmt: skip


def refused(kind: str, body: Any) -> Problem:
    """The problem that a body ends in."""
    with pytest.raises(Problem) as raised:
        command_of(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
    return raised.value


def errors_of(kind: str, body: Any) -> list[dict[str, str]]:
    """What is wrong with a body's members."""
    response = refused(kind, body).response()
    assert response.status == 422
    told = json.loads(response.body)
    assert told["detail"] == told["errors"][0]["detail"]
    found: list[dict[str, str]] = told["errors"]
    return found


def test_a_command_has_what_the_path_and_the_key_say_and_what_the_body_says() -> None:
    assert json.loads(command_of("purchase", b'{"buyer":"b","quantity":2}')) == {
        "type": "purchase", "buyer": "b", "quantity": 2, "event_id": EVENT, "request_id": f"{CALLER}:key",
    }  # fmt: skip


def test_a_member_that_is_null_counts_as_left_out() -> None:
    command = command_of("purchase", b'{"buyer":"b","quantity":null,"request_id":null,"note":null}')
    assert read_command(command) == Purchase(request_id=f"{CALLER}:key", event_id=EVENT, buyer="b")
    assert b"null" not in command
    assert errors_of("purchase", {"buyer": None})[0]["pointer"] == "/buyer"


@pytest.mark.parametrize("name", ["type", "event_id", "request_id", "purchase", "actor"])
def test_a_body_cannot_say_what_the_path_and_the_key_say(name: str) -> None:
    assert [error["pointer"] for error in errors_of("purchase", {"buyer": "b", name: "x"})] == [f"/{name}"]


def test_errors_point_at_the_members() -> None:
    told = errors_of("purchase", {"quantity": 0, "a/b~c": 1, "type": "close_event"})
    assert [error["pointer"] for error in told] == ["/type", "/buyer", "/quantity", "/a~1b~0c"]
    nested = errors_of("create_event", {"event_id": "7", "price": {"amount": -1, "currency": "EUR"}})
    assert "/price/amount" in {error["pointer"] for error in nested}


def test_errors_point_into_lists() -> None:
    lines = [{"category": "stalls", "quantity": 0}, {"category": "Not So", "quantity": 1, "row": 1}]
    told = errors_of("purchase", {"buyer": "b", "lines": lines})
    pointers = {error["pointer"] for error in told}
    assert pointers == {"/lines/0/quantity", "/lines/1/category", "/lines/1/row"}
    categories = [{"id": "stalls", "name": "Stalls", "capacity": 1, "price": {"amount": -1, "currency": "EUR"}}]
    [error] = errors_of("create_event", {**EVENT_BODY, "categories": categories})
    assert error["pointer"] == "/categories/0/price/amount"


EVENT_BODY = {"event_id": "7", "name": "n", "venue": "v", "starts_at": "2027-03-01T19:30:00Z"}


def category(name: str, currency: str = "EUR", capacity: int = 10) -> dict[str, Any]:
    return {"id": name, "name": "n", "capacity": capacity, "price": {"amount": 1, "currency": currency}}


def line(name: str, quantity: int = 1) -> dict[str, Any]:
    return {"category": name, "quantity": quantity}


@pytest.mark.parametrize(
    ("kind", "body", "pointer"),
    [
        ("purchase", {"buyer": "b", "lines": [line("a")], "quantity": 1}, "/lines"),
        ("purchase", {"buyer": "b", "lines": [line("a")], "category": "a"}, "/lines"),
        ("purchase", {"buyer": "b", "lines": [line("a"), line("a")]}, "/lines"),
        ("purchase", {"buyer": "b", "lines": [line("a", 60), line("b", 41)]}, "/lines"),
        ("create_event", EVENT_BODY, "/capacity"),
        ("create_event", {**EVENT_BODY, "capacity": 1}, "/price"),
        ("create_event", {**EVENT_BODY, "capacity": 1, "categories": [category("a")]}, "/categories"),
        ("create_event", {**EVENT_BODY, "categories": [category("a"), category("a")]}, "/categories"),
        ("create_event", {**EVENT_BODY, "categories": [category("a"), category("b", "CHF")]}, "/categories"),
        ("create_event", {**EVENT_BODY, "categories": [category("a"), category("b", capacity=10**6)]}, "/categories"),
        ("change_event", {"prices": [{"category": "a", "amount": 1}] * 2}, "/prices"),
    ],
)
def test_members_that_do_not_go_together_are_an_error_as_well(kind: str, body: Any, pointer: str) -> None:
    """Nobody is told that a command was taken that workers cannot read."""
    [error] = errors_of(kind, body)
    assert error["pointer"] == pointer


def test_who_does_what_is_no_matter_of_a_body() -> None:
    assert "actor" not in json.loads(command_of("cancel_purchase", b'{"buyer":"b"}'))
    assert json.loads(command_of("close_event", b""))["actor"] == CALLER


@pytest.mark.parametrize("kind", sorted(BY_TYPE.keys() - KINDS))
def test_what_was_paid_and_what_is_due_cannot_be_said_over_http(kind: str) -> None:
    assert kind in {"confirm_purchase", "expire_hold"}
    with pytest.raises(KeyError):
        commands.command(kind, EVENT, f"{CALLER}:key", {}, purchase=f"{CALLER}:order-1")


def test_no_more_is_told_than_a_person_reads() -> None:
    [long] = errors_of("purchase", {"buyer": "b", "d" * 10_000: 1})
    assert (long["pointer"], len(long["detail"]) < 200) == ("/" + "d" * 64, True)
    many = {f"{number}" + "n" * 200: 1 for number in range(60)}
    told = errors_of("purchase", many)
    assert len(told) == 20
    assert all(len(error["detail"]) < 200 for error in told)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"1", b'"a"', b"null", b"\xff", b"\xef\xbb\xbf{}", b'{"buyer":"\xed\xa0\x80"}', b'{"a":NaN}',
        b'{"a":' * 10_000, b'{"buyer":"b","quantity":' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_a_problem_and_no_failure(body: bytes) -> None:
    assert refused("purchase", body).response().status in (400, 422)


@pytest.mark.parametrize("event_id", NO_EVENTS)
def test_an_event_that_no_body_can_name_is_an_error_in_the_body(event_id: bytes) -> None:
    told = errors_of("create_event", b'{"event_id": ' + event_id + b"}")
    why = "event_id: must be a decimal number of 1 to 18 digits without leading zeros"
    assert told == [{"pointer": "/event_id", "detail": why}]
    assert errors_of("create_event", {}) == told


@pytest.mark.parametrize(("event_id", "read"), [("42", "42"), (42, "42"), (0, "0"), (10**18 - 1, "9" * 18)])
def test_an_event_may_be_named_as_in_a_command(event_id: str | int, read: str) -> None:
    body = {**BODIES["create_event"], "event_id": event_id}
    assert read_command(command_of("create_event", json.dumps(body).encode())).event_id == read


@pytest.mark.parametrize("key", ["", "a b", "k/1", "k" * 49, "%6b", "é"])
def test_a_purchase_that_nobody_can_have_made_is_looked_for_nowhere(key: str) -> None:
    with pytest.raises(Problem) as raised:
        purchase_key(key)
    assert raised.value.name == "no-such-purchase"


def test_a_key_that_reads_like_a_path_is_a_key() -> None:
    assert purchase_key("..") == ".."


# Whatever it is

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [
        *("buyer", "quantity", "count", "name", "price", "event_id", "request_id", "purchase", "type", "actor"),
        *("lines", "category", "categories", "tickets", "prices", "hold_s", "on_sale_at"),
    ]
) | st.text(max_size=8)
MEMBERS = st.dictionaries(NAMES, JSON, max_size=6)


@pytest.mark.parametrize("body", CORPUS)
def test_the_corpus(body: bytes) -> None:
    one_input(body)


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    one_input(body)


@given(st.sampled_from(CORPUS), st.integers(0, 200), st.binary(max_size=4))
def test_the_corpus_with_other_bytes_in_it(body: bytes, at: int, other: bytes) -> None:
    one_input(body[:at] + other + body[at + len(other) :])


@given(MEMBERS | JSON)
def test_any_json(body: Any) -> None:
    one_input(json.dumps(body).encode())
