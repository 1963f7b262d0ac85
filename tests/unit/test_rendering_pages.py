"""How prices, dates and times are written on a ticket."""

from __future__ import annotations

import re

import pytest

from boxoffice.rendering.pages import date_text, offset_text, price_text, time_text
from tests.unit.strangers import TIMES


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (4500, "EUR", "45.00 EUR"),
        (5, "USD", "0.05 USD"),
        (0, "EUR", "0.00 EUR"),
        (4500, "JPY", "4 500 JPY"),
        (4500, "KWD", "4.500 KWD"),
        (123_456_789_012, "EUR", "1 234 567 890.12 EUR"),
        (10_000, "CLF", "1.0000 CLF"),
    ],
)
def test_prices_have_the_decimals_of_their_currency(amount: int, currency: str, text: str) -> None:
    assert price_text(amount, currency).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("starts_at", "texts"),
    [
        ("2027-03-01T19:30:00Z", ("Monday, 1 March 2027", "19:30", "UTC")),
        ("2027-03-01T19:30:15.5+05:30", ("Monday, 1 March 2027", "19:30:15", "UTC+05:30")),
        ("2027-12-31T23:59:00-11:00", ("Friday, 31 December 2027", "23:59", "UTC-11:00")),
        ("2027-03-01T00:00:00+00:00", ("Monday, 1 March 2027", "00:00", "UTC")),
        ("0001-01-01T00:00:00+14:00", ("Monday, 1 January 1", "00:00", "UTC+14:00")),
        ("2027-03-01T19:30+01:00", ("Monday, 1 March 2027", "19:30", "UTC+01:00")),
        ("2027-03-01 19:30:00.0000000-00:00", ("Monday, 1 March 2027", "19:30", "UTC")),
        ("2027-03-01t19:30:07.123456789z", ("Monday, 1 March 2027", "19:30:07", "UTC")),
    ],
)
def test_the_time_is_that_of_the_event_s_own_place(starts_at: str, texts: tuple[str, str, str]) -> None:
    assert (date_text(starts_at), time_text(starts_at), offset_text(starts_at)) == texts


@pytest.mark.parametrize("starts_at", TIMES)
def test_every_time_that_is_read_can_be_printed(starts_at: str) -> None:
    assert "2027" in date_text(starts_at) or "2028" in date_text(starts_at)
    assert re.fullmatch(r"\d\d:\d\d(:\d\d)?", time_text(starts_at))
    assert offset_text(starts_at).startswith("UTC")
