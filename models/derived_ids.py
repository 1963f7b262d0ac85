"""Ids of commands that follow from something else: whoever triggers one again asks again, and not anew.

An id is made of what it is about alone, so any two who trigger the same make the same command. Never of two ids joined,
since both may have 64 characters, which is all that a request id may have.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

EXPIRY: Final = "expire"
"""Of ``expire_hold``, about a purchase that is held."""
CALLING_OFF: Final = "call-off"
"""Of ``cancel_purchase``, about a purchase of an event that was called off."""

_AGAIN: Final = "-again"
_DIGITS: Final = 32


def first_id(kind: str, purchase: str) -> str:
    """The id of the command of that kind about a purchase, which is named by its request id."""
    return f"{kind}:{_digits(purchase)}"


def next_id(taken: str) -> str:
    """The id in the place of one that stands for somebody's own request: it was answered ``request_id_reused``.

    It is of a kind of its own, so that it is no first id of another purchase.
    """
    kind = taken.partition(":")[0].removesuffix(_AGAIN)
    return f"{kind}{_AGAIN}:{_digits(taken)}"


def _digits(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGITS]
