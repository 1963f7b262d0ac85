"""Buyers over HTTP: ``python -m benchmarks.http_load PORT,... CONNECTIONS ORDERS RATE EVENT...``, a key in a variable.

With a rate of 0 each connection sends an order, reads its answer, and sends the next. Else so many orders a second are
sent, whatever comes back, and an answer's time counts from when its order was due. What came of them is printed as one
line of JSON.

A load of our own and not wrk: each order needs a key of its own, for which wrk runs a script in Lua; wrk does not say
which statuses there were, and pip does not have it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, cast
from uuid import uuid4

import httptools
import uvloop

from boxoffice.process.open_files import allow_connections
from boxoffice.process.worker import collect_garbage_rarely

KEY_VARIABLE: Final = "BOXOFFICE_TEST_KEY"
CONNECTED_AT_ONCE: Final = 200
"""Connections that are being opened; more than net.core.somaxconn at once would be dropped, and tried again later."""
WARM_UP_S: Final = 8.0
"""Of a load with a rate, this is left out of the times."""
DEADLINE_S: Final = 300.0
RESET: Final = "reset"
REFUSED: Final = 400
"""From this status on nothing was taken."""


class Answered(NamedTuple):
    """One answer: by the clock from when it is counted, how long it took, and its status."""

    since_s: float
    seconds: float
    status: int


class Buyer(asyncio.Protocol):
    """One connection; ``rests`` is told when it has nothing to do."""

    def __init__(self, load: Load, rests: Callable[[Buyer], None]) -> None:
        self._load = load
        self._rests = rests
        self._parser = httptools.HttpResponseParser(self)
        self._since_s: float | None = None
        """When the order that it waits for was due."""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open; it begins when all are."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Closed: by us at the end, or by the gateway before."""
        self._transport = None
        if self._since_s is not None:
            self._load.statuses[RESET] += 1
        self._load.left()

    def on_message_complete(self) -> None:
        """An answer is whole."""
        assert self._since_s is not None
        self._load.answered(self._parser.get_status_code(), self._since_s)
        self._since_s = None
        keeps = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if keeps:
            self._rests(self)

    def send(self, order: bytes, due_s: float) -> None:
        """Send an order."""
        if self._transport is not None:
            self._since_s = due_s
            self._transport.write(order)

    def close(self) -> None:
        """There is no more to send."""
        if self._transport is not None:
            self._transport.close()


class Load:
    """All connections, and what they were answered."""

    def __init__(self, connections: int) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.times: list[Answered] = []
        self.ended = asyncio.Event()
        self._open = connections

    def answered(self, status: int, since_s: float) -> None:
        """One answer."""
        self.statuses[status] += 1
        self.times.append(Answered(since_s, monotonic() - since_s, status))

    def left(self) -> None:
        """A connection is closed."""
        self._open -= 1
        if not self._open:
            self.ended.set()

    def summary(self, begun_s: float, counted_from_s: float) -> dict[str, Any]:
        """What came of it until now; times are those from a moment on."""
        ended_s = monotonic()
        counted = [one for one in self.times if one.since_s >= counted_from_s]
        times = sorted(one.seconds for one in counted) or [0.0]
        refused = sorted(one.seconds for one in counted if one.status >= REFUSED) or [0.0]
        taken = sum(one.status < REFUSED for one in counted)
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "wall_s": ended_s - begun_s,
            "p50_s": times[len(times) // 2],
            "p99_s": times[len(times) * 99 // 100],
            "worst_s": times[-1],
            "refused_p99_s": refused[len(refused) * 99 // 100],
            "taken_per_second": taken / (ended_s - counted_from_s),
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


async def connected(ports: Sequence[int], connections: int, load: Load, rests: Callable[[Buyer], None]) -> list[Buyer]:
    """All connections, to the ports in turn."""
    loop = asyncio.get_running_loop()
    buyers: list[Buyer] = []
    while len(buyers) < connections:
        numbers = range(len(buyers), min(connections, len(buyers) + CONNECTED_AT_ONCE))
        opened = await asyncio.gather(
            *(
                loop.create_connection(lambda: Buyer(load, rests), "127.0.0.1", ports[number % len(ports)])
                for number in numbers
            )
        )
        buyers += [buyer for _, buyer in opened]
    return buyers


async def buy(ports: Sequence[int], connections: int, orders: Iterator[bytes]) -> dict[str, Any]:
    """Send all orders, each connection the next as soon as it has its answer."""
    load = Load(connections)

    def next_order(buyer: Buyer) -> None:
        order = next(orders, None)
        if order is None:
            buyer.close()
        else:
            buyer.send(order, monotonic())

    buyers = await connected(ports, connections, load, next_order)
    begun_s = monotonic()
    for buyer in buyers:
        next_order(buyer)
    async with asyncio.timeout(DEADLINE_S):
        await load.ended.wait()
    return load.summary(begun_s, begun_s)


async def buy_steadily(
    ports: Sequence[int], connections: int, orders: Iterator[bytes], per_second: float
) -> dict[str, Any]:
    """Send so many orders a second, each on a connection that has nothing else to do."""
    load = Load(connections)
    resting: asyncio.Queue[Buyer] = asyncio.Queue()
    for buyer in await connected(ports, connections, load, resting.put_nowait):
        resting.put_nowait(buyer)
    begun_s = monotonic()
    async with asyncio.timeout(DEADLINE_S):
        for number, order in enumerate(orders):
            due_s = begun_s + number / per_second
            if (rest_s := due_s - monotonic()) > 0:
                await asyncio.sleep(rest_s)
            (await resting.get()).send(order, due_s)
        for _ in range(connections):
            (await resting.get()).close()
        await load.ended.wait()
    return load.summary(begun_s, begun_s + WARM_UP_S)


def main(ports: str, connections: str, count: str, per_second: str, *events: str) -> None:
    """Buy, and print what came of it."""
    allow_connections(int(connections))
    collect_garbage_rarely()
    found = [int(port) for port in ports.split(",")]
    orders = orders_of(os.environ[KEY_VARIABLE], int(count), events)
    rate = float(per_second)
    buying = buy_steadily(found, int(connections), orders, rate) if rate else buy(found, int(connections), orders)
    print(json.dumps(uvloop.run(buying)))


if __name__ == "__main__":
    main(*sys.argv[1:])
