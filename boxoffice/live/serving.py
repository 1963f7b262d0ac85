"""aiohttp, and what it leaves open: connections are bounded in number, and each has to get on.

aiohttp waits for half a request, and for a caller who does not read, for as long as he likes. Here every connection
has a time by which something must have happened, and one sweep looks after all of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, Final, cast

import structlog
from aiohttp import web
from multidict import CIMultiDict

from boxoffice.errors import SettingsError
from boxoffice.gateway.messages import Headers, Problem, Response
from boxoffice.process.listening import why
from boxoffice.settings import LiveSettings
from boxoffice.tasks import end_tasks

log = structlog.get_logger(__name__)

SILENT_S: Final = 15.0
"""So long a connection may take for its next request, whole, and for what is left of the last answer."""
ANSWER_S: Final = 45.0
"""So long an answer may take."""
BESIDE_STREAMS: Final = 1_000
"""Connections beyond those of streams."""
_BACKLOG: Final = 4_096
_SWEEP_S: Final = 1.0
_MOST_LINE: Final = 4_096
_MOST_FIELD: Final = 8_190
_MOST_HEADERS: Final = 64
_LINGERING_S: Final = 0.5
"""Nothing here takes a body: whoever sends one is not listened to for long."""
_END_WITHIN_S: Final = 2.0
_STREAM_BUFFER_BYTES: Final = 64 * 1024
"""What the system itself keeps of a stream: by default it would be megabytes, minutes behind."""

_ON_ALL: Final[Headers] = [("server", "boxoffice"), ("x-content-type-options", "nosniff")]
_NO_STORE: Final = ("cache-control", "no-store")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def written(response: Response) -> web.Response:
    """An answer as aiohttp takes it, with what stands in all of them."""
    headers: CIMultiDict[str] = CIMultiDict([*_ON_ALL, *response.headers])
    if "cache-control" not in headers:
        headers.add(*_NO_STORE)
    return web.Response(status=response.status, headers=headers, body=response.body or None)


class Connection(web.RequestHandler):
    """One connection, and until when something must have happened on it."""

    __slots__ = ("_listener", "_wire", "until_s")

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._wire: asyncio.Transport | None = None
        self.until_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        self._wire = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        self.rests()
        self._listener.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Somebody has gone."""
        self._listener.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request. What comes after a stream was asked for would be kept for as long as it lasts."""
        if self.until_s == math.inf and data:
            self.cut()
        else:
            super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp cannot read is told to whoever has sent it alone: it would write it into the log, keys too."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        answer = written(Problem("invalid-header", "What came is no HTTP request, or one that is too long.").response())
        answer.force_close()
        return answer

    def answers(self) -> None:
        """A request is whole, and is answered."""
        self.until_s = self._loop.time() + ANSWER_S

    def rests(self) -> None:
        """It is answered, but for what the other side has not read yet."""
        self.until_s = self._loop.time() + SILENT_S

    def streams(self) -> None:
        """It stays open, for as long as its viewer takes what he is sent."""
        self.until_s = math.inf
        if self._messages:
            # What came together with the request would be kept for as long as the stream lasts.
            self.cut()
        elif self._wire is not None and (stands := self._wire.get_extra_info("socket")) is not None:
            stands.setsockopt(SOL_SOCKET, SO_SNDBUF, _STREAM_BUFFER_BYTES)

    def cut(self) -> None:
        """End it at once, whatever is on its way."""
        if self._wire is not None:
            self._wire.abort()


class Listener(web.Server):
    """All connections."""

    def __init__(self, handler: Handler, most_connections: int) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._most_connections = most_connections
        self._open: set[Connection] = set()

    def __call__(self) -> Connection:
        """Somebody comes."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=SILENT_S,
            lingering_time=_LINGERING_S,
            max_line_size=_MOST_LINE,
            max_field_size=_MOST_FIELD,
            max_headers=_MOST_HEADERS,
            # A body is refused, and what it says that it is packed with could be anything.
            auto_decompress=False,
        )

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """One more, if there may be one more."""
        self._open.add(connection)
        if len(self._open) > self._most_connections:
            connection.cut()

    def lost(self, connection: Connection) -> None:
        """One less."""
        self._open.discard(connection)

    async def sweep(self) -> None:
        """Cut off connections on which nothing gets on, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in [one for one in self._open if one.until_s < now_s]:
                connection.cut()


def streams_among(connections: int, wanted: int) -> int:
    """How many streams may be open where the system allows so many connections: pages have to find room beside them."""
    return min(wanted, connections - min(BESIDE_STREAMS, connections // 2))


@asynccontextmanager
async def serving(handler: Handler, settings: LiveSettings, most_connections: int) -> AsyncIterator[Listener]:
    """Serve until the block ends.

    Raises:
        SettingsError: nothing can listen there.
    """
    listener = Listener(handler, most_connections)
    runner = web.ServerRunner(listener, shutdown_timeout=_END_WITHIN_S)
    await runner.setup()
    sweeping = asyncio.create_task(listener.sweep())
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
        except (OSError, UnicodeError) as error:
            raise SettingsError(
                f"BOXOFFICE_LIVE_HOST and BOXOFFICE_LIVE_PORT name {settings.host}:{settings.port}, "
                f"where nothing can listen ({why(error)})."
            ) from None
        yield listener
    finally:
        await end_tasks([sweeping])
        await runner.cleanup()
