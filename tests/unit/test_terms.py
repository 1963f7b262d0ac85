"""On what terms an event is sold, as an answer repeats them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.cli.terms import all_terms, of_a_purchase, unknown_currency, with_price
from boxoffice.redis.terms import Terms, terms_of_values

TERMS: Terms = {"starts_at": "2027-03-01T19:30:00+01:00", "amount": 4500, "currency": "EUR", "max_per_order": 1}
META = [b"2027-03-01T19:30:00+01:00", b"4500", b"EUR", b"1"]


def test_terms_are_price_date_and_limit() -> None:
    assert all_terms(TERMS) == "at 45.00 EUR each, 2027-03-01 19:30 UTC+01:00, at most 1 ticket an order"
    assert all_terms({**TERMS, "max_per_order": None}).endswith(", no limit to an order")


def test_a_purchase_is_told_what_it_costs() -> None:
    assert of_a_purchase(TERMS, 1) == "at 45.00 EUR, for 2027-03-01 19:30 UTC+01:00"
    assert of_a_purchase(TERMS, 3) == "at 45.00 EUR each, 135.00 EUR together, for 2027-03-01 19:30 UTC+01:00"


def test_terms_in_redis_are_read() -> None:
    assert terms_of_values(META) == TERMS
    assert terms_of_values([*META[:3], b""]) == {**TERMS, "max_per_order": None}


@pytest.mark.parametrize(
    ("place", "value"), [(0, b"tomorrow"), (0, b"\x1b[31m"), (1, b""), (1, b"-1"), (2, b"eur"), (3, b"0"), (2, None)]
)
def test_what_strangers_wrote_in_its_place_is_left_out(place: int, value: bytes | None) -> None:
    assert terms_of_values([value if number == place else one for number, one in enumerate(META)]) is None


@given(st.lists(st.none() | st.binary(max_size=9) | st.sampled_from(META), min_size=4, max_size=4))
def test_whatever_redis_holds_is_terms_or_left_out(values: list[bytes | None]) -> None:
    terms = terms_of_values(values)
    if terms is not None:
        assert all_terms(terms).isprintable()


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"a": 1, "price_amount": 4500, "price_currency": "JPY", "z": 2}, {"a": 1, "price": "4,500 JPY", "z": 2}),
        ({"price_amount": "many", "price_currency": "EUR"}, {"price": "many EUR"}),
        ({"price_amount": 1}, {"price": "0.01 "}),
        ({"name": "Night"}, {"name": "Night"}),
    ],
)
def test_an_events_price_is_one_amount(members: dict[str, Any], shown: dict[str, Any]) -> None:
    assert list(with_price(members).items()) == list(shown.items())


def test_a_currency_that_does_not_exist_is_said() -> None:
    assert unknown_currency({"price_currency": "EUR"}) is None
    assert unknown_currency({"price_currency": "ZZZ"}) == (
        "ISO 4217 has no currency ZZZ: its amounts are shown with 2 decimals."
    )
