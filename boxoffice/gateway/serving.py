"""Granian, in the process' own event loop: it reads and writes HTTP, and keeps half-sent headers from staying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from boxoffice.gateway.application import Application
from boxoffice.tasks import end_tasks

HEADERS_WITHIN_MS = 10_000
MOST_HEADER_BYTES = 16 * 1024


@asynccontextmanager
async def serving(application: Application, host: str, port: int, most_connections: int) -> AsyncIterator[None]:
    """Serve until the block ends."""
    server: Any = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.auto,
        websockets=False,
        backlog=4_096,
        # It counts open connections, not requests: what is beyond waits unanswered.
        backpressure=most_connections,
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN_MS, max_buffer_size=MOST_HEADER_BYTES),
        log_enabled=False,
    )
    tasks = [asyncio.create_task(server.serve()), asyncio.create_task(application.sweep())]
    try:
        yield
    finally:
        server.stop()
        await end_tasks(tasks)
