"""Whatever a body is, it becomes a command that workers read, or a problem that callers can: never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway.messages import Problem
from boxoffice.schema.openapi_examples import BODIES, CALLER, EVENT
from models.commands import Purchase, read_command
from tests.fuzz.bodies import CORPUS, LONG_NUMBER, command_of, one_input

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["buyer", "quantity", "count", "name", "price", "event_id", "purchase", "type"])
    | st.text(max_size=8),
    JSON,
    max_size=6,
)


@pytest.mark.parametrize("body", CORPUS)
def test_the_corpus(body: bytes) -> None:
    one_input(body)


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    one_input(body)


@given(st.sampled_from(CORPUS), st.integers(0, 200), st.binary(max_size=4))
def test_the_corpus_with_other_bytes_in_it(body: bytes, at: int, other: bytes) -> None:
    one_input(body[:at] + other + body[at + len(other) :])


@given(MEMBERS)
def test_any_members(members: dict[str, Any]) -> None:
    one_input(json.dumps(members).encode())


def problem_of(kind: str, body: Any) -> Any:
    """The problem that a body ends in."""
    with pytest.raises(Problem) as caught:
        command_of(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
    response = caught.value.response()
    assert response.status == 422
    return json.loads(response.body)


def test_errors_point_at_the_members() -> None:
    told = problem_of("purchase", {"quantity": 0, "a/b~c": 1, "type": "close_event"})
    assert [error["pointer"] for error in told["errors"]] == ["/type", "/buyer", "/quantity", "/a~1b~0c"]
    nested = problem_of("create_event", {"event_id": "7", "price": {"amount": -1, "currency": "EUR"}})
    assert "/price/amount" in {error["pointer"] for error in nested["errors"]}


def test_no_more_is_told_than_a_person_reads() -> None:
    told = problem_of("purchase", {f"{number}" + "n" * 200: 1 for number in range(60)})
    assert len(told["errors"]) == 20
    assert len(told["detail"]) < 200


def test_null_is_left_out_as_in_every_command() -> None:
    command = command_of("purchase", b'{"buyer": "b", "quantity": null, "note": null}')
    assert read_command(command) == Purchase(request_id=f"{CALLER}:key", event_id=EVENT, buyer="b")
    assert b"null" not in command
    assert problem_of("purchase", {"buyer": None})["errors"][0]["pointer"] == "/buyer"


ODD_IDS = [b"null", b'""', b'"042"', b'"x"', b"true", b"1.0", b"-1", b"1" + b"0" * 18, b"[]", b'"42\\n"', LONG_NUMBER]


@pytest.mark.parametrize("event_id", ODD_IDS)
def test_an_event_that_no_body_can_name_is_an_error_in_the_body(event_id: bytes) -> None:
    told = problem_of("create_event", b'{"event_id": ' + event_id + b"}")
    assert [error["pointer"] for error in told["errors"]] == ["/event_id"]
    assert problem_of("create_event", {})["errors"] == told["errors"]


@pytest.mark.parametrize(("event_id", "read"), [("42", "42"), (42, "42"), (0, "0"), (10**18 - 1, "9" * 18)])
def test_an_event_may_be_named_as_in_a_command(event_id: str | int, read: str) -> None:
    body = {**BODIES["create_event"], "event_id": event_id}
    assert read_command(command_of("create_event", json.dumps(body).encode())).event_id == read
