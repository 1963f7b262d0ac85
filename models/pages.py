"""What tickets' pages say of their event. A change of anything else changes no page."""

from __future__ import annotations

from typing import Final

from models.shapes import EventChanged, EventCreated

ON_PAGES: Final = ("name", "venue", "starts_at")


def says_the_same(one: EventCreated | EventChanged, other: EventCreated | EventChanged) -> bool:
    """Whether the pages that follow from two facts say the same of the event; what was paid they say of the ticket."""
    return all(one.get(member) == other.get(member) for member in ON_PAGES)
