"""A ticket's name, EVENT-NNNNNN: six digits, and as many more as its number has.

Here alone it is said what such a name is. ``lua/purchase.lua`` writes it too, for Redis; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from models.members import EVENT_ID_PATTERN, MAX_QUANTITY

LEAST_DIGITS: Final = 6

# No more digits than a number of ours has, and no zero before them that nobody would write.
_NUMBER: Final = f"([0-9]{{{LEAST_DIGITS}}}|[1-9][0-9]{{{LEAST_DIGITS},18}})"
TICKET_PATTERN: Final = f"{EVENT_ID_PATTERN}-{_NUMBER}"
_TICKET: Final = re.compile(TICKET_PATTERN)

Ticket = Annotated[str, Field(pattern=f"^{TICKET_PATTERN}$", description="EVENT-NNNNNN.")]


def _all_different(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("repeated", "none may come twice")
    return values


SomeTickets = Annotated[
    list[Ticket],
    Field(
        min_length=1,
        max_length=MAX_QUANTITY,
        description="Some of the purchase's tickets; all of them where it is left out.",
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_all_different),
]


def ticket_name(event_id: str, number: int) -> str:
    """The name of an event's ticket."""
    return f"{event_id}-{number:0{LEAST_DIGITS}d}"


def is_ticket_name(text: str) -> bool:
    """Whether a ticket can be called so."""
    return _TICKET.fullmatch(text) is not None


def are_tickets_of(event_id: str, tickets: Iterable[str]) -> bool:
    """Whether these are names that tickets of the event have, which go into those of documents."""
    prefix = f"{event_id}-"
    return all(ticket.startswith(prefix) and is_ticket_name(ticket) for ticket in tickets)


def ticket_number(ticket: str) -> int:
    """The number in a ticket's name."""
    return int(ticket.rpartition("-")[2])


def event_of(ticket: str) -> str:
    """The event in a ticket's name."""
    return ticket.partition("-")[0]
