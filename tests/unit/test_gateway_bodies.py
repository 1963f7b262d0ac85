"""What becomes of a body: a command that every worker reads, or a problem that says where it is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway import commands
from boxoffice.gateway.messages import Problem, Request
from boxoffice.gateway.preferences import purchase_key
from models.api_keys import UnreadableKeyError, read_api_key
from models.commands import BY_TYPE, MAX_COMMAND_BYTES, read_command


def sent(body: bytes) -> Request:
    return Request("POST", "/", "", lambda _: None, body, "192.0.2.1")


def purchase(body: bytes) -> bytes:
    return commands.command("purchase", "42", "caller:k", commands.read_body(sent(body)))


def problem(body: bytes) -> Problem:
    with pytest.raises(Problem) as raised:
        purchase(body)
    return raised.value


def test_a_command_has_what_the_path_and_the_key_say_and_what_the_body_says() -> None:
    assert json.loads(purchase(b'{"buyer":"b","quantity":2}')) == {
        "type": "purchase", "buyer": "b", "quantity": 2, "event_id": "42", "request_id": "caller:k",
    }  # fmt: skip


def test_a_member_that_is_null_counts_as_left_out() -> None:
    assert "quantity" not in json.loads(purchase(b'{"buyer":"b","quantity":null,"request_id":null}'))
    assert problem(b'{"buyer":null}').name == "invalid-body"


@pytest.mark.parametrize("name", ["type", "event_id", "request_id", "purchase"])
def test_a_body_cannot_say_what_the_path_and_the_key_say(name: str) -> None:
    assert problem(json.dumps({"buyer": "b", name: "x"}).encode()).name == "invalid-body"


def test_a_pointer_is_a_json_pointer_and_quotes_no_more_than_a_little() -> None:
    refused = problem(json.dumps({"buyer": "b", "a/b~c": 1, "d" * 10_000: 1}).encode())
    assert refused.members is not None
    pointers = [error["pointer"] for error in refused.members["errors"]]
    assert pointers == ["/a~1b~0c", "/" + "d" * 64]
    assert len(refused.response().body) < 2_000


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"1", b'"a"', b"null", b"\xff", b"\xef\xbb\xbf{}", b'{"buyer":"\xed\xa0\x80"}', b'{"a":NaN}',
        b'{"a":' * 10_000, b'{"buyer":"b","quantity":' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_a_problem_and_no_failure(body: bytes) -> None:
    assert problem(body).response().status in (400, 422)


@pytest.mark.parametrize("event_id", ["", "042", "-1", "1" * 19, "x", -1, 10**18, True, 1.0, [], {}, "1\n"])
def test_an_event_id_in_a_body_that_is_none_is_wrong_there(event_id: Any) -> None:
    with pytest.raises(Problem) as raised:
        commands.event_id_of({"event_id": event_id})
    assert raised.value.members == {
        "errors": [
            {
                "pointer": "/event_id",
                "detail": "event_id: must be a decimal number of 1 to 18 digits without leading zeros",
            }
        ]
    }


def test_an_event_id_in_a_body_may_be_text_or_a_number_and_must_be_there() -> None:
    assert commands.event_id_of({"event_id": 42}) == commands.event_id_of({"event_id": "42"}) == "42"
    with pytest.raises(Problem):
        commands.event_id_of({})


@pytest.mark.parametrize("key", ["", "a b", "k/1", "..", "k" * 49, "%6b", "é"])
def test_a_purchase_that_nobody_can_have_made_is_looked_for_nowhere(key: str) -> None:
    if key == "..":
        assert purchase_key(key) == key
        return
    with pytest.raises(Problem) as raised:
        purchase_key(key)
    assert raised.value.name == "no-such-purchase"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(["buyer", "quantity", "type", "event_id", "request_id", "price", "x"])


@given(st.sampled_from(sorted(BY_TYPE)), st.dictionaries(_NAMES, _JSON) | _JSON | st.binary())
def test_whatever_a_body_holds_it_is_a_problem_or_a_command_that_every_worker_reads(kind: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        written = commands.command(kind, "42", "caller:k", commands.read_body(sent(raw)))
    except Problem as refused:
        response = refused.response()
    else:
        assert len(written) <= MAX_COMMAND_BYTES
        command = read_command(written)
        assert (command.type, command.event_id, command.request_id) == (kind, "42", "caller:k")
        return
    assert response.status in (400, 413, 422)
    json.loads(response.body)


def test_a_caller_whose_key_expires_on_no_day_is_no_caller() -> None:
    record = {
        "id": "0123456789", "name": "n", "scopes": ["buy"], "created_at": "2026-01-01T00:00:00Z",
        "secrets": [{"sha256": "0" * 64, "expires_at": "2026-02-30T00:00:00Z"}],
    }  # fmt: skip
    with pytest.raises(UnreadableKeyError):
        read_api_key(b"0123456789", json.dumps(record).encode())
