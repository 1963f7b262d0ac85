"""The storm where others run it: three secured brokers and a secured Redis Cluster, and all of it dies in turn."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from boxoffice.cli.secured import redis_lines
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.redis import Guard, program_with_tls
from boxoffice.embedded.users import Users
from tests.faults.kept import KeptWorkers
from tests.faults.load import Load, longest_gap_s, shares
from tests.faults.redis_clusters import RedisCluster, open_redis_cluster
from tests.faults.repeats import differing_repeats
from tests.faults.shared import ENVIRONMENT, new_events
from tests.support.secured import SecuredOffice, denials, new_users, secured_brokers
from tests.support.settings import changed

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

EVENTS = 20
COMMANDS = 20_000
PER_SECOND = 300
PATIENCE_S = 180
OUTAGE_S = 3.0
STOPPED_S = 8.0
"""Longer than the session timeout: another worker takes over meanwhile."""
PREFIX = f"t{secrets.token_hex(4)}-"


class Storm:
    """Two workers, three brokers and six servers of Redis, each of which dies, hangs and comes back."""

    def __init__(self, kept: KeptWorkers, kafka: EmbeddedCluster, redis: RedisCluster) -> None:
        self._kept = kept
        self._kafka = kafka
        self._redis = redis

    async def kill_broker(self, number: int) -> None:
        """It comes back after a while, and catches up."""
        broker = self._kafka.brokers[number]
        broker.kill()
        await asyncio.sleep(OUTAGE_S)
        await broker.launch()

    async def freeze_broker(self, number: int) -> None:
        """It is replaced, goes on, and has to see that."""
        broker = self._kafka.brokers[number]
        broker.pause()
        await asyncio.sleep(STOPPED_S)
        broker.resume()

    async def restart_broker(self, number: int) -> None:
        """In order, as for an upgrade."""
        await self._kafka.brokers[number].restart()

    async def kill_primary(self) -> None:
        """The one that holds most; its replica takes over."""
        self._redis.fullest_primary().kill()
        await asyncio.sleep(OUTAGE_S)
        await self._redis.mend()

    async def kill_worker(self, number: int) -> None:
        """It is started again."""
        self._kept.kill(number)

    async def freeze_worker(self, number: int) -> None:
        """Another takes over meanwhile."""
        await self._kept.stand_still(number, STOPPED_S)


Step = Callable[[Storm], Awaitable[None]]

STEPS: tuple[Step, ...] = (
    lambda storm: storm.kill_broker(1),
    lambda storm: storm.kill_primary(),
    lambda storm: storm.kill_worker(0),
    lambda storm: storm.freeze_broker(2),
    lambda storm: storm.freeze_worker(1),
    lambda storm: storm.kill_primary(),
    lambda storm: storm.restart_broker(0),
    lambda storm: storm.kill_worker(1),
)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Users:
    return new_users(tmp_path_factory.mktemp("users"))


@pytest.fixture(scope="module")
def kafka_cluster(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with secured_brokers(tmp_path_factory.mktemp("kafka"), users, brokers=3) as opened:
        yield opened


@pytest.fixture(scope="module")
def redis_cluster(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    guard = Guard(users, lambda known: redis_lines(known, PREFIX), program_with_tls())
    with open_redis_cluster(tmp_path_factory.mktemp("redis"), guard) as opened:
        yield opened


@pytest.fixture
async def office(
    kafka_cluster: EmbeddedCluster, users: Users, redis_cluster: RedisCluster, tmp_path: Path
) -> AsyncIterator[SecuredOffice]:
    opened = SecuredOffice(kafka_cluster, users, redis_cluster, PREFIX, tmp_path)
    # Whoever sends and reads in a test waits as long as it takes.
    opened.settings = changed(opened.settings, kafka_request_timeout_ms=120_000)
    await opened.open()
    yield opened
    opened.close()


async def test_a_storm_over_secured_clusters_leaves_every_command_answered_once(
    office: SecuredOffice,
    kafka_cluster: EmbeddedCluster,
    redis_cluster: RedisCluster,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed, ids = new_events(EVENTS)
    begun_s = monotonic()
    async with (
        KeptWorkers(office, **ENVIRONMENT) as kept,
        Load(office, ids, seed, PER_SECOND, capacity=2_500) as load,
    ):
        await load.each_decided_by_redis(PATIENCE_S)
        storm = Storm(kept, kafka_cluster, redis_cluster)
        for number, step in enumerate(STEPS, 1):
            await step(storm)
            await sent(load, COMMANDS * number // len(STEPS))
        await redis_cluster.mend()
        await load.each_decided_by_redis(PATIENCE_S)
    summary = await office.agrees(PATIENCE_S)
    assert load.sent >= COMMANDS
    assert await differing_repeats(office) == []
    assert denials(kafka_cluster) == []
    share = shares(load.taken)
    with capsys.disabled():
        print(  # noqa: T201  # what it is like to live through one is half of what it is for
            f"\nseed {seed}: {load.sent} commands in {monotonic() - begun_s:.0f} s, {summary['repeats']} repeats; "
            f"{share['local'] / len(load.taken):.0%} decided locally; {len(kept.ends)} workers started again; "
            f"longest gap without a decision {longest_gap_s(load.taken):.1f} s"
        )


async def sent(load: Load, count: int) -> None:
    """Wait until so many commands were sent."""
    deadline_s = monotonic() + PATIENCE_S
    while load.sent < count:
        assert monotonic() < deadline_s, f"{load.sent} of {count} commands sent within {PATIENCE_S} s"
        await asyncio.sleep(0.1)
