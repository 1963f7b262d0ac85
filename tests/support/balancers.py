"""haproxy as ``boxoffice up`` starts it, and stand-ins for what lies behind it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from boxoffice.embedded.ports import accepts_connections, free_port
from boxoffice.gateway.haproxy import Balancer, Instance, haproxy_program
from tests.support.office import Process

READY_DEADLINE_S = 30


@asynccontextmanager
async def balancing(
    folder: Path, gateways: Sequence[Instance], live: Sequence[Instance] = (), metrics_bind: str = ""
) -> AsyncIterator[str]:
    """Run haproxy before these; the URL on which it listens."""
    program = haproxy_program()
    assert program is not None
    port = free_port()
    path = folder / "haproxy.cfg"
    path.write_text(Balancer(f"127.0.0.1:{port}", gateways, live, metrics_bind=metrics_bind).configuration())
    process = Process([program, "-db", "-f", str(path)], dict(os.environ), folder / "haproxy.log")
    try:
        async with asyncio.timeout(READY_DEADLINE_S):
            while not await accepts_connections(port):
                assert process.ended() is None, process.log_text()
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


class StandIn:
    """In the place of a gateway: always ready, it says its name to everybody, or hangs up on who sends a command."""

    def __init__(self, name: str, *, hangs_up: bool = False) -> None:
        self.name = name
        self.hangs_up = hangs_up
        self.heard: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.port = 0

    @property
    def instance(self) -> Instance:
        """As haproxy knows it."""
        return Instance(self.name, f"127.0.0.1:{self.port}", self.port)

    @property
    def paths(self) -> Counter[str]:
        """How often it was asked for what."""
        return Counter(path for _, path, _ in self.heard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on a connection until it ends."""
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The caller has gone, or the test is over.
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await _read_body(reader, headers)
        if path != "/health/ready":
            self.heard.append((method, path, headers))
            if self.hangs_up and method == "POST":
                return False
        body = self.name.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        return True


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    while "transfer-encoding" in headers:
        size = int((await reader.readuntil(b"\r\n")).strip(), 16)
        await reader.readexactly(size + 2)
        if not size:
            return


@asynccontextmanager
async def standing_in(*stand_ins: StandIn) -> AsyncIterator[None]:
    """Let them listen."""
    servers: list[Any] = []
    try:
        for one in stand_ins:
            servers.append(await asyncio.start_server(one.serve, "127.0.0.1", 0))
            one.port = servers[-1].sockets[0].getsockname()[1]
        yield
    finally:
        for server in servers:
            server.close()
