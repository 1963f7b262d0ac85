"""``GET /v1/events`` and ``/v1/events/{event}``: what ``event-stats`` says, byte for byte, one page after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from boxoffice.gateway.commands import event_id_in
from boxoffice.gateway.conditional import READS, answer
from boxoffice.gateway.messages import JSON, Headers, Problem, Request, Response
from boxoffice.statistics.states import EventState, EventStates

PATH: Final = "/v1/events"
USUAL_LIMIT: Final = 50
MOST_LIMIT: Final = 100

_KEPT: Final[Headers] = [("cache-control", "public, max-age=1"), ("content-type", JSON)]
_RETRY: Final = [("retry-after", "1")]
_LIMIT: Final = re.compile("[1-9][0-9]{0,8}")
_MOST_QUERY: Final = 200
_MOST_FIELDS: Final = 8


class _Asked(NamedTuple):
    after: str | None
    limit: int


class Events:
    """Shows events to whoever asks: what all may see needs no key."""

    def __init__(self, states: EventStates) -> None:
        self._states = states

    async def all(self, request: Request) -> Response:
        """A page of all events."""
        return listed(self._states, request)

    async def one(self, request: Request, event: str) -> Response:
        """One event."""
        return one(self._states, request, event)


def one(states: EventStates, request: Request, event: str) -> Response:
    """An event's figures; its entity tag is the seq of its last fact.

    Raises:
        Problem: there is no such event, or something else is asked of it than to be read.
    """
    if request.method not in READS:
        raise Problem("method-not-allowed", "Only GET and HEAD.", headers=[("allow", ", ".join(READS))])
    state = found(states, event)
    return answer(request.header("if-none-match"), f'"{state.seq}"', _KEPT, state.body)


def found(states: EventStates, event: str) -> EventState:
    """An event that a path names.

    Raises:
        Problem: there is no such event, or it was not read yet.
    """
    state = states.get(event_id_in(event))
    if state is not None:
        return state
    if not states.is_whole:
        raise Problem("not-loaded", "The figures of this event have not been read yet.", headers=_RETRY)
    beside = ", or it is one of more than are kept here" if states.left_out else ""
    raise Problem("unknown-event", f"There is no event {event}{beside}.")


def listed(states: EventStates, request: Request) -> Response:
    """A page of all events, by their numbers, and where the next page begins.

    Raises:
        Problem: the query asks for what there is not, or the events were not read yet.
    """
    asked = _read_query(request.query)
    if not states.is_whole:
        raise Problem("not-loaded", "The figures of all events have not been read yet.", headers=_RETRY)
    page, more_follow = states.page(asked.after, asked.limit)
    cursor = page[-1].event_id if more_follow else None
    headers = _KEPT
    if cursor is not None:
        headers = [*_KEPT, ("link", f'<{PATH}?cursor={cursor}&limit={asked.limit}>; rel="next"')]
    return answer(request.header("if-none-match"), _tag(page, cursor), headers, _body(page, cursor))


def _body(page: Sequence[EventState], cursor: str | None) -> bytes:
    following = b'"%b"' % cursor.encode() if cursor is not None else b"null"
    return b'{"events":[%b],"next_cursor":%b}' % (b",".join(state.body for state in page), following)


def _tag(page: Sequence[EventState], cursor: str | None) -> str:
    """The same wherever the same was read: of each event its seq."""
    content = ",".join(f"{state.event_id}-{state.seq}" for state in page)
    return f'"{sha256(f"{content};{cursor}".encode()).hexdigest()[:32]}"'


def _read_query(query: str) -> _Asked:
    members = _members(query)
    if unknown := members.keys() - {"cursor", "limit"}:
        raise _wrong(f"{min(unknown)[:50]!r} is not known: cursor and limit are")
    cursor, limit = members.get("cursor"), members.get("limit", str(USUAL_LIMIT))
    if not _LIMIT.fullmatch(limit) or int(limit) > MOST_LIMIT:
        raise _wrong(f"limit must be a number from 1 to {MOST_LIMIT}")
    if cursor is None:
        return _Asked(None, int(limit))
    try:
        return _Asked(event_id_in(cursor), int(limit))
    except Problem:
        raise _wrong("cursor must be what next_cursor of the page before said") from None


def _members(query: str) -> dict[str, str]:
    if len(query) > _MOST_QUERY:
        raise _wrong(f"it has more than {_MOST_QUERY} characters")
    try:
        members = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise _wrong("it cannot be read") from None
    named = dict(members)
    if len(named) != len(members):
        raise _wrong("a member may stand there once")
    return named


def _wrong(what: str) -> Problem:
    return Problem("invalid-query", f"The query: {what}.")
