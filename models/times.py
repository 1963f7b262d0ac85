"""Times as people and programs write them: which are read, as which moment, and in words what is wrong with others.

What is read is given by one pattern and by the calendar, never by a library's parser: versions of Python differ on
what that takes, and two workers must agree. The text is kept as it came; whoever needs the moment asks :func:`moment`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = "([01][0-9]|2[0-3]):([0-5][0-9])"
TIME_PATTERN: Final = (
    "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]"
    rf"{_CLOCK}(:([0-5][0-9])(\.([0-9]{{1,9}}))?)?([Zz]|([+-]){_CLOCK})$"
)
"""RFC 3339, up to nanoseconds; and without seconds, which Java's ``OffsetDateTime`` leaves out where they are 0."""

_TIME: Final = re.compile(TIME_PATTERN)
_FIRST_FORM: Final = re.compile(rf"{_DATE}T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK})")


def is_in_first_form(text: str) -> bool:
    """Whether a time that is read is one of those that the first releases read: with seconds, at most 6 decimals."""
    return _FIRST_FORM.fullmatch(text) is not None


def moment(text: str) -> datetime:
    """The moment that a time names, with its own offset; what is finer than a microsecond is left away.

    Raises:
        ValueError: it names none. The message says why.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(why_no_time(text))
    year, month, day, hour, minute, _, second, _, decimals, _, sign, offset_hour, offset_minute = match.groups()
    offset = timedelta(hours=int(offset_hour or 0), minutes=int(offset_minute or 0))
    microsecond = int((decimals or "")[:6].ljust(6, "0"))
    clock = int(hour), int(minute), int(second or 0), microsecond
    zone = timezone(-offset if sign == "-" else offset) if offset else UTC
    try:
        return datetime(int(year), int(month), int(day), *clock, tzinfo=zone)
    except ValueError:
        raise ValueError(f"{_LIKE}: {_NO_SUCH_DAY}") from None


_LIKE: Final = "must be a time like 2027-03-01T19:30:00+01:00"
_NO_SUCH_DAY: Final = "no calendar has this day"
_BEFORE_CLOCK: Final = f"{_DATE}[Tt ]"
_TO_MINUTE: Final = f"{_BEFORE_CLOCK}{_CLOCK}"
_TO_SECOND: Final = f"{_TO_MINUTE}:[0-5][0-9]"
_BEFORE_OFFSET: Final = rf"{_TO_MINUTE}(:[0-5][0-9](\.[0-9]+)?)?"
_FAULTS: Final = tuple(
    (re.compile(pattern, re.DOTALL), fault)
    for pattern, fault in (
        (r"-?[0-9]{1,11}(\.[0-9]*)?", "epoch seconds are not read"),
        (r"-?[0-9]{12,}(\.[0-9]*)?", "epoch milliseconds are not read"),
        (r"\s.*|.*\s", "white space stands around it"),
        (r".*\[[^\]]*\]", "a zone in brackets is not read, only the offset before it"),
        (r"P.*|.*/[0-9P].*", "it is no single moment"),
        (_DATE, "the time of day is missing"),
        (r"[0-9]{4}-?W[0-9].*|[0-9]{4}-[0-9]{3}(?![0-9-]).*", "the date must be year, month and day"),
        (r"[0-9]{8}.*", "hyphens must stand in the date, and colons in the time"),
        (r"[+-]?[0-9]{5,}-.*|-[0-9]{4}-.*", "the year must have 4 digits"),
        (rf"{_BEFORE_CLOCK}[0-9]{{4}}.*", "a colon must stand between hour and minute"),
        (rf"{_BEFORE_CLOCK}[0-9]{{1,2}}(?![0-9:]).*", "the minutes are missing"),
        (rf"{_BEFORE_CLOCK}24:.*", "a day ends at 23:59:59, and the next begins at 00:00"),
        (rf"{_TO_MINUTE}:60.*", "a leap second is not read"),
        (rf"{_TO_SECOND},.*", "a point must stand before decimals"),
        (rf"{_TO_SECOND}\.[0-9]{{10,}}.*", "there are more than 9 decimals"),
        (rf"{_TO_SECOND}\.(?![0-9]).*|{_TO_MINUTE}:(?![0-9]).*", "digits are missing behind the last point or colon"),
        (_BEFORE_OFFSET, "the offset is missing, which is Z or like +01:00"),
        (rf"{_BEFORE_OFFSET} .*", "no space may stand before the offset"),
        (rf"{_BEFORE_OFFSET}[+-][0-9]{{4}}", "a colon must stand in the offset"),
        (rf"{_BEFORE_OFFSET}[+-][0-9]{{1,2}}", "the offset must have hours and minutes"),
        (rf"{_BEFORE_OFFSET}[+-]{_CLOCK}.+", "the offset must have hours and minutes only"),
        (rf"{_BEFORE_OFFSET}[A-Za-z].*", "a zone's name is not read, only an offset"),
        (rf"{_BEFORE_CLOCK}[0-9]{{2}}:[0-9]{{2}}.*", "no clock shows this time, or no place has this offset"),
    )
)


def why_no_time(value: Any) -> str:
    """What is wrong with what should be a time, in words; nothing of it is quoted."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return f"{_LIKE}, as text"
    if not isinstance(value, str):
        unit = "milliseconds" if abs(value) >= _MILLISECONDS else "seconds"
        return f"{_LIKE}, as text: epoch {unit} are not read"
    if _TIME.fullmatch(value):
        return f"{_LIKE}: {_NO_SUCH_DAY}"
    faults = _FAULTS if len(value) <= _LONGEST else ()
    fault = next((fault for pattern, fault in faults if pattern.fullmatch(value)), None)
    return _LIKE if fault is None else f"{_LIKE}: {fault}"


_MILLISECONDS: Final = 10**11
"""As seconds it is the year 5138, as milliseconds 1973."""
_LONGEST: Final = 80
"""Nobody writes a longer time, and some of the patterns would take long for one."""
