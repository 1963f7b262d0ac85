"""How prices, dates and times are written on a ticket."""

from __future__ import annotations

import re

import pytest

from boxoffice.rendering.languages import Language
from boxoffice.rendering.pages import offset_text
from tests.unit.strangers import TIMES

ENGLISH = Language("en")


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
    assert (ENGLISH.date(starts_at), ENGLISH.time(starts_at), offset_text(starts_at)) == texts


@pytest.mark.parametrize("starts_at", TIMES)
def test_every_time_that_is_read_can_be_printed(starts_at: str) -> None:
    assert "2027" in ENGLISH.date(starts_at) or "2028" in ENGLISH.date(starts_at)
    assert re.fullmatch(r"\d\d:\d\d(:\d\d)?", ENGLISH.time(starts_at))
    assert offset_text(starts_at).startswith("UTC")
