"""Whose key it is: known, changed, revoked, expired."""

from __future__ import annotations

import pytest

from boxoffice import metrics
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.messages import Problem
from models.api_keys import ApiKey, KeptSecret, digest, new_id, new_key

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


class Caller:
    """A caller with two keys: the one before expires."""

    def __init__(self, callers: Callers) -> None:
        self.id = new_id()
        self.old, self.new = new_key(self.id), new_key(self.id)
        self._callers = callers

    def write(self, *secrets: KeptSecret) -> None:
        """His record in the topic."""
        record = ApiKey(id=self.id, name="n", scopes=("buy",), secrets=secrets, created_at="2026-01-01T00:00:00Z")
        self._callers.take(self.id.encode(), record.model_dump_json(exclude_none=True).encode())

    def write_both(self) -> None:
        self.write(
            KeptSecret(sha256=digest(self.new)),
            KeptSecret(sha256=digest(self.old), expires_at="2027-01-15T08:00:00Z"),
        )


def is_good(callers: Callers, key: str, now_s: float = NOW_S - 1) -> bool:
    try:
        callers.of(f"Bearer {key}", now_s)
    except Problem:
        return False
    return True


def test_two_keys_are_good_until_the_one_before_expires() -> None:
    callers = Callers()
    caller = Caller(callers)
    caller.write_both()
    assert is_good(callers, caller.old)
    assert is_good(callers, caller.new)
    assert not is_good(callers, caller.old, NOW_S)
    assert is_good(callers, caller.new, NOW_S)


def test_a_key_that_was_changed_or_revoked_is_good_no_more() -> None:
    callers = Callers()
    caller, other = Caller(callers), Caller(callers)
    caller.write_both()
    other.write_both()
    caller.write(KeptSecret(sha256=digest(caller.new)))
    assert (is_good(callers, caller.old), is_good(callers, caller.new)) == (False, True)
    callers.take(caller.id.encode(), None)
    assert (is_good(callers, caller.new), is_good(callers, other.new)) == (False, True)
    assert len(callers) == 1


@pytest.mark.parametrize("value", [b"what", b"{}", b"[]", b"\xff", b'{"id":"0123456789"}'])
def test_a_record_that_is_no_caller_revokes_the_one_before_it_and_stops_nobody(value: bytes) -> None:
    callers = Callers()
    caller, other = Caller(callers), Caller(callers)
    caller.write_both()
    other.write_both()
    strange = metrics.STRANGE_RECORDS.labels("api-keys")
    before = strange._value.get()
    callers.take(caller.id.encode(), value)
    assert strange._value.get() == before + 1
    callers.take(None, value)
    assert (is_good(callers, caller.new), is_good(callers, other.new)) == (False, True)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic x", "bearer", "Bearer " + "x" * 16_000, "Bearer \x00"])
def test_what_is_no_key_is_refused_without_a_word_of_why(header: str | None) -> None:
    callers = Callers()
    Caller(callers).write_both()
    with pytest.raises(Problem) as raised:
        callers.of(header, NOW_S)
    assert raised.value.name == "unauthenticated"
