"""What a caller says in headers about a command: its key, and how long its answer is waited for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from boxoffice.gateway.messages import Problem

LONGEST_WAIT_S: Final = 30
DEFAULT_WAIT_S: Final = 10
MOST_KEY: Final = 48
"""Characters of an Idempotency-Key: with a caller's id before it, it has to fit into a request id."""

KEY_PATTERN: Final = rf"[A-Za-z0-9._:-]{{1,{MOST_KEY}}}"

_KEY: Final = re.compile(KEY_PATTERN)
_WAIT: Final = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)


def idempotency_key(header: str | None) -> str:
    """The key, bare or as the quoted string that the IETF's draft asks for.

    Raises:
        Problem: it is missing, too long, or has other characters.
    """
    if header is not None and is_key(header):
        return header
    if header is None:
        raise Problem("idempotency-key-missing", "The header Idempotency-Key is missing.")
    text = header.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not is_key(text):
        raise Problem("invalid-header", f"Idempotency-Key: must be 1 to {MOST_KEY} of A-Z a-z 0-9 . _ : -")
    return text


def purchase_key(path_part: str) -> str:
    """The Idempotency-Key of a purchase, as a path names it.

    Raises:
        Problem: no purchase can have this one.
    """
    if not is_key(path_part):
        raise Problem("no-such-purchase", f"An Idempotency-Key is 1 to {MOST_KEY} of A-Z a-z 0-9 . _ : -")
    return path_part


def is_key(text: str) -> bool:
    """Whether a key can be called so."""
    return _KEY.fullmatch(text) is not None


@lru_cache(maxsize=1_024)
def wait_s(prefer: str | None, otherwise_s: float = DEFAULT_WAIT_S) -> float:
    """How long the answer is waited for, by a ``Prefer`` header (RFC 7240); 0 for ``respond-async``.

    A preference that is not understood is passed over, as the RFC wants it.
    """
    wanted = float(otherwise_s)
    for preference in (prefer or "").split(","):
        text = preference.partition(";")[0].strip()
        if text.lower() == "respond-async":
            return 0.0
        if found := _WAIT.fullmatch(text):
            wanted = float(min(int(found[1]), LONGEST_WAIT_S))
    return wanted
