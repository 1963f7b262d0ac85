"""The newest figures of each event as they lie on ``event-stats``: for whoever shows them, byte for byte."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Final, NamedTuple

from pydantic_core import from_json

from boxoffice.statistics.figures import read_stats_record
from models.figures import UnreadableFiguresError

MOST_BYTES: Final = 128 * 1024
"""Of one record: more than figures of 50 categories with the longest names and the largest numbers take."""
_LINE_ENDS: Final = (b"\n", b"\r")
"""We write none, and a stream of server-sent events would take what follows for its own."""


class EventState(NamedTuple):
    """An event's newest figures. ``version`` counts the changes of all events, as this process has seen them."""

    event_id: str
    seq: int
    body: bytes
    """The record's own JSON; empty where the event turned out to be none."""
    version: int

    @property
    def is_removed(self) -> bool:
        """Whether it is no event any more."""
        return not self.body


class EventStates:
    """All events' newest figures, up to a bound, in the order in which they changed last.

    ``is_whole`` is set by whoever reads the topic, once he has read all that was there. ``strange`` counts records
    that nobody of ours wrote, ``left_out`` those of events beyond the bound.
    """

    def __init__(self, most_events: int) -> None:
        self._most_events = most_events
        self._by_id: dict[str, EventState] = {}
        self._removed = 0
        self._order: list[int] | None = None
        self.version = 0
        self.is_whole = False
        self.strange = 0
        self.left_out = 0

    def __len__(self) -> int:
        """How many events there are."""
        return len(self._by_id) - self._removed

    def take(self, key: bytes | None, value: bytes | None) -> bool:
        """Take a record, whatever it is; returns whether it changes anything. A partition's come in order."""
        try:
            if value is not None and not _can_be_shown(value):
                raise UnreadableFiguresError("it is larger than figures are, has lines, or is no JSON")
            event_id, figures = read_stats_record(key, value)
        except UnreadableFiguresError:
            self.strange += 1
            return False
        before = self._by_id.get(event_id)
        if value is None or figures is None:
            return self._put(EventState(event_id, 0, b"", self.version + 1), before) if before is not None else False
        if before is None and len(self._by_id) >= self._most_events:
            self.left_out += 1
            return False
        # A replaced worker's last words are older than what its successor said before.
        if before is not None and before.seq > figures["seq"]:
            return False
        return self._put(EventState(event_id, figures["seq"], value, self.version + 1), before)

    def _put(self, state: EventState, before: EventState | None) -> bool:
        if before is not None and before.body == state.body:
            return False
        was_removed = before is not None and before.is_removed
        if before is None or was_removed != state.is_removed:
            self._order = None
        self._removed += state.is_removed - was_removed
        self.version = state.version
        # What changed last stands last.
        self._by_id.pop(state.event_id, None)
        self._by_id[state.event_id] = state
        return True

    def get(self, event_id: str) -> EventState | None:
        """An event's newest figures; None if there is no such event."""
        state = self._by_id.get(event_id)
        return None if state is None or state.is_removed else state

    def latest(self, event_id: str) -> EventState | None:
        """What was heard of an event last, which may be that it is none; None if nothing was."""
        return self._by_id.get(event_id)

    def newest(self, most: int) -> list[EventState]:
        """The events that changed last, at most so many, the last of them at the end."""
        there = (state for state in reversed(self._by_id.values()) if not state.is_removed)
        return list(islice(there, most))[::-1]

    def changed_since(self, version: int) -> list[EventState]:
        """What has changed since then, removed events too, what changed last at the end."""
        newer = takewhile(lambda state: state.version > version, reversed(self._by_id.values()))
        return list(newer)[::-1]

    def page(self, after: str | None, limit: int) -> tuple[list[EventState], bool]:
        """The next events by their numbers, behind one that need not be there; and whether more follow."""
        order = self._ordered()
        start = 0 if after is None else bisect_right(order, int(after))
        found = [self._by_id[str(number)] for number in order[start : start + limit]]
        return found, start + limit < len(order)

    def _ordered(self) -> Sequence[int]:
        if self._order is None:
            self._order = sorted(int(state.event_id) for state in self._by_id.values() if not state.is_removed)
        return self._order


def _can_be_shown(value: bytes) -> bool:
    """Whether it is JSON that every client reads, on a line that ends no earlier than it seems to."""
    if len(value) > MOST_BYTES or any(end in value for end in _LINE_ENDS):
        return False
    try:
        # Figures are read without members that are not known, and these are shown too. NaN is JSON to some readers, and
        # none to a browser: of one event it would take the whole page of events away.
        from_json(value, allow_inf_nan=False)
    except ValueError:
        return False
    return True
