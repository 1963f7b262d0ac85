"""Buyers over HTTP: ``python -m benchmarks.http_load PORT KEY CONNECTIONS ORDERS EVENT...``.

Each connection sends an order, reads its answer, and sends the next. What came of them is printed as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, Final, cast
from uuid import uuid4

import httptools
import uvloop

CONNECTED_AT_ONCE: Final = 200
DEADLINE_S: Final = 300.0


class Buyer(asyncio.Protocol):
    """One connection."""

    def __init__(self, orders: Iterator[bytes], load: Load) -> None:
        self._orders = orders
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._sent_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open; it begins when all are."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Closed: by us at the end, by the gateway before."""
        if not self._load.ended.is_set() and self._transport is not None:
            self._load.statuses["reset"] += 1
            self._load.left()

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self._load.answered(self._parser.get_status_code(), monotonic() - self._sent_s)
        keeps = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keeps:
            self.send()

    def send(self) -> None:
        """The next order, if one is left."""
        order = next(self._orders, None)
        if order is None:
            transport, self._transport = self._transport, None
            if transport is not None:
                transport.close()
            self._load.left()
        elif self._transport is not None:
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
        """A connection has no more to send."""
        self._open -= 1
        if not self._open:
            self.ended.set()

    def summary(self, wall_s: float) -> dict[str, Any]:
        """What came of it."""
        times = sorted(self.seconds)
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "wall_s": wall_s,
            "p50_s": times[len(times) // 2],
            "p99_s": times[len(times) * 99 // 100],
            "worst_s": times[-1],
        }


def orders_of(port: int, key: str, count: int, events: Sequence[str]) -> Iterator[bytes]:
    """Requests, ready to be sent; no two runs have the same."""
    run = uuid4().hex[:8]
    for number in range(count):
        body = b'{"buyer":"b-%d","quantity":2}' % number
        yield (
            b"POST /v1/events/%b/purchases HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n"
            b"Idempotency-Key: %b-%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (events[number % len(events)].encode(), port, key.encode(), run.encode(), number, len(body), body)
        )


async def buy(port: int, key: str, connections: int, count: int, events: Sequence[str]) -> dict[str, Any]:
    """Open all connections, then send all orders."""
    loop = asyncio.get_running_loop()
    load = Load(connections)
    orders = orders_of(port, key, count, events)
    buyers: list[Buyer] = []
    while len(buyers) < connections:
        some = min(CONNECTED_AT_ONCE, connections - len(buyers))
        opened = await asyncio.gather(
            *(loop.create_connection(lambda: Buyer(orders, load), "127.0.0.1", port) for _ in range(some))
        )
        buyers += [buyer for _, buyer in opened]
    begun_s = monotonic()
    for buyer in buyers:
        buyer.send()
    async with asyncio.timeout(DEADLINE_S):
        await load.ended.wait()
    return load.summary(monotonic() - begun_s)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(buy(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]))))
