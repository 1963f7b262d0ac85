"""The front door as an RSGI application: bodies within bounds of bytes and time, and responses as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from boxoffice.gateway.addresses import Addresses, host_of
from boxoffice.gateway.messages import Problem, Request, Response
from boxoffice.gateway.service import Gateway
from models.commands import MAX_COMMAND_BYTES

log = structlog.get_logger(__name__)

BODY_WITHIN_S: Final = 10.0
"""Whoever sends slower holds a connection and a task for nothing."""
_SWEEP_S: Final = 1.0
_CLOSE: Final = ("connection", "close")
_LENGTH_DIGITS: Final = 9
_ONCE: Final = frozenset({"authorization", "content-type", "idempotency-key"})
"""Headers of which a second one says something else, to whoever takes the last."""
_CACHE: Final = "cache-control"
_FORWARDED: Final = "x-forwarded-for"
"""A proxy may add a line of its own, so all lines have to be looked at."""


class Application:
    """Reads requests from Granian, and writes the gateway's responses."""

    def __init__(self, gateway: Gateway, addresses: Addresses) -> None:
        self._gateway = gateway
        self._addresses = addresses
        self._reading: dict[asyncio.Task[Any], float] = {}
        """Who reads a body, and since when: one sweep looks after all, since a timer each costs more than the body."""
        self._loop = asyncio.get_running_loop()

    @property
    def is_reading(self) -> bool:
        """Whether a body is on its way."""
        return bool(self._reading)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            protocol.close(501)
            return
        headers = scope.headers  # once: each time is a copy
        is_chunked = headers.get("transfer-encoding") is not None
        request = Request(
            scope.method,
            scope.path,
            scope.query_string,
            _reader(headers),
            b"",
            self._addresses.of(host_of(scope.client), lambda: headers.get_all(_FORWARDED)),
        )
        try:
            request.body = await self._body(headers, protocol, is_chunked)
        except Problem as problem:
            response = self._gateway.refuse(request, problem)
        except ProtocolClosed:
            # The sender has gone away, and nobody hears an answer.
            return
        else:
            response = await self._gateway.respond(request)
        if is_chunked:
            # Whoever stands between may have counted the bytes in another way: what follows is not looked at.
            response.headers.append(_CLOSE)
        self._write(protocol, request.method, response)

    def _write(self, protocol: Any, method: str, response: Response) -> None:
        headers, without_body = response.headers, method == "HEAD"
        # What a command is answered is kept nowhere; of the rest some says itself for how long.
        if method == "POST" or all(name != _CACHE for name, _ in headers):
            headers.append((_CACHE, "no-store"))
        if self._gateway.draining:
            headers.append(_CLOSE)
        if response.body and not without_body:
            protocol.response_bytes(response.status, headers, response.body)
        else:
            if without_body:
                headers.append(("content-length", str(len(response.body))))
            protocol.response_empty(response.status, headers)

    async def _body(self, headers: Any, protocol: Any, is_chunked: bool) -> bytes:
        length = headers.get("content-length")
        if length is None and not is_chunked:
            return b""
        if length is not None and is_chunked:
            raise Problem("invalid-header", "Content-Length and Transfer-Encoding came both.", headers=[_CLOSE])
        if length is not None and not _is_bounded(length):
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


def _is_bounded(length: str) -> bool:
    return len(length) <= _LENGTH_DIGITS and length.isdecimal() and int(length) <= MAX_COMMAND_BYTES


async def _chunks(protocol: Any) -> bytes:
    """A body of unknown length; none that breaks off.

    Granian gives an empty chunk at the end, and one more where the connection was lost, or something else came than
    chunks: half a body would look like a whole one.
    """
    body = bytearray()
    empty = 0
    async for chunk in protocol:
        body += chunk
        empty += not chunk
        if len(body) > MAX_COMMAND_BYTES:
            raise _too_large()
    if empty > 1:
        raise Problem("invalid-header", "Transfer-Encoding: the body breaks off.", headers=[_CLOSE])
    return bytes(body)


def _reader(headers: Any) -> Callable[[str], str | None]:
    """Reads headers by name; of those that came more than once, all."""

    def read(name: str) -> str | None:
        values = headers.get_all(name)
        if len(values) > 1 and name in _ONCE:
            raise Problem("invalid-header", f"{name}: it came more than once.")
        return ", ".join(values) if values else None

    return read


def _too_large() -> Problem:
    return Problem("too-large", f"The body has more than {MAX_COMMAND_BYTES} bytes.", headers=[_CLOSE])
