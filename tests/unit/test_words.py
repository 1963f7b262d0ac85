"""Counts and times in sentences."""

from __future__ import annotations

import pytest

from models.words import number_of, time_of


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 tickets"), (1, "1 ticket"), (2, "2 tickets"), (1_000_000, "1,000,000 tickets")]
)
def test_one_is_one_and_all_else_are_many(count: int, text: str) -> None:
    assert number_of(count, "ticket") == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2027-03-01T19:30:00Z", "2027-03-01 19:30 UTC"),
        ("2027-03-01T19:30:00+01:00", "2027-03-01 19:30 UTC+01:00"),
        ("2027-03-01T19:30:15.500000-11:00", "2027-03-01 19:30:15 UTC-11:00"),
        ("2027-03-01T19:30:00.000+00:00", "2027-03-01 19:30 UTC"),
        ("2027-03-01T19:30+05:30", "2027-03-01 19:30 UTC+05:30"),
        ("2027-03-01T19:30:00.123456789Z", "2027-03-01 19:30 UTC"),
        ("tomorrow", "tomorrow"),
        ("2027-03-01", "2027-03-01"),
    ],
)
def test_a_time_is_said_with_its_year_and_its_zone(time: str, text: str) -> None:
    assert time_of(time) == text
