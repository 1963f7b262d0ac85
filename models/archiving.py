"""Archiving: an event whose sale has ended is forgotten, all but its id and its seq.

| command | fact | rule |
|---|---|---|
| ``archive_event`` | ``event_archived`` | of a closed or cancelled event without holds; what comes later is refused |
"""

from __future__ import annotations

from models.commands import ArchiveEvent
from models.decisions import decision, next_request, refused
from models.event import Event, FoldError, Position
from models.reasons import Reason
from models.shapes import DecisionFact, EventArchived


def decide_archiving(event: Event, command: ArchiveEvent, position: Position) -> DecisionFact:
    """The fact about a new request to forget an event."""
    if _is_open(event):
        return refused(event, command, Reason.EVENT_OPEN, position)
    fact: EventArchived = decision("event_archived", next_request(event, command, position))
    return fact


def _is_open(event: Event) -> bool:
    return not (event.closed or event.cancelled) or bool(event.held)


def check_archiving(event: Event, fact: EventArchived) -> None:
    """Let nobody forget an event that is still sold.

    Raises:
        FoldError: it is, or the fact names a request that was answered before.
    """
    event.new_request(fact)
    if _is_open(event):
        raise FoldError(f"event {event.event_id} is still sold, or has holds, and is archived")
