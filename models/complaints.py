"""What is wrong with a member of a message, in a person's words: never a regular expression."""

from __future__ import annotations

from typing import Final

from pydantic_core import ErrorDetails

_ID: Final = "must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -"
_TEXT: Final = "must have no control characters, which are U+0000 to 1F and 7F to 9F"
_AT: Final = "must be a time like 2026-11-22T10:00:00.123Z"
_CATEGORY: Final = "must be 1 to 32 of the characters a-z 0-9 _ -, and begin with a letter or digit"
_TIME: Final = "must be an RFC 3339 time with its offset, such as 2027-03-01T19:30:00+01:00"
_FORMS: Final = {
    "event_id": "must be a decimal number of 1 to 18 digits without leading zeros",
    "request_id": _ID,
    "purchase": _ID,
    "payment": _ID,
    "category": _CATEGORY,
    "id": _CATEGORY,
    "tickets": "must be tickets' names, such as 42-000001",
    "actor": _TEXT,
    "buyer": _TEXT,
    "name": _TEXT,
    "venue": _TEXT,
    "starts_at": _TIME,
    "on_sale_at": _TIME,
    "off_sale_at": _TIME,
    "currency": "must be three capital letters, such as EUR",
    "at": _AT,
    "due": _AT,
    "first_sale_at": _AT,
    "last_sale_at": _AT,
    "newest_at": _AT,
}


def in_words(detail: ErrorDetails) -> str:
    """The sentence of pydantic's, where it has one for people."""
    if detail["type"] != "string_pattern_mismatch":
        return detail["msg"]
    names = [part for part in detail["loc"] if isinstance(part, str)]
    return next((_FORMS[name] for name in reversed(names) if name in _FORMS), "has another form than it must have")
