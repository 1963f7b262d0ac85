"""What a ticket's page says, as plain values, and how prices, dates and times are written on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from models.money import amount_text
from models.times import moment

# Not strftime's, which are those of whatever locale the process has.
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_NO_BREAK_SPACE: Final = "\u00a0"


@dataclass(frozen=True, slots=True)
class EventPage:
    """What every ticket of an event says."""

    event_id: str
    name: str
    venue: str
    starts_at: str
    """RFC 3339, with the event's own offset."""
    amount: int
    """In the currency's smallest unit."""
    currency: str


@dataclass(frozen=True, slots=True)
class TicketPage:
    """What one ticket says."""

    event: EventPage
    ticket: str
    buyer: str
    order: str
    """The request id of the purchase."""
    code: str
    """What the QR code says."""


class Rendered(NamedTuple):
    """A PDF, and a sentence for each thing in it that does not look as it should."""

    pdf: bytes
    warnings: tuple[str, ...]


def price_text(amount: int, currency: str) -> str:
    """``1 234.50 EUR``: the same in every language, and never broken into two lines."""
    return amount_text(amount, currency, thousands=" ").replace(" ", _NO_BREAK_SPACE)


def date_text(starts_at: str) -> str:
    """``Monday, 1 March 2027``, where the event is."""
    start = moment(starts_at)
    return f"{_DAYS[start.weekday()]}, {start.day} {_MONTHS[start.month - 1]} {start.year}"


def time_text(starts_at: str) -> str:
    """``19:30``, where the event is, with seconds only where there are some."""
    start = moment(starts_at)
    return f"{start:%H:%M:%S}" if start.second else f"{start:%H:%M}"


def offset_text(starts_at: str) -> str:
    """``UTC+01:00``: which clock the time is read from."""
    offset = re.search(r"[+-]\d\d:\d\d$", starts_at)
    return "UTC" if offset is None or offset[0][1:] == "00:00" else f"UTC{offset[0]}"
