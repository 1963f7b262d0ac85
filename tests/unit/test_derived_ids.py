"""Ids of commands that follow from something else: the same whoever triggers them, and nobody else's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from models.derived_ids import CALLING_OFF, EXPIRY, first_id, next_id

KINDS = st.sampled_from([EXPIRY, CALLING_OFF])
IDS = st.from_regex(r"\A[A-Za-z0-9._:-]{1,64}\Z")


def test_an_id_says_what_it_is_for_and_is_made_of_the_purchase_alone() -> None:
    assert first_id(EXPIRY, "r-1") == "expire:a5fa777a3dc67268caea6eea038ba141"
    assert first_id(CALLING_OFF, "r-1") == "call-off:a5fa777a3dc67268caea6eea038ba141"


@given(KINDS, IDS, st.integers(0, 5))
def test_every_derived_id_is_a_request_id(kind: str, purchase: str, times: int) -> None:
    derived = first_id(kind, purchase)
    for _ in range(times):
        derived = next_id(derived)
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", derived)


@given(st.lists(st.tuples(KINDS, IDS), min_size=2, max_size=5, unique=True))
def test_no_two_purchases_have_an_id_in_common_however_many_are_taken(about: list[tuple[str, str]]) -> None:
    """Not even where somebody's purchase is called like a derived id."""
    found = []
    for kind, purchase in about:
        derived = first_id(kind, purchase)
        for _ in range(4):
            found.append(derived)
            derived = next_id(derived)
    assert len(set(found)) == len(found)


@given(KINDS, IDS)
def test_the_next_id_is_no_first_id_of_any_purchase(kind: str, purchase: str) -> None:
    taken = first_id(kind, purchase)
    assert next_id(taken) not in {first_id(one, about) for one in (EXPIRY, CALLING_OFF) for about in (taken, purchase)}
