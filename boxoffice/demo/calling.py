"""The demo's shop: it sends commands over HTTP as any shop would, and keeps what it is told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from pydantic_core import from_json

from boxoffice.demo.script import Kind, Offered, Told

MOST_AT_ONCE: Final = 100
"""Requests under way, each on a connection that is kept for the next: who has more to ask waits."""
PATIENCE_S: Final = 60.0
IDLE_S: Final = 5.0
"""A connection on which nothing was asked for so long is not used again: the gateway may be closing it."""

_SAID_ELSEWHERE: Final = {"type", "request_id", "event_id", "purchase"}
"""Members of a command that a request says in its path and its headers."""
_CANCELLING: Final = (Kind.CANCEL, Kind.CANCEL_AGAIN, Kind.CANCEL_NOTHING)


class Shop:
    """Asks a gateway, so many requests at a time."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._asking: defaultdict[str, list[asyncio.Task[None]]] = defaultdict(list)
        """By the purchase that they are about."""

    async def send(self, offered: Offered) -> None:
        """Send a command as soon as there is room; what is told comes later."""
        await self._room.acquire()
        about = self._asking[offered.about]
        # A buyer in a hurry does not wait for an answer; whoever cancels has had one.
        before = () if offered.kind is Kind.REPEAT else tuple(about)
        about.append(asyncio.create_task(self._ask(offered, before)))

    async def answered(self) -> None:
        """Wait until everything that was sent is answered."""
        await asyncio.gather(*(task for about in self._asking.values() for task in about))

    async def close(self) -> None:
        """Wait for nothing any more."""
        asking = [task for about in self._asking.values() for task in about]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, offered: Offered, before: Iterable[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*before)
            offered.sent_s = perf_counter()
            offered.told = await self._post(offered)
        finally:
            self._room.release()

    async def _post(self, offered: Offered) -> Told:
        members = from_json(offered.value)
        path = f"/v1/events/{members['event_id']}/purchases"
        body = {name: value for name, value in members.items() if name not in _SAID_ELSEWHERE}
        if offered.kind in _CANCELLING:
            path += f"/{offered.target}/cancellation"
        headers = {"Idempotency-Key": offered.request_id}
        try:
            async with self._session.post(self._url + path, json=body, headers=headers) as response:
                text = await response.read()
        except (ClientError, TimeoutError) as error:
            return Told(type(error).__name__, None, perf_counter())
        return Told(str(response.status), _fact(response.status, text), perf_counter())


def _fact(status: int, text: bytes) -> Any:
    """The fact in an answer: it is the answer, or stands in the problem. None if there is none."""
    try:
        answer = from_json(text)
    except ValueError:
        return None
    return answer if status in (200, 201) else answer.get("fact")


@asynccontextmanager
async def open_shop(url: str, key: str) -> AsyncIterator[Shop]:
    """A shop with a key of its own."""
    connector = TCPConnector(limit=MOST_AT_ONCE, keepalive_timeout=IDLE_S)
    timeout = ClientTimeout(total=PATIENCE_S)
    headers = {"Authorization": f"Bearer {key}"}
    async with ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        shop = Shop(session, url)
        try:
            yield shop
        finally:
            await shop.close()
