"""``/v1/stream`` and ``/v1/events/{event}/stream``: how a stream begins and ends; the hub does what is between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, cast

from aiohttp import HttpVersion11, web

from boxoffice import metrics
from boxoffice.gateway.events import found
from boxoffice.gateway.messages import Problem
from boxoffice.live import framing
from boxoffice.live.hub import Hub, Stream
from boxoffice.live.serving import Connection
from boxoffice.statistics.states import EventState, EventStates

MOST_AT_FIRST: Final = 1_000
"""Events of which a stream of all says at its beginning how they are: those that changed last."""
_IN_ONE_WRITE: Final = 50
_BRING_UP_S: Final = 30.0
"""Whoever has not taken in so long what his stream begins with is cut off."""
_RETRY_MS: Final = (2_000, 5_000)
"""Viewers who were cut off together do not come again together."""

_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would gather what is to be seen at once.
    "X-Accel-Buffering": "no",
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
    "Server": "boxoffice",
}


def again() -> tuple[str, str]:
    """After how long to come again; not all at once."""
    return "retry-after", str(random.randint(_RETRY_MS[0] // 1_000, _RETRY_MS[1] // 1_000))  # noqa: S311  # no secret


class Places:
    """How many streams may be open, in all and of one address."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._of: Counter[str] = Counter()
        self.taken = 0

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place for a stream of an address, until the block ends.

        Raises:
            Problem: there is none.
        """
        if self._of[address] >= self._most_of_one:
            metrics.STREAMS_REFUSED.labels("address").inc()
            raise Problem("too-many-streams", f"{self._most_of_one} streams of {address} are open.", headers=[again()])
        if self.taken >= self._most:
            metrics.STREAMS_REFUSED.labels("all").inc()
            raise Problem("streams-full", "No more streams can be opened here now.", headers=[again()])
        self.taken += 1
        self._of[address] += 1
        metrics.STREAMS.set(self.taken)
        try:
            yield
        finally:
            self.taken -= 1
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]
            metrics.STREAMS.set(self.taken)


class Streams:
    """Opens streams."""

    def __init__(self, states: EventStates, hub: Hub, places: Places) -> None:
        self._states = states
        self._hub = hub
        self._places = places
        self._loop = asyncio.get_running_loop()
        self.draining = False

    async def open(self, request: web.BaseRequest, address: str, event: str | None) -> web.StreamResponse:
        """Stream to a viewer until he goes, is cut off, or the process ends; all events, or one.

        Raises:
            Problem: he gets no stream.
        """
        if request.method != "GET":
            raise Problem("method-not-allowed", "Only GET.", headers=[("allow", "GET")])
        if self.draining:
            raise Problem("draining", "This instance is ending.", headers=[again()])
        event_id = None if event is None else found(self._states, event).event_id
        with self._places.place(address):
            response = web.StreamResponse(headers=_HEADERS)
            response.force_close()
            # He may go while his stream begins.
            with suppress(ConnectionError):
                await self._stream(request, response, event_id)
            return response

    async def _stream(self, request: web.BaseRequest, response: web.StreamResponse, event_id: str | None) -> None:
        await response.prepare(request)
        connection = cast(Connection, request.protocol)
        connection.streams()
        transport = request.transport
        if transport is None:
            return
        is_chunked = request.version >= HttpVersion11
        stream = Stream(transport, event_id, self._loop.create_future(), is_chunked=is_chunked)
        stream.write(framing.retry(random.randint(*_RETRY_MS)))  # noqa: S311  # no secret
        if event_id is None:
            try:
                async with asyncio.timeout(_BRING_UP_S):
                    await self._bring_up(response)
            except TimeoutError:
                metrics.STREAMS_CUT.inc()
                connection.cut()
                return
        self._hub.join(stream)
        try:
            # It may have begun to end before this one was there to be ended.
            if not self.draining:
                await stream.ended
        finally:
            self._hub.leave(stream)

    async def _bring_up(self, response: web.StreamResponse) -> None:
        """Say how all events are, and what changes meanwhile, at the pace of the viewer."""
        told: Sequence[EventState] = self._states.newest(MOST_AT_FIRST)
        while told:
            version = self._states.version
            rest = iter(told)
            while some := list(islice(rest, _IN_ONE_WRITE)):
                await response.write(framing.updates(some))
            told = self._states.changed_since(version)
