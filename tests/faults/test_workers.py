"""Workers die at every step of a batch, stand still, come and go, and see clocks jump: all is answered, once."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from itertools import count

import pytest
from redis import Redis

from boxoffice import kafka
from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.ports import HOST
from boxoffice.failpoints import Failpoint
from tests.faults.agreeing import agree
from tests.faults.conftest import NewOffice
from tests.faults.load import Load
from tests.office import Office, Process
from tests.servers import NewRedis

SEED = 20261126
SESSION = {"BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS": "3000", "BOXOFFICE_KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
"""What is killed is replaced after this."""
DEADLINE_S = 30
PASSING = 2
"""The passing at which a worker dies: neither its first step nor its last one is done."""


def event_at_each_home(office: Office) -> list[str]:
    """Whatever partitions a worker has, an event is decided on each."""
    found: dict[int, str] = {}
    for number in count(SEED * 1_000):
        if len(found) == office.settings.partitions:
            return [event_id for _, event_id in sorted(found.items())]
        found.setdefault(kafka.home_partition(str(number), office.settings.partitions), str(number))
    raise AssertionError


# Dying at a point


async def wait_for_it(_: Office, __: EmbeddedRedis, ___: Load, ____: Process) -> None:
    """Sales are all that is needed."""


async def empty_redis(office: Office, redis: EmbeddedRedis, _: Load, victim: Process) -> None:
    """What it held is loaded again."""
    await office.ready(victim)
    with Redis(host=HOST, port=redis.port) as client:
        client.flushall()


async def hang_redis(office: Office, redis: EmbeddedRedis, load: Load, victim: Process) -> None:
    """What it missed is settled when it goes on."""
    await office.ready(victim)
    redis.pause()
    await load.decided(100, by="local")
    redis.resume()


Way = Callable[[Office, EmbeddedRedis, Load, Process], Awaitable[None]]

WAYS: dict[Failpoint, Way] = {
    Failpoint.SETTLING: hang_redis,
    Failpoint.LOADING: empty_redis,
    Failpoint.BEFORE_REPLACING: empty_redis,
}
"""How a worker is brought to a point that sales alone do not bring it to."""


def every_point() -> list[object]:
    """One of them is tried in every run: Redis has decided what nobody else knows of."""
    return [
        pytest.param(point, id=point, marks=[] if point is Failpoint.AFTER_SCRIPT else pytest.mark.long)
        for point in Failpoint
    ]


@pytest.mark.parametrize("point", every_point())
@pytest.mark.parametrize(
    "alone", [pytest.param(True, id="alone"), pytest.param(False, id="with another", marks=pytest.mark.long)]
)
async def test_a_worker_that_dies_at_any_point_leaves_nothing_undone_or_done_twice(
    new_office: NewOffice, new_redis: NewRedis, point: Failpoint, alone: bool
) -> None:
    """It is started again, or another that was there beside it takes over."""
    redis = await new_redis()
    office = await new_office(redis.url)
    first = office.start()
    await office.ready(first)
    async with Load(office, event_at_each_home(office), SEED) as load:
        await load.each_decided_by_redis()
        if alone:
            assert await first.stop() == 0
        victim = office.start(BOXOFFICE_FAILPOINTS=f"{point}=kill@{PASSING}", **SESSION)
        await WAYS.get(point, wait_for_it)(office, redis, load, victim)
        assert await victim.end(DEADLINE_S) == -signal.SIGKILL
        assert f'"failpoint": "{point}"' in victim.log_text()
        if alone:
            office.start()
        await load.each_decided_by_redis(DEADLINE_S)
    await agree(office)
