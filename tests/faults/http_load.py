"""Buyers at the front door while things die: each comes again, anywhere, with the same key, until he is answered."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any, Self

import aiohttp

from tests.support.gateways import Door
from tests.support.http_checker import Exchange, check_http
from tests.support.office import POLL_S, Office, for_checker

BUYERS = 40
AGAIN_S = 0.1
GIVEN_UP_S = 60.0
"""No answer takes so long: a wait, and the wait for an acknowledgement."""
FINAL = frozenset({200, 201, 404, 409, 422})


class HttpLoad:
    """Orders for some events through whatever gateways there are, until it is left; every exchange is kept."""

    def __init__(
        self,
        doors: Sequence[Door],
        key: str,
        event_ids: Sequence[str],
        seed: int,
        *,
        wait_s: int = 10,
        first: int = 0,
        buyers: int = BUYERS,
    ) -> None:
        self.doors = list(doors)
        """Those that buyers choose from; a test takes away what it kills."""
        self.exchanges: list[Exchange] = []
        self._key = key
        self._caller = key.split("_")[1]
        self._event_ids = event_ids
        self._random = random.Random(seed)
        self._wait_s = wait_s
        self.orders = first
        """How many were begun: their keys have these numbers."""
        self._over = False
        self._count = buyers
        self._buyers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=GIVEN_UP_S)
        # It is given up before the gateway closes it: what is sent at that moment is lost.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        self._buyers = [asyncio.create_task(self._buy()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for buyer in self._buyers:
            buyer.cancel()
        await asyncio.gather(*self._buyers, return_exceptions=True)
        await self._session.close()

    async def stop(self, timeout_s: float = 60) -> None:
        """Nobody begins anew; wait until everybody was answered."""
        self._over = True
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*self._buyers)

    async def answered(self, count: int, timeout_s: float = 60) -> None:
        """Wait for so many more that bought, or were told that they cannot."""
        until = self._answered() + count
        deadline_s = monotonic() + timeout_s
        while self._answered() < until:
            assert monotonic() < deadline_s, f"{until - self._answered()} answers are missing: {self.statuses()}"
            for buyer in self._buyers:
                if buyer.done():
                    buyer.result()
            await asyncio.sleep(POLL_S)

    def statuses(self, begun_s: float = 0.0) -> Counter[int | None]:
        """What was answered to what was asked from some time on."""
        return Counter(one.status for one in self.exchanges if one.ended_s and one.begun_s >= begun_s)

    def _answered(self) -> int:
        return sum(exchange.status in FINAL for exchange in self.exchanges)

    async def _buy(self) -> None:
        while not self._over:
            self.orders += 1
            event_id = self._random.choice(self._event_ids)
            order = {"buyer": f"b-{self.orders}", "quantity": self._random.choice((1, 1, 2))}
            await self._until_answered(f"/v1/events/{event_id}/purchases", f"k-{self.orders}", order)

    async def _until_answered(self, path: str, key: str, order: dict[str, Any]) -> None:
        copies = 2 if self._random.random() < 0.1 else 1
        while True:
            asked = await asyncio.gather(*(self._ask(path, key, order) for _ in range(copies)))
            if any(exchange.status in FINAL for exchange in asked):
                return
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, path: str, key: str, order: dict[str, Any]) -> Exchange:
        while not self.doors:
            await asyncio.sleep(POLL_S)
        door = self._random.choice(self.doors)
        exchange = Exchange(self._caller, path, key, order, monotonic(), instance=door.base)
        self.exchanges.append(exchange)
        headers = {
            "authorization": f"Bearer {self._key}",
            "idempotency-key": key,
            "content-type": "application/json",
            "prefer": f"wait={self._wait_s}",
        }
        try:
            async with self._session.post(door.base + path, data=json.dumps(order), headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError):
            pass  # It was killed, or is not there any more.
        else:
            exchange.headers = {name.lower(): value for name, value in response.headers.items()}
            exchange.status, exchange.body = response.status, body
        exchange.ended_s = monotonic()
        return exchange


async def everybody_was_told_the_truth(office: Office, exchanges: Sequence[Exchange]) -> None:
    """The ledger is right, and so is every answer, by the independent checkers."""
    await office.answered()
    requests, results = [
        [for_checker(record) for record in await office.read(topic)] for topic in (office.requests, office.ledger)
    ]
    assert check_http(exchanges, requests, results) == []
    await office.agrees()
