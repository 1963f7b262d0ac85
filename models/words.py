"""How counts and times are said in sentences for people."""

from __future__ import annotations

import re
from typing import Final

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,]\d+)?(?:[Zz]|([+-]\d\d:\d\d))")


def number_of(count: int, noun: str) -> str:
    """A count in words: 1 fact, 2 facts, 1,000 facts."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def time_of(text: str) -> str:
    """An RFC 3339 time as it stands on the clocks of its place: ``2027-03-01 19:30 UTC+01:00``.

    Seconds only where there are some. What is no such time stays as it is.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    date, minutes, seconds, offset = found.groups()
    shown = "" if seconds in (None, ":00") else seconds
    zone = "UTC" if offset in (None, "+00:00", "-00:00") else f"UTC{offset}"
    return f"{date} {minutes}{shown} {zone}"


def duration_of(span_s: int) -> str:
    """A span of time in words, in the largest unit that needs no fraction: 90 seconds, 10 minutes, 1 hour."""
    for unit_s, unit in ((3600, "hour"), (60, "minute")):
        if span_s and span_s % unit_s == 0:
            return number_of(span_s // unit_s, unit)
    return number_of(span_s, "second")
