"""What members of messages may be: their bounds, once for commands and for facts.

What a character may be is given by fixed code points, never by a library's Unicode tables, since two
workers may run different versions of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from models.times import TIME_PATTERN, moment

MAX_QUANTITY: Final = 100
MAX_CAPACITY: Final = 1_000_000
MAX_CATEGORIES: Final = 50
LEAST_HOLD_S: Final = 60
MAX_HOLD_S: Final = 86_400
GENERAL: Final = "general"
"""The one category of an event that names none."""
MAX_EVENT_ID: Final = 10**18 - 1
MAX_PRICE_AMOUNT: Final = 10**12

PRINTABLE: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""No control characters: U+0000 to 1F and 7F to 9F."""

_SHOWS_NOTHING: Final = re.compile(
    "[\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)
"""Spaces, controls, what joins or turns other text, and fillers: white space, and what Unicode has ignored."""


def shows_something(text: str) -> bool:
    """Whether anything is to be seen of a text, in whatever font.

    A command whose name shows nothing is readable all the same: a worker of an older release decides it, and two must
    not decide the same command in two ways. Who types one is refused; a page says something in its place.
    """
    return _SHOWS_NOTHING.fullmatch(text) is None


def _a_date_that_exists(value: str) -> str:
    moment(value)
    return value


EVENT_ID_PATTERN: Final = "(0|[1-9][0-9]{0,17})"
EventIdText = Annotated[str, Field(pattern=f"^{EVENT_ID_PATTERN}$")]
if TYPE_CHECKING:
    EventId = str  # which it is once it was read
else:
    EventId = Annotated[
        EventIdText | Annotated[int, Field(ge=0, le=MAX_EVENT_ID), AfterValidator(str)],
        Field(
            union_mode="left_to_right",
            description="A decimal number of 1 to 18 digits without leading zeros, as a string or an integer.",
        ),
    ]
RequestId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Chosen by who sends the command; the same id again is answered with the same fact.",
    ),
]
Buyer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
        description="Opaque, not personal data: it is kept for ever.",
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
StartsAt = Annotated[
    str,
    Field(
        pattern=TIME_PATTERN,
        description="RFC 3339, with the offset of the event's own place; seconds may be left out. Kept as it came.",
    ),
    AfterValidator(_a_date_that_exists),
]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Count = Annotated[int, Field(ge=1, le=MAX_CAPACITY)]
Amount = Annotated[int, Field(ge=0, le=MAX_PRICE_AMOUNT, description="In the currency's smallest unit.")]
Sum = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_QUANTITY * MAX_PRICE_AMOUNT,
        description="Of all tickets together, in the currency's smallest unit.",
    ),
]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.")]
CategoryId = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="Of one of the event's categories; an event that names none has one, `general`.",
    ),
]
CategoryName = Annotated[str, Field(min_length=1, max_length=100, pattern=PRINTABLE)]
PaymentId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="The payment's own id, by whoever took it; it is used once, or refused for ever.",
    ),
]
Actor = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
        description="Who sends the command, opaque; its fact repeats it. It belongs to what a request id stands for.",
    ),
]
OnSaleAt = Annotated[
    str,
    Field(pattern=TIME_PATTERN, description="From then on tickets are sold, by the broker's timestamp. RFC 3339."),
    AfterValidator(_a_date_that_exists),
]
OffSaleAt = Annotated[
    str,
    Field(pattern=TIME_PATTERN, description="From then on no ticket is sold, by the broker's timestamp. RFC 3339."),
    AfterValidator(_a_date_that_exists),
]
HoldS = Annotated[
    int,
    Field(
        ge=LEAST_HOLD_S,
        le=MAX_HOLD_S,
        description="How long a purchase that costs something is held until it is paid, in seconds.",
    ),
]


def _nothing_or_a_hold(value: int) -> int:
    if 0 < value < LEAST_HOLD_S:
        raise PydanticCustomError(
            "hold", "must be 0, or {least} to {most}", {"least": LEAST_HOLD_S, "most": MAX_HOLD_S}
        )
    return value


HoldSOrNone = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_HOLD_S,
        description="0: nothing is held any more.",
        json_schema_extra={
            "anyOf": [{"type": "integer", "maximum": 0}, {"type": "integer", "minimum": LEAST_HOLD_S}],
        },
    ),
    AfterValidator(_nothing_or_a_hold),
]
LimitOrNone = Annotated[int, Field(ge=0, le=MAX_CAPACITY, description="0: no limit.")]
