"""A TCP proxy between the product and one server: it delays, hangs, swallows, cuts and refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from boxoffice.embedded.ports import HOST, free_port

CHUNK_BYTES = 64 * 1024
CONTROL_TIMEOUT_S = 10.0


@dataclass(eq=False, slots=True)
class _Connection:
    """One client's connection, and the one to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    reply_bytes_left: int | None
    """Replies are cut off after this many more; None: they are not."""
    request_bytes_left: int | None
    """The same of requests."""
    has_lost_replies: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Listens on a port of its own, and passes everything on to the server's, until it is told otherwise.

    What a method says holds for the connections that are open and for those to come, until ``restore``.
    It works in a thread of its own: a test that is busy disturbs nobody's connection.
    """

    def __init__(self, server_port: int, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self._server_port = server_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay_s = 0.0
        self._delay_one_in = 1
        self._replies = 0
        self._swallows = False
        self._reply_bytes: int | None = None
        self._request_bytes: int | None = None

    @property
    def address(self) -> str:
        """``HOST:PORT``, where clients come."""
        return f"{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What it can be told

    def delay(self, seconds: float, one_in: int = 1) -> None:
        """Let the replies arrive so much later, all or one in so many."""

        def set_delay() -> None:
            self._delay_s, self._delay_one_in = seconds, one_in

        self._now(set_delay)

    def hang(self) -> None:
        """Let nothing pass, in either direction; connections are accepted, and nothing is lost."""
        self._now(self._flowing.clear)

    def swallow(self) -> None:
        """Let requests through, and no reply."""
        self._now(lambda: setattr(self, "_swallows", True))

    def cut(self) -> None:
        """Cut the connections that are open, once."""
        self._now(self._abort_all)

    def cut_after(self, reply_bytes: int) -> None:
        """Cut each connection once so many more bytes of replies have passed."""
        self._now(lambda: self._bound_replies(reply_bytes))

    def cut_requests_after(self, request_bytes: int) -> None:
        """Cut each connection once so many more bytes of requests have passed."""
        self._now(lambda: self._bound_requests(request_bytes))

    def lead_to(self, server_port: int) -> None:
        """Cut the connections, and bring new ones to another server: a failover."""

        def switch() -> None:
            self._server_port = server_port
            self._abort_all()

        self._now(switch)

    def refuse(self) -> None:
        """Cut the connections, and refuse new ones."""
        self._now(self._close)

    def restore(self) -> None:
        """Pass everything on again. Connections that have lost replies are cut: nobody could read what comes next."""
        self._wait(self._restore())

    # In its own thread

    def _now(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self._wait(act())

    def _wait(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_TIMEOUT_S)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, HOST, self.port)

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._abort_all()

    def _abort_all(self) -> None:
        for connection in self._connections:
            connection.abort()

    def _bound_replies(self, reply_bytes: int | None) -> None:
        self._reply_bytes = reply_bytes
        for connection in self._connections:
            connection.reply_bytes_left = reply_bytes

    def _bound_requests(self, request_bytes: int | None) -> None:
        self._request_bytes = request_bytes
        for connection in self._connections:
            connection.request_bytes_left = request_bytes

    async def _restore(self) -> None:
        for connection in self._connections:
            if connection.has_lost_replies:
                connection.abort()
        self._delay_s, self._swallows = 0.0, False
        self._bound_replies(None)
        self._bound_requests(None)
        self._flowing.set()
        await self._listen()

    async def _end(self) -> None:
        self._close()
        await asyncio.sleep(0)  # Who has just come is served: only what has begun closes its connection when cancelled.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self._server_port)
        except (OSError, asyncio.CancelledError):
            to_client.transport.abort()
            return
        connection = _Connection(to_client, to_server, self._reply_bytes, self._request_bytes)
        self._connections.add(connection)
        passing = [
            asyncio.create_task(self._pass_requests(from_client, connection)),
            asyncio.create_task(self._pass_replies(from_server, connection)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            for task in passing:
                task.cancel()
            to_client.close()
            to_server.close()

    async def _pass_requests(self, from_client: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError):
            while connection.request_bytes_left != 0 and (data := await from_client.read(CHUNK_BYTES)):
                await self._flowing.wait()
                if connection.request_bytes_left is not None:
                    data = data[: connection.request_bytes_left]
                    connection.request_bytes_left -= len(data)
                connection.server.write(data)
                await connection.server.drain()

    async def _pass_replies(self, from_server: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError):
            while connection.reply_bytes_left != 0 and (data := await from_server.read(CHUNK_BYTES)):
                self._replies += 1
                if self._delay_s and self._replies % self._delay_one_in == 0:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                connection.client.write(self._let_through(data, connection))
                await connection.client.drain()

    def _let_through(self, data: bytes, connection: _Connection) -> bytes:
        if self._swallows:
            connection.has_lost_replies = True
            return b""
        if connection.reply_bytes_left is None:
            return data
        passed = data[: connection.reply_bytes_left]
        connection.reply_bytes_left -= len(passed)
        return passed
