"""Granian, in the process' own event loop: it reads and writes HTTP, and keeps half-sent headers from staying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from boxoffice.errors import SettingsError
from boxoffice.gateway.application import Application
from boxoffice.tasks import end_tasks

HEADERS_WITHIN_MS: Final = 30_000
"""So long a connection may also say nothing, from its beginning or after an answer: a load balancer has to give up a
connection that it keeps open before."""
MOST_HEADER_BYTES: Final = 16 * 1024
CLOSED_WITHIN_S: Final = 2.0


class ServerEndedError(Exception):
    """The HTTP server has ended by itself."""


@asynccontextmanager
async def serving(
    application: Application, host: str, port: int, most_connections: int, on_failure: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    """Serve until the block ends.

    Raises:
        SettingsError: nothing can listen there.
    """
    server: Any = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        # One request at a time on a connection, so the requests are bounded as well. A server that speaks HTTP/2 too
        # would wait without end for a connection's first bytes; who wants it asks the load balancer.
        http=HTTPModes.http1,
        websockets=False,
        backlog=4_096,
        # It counts open connections, not requests: what is beyond waits unanswered.
        backpressure=most_connections,
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN_MS, max_buffer_size=MOST_HEADER_BYTES),
        log_enabled=False,
    )
    server_task = asyncio.create_task(server.serve())
    sweeping = asyncio.create_task(application.sweep())
    try:
        await asyncio.sleep(0)  # It begins to listen in its first turn, or fails.
        _see_that_it_listens(server_task, host, port)
        server_task.add_done_callback(lambda _: on_failure(ServerEndedError()))
        yield
    finally:
        on_failure = _nothing
        server.stop()
        await asyncio.wait([server_task], timeout=CLOSED_WITHIN_S)
        await end_tasks([server_task, sweeping])


def _see_that_it_listens(server_task: asyncio.Task[None], host: str, port: int) -> None:
    if server_task.done() and (error := server_task.exception()) is not None:
        raise SettingsError(
            f"BOXOFFICE_GATEWAY_HOST and BOXOFFICE_GATEWAY_PORT name {host}:{port}, where nothing can listen ({error})."
        )


def _nothing(_: BaseException) -> None:
    """It was told to end."""
