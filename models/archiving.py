"""Archiving: an event whose sale has ended is forgotten, all but its id and its seq.

| command | fact | rule |
|---|---|---|
| ``archive_event`` | ``event_archived`` | of a closed or cancelled event without holds; what comes later is refused |
"""

from __future__ import annotations

from models.commands import ArchiveEvent
from models.decisions import decision, next_request, refused
from models.event import Event, Position
from models.shapes import DecisionFact, EventArchived, Reason


def decide_archiving(event: Event, command: ArchiveEvent, position: Position) -> DecisionFact:
    """The fact about a new request to forget an event."""
    if not (event.closed or event.cancelled) or event.held:
        return refused(event, command, Reason.EVENT_OPEN, position)
    fact: EventArchived = decision("event_archived", next_request(event, command, position))
    return fact
