"""As little as a gateway can be: a protocol on httptools, on the product's own desk.

It parses a request, checks its key and its body, publishes, follows the ledger, and answers with the fact. It leaves
out what every server has to do that stands before strangers: the Date of an answer, a check of what else may stand in
a head, bounds of any kind, times by which something has to happen, an end that loses no answer. And it knows one path.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from functools import partial
from typing import Any, cast

import httptools
import uvloop
from pydantic_core import to_json

from boxoffice.gateway.desk import Desk, Order, open_desk
from boxoffice.gateway.running import following_callers
from boxoffice.gateway.waiters import Waiter
from boxoffice.process.worker import collect_garbage_rarely, end_process
from boxoffice.settings import load_settings
from models.commands import read_command

_PATH = re.compile(rb"/v1/events/([0-9]+)/purchases")


class Front(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, desk: Desk, callers: Any) -> None:
        self._desk = desk
        self._callers = callers
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller came."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Its path."""
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._body += body

    def on_message_complete(self) -> None:
        """It is whole."""
        caller = self._callers.of(self._headers[b"authorization"].decode(), 0.0)
        match = _PATH.fullmatch(self._url)
        assert match is not None
        event_id = match[1].decode()
        members = json.loads(self._body)
        request_id = f"{caller.id}:{self._headers[b'idempotency-key'].decode()}"
        members |= {"event_id": event_id, "request_id": request_id}
        command = to_json(members)
        read_command(command)
        waiter = self._desk.put(Order(event_id, request_id, command, []), 10)
        waiter.when_over(partial(self._answer, waiter))

    def _answer(self, waiter: Waiter) -> None:
        fact = waiter.result.fact if waiter.result is not None else b""
        self._transport.write(
            b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (201 if fact else 202, len(fact), fact)
        )


async def run() -> None:
    """Answer until the process is ended."""
    settings = load_settings()
    async with following_callers(settings.kafka) as callers, open_desk(settings.kafka, end_process) as desk:
        collect_garbage_rarely()
        server = await asyncio.get_running_loop().create_server(
            lambda: Front(desk, callers), "127.0.0.1", int(os.environ["BOXOFFICE_GATEWAY_PORT"]), backlog=4_096
        )
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run())
