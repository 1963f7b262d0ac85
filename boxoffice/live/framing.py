"""Server-sent events: an event's figures as they go over the line, written once for all who watch it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from boxoffice.statistics.states import EventState


class Frame(NamedTuple):
    """Bytes for a stream: as they are, and as a chunk of HTTP/1.1."""

    plain: bytes
    chunk: bytes


def frame(plain: bytes) -> Frame:
    """The bytes, ready for both."""
    return Frame(plain, b"%x\r\n%b\r\n" % (len(plain), plain))


def update(state: EventState) -> bytes:
    """An event's figures, absolute: who missed some has missed nothing."""
    event_id = state.event_id.encode()
    if state.is_removed:
        return b'event: removed\ndata: {"event_id":"%b"}\n\n' % event_id
    return b"event: stats\nid: %b-%d\ndata: %b\n\n" % (event_id, state.seq, state.body)


def updates(states: Iterable[EventState]) -> bytes:
    """The figures of several."""
    return b"".join(map(update, states))


def retry(pause_ms: int) -> Frame:
    """What a stream begins with: after how long it is opened again once it has ended."""
    return frame(b"retry: %d\n\n" % pause_ms)


BEAT: Final = frame(b"event: beat\ndata:\n\n")
"""Keeps a stream open through whatever ends connections on which nothing comes, and finds who is gone.

It is no comment, since a browser tells its page of events alone: a page that hears none for long knows that its
stream is dead, though nobody has ended the connection.
"""
