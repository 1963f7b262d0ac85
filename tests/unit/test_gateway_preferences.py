"""Headers of a command at the front door."""

from __future__ import annotations

import pytest

from boxoffice.gateway.messages import Problem
from boxoffice.gateway.preferences import idempotency_key, wait_s


@pytest.mark.parametrize("header", ["k-1", '"k-1"', " k-1 ", ' "k-1"'])
def test_a_key_may_be_bare_or_quoted(header: str) -> None:
    assert idempotency_key(header) == "k-1"


@pytest.mark.parametrize("header", ["", '""', "a b", "a" * 49, "é", '"k', "k\n1", "k/1"])
def test_a_key_of_other_characters_is_refused_by_name(header: str) -> None:
    with pytest.raises(Problem) as raised:
        idempotency_key(header)
    assert raised.value.name == "invalid-header"
    assert raised.value.detail.startswith("Idempotency-Key: must be 1 to 48 of")


def test_a_missing_key_is_a_problem_of_its_own() -> None:
    with pytest.raises(Problem) as raised:
        idempotency_key(None)
    assert raised.value.response().status == 400
    assert raised.value.name == "idempotency-key-missing"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 10),
        ("", 10),
        ("wait=3", 3),
        ("Wait = 3", 3),
        ('wait="3"', 3),
        ("wait=0", 0),
        ("wait=31", 30),
        ("wait=999999999", 30),
        ("wait=-1", 10),
        ("wait=x", 10),
        ("respond-async", 0),
        ("respond-async, wait=5", 0),
        ("wait=5, respond-async", 0),
        ("return=minimal; foo, wait=5", 5),
        ("wait=" + "9" * 5_000, 10),
    ],
)
def test_a_caller_waits_as_long_as_it_prefers_within_bounds(prefer: str | None, seconds: float) -> None:
    assert wait_s(prefer) == seconds
