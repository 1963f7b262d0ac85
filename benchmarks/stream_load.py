"""Viewers of one event: ``python -m benchmarks.stream_load PORT PATH VIEWERS LAST_ID``.

Says ``open`` when all streams are open and have been told how the event is, and reads until each has been told of
LAST_ID. What they were sent is printed as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
from time import monotonic
from typing import Any, Final, cast

import uvloop

OPENED_AT_ONCE: Final = 100
DEADLINE_S: Final = 300.0
_UPDATE: Final = re.compile(rb"^id: ?(\S+)", re.MULTILINE)
_BEAT: Final = re.compile(rb"^:", re.MULTILINE)


class Viewer(asyncio.Protocol):
    """One stream: what is sent on it is counted, and not read further."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast(asyncio.Transport, transport).write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Updates and beats; nobody's is cut in two here, since each is sent in one piece."""
        updates = _UPDATE.findall(data)
        self._load.sends += len(updates) + len(_BEAT.findall(data))
        if updates and not self._told:
            self._told = True
            self._load.opened.release()
        if self._load.last_id in updates:
            self._load.finished()

    def connection_lost(self, _: Exception | None) -> None:
        """The stream has ended, which it should not before the load does."""
        self._load.lost += 1


class Load:
    """All viewers."""

    def __init__(self, port: int, path: str, viewers: int, last_id: str) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        self.last_id = last_id.encode()
        self.opened = asyncio.Semaphore(0)
        self.sends = 0
        self.lost = 0
        self._port = port
        self._viewers = viewers
        self._left = viewers
        self._first_s = 0.0
        self._ended = asyncio.Event()

    def finished(self) -> None:
        """One more has been told of the last."""
        self._first_s = self._first_s or monotonic()
        self._left -= 1
        if not self._left:
            self._ended.set()

    async def run(self) -> dict[str, Any]:
        """Open all, and read on."""
        loop = asyncio.get_running_loop()
        for first in range(0, self._viewers, OPENED_AT_ONCE):
            some = min(OPENED_AT_ONCE, self._viewers - first)
            await asyncio.gather(
                *(loop.create_connection(lambda: Viewer(self), "127.0.0.1", self._port) for _ in range(some))
            )
            for _ in range(some):
                await self.opened.acquire()
        self.sends = 0
        print("open", flush=True)
        async with asyncio.timeout(DEADLINE_S):
            await self._ended.wait()
        return {"sends": self.sends, "lost": self.lost, "first_to_last_s": monotonic() - self._first_s}


async def main(port: int, path: str, viewers: int, last_id: str) -> None:
    """Watch, and print what came of it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(await Load(port, path, viewers, last_id).run()), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
