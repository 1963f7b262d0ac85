"""Keys of callers: their form, and what is kept of them."""

from __future__ import annotations

import json
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.api_keys import (
    PROOF_BYTES,
    ApiKey,
    BadKeyError,
    KeptSecret,
    UnreadableKeyError,
    digest,
    id_of,
    new_id,
    new_key,
    new_order_secret,
    read_api_key,
)

KEY = ApiKey(
    id="abcdefghij",
    name="a shop",
    scopes=("buy",),
    secrets=(KeptSecret(sha256=digest("x")),),
    created_at="2026-11-30T10:00:00Z",
    events=("42",),
)


def test_a_key_names_its_id_and_no_two_are_alike() -> None:
    key_id = new_id()
    keys = {new_key(key_id) for _ in range(100)}
    assert len(keys) == 100
    assert {id_of(key) for key in keys} == {key_id}
    assert len({digest(key) for key in keys}) == 100


@given(st.integers(0, 62), st.characters(codec="ascii"))
def test_a_key_that_is_mistyped_is_told_from_one_that_is_unknown(at: int, character: str) -> None:
    key = new_key("abcdefghij")
    wrong = key[:at] + character + key[at + 1 :]
    if wrong != key:
        with pytest.raises(BadKeyError):
            id_of(wrong)


@pytest.mark.parametrize("text", ["", "bo_", "bo_abcdefghij_", "Bearer", "bo_abcdefghij_" + "a" * 49 + "\n", "é" * 63])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadKeyError):
        id_of(text)


def test_a_caller_may_do_what_its_scopes_and_events_say() -> None:
    assert KEY.may("buy", "42")
    assert KEY.may("buy")
    assert not KEY.may("buy", "43")
    assert not KEY.may("events", "42")
    assert KEY.model_copy(update={"events": None}).may("buy", "43")


def test_a_record_is_a_caller_or_is_said_to_be_none() -> None:
    assert read_api_key(b"abcdefghij", KEY.model_dump_json().encode()) == KEY
    with pytest.raises(UnreadableKeyError, match="another key"):
        read_api_key(b"other", KEY.model_dump_json().encode())


@given(st.binary() | st.from_type(type(None)).map(lambda _: b"null") | st.builds(lambda: json.dumps([]).encode()))
def test_any_bytes_are_no_caller(value: bytes) -> None:
    with pytest.raises(UnreadableKeyError):
        read_api_key(b"abcdefghij", value)


def test_a_proof_opens_one_request_of_one_caller_and_no_other() -> None:
    caller = KEY.model_copy(update={"order_secret": new_order_secret()})
    proof = caller.proof("42", "abcdefghij:k-1")
    assert proof is not None
    assert caller.order_secret is not None
    key = bytes.fromhex(caller.order_secret)
    assert proof == blake2b(b"42 abcdefghij:k-1", key=key, digest_size=PROOF_BYTES).hexdigest()
    assert caller.proves(proof, "42", "abcdefghij:k-1")
    assert not caller.proves(proof, "42", "abcdefghij:k-2")
    assert not caller.proves(proof, "4", "2 abcdefghij:k-1")
    assert not caller.proves(proof, "43", "abcdefghij:k-1")
    other = caller.model_copy(update={"order_secret": new_order_secret()})
    assert not other.proves(proof, "42", "abcdefghij:k-1")


@given(st.text())
def test_any_other_text_proves_nothing(text: str) -> None:
    caller = KEY.model_copy(update={"order_secret": "0" * 64})
    assert not caller.proves(text, "42", "abcdefghij:k-1")


def test_a_caller_without_an_order_secret_proves_nothing_to_anybody() -> None:
    assert KEY.proof("42", "abcdefghij:k-1") is None
    assert not KEY.proves("", "42", "abcdefghij:k-1")
    assert not KEY.proves("None", "42", "abcdefghij:k-1")


def test_an_order_secret_is_kept_and_never_shown() -> None:
    secret = new_order_secret()
    caller = KEY.model_copy(update={"order_secret": secret})
    assert secret not in repr(caller)
    assert read_api_key(b"abcdefghij", caller.model_dump_json(exclude_none=True).encode()).order_secret == secret


def test_a_caller_whose_key_expires_on_no_day_is_no_caller() -> None:
    record = {
        "id": "0123456789", "name": "n", "scopes": ["buy"], "created_at": "2026-01-01T00:00:00Z",
        "secrets": [{"sha256": "0" * 64, "expires_at": "2026-02-30T00:00:00Z"}],
    }  # fmt: skip
    with pytest.raises(UnreadableKeyError):
        read_api_key(b"0123456789", json.dumps(record).encode())
