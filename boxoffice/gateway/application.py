"""The front door as an RSGI application: bodies within bounds of bytes and time, and responses as they are."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from boxoffice.gateway.messages import Problem, Request, Response
from boxoffice.gateway.service import Gateway
from models.commands import MAX_COMMAND_BYTES

log = structlog.get_logger(__name__)

BODY_WITHIN_S: Final = 10.0
"""Whoever sends slower holds a connection and a task for nothing."""
_SWEEP_S: Final = 1.0
_CLOSE: Final = ("connection", "close")


class Application:
    """Reads requests from Granian, and writes the gateway's responses."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._reading: dict[asyncio.Task[Any], float] = {}
        """Who reads a body, and since when: one sweep looks after all, since a timer each costs more than the body."""
        self._loop = asyncio.get_running_loop()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            protocol.close(501)
            return
        try:
            body = await self._body(scope, protocol)
        except Problem as problem:
            response = problem.response()
        else:
            response = await self._gateway.respond(
                Request(
                    scope.method,
                    scope.path,
                    scope.query_string,
                    scope.headers.get,
                    body,
                    scope.client.rpartition(":")[0],
                )
            )
        self._write(protocol, response)

    def _write(self, protocol: Any, response: Response) -> None:
        headers = [("cache-control", "no-store"), *response.headers]
        if self._gateway.draining:
            headers.append(_CLOSE)
        if response.body:
            protocol.response_bytes(response.status, headers, response.body)
        else:
            protocol.response_empty(response.status, headers)

    async def _body(self, scope: Any, protocol: Any) -> bytes:
        length = scope.headers.get("content-length")
        if length is None and scope.headers.get("transfer-encoding") is None and scope.http_version != "2":
            return b""
        if length is not None and (not length.isdigit() or int(length) > MAX_COMMAND_BYTES):
            raise _too_large()
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = self._loop.time()
        try:
            body: bytes = await protocol() if length is not None else await _chunks(protocol)
        except asyncio.CancelledError:
            raise Problem("too-slow", f"The body did not come within {BODY_WITHIN_S:g} s.", headers=[_CLOSE]) from None
        finally:
            del self._reading[task]
        return body

    async def sweep(self) -> None:
        """End the reading of bodies that do not come, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            late = self._loop.time() - BODY_WITHIN_S
            for task, since_s in list(self._reading.items()):
                if since_s < late:
                    task.cancel()


async def _chunks(protocol: Any) -> bytes:
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > MAX_COMMAND_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> Problem:
    return Problem("too-large", f"The body has more than {MAX_COMMAND_BYTES} bytes.", headers=[_CLOSE])
