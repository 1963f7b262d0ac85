"""Everything at once, for as long as it takes: all is answered, once, and everybody agrees."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from redis import Redis

from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.ports import HOST
from tests.faults.load import Load, longest_gap_s, shares
from tests.faults.repeats import differing_repeats
from tests.faults.shared import new_events
from tests.support.office import NewOffice, Office, Process
from tests.support.servers import NewRedis

EVENTS = 20
DEADLINE_S = 60
OUTAGE_S = 2.0
STOPPED_S = 8.0
"""Longer than the session timeout: another worker takes over meanwhile."""


class Storm:
    """Two workers and a Redis, each of which dies, hangs, forgets and comes back."""

    def __init__(self, office: Office, redis: EmbeddedRedis) -> None:
        self.office = office
        self.redis = redis
        self.workers: list[Process] = [office.start(), office.start()]

    async def kill_redis(self) -> None:
        """It comes back with what its file holds, which may lack the last second."""
        self.redis.kill()
        await asyncio.sleep(OUTAGE_S)
        await self.redis.launch()

    async def wipe_redis(self) -> None:
        """It comes back empty, at once."""
        with Redis(host=HOST, port=self.redis.port) as client:
            client.flushall()

    async def kill_first(self) -> None:
        """The first worker dies, and is started again."""
        self.workers[0].kill()
        self.keep_two()

    async def kill_second(self) -> None:
        """The second worker dies, and is started again."""
        self.workers[1].kill()
        self.keep_two()

    async def stop_first(self) -> None:
        """The first worker stands still until it has been replaced, and goes on as if nothing had been."""
        self.workers[0].signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        self.workers[0].signal(signal.SIGCONT)

    def keep_two(self) -> None:
        """As a supervisor does: what has ended is started again."""
        self.workers = [self.office.start() if one.ended() is not None else one for one in self.workers]


Step = Callable[[Storm], Awaitable[None]]

SHORT: tuple[Step, ...] = (Storm.kill_redis, Storm.kill_first, Storm.wipe_redis, Storm.stop_first)
LONG: tuple[Step, ...] = (
    Storm.kill_redis,
    Storm.kill_first,
    Storm.wipe_redis,
    Storm.kill_second,
    Storm.stop_first,
    Storm.kill_redis,
    Storm.kill_first,
    Storm.kill_second,
)


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        pytest.param(SHORT, 14, id="14 s"),
        pytest.param(LONG, 60, id="60 s", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
async def test_a_storm_leaves_every_command_answered_once(
    new_office: NewOffice,
    new_redis: NewRedis,
    capsys: pytest.CaptureFixture[str],
    steps: tuple[Step, ...],
    seconds: int,
) -> None:
    redis = await new_redis(durable=True)
    office = await new_office(redis.url)
    storm = Storm(office, redis)
    for worker in storm.workers:
        await office.ready(worker)
    seed, ids = new_events(EVENTS)
    async with Load(office, ids, seed, capacity=2_500) as load:
        await load.each_decided_by_redis()
        begun_s = monotonic()
        for number, step in enumerate(steps, 1):
            await step(storm)
            await asyncio.sleep(max(0.0, begun_s + seconds * number / len(steps) - monotonic()))
            storm.keep_two()
    summary = await office.agrees(DEADLINE_S)
    assert await differing_repeats(office) == []
    share = shares(load.taken)
    with capsys.disabled():
        print(  # noqa: T201  # what it is like to live through one is half of what it is for
            f"\nseed {seed}: {load.sent} commands in {seconds} s, {summary['repeats']} repeats; "
            f"{share['local'] / len(load.taken):.0%} decided locally; "
            f"longest gap without a decision {longest_gap_s(load.taken):.1f} s"
        )
