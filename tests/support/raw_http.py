"""Clients that speak HTTP as they should not: bytes as they are, over a connection of their own."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, NamedTuple, Self

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Heard(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        """Its body, where that is a problem."""
        return json.loads(self.body)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Open it."""
        return cls(*await asyncio.open_connection(HOST, port))

    async def send(self, data: bytes) -> bool:
        """Send bytes; returns whether the other side still takes them."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            return False
        return True

    def push(self, data: bytes) -> None:
        """Send bytes without looking whether anybody takes them."""
        self._writer.write(data)

    async def hear(self, timeout_s: float = 60) -> Heard | None:
        """The next response, but for those that only say to go on; None where the connection ends instead."""
        async with asyncio.timeout(timeout_s):
            while True:
                heard = await self._hear()
                if heard is None or heard.status >= 200:
                    return heard

    async def _hear(self) -> Heard | None:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            return None
        return Heard(int(first.split()[1]), headers, body)

    async def ends(self, timeout_s: float = 60) -> bytes:
        """Wait until the other side closes; returns what it said until then."""
        said = b""
        async with asyncio.timeout(timeout_s):
            with suppress(OSError):
                while data := await self._reader.read(CHUNK_BYTES):
                    said += data
        return said

    def close(self) -> None:
        """Go away."""
        self._writer.transport.abort()


def request(
    path: str, key: str, *headers: str, body: bytes = b"", method: str = "POST", idempotency: str = "k"
) -> bytes:
    """A request as it should be; ``headers`` are added as they are."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: boxoffice",
        f"Authorization: Bearer {key}",
        f"Idempotency-Key: {idempotency}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
