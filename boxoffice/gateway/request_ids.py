"""What a request is called in logs: as its caller calls it, if that is harmless, or by a name that was made here."""

from __future__ import annotations

import re
from itertools import count
from secrets import token_hex
from typing import Final

HEADER: Final = "x-request-id"

_HARMLESS: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_INSTANCE: Final = token_hex(8)
_numbers = count(1)


def given_id(header: str | None) -> str | None:
    """The caller's, if it is 1 to 128 characters that harm no log and no header."""
    return header if header is not None and _HARMLESS.fullmatch(header) else None


def made_id() -> str:
    """One that nobody else has."""
    return f"{_INSTANCE}-{next(_numbers):x}"
