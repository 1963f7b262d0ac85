"""Buyers over HTTP: ``python -m benchmarks.http_load PORT,... CONNECTIONS ORDERS EVENT...``, their key in a variable.

Each connection sends an order, reads its answer, and sends the next. What came of them is printed as one line of JSON.
A load of our own and not wrk: each order needs a key of its own, for which wrk runs a script in Lua; wrk does not say
which statuses there were, and pip does not have it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, Final, cast
from uuid import uuid4

import httptools
import uvloop

from boxoffice.process.open_files import allow_connections
from boxoffice.process.worker import collect_garbage_rarely

KEY_VARIABLE: Final = "BOXOFFICE_TEST_KEY"
CONNECTED_AT_ONCE: Final = 200
"""Connections that are being opened; more than net.core.somaxconn at once would be dropped, and tried again later."""
DEADLINE_S: Final = 300.0
RESET: Final = "reset"


class Buyer(asyncio.Protocol):
    """One connection."""

    def __init__(self, orders: Iterator[bytes], load: Load) -> None:
        self._orders = orders
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._sent_s = 0.0
        self._waits = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open; it begins when all are."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Closed: by us at the end, or by the gateway before."""
        if self._transport is not None:
            self._transport = None
            if self._waits:
                self._load.statuses[RESET] += 1
            self._load.left()

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self._waits = False
        self._load.answered(self._parser.get_status_code(), monotonic() - self._sent_s)
        keeps = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keeps:
            self.send()

    def send(self) -> None:
        """The next order, if one is left."""
        if self._transport is None:
            return
        order = next(self._orders, None)
        if order is None:
            self._transport.close()
            return
        self._waits = True
        self._sent_s = monotonic()
        self._transport.write(order)


class Load:
    """All connections, and what they were answered."""

    def __init__(self, connections: int) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.seconds: list[float] = []
        self.ended = asyncio.Event()
        self._open = connections

    def answered(self, status: int, seconds: float) -> None:
        """One answer."""
        self.statuses[status] += 1
        self.seconds.append(seconds)

    def left(self) -> None:
        """A connection is closed."""
        self._open -= 1
        if not self._open:
            self.ended.set()

    def summary(self, wall_s: float) -> dict[str, Any]:
        """What came of it."""
        times = sorted(self.seconds) or [0.0]
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "wall_s": wall_s,
            "p50_s": times[len(times) // 2],
            "p99_s": times[len(times) * 99 // 100],
            "worst_s": times[-1],
        }


def orders_of(key: str, count: int, events: Sequence[str]) -> Iterator[bytes]:
    """Requests, ready to be sent; no two runs have the same."""
    run = uuid4().hex[:8]
    for number in range(count):
        body = b'{"buyer":"b-%d","quantity":2}' % number
        yield (
            b"POST /v1/events/%b/purchases HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
            b"Idempotency-Key: %b-%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (events[number % len(events)].encode(), key.encode(), run.encode(), number, len(body), body)
        )


async def buy(ports: Sequence[int], key: str, connections: int, count: int, events: Sequence[str]) -> dict[str, Any]:
    """Open all connections, of the ports in turn, then send all orders."""
    loop = asyncio.get_running_loop()
    load = Load(connections)
    orders = orders_of(key, count, events)
    buyers: list[Buyer] = []
    while len(buyers) < connections:
        numbers = range(len(buyers), min(connections, len(buyers) + CONNECTED_AT_ONCE))
        opened = await asyncio.gather(
            *(
                loop.create_connection(lambda: Buyer(orders, load), "127.0.0.1", ports[number % len(ports)])
                for number in numbers
            )
        )
        buyers += [buyer for _, buyer in opened]
    begun_s = monotonic()
    for buyer in buyers:
        buyer.send()
    async with asyncio.timeout(DEADLINE_S):
        await load.ended.wait()
    return load.summary(monotonic() - begun_s)


def main(ports: str, connections: str, orders: str, *events: str) -> None:
    """Buy, and print what came of it."""
    allow_connections(int(connections))
    collect_garbage_rarely()
    found = buy(
        [int(port) for port in ports.split(",")], os.environ[KEY_VARIABLE], int(connections), int(orders), events
    )
    print(json.dumps(uvloop.run(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
