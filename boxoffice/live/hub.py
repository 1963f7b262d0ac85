"""The hub: tells all streams what has changed, in one place.

A stream has no task that wakes up: an update is written once as bytes, and handed to each transport. Whoever does not
take what he is sent is cut off, and comes again to the newest figures. Nobody is waited for.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from typing import Final

from boxoffice import metrics
from boxoffice.live import framing
from boxoffice.live.framing import Frame
from boxoffice.statistics.states import EventStates

BEAT_S: Final = 15
AT_ONCE: Final = 250
"""Streams that are written to, or ended, before others get their turn: it takes some milliseconds."""


class Stream:
    """One who watches an event, or all of them."""

    __slots__ = ("ended", "event_id", "is_chunked", "slot", "transport")

    def __init__(
        self, transport: asyncio.Transport, event_id: str | None, ended: asyncio.Future[None], *, is_chunked: bool
    ) -> None:
        self.transport = transport
        self.event_id = event_id
        self.ended = ended
        self.is_chunked = is_chunked
        self.slot = 0

    def write(self, frame: Frame) -> None:
        """Send it, as far as the other side takes it; the rest waits here. To who is gone nothing can be written."""
        if not self.transport.is_closing():
            self.transport.write(frame.chunk if self.is_chunked else frame.plain)

    def end(self) -> None:
        """No more comes: whoever waits for its end closes it in order."""
        if not self.ended.done():
            self.ended.set_result(None)


class Hub:
    """All streams, and what they have been told."""

    def __init__(self, states: EventStates, interval_s: float, most_buffered_bytes: int) -> None:
        self._states = states
        self._interval_s = interval_s
        self._most_buffered_bytes = most_buffered_bytes
        self._of_all: set[Stream] = set()
        self._of_event: defaultdict[str, set[Stream]] = defaultdict(set)
        self._slots: list[set[Stream]] = [set() for _ in range(BEAT_S)]
        self._joined = 0
        self._told = states.version
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def join(self, stream: Stream) -> None:
        """Tell a stream what changes from now on; of one event also what is so now."""
        stream.slot = self._joined % BEAT_S
        self._joined += 1
        self._slots[stream.slot].add(stream)
        if stream.event_id is None:
            self._of_all.add(stream)
            return
        self._of_event[stream.event_id].add(stream)
        if (state := self._states.get(stream.event_id)) is not None:
            stream.write(framing.frame(framing.update(state)))

    def leave(self, stream: Stream) -> None:
        """It is gone."""
        self._slots[stream.slot].discard(stream)
        self._of_all.discard(stream)
        if stream.event_id is not None and (streams := self._of_event.get(stream.event_id)) is not None:
            streams.discard(stream)
            if not streams:
                del self._of_event[stream.event_id]

    def wake(self) -> None:
        """Something has changed."""
        self._news.set()

    async def run(self) -> None:
        """Tell what changes, and beat, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell())
            tasks.create_task(self._beat())

    async def end(self) -> None:
        """End all streams, some at a time: their viewers come again elsewhere."""
        for slot in self._slots:
            for number, stream in enumerate(tuple(slot), start=1):
                stream.end()
                if not number % AT_ONCE:
                    await asyncio.sleep(0)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if await self.tell_changes():
                # What changes meanwhile is told together. What nobody was told makes nobody wait.
                await asyncio.sleep(self._interval_s)

    async def tell_changes(self) -> bool:
        """Tell everybody what has changed since this was done last; returns whether anybody was told anything."""
        changed = self._states.changed_since(self._told)
        self._told = self._states.version
        sent = 0
        if self._of_all and changed:
            sent += await self._write(self._of_all, framing.frame(framing.updates(changed)))
        for state in changed:
            if streams := self._of_event.get(state.event_id):
                # Others had their turn meanwhile: whoever has come since knows of what has changed since.
                newest = self._states.latest(state.event_id) or state
                sent += await self._write(streams, framing.frame(framing.update(newest)))
        return sent > 0

    async def _beat(self) -> None:
        """A share of the streams each second, so that others do not wait for all of them."""
        while True:
            for slot in self._slots:
                await asyncio.sleep(1)
                await self._write(slot, framing.BEAT)

    async def _write(self, streams: Collection[Stream], frame: Frame) -> int:
        """Send it to each of them; returns to how many."""
        sent = 0
        for number, stream in enumerate(tuple(streams), start=1):
            sent += self._send(stream, frame)
            if not number % AT_ONCE:
                await asyncio.sleep(0)
        metrics.STREAM_SENDS.inc(sent)
        return sent

    def _send(self, stream: Stream, frame: Frame) -> bool:
        """Send it, or cut off a viewer who does not take what he is sent; returns whether it was sent."""
        transport = stream.transport
        if stream.ended.done() or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._most_buffered_bytes:
            metrics.STREAMS_CUT.inc()
            transport.abort()
            return False
        stream.write(frame)
        return True
