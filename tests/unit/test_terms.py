"""On what terms an event is sold, as an answer repeats them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.cli.terms import all_terms, of_a_purchase, terms_of, tickets_of, unknown_currency, with_price
from boxoffice.redis.terms import FIELDS, Terms, terms_of_values
from lua.copies import Snapshot
from tests.unit.story import CATEGORIES, PLAIN, Story

TERMS: Terms = {
    "starts_at": "2027-03-01T19:30:00+01:00",
    "currency": "EUR",
    "categories": [{"id": "general", "name": "", "price": 4500}],
    "max_per_order": 1,
    "max_per_buyer": None,
    "hold_s": None,
    "on_sale_at": None,
    "off_sale_at": None,
}
META = [b"2027-03-01T19:30:00+01:00", b"EUR", b"4500", None, b"1", b"", b"", b"", b""]
OF_CATEGORIES = [
    *META[:2],
    None,
    b'[{"id":"stalls","name":"Stalls","price":4500},{"id":"balcony","name":"Balcony","price":3000}]',
    b"8",
    b"6",
    b"600",
    b"2026-11-22T10:00:00Z",
    b"2027-03-01T19:30:00Z",
]
STORIES = [
    Story(),
    Story(**PLAIN, max_per_order=8, max_per_buyer=6, hold_s=600, on_sale_at="2026-11-22T09:00:00Z"),
    Story(categories=CATEGORIES, off_sale_at="2027-03-01T19:30:00Z", hold_s=90),
]


def test_terms_are_price_date_and_limits() -> None:
    assert all_terms(TERMS) == "at 45.00 EUR each, 2027-03-01 19:30 UTC+01:00, at most 1 ticket an order"
    assert all_terms({**TERMS, "max_per_order": None}).endswith(", no limit to an order")
    further: Any = {
        "max_per_buyer": 6,
        "hold_s": 600,
        "on_sale_at": "2026-11-22T10:00:00Z",
        "off_sale_at": "2027-03-01T19:30:00+01:00",
    }
    assert all_terms({**TERMS, **further}).endswith(
        ", at most 1 ticket an order, at most 6 tickets a buyer, held for 10 minutes until they are paid, "
        "sold from 2026-11-22 10:00 UTC on, sold until 2027-03-01 19:30 UTC+01:00"
    )


def test_terms_of_an_event_with_categories_are_those_of_the_one_that_is_asked_about() -> None:
    terms = terms_of_values(OF_CATEGORIES)
    assert terms is not None
    assert all_terms(terms, "balcony").startswith("at 30.00 EUR each, 2027-03-01 19:30 UTC+01:00, at most 8 tickets")


def test_what_is_on_sale_is_told_by_category() -> None:
    assert tickets_of(STORIES[0].facts[0]).startswith("1,000 tickets at 45.00 EUR each, 2027-03-01 19:30 UTC+01:00, ")
    assert tickets_of(STORIES[2].facts[0]).startswith(
        "8 tickets, 6 of stalls (Stalls) at 45.00 EUR each, 2 of balcony (Balcony) at 30.00 EUR each, 2027-03-01 "
    )


def test_a_purchase_is_told_what_it_costs() -> None:
    """By its fact; of one by the first rules, whose fact does not say it, by the event's terms."""
    story = Story()
    assert of_a_purchase(story.buy("r-1"), TERMS) == "42-000001 at 45.00 EUR, for 2027-03-01 19:30 UTC+01:00"
    three = story.buy("r-2", quantity=3)
    told = "42-000002, 42-000003, 42-000004 at 45.00 EUR each, 135.00 EUR together"
    assert of_a_purchase(three, None) == told
    for_date = f"{told}, for 2027-03-01 19:30 UTC+01:00"
    assert of_a_purchase(three, TERMS) == for_date
    first = {name: value for name, value in three.items() if name not in {"lines", "amount", "currency"}}
    assert of_a_purchase(first, TERMS) == for_date
    assert of_a_purchase(first, None) == "42-000002, 42-000003, 42-000004"


def test_a_purchase_of_several_categories_is_told_by_category() -> None:
    both = [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}]
    fact = Story(categories=CATEGORIES).buy("r-1", lines=both)
    assert of_a_purchase(fact, None) == (
        "42-000001, 42-000002 (stalls) at 45.00 EUR each; 42-000007 (balcony) at 30.00 EUR, 120.00 EUR together"
    )


def test_terms_in_redis_are_read() -> None:
    assert terms_of_values(META) == TERMS
    assert terms_of_values([*META[:4], b"", *META[5:]]) == {**TERMS, "max_per_order": None}
    # As an earlier release has written it.
    assert terms_of_values([*META[:5], None, None, None, None]) == TERMS


@pytest.mark.parametrize("story", STORIES)
def test_redis_and_the_ledger_say_the_same(story: Story) -> None:
    meta = Snapshot.of(story.event, 4).meta()
    values = [meta[name].encode() if name in meta else None for name in FIELDS]
    assert terms_of_values(values) == terms_of(story.facts[0])
    changed = story.ask("change_event", "h-1", max_per_order=0, name="Day", hold_s=0)
    meta = Snapshot.of(story.event, 4).meta()
    assert terms_of_values([meta[name].encode() if name in meta else None for name in FIELDS]) == terms_of(changed)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((0, b"tomorrow"), (0, b"\x1b[31m"), (0, None), (1, b"eur"), (1, None), (2, b""), (2, b"-1"), (2, None)),
        *((3, b"["), (3, b"[]"), (3, b"{}"), (3, b'[{"id":"x"}]'), (4, b"0"), (5, b"many"), (6, b"1"), (7, b"soon")),
        *((3, b'[{"id":"x","name":"\\u001b[31m","price":1}]'), (8, b"\xff")),
    ],
)
def test_what_strangers_wrote_in_its_place_is_left_out(place: int, value: bytes | None) -> None:
    assert terms_of_values([value if number == place else one for number, one in enumerate(META)]) is None


@given(
    st.lists(
        st.none() | st.binary(max_size=9) | st.sampled_from([*META, *OF_CATEGORIES]),
        min_size=len(FIELDS),
        max_size=len(FIELDS),
    )
)
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
        (
            {"price_amount": 5000, "price_currency": "EUR", "first_price": 4500},
            {"price": "50.00 EUR", "first_price": "45.00 EUR"},
        ),
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
