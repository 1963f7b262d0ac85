"""What people type is read as they meant it, or refused in a sentence that says how it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.cli.typed import amount, categories, hold, hold_or_none, lines, prices, seconds
from models.words import duration_of


@pytest.mark.parametrize(("text", "span_s"), [("90s", 90), ("10m", 600), ("1h", 3600), ("24h", 86_400), ("0", 0)])
def test_a_span_of_time_has_a_unit(text: str, span_s: int) -> None:
    assert seconds(text) == span_s


@pytest.mark.parametrize(
    "text", ["600", "10 m", "10M", "1.5h", "-5m", "m", "1h30m", "10min", "10m\n", "٣m", "9" * 10 + "s"]
)
def test_what_is_nearly_a_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no span of time: write digits and s, m or h"):
        seconds(text)


def test_a_hold_is_a_minute_at_least_and_a_day_at_most() -> None:
    assert (hold("60s"), hold("24h"), hold_or_none("0"), hold_or_none("1m")) == (60, 86_400, 0, 60)
    for text in ("59s", "0", "0s", "25h", "86401s"):
        with pytest.raises(typer.BadParameter, match="for 1 minute at least, and for 24 hours at most"):
            hold(text)
    with pytest.raises(typer.BadParameter, match="1 minute at least"):
        hold_or_none("30s")


@given(st.integers(0, 10**6))
def test_a_span_in_words_is_the_span(span_s: int) -> None:
    count, unit = duration_of(span_s).replace(",", "").split()
    assert int(count) * {"s": 1, "m": 60, "h": 3600}[unit[0]] == span_s
    assert (count == "1") == (unit[-1] != "s")


def test_a_category_is_id_name_tickets_and_price() -> None:
    assert categories(["stalls:Stalls:600:45.00", "box:Box 1: left:4:120"], "EUR") == [
        {"id": "stalls", "name": "Stalls", "capacity": 600, "price": {"amount": 4500, "currency": "EUR"}},
        {"id": "box", "name": "Box 1: left", "capacity": 4, "price": {"amount": 12_000, "currency": "EUR"}},
    ]
    [yen] = categories(["a:A:1:4500"], "JPY")
    assert yen["price"] == {"amount": 4500, "currency": "JPY"}


def test_a_price_is_of_general_or_of_the_category_before_it() -> None:
    assert prices(["45"], "EUR") == [{"category": "general", "amount": 4500}]
    assert prices(["stalls:45.00", "rear:0"], "EUR") == [
        {"category": "stalls", "amount": 4500},
        {"category": "rear", "amount": 0},
    ]


def test_a_line_is_a_category_and_how_many() -> None:
    assert lines(["stalls:2", "rear:1"]) == [
        {"category": "stalls", "quantity": 2},
        {"category": "rear", "quantity": 1},
    ]


def test_what_was_paid_for_many_tickets_may_be_more_than_one_costs() -> None:
    assert amount("1000000000000.00", "EUR", "--amount", 100) == 10**14
    with pytest.raises(typer.BadParameter, match=r"more than 100 tickets may cost, which is 1,000,000,000,000.00 EUR"):
        amount("1000000000000.01", "EUR", "--amount", 100)
    with pytest.raises(typer.BadParameter, match=r"more than a ticket may cost, which is 10,000,000,000.00 EUR"):
        amount("10000000000.01", "EUR", "--price")


@pytest.mark.parametrize(
    ("read", "text", "sentence", "option"),
    [
        (categories, "stalls", "is no category: write its id, name, tickets and price, such as", "--category"),
        (categories, "stalls:Stalls:600", "is no category", "--category"),
        (categories, "stalls:Stalls:many:45", "'many' is no whole number", "--category"),
        (categories, "stalls:Stalls:600:45.001", "EUR has 2 decimals", "--category"),
        (prices, "stalls:cheap", "'cheap' is no amount", "--price"),
        (prices, "stalls:", "'' is no amount", "--price"),
    ],
)
def test_what_is_nearly_one_is_refused(
    read: Callable[[list[str], str], Any], text: str, sentence: str, option: str
) -> None:
    with pytest.raises(typer.BadParameter, match=sentence) as refused:
        read([text], "EUR")
    assert refused.value.param_hint == option


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("stalls", "is no line: write a category's id and how many"), ("stalls:two", "'two' is no whole number")],
)
def test_what_is_nearly_a_line_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(typer.BadParameter, match=sentence):
        lines([text])
