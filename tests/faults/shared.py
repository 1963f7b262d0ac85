"""A box office that the tests of a module share: two workers, and a Redis that can be made to suffer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from redis import Redis

from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.ports import HOST
from tests.support.observed import Observed, health
from tests.support.office import Office, Process, until
from tests.support.proxy import Proxy
from tests.support.servers import serving
from tests.support.workload import event_ids

WORKERS = 2
IN_STEP_DEADLINE_S = 30
SLOW_TO_LOAD = {"key-load-delay": "1000", "loading-process-events-interval-bytes": "1024"}
"""A file is read at a millisecond a key, and clients are told of it meanwhile."""
ENVIRONMENT = {"BOXOFFICE_REDIS_TIMEOUT_MS": "500", "BOXOFFICE_BREAKER_LONGEST_PROBE_MS": "1000"}
"""Patience with a machine that has other things to do, and none with probes."""

_seeds = count(2_026_112_600)


class SharedOffice:
    """Two workers on a Redis of their own, which they reach through a proxy; tests reach it past that."""

    def __init__(self, office: Office, redis: EmbeddedRedis, proxy: Proxy) -> None:
        self.office = office
        self.redis = redis
        self.proxy = proxy
        self.workers: list[Process] = []

    async def open(self) -> None:
        """Create the topics, and start the workers."""
        await self.office.open()
        await self.start_workers()

    async def start_workers(self) -> None:
        """Start as many as are missing, and wait for them."""
        self.workers = [worker for worker in self.workers if worker.ended() is None]
        started = [self.office.start(**ENVIRONMENT) for _ in range(WORKERS - len(self.workers))]
        self.workers += started
        for worker in started:
            await self.office.ready(worker)

    async def mend(self) -> None:
        """Whatever a test has done: Redis is there, empty at the worst, and two workers are in step with it."""
        self.proxy.restore()
        self.proxy.lead_to(self.redis.port)
        self.redis.resume()
        if not self.redis.running:
            await self.redis.launch()
        await self.start_workers()
        await self.in_step()

    async def in_step(self) -> None:
        """Wait until Redis serves every worker and has all facts."""
        await until(lambda: all(map(is_in_step, self.workers)), IN_STEP_DEADLINE_S, "all copies to be in step")

    async def fallback(self, *, active: bool, reason: str | None = None) -> None:
        """Wait until every worker decides without Redis, for this ``reason`` if any is given, or with it."""

        def is_so(worker: Process) -> bool:
            told = health(worker)["fallback"]
            return told["active"] is active and reason in (None, told["reason"])

        await until(
            lambda: all(map(is_so, self.workers)), IN_STEP_DEADLINE_S, f"the fallback to be {active}, for {reason}"
        )

    def observed(self) -> list[Observed]:
        """What the workers log and count from now on."""
        return [Observed(worker) for worker in self.workers]

    def client(self) -> Redis:
        """A client of Redis that does not go through the proxy."""
        return Redis(host=HOST, port=self.redis.port, decode_responses=True)

    def ask(self, *words: Any) -> Any:
        """One command to Redis, past the proxy."""
        with self.client() as client:
            return client.execute_command(*words)

    async def agrees(self) -> None:
        """The independent checker and the audit find nothing wrong in all that was ever sold here."""
        await self.office.agrees()


def new_events(number: int) -> tuple[int, list[str]]:
    """A seed, and ids of events that no other test uses."""
    seed = next(_seeds)
    return seed, event_ids(seed, number)


@contextmanager
def open_shared_office(kafka_servers: str, prefix: str, folder: Path) -> Iterator[SharedOffice]:
    """Start it all, and end it."""
    with ExitStack() as opened:
        redis = EmbeddedRedis(folder / "redis", options=SLOW_TO_LOAD)
        opened.enter_context(serving(redis))
        proxy = opened.enter_context(Proxy(redis.port))
        office = Office(kafka_servers, f"redis://{proxy.address}/0", prefix, folder)
        opened.callback(office.close)
        shared = SharedOffice(office, redis, proxy)
        asyncio.run(shared.open())
        yield shared


def is_in_step(worker: Process) -> bool:
    """Whether Redis serves a worker, and has all facts of its events."""
    told = health(worker)
    behind = {state: copies for state, copies in told["redis"]["copies"].items() if copies and state != "in_step"}
    return bool(told["redis"]["connected"]) and not behind
