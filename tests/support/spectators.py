"""Live processes as an operator runs them, and viewers who read their streams, or do not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, Self

import aiohttp

from boxoffice.embedded.ports import HOST, free_port
from tests.support.office import Office, Process, until

PATIENCE_S = 30.0


class Update(NamedTuple):
    """One server-sent event."""

    name: str
    id: str
    data: Any


class Viewer:
    """Reads a stream byte by byte as it comes, as a browser does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""
        self._is_chunked = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.retry_ms = 0
        self.beats = 0
        self.ended_in_order = False

    @classmethod
    async def open(cls, port: int, path: str, *, version: str = "1.1", **headers: str) -> Self:
        """Ask for a stream, and read the head of the answer."""
        reader, writer = await asyncio.open_connection(HOST, port)
        viewer = cls(reader, writer)
        await viewer._ask(path, version, headers)
        return viewer

    async def _ask(self, path: str, version: str, headers: dict[str, str]) -> None:
        lines = [f"GET {path} HTTP/{version}", f"Host: {HOST}", *(f"{name}: {of}" for name, of in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)
        }
        self._is_chunked = self.headers.get("transfer-encoding") == "chunked"

    async def next(self) -> Update:
        """The next server-sent event.

        Raises:
            EOFError: the stream has ended.
        """
        async with asyncio.timeout(PATIENCE_S):
            while True:
                block, end, rest = self._rest.partition(b"\n\n")
                if not end:
                    self._rest += await self._more()
                    continue
                self._rest = rest
                if (update := self._read(block.decode())) is not None:
                    return update

    async def until(self, event_id: str) -> list[Update]:
        """All events up to one with this id."""
        found = [await self.next()]
        while found[-1].id != event_id:
            found.append(await self.next())
        return found

    async def until_all(self, event_ids: set[str]) -> None:
        """Read on until each of these ids was seen."""
        left = set(event_ids)
        while left:
            left.discard((await self.next()).id)

    async def end(self) -> list[Update]:
        """All that still comes, until the stream ends."""
        found = []
        while True:
            try:
                found.append(await self.next())
            except EOFError:
                return found

    async def is_let_go(self) -> bool:
        """Whether nothing else comes, and the connection ends."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read() == b""

    async def body(self) -> Any:
        """The body of an answer that is no stream."""
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self._reader.readexactly(int(self.headers["content-length"])))

    async def aclose(self) -> None:
        """Go away."""
        await let_go(self._writer)

    def _read(self, block: str) -> Update | None:
        fields = {"event": "message", "id": "", "data": ""}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name == "retry":
                self.retry_ms = int(value)
            else:
                fields[name] = value.removeprefix(" ")
        self.beats += fields["event"] == "beat"
        return Update(fields["event"], fields["id"], json.loads(fields["data"])) if fields["data"] else None

    async def _more(self) -> bytes:
        if not self._is_chunked:
            if not (data := await self._reader.read(65_536)):
                raise EOFError
            return data
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            data = await self._reader.readexactly(size + 2)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None
        if not size:
            self.ended_in_order = True
            raise EOFError
        return data[:-2]


class LivePage:
    """A live process, and how it is spoken to."""

    def __init__(self, office: Office, **environment: str) -> None:
        self.port = free_port()
        self.base = f"http://{HOST}:{self.port}"
        self.process: Process = office.start("live", BOXOFFICE_LIVE_PORT=str(self.port), **environment)
        self._viewers: list[Viewer] = []

    async def ready(self) -> None:
        """Wait until it listens."""

        def listens() -> bool:
            assert self.process.ended() is None, self.process.log_text()
            return "the live process listens" in self.process.log_text()

        await until(listens, 60, "the live process to listen")

    async def watch(self, path: str = "/v1/stream", **options: str) -> Viewer:
        """Somebody who watches."""
        viewer = await Viewer.open(self.port, path, **options)
        self._viewers.append(viewer)
        return viewer

    @asynccontextmanager
    async def get(
        self, session: aiohttp.ClientSession, path: str, **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.get(self.base + path, headers=named) as response:
            yield response

    async def aclose(self) -> None:
        """Everybody goes away."""
        for viewer in self._viewers:
            await viewer.aclose()


async def let_go(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever has become of it."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def deaf_socket(port: int, path: str, receive_bytes: int = 4_096) -> socket.socket:
    """A connection that asks and never reads what it is answered."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    opened.connect((HOST, port))
    opened.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return opened
