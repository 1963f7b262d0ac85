"""What a ticket's page says, as plain values, and what of it is the same in every language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class EventPage:
    """What all tickets of an event say that are of one category and one price."""

    event_id: str
    name: str
    venue: str
    starts_at: str
    """RFC 3339, with the event's own offset."""
    amount: int
    """What one ticket cost, in the currency's smallest unit."""
    currency: str
    category: str = ""
    """Its name; empty where the event names none."""


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


class Style(NamedTuple):
    """How tickets are drawn: what else has characters that Fira Sans does not have, and the language of the page."""

    fonts: tuple[str, ...] = ()
    """Font files, which are asked in this order, before Noto."""
    language: str = "en"


class Rendered(NamedTuple):
    """A PDF, and a sentence for each thing in it that does not look as it should."""

    pdf: bytes
    flaws: tuple[str, ...]


def offset_text(starts_at: str) -> str:
    """``UTC+01:00``: which clock the time is read from."""
    offset = re.search(r"[+-]\d\d:\d\d$", starts_at)
    return "UTC" if offset is None or offset[0][1:] == "00:00" else f"UTC{offset[0]}"
