"""A Redis Cluster and a Redis behind Sentinels, of which servers die, move and forget while it sells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.kept import KeptWorkers
from tests.faults.load import Load
from tests.faults.redis_clusters import RedisCluster, Sentinels, ask, open_redis_cluster, open_sentinels
from tests.faults.shared import ENVIRONMENT, new_events
from tests.support.observed import Observed
from tests.support.office import NewOffice, Office

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EVENTS = 12
PATIENCE_S = 60
LOST = "Redis has lost facts of an event"
LOADED = "event loaded into Redis"


@pytest.fixture(scope="module")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with open_redis_cluster(tmp_path_factory.mktemp("redis-cluster")) as opened:
        yield opened


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with open_sentinels(tmp_path_factory.mktemp("sentinels")) as opened:
        yield opened


@pytest.fixture
async def on_cluster(redis_cluster: RedisCluster, new_office: NewOffice) -> AsyncIterator[Office]:
    """A box office on the cluster, which is well again after it."""
    yield await new_office(redis_cluster.url)
    await redis_cluster.mend()


@pytest.fixture
async def behind_sentinels(sentinels: Sentinels, new_office: NewOffice) -> AsyncIterator[Office]:
    """A box office whose Redis Sentinels name; all are well again after it."""
    yield await new_office(sentinels.url)
    await sentinels.mend()


@asynccontextmanager
async def selling(office: Office) -> AsyncIterator[Load]:
    """Two workers under load; afterwards everybody agrees, and Redis has never decided otherwise."""
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office, **ENVIRONMENT) as kept:
        async with Load(office, ids, seed) as load:
            await load.each_decided_by_redis()
            workers = [Observed(worker) for worker in kept.workers]
            yield load
            await load.each_decided_by_redis(PATIENCE_S)
            for worker in workers:
                assert worker.counted("boxoffice_redis_divergences_total") == 0
        await office.agrees(60)
    assert kept.ends == []


# A cluster


async def test_a_primary_that_is_killed_is_replaced_and_redis_decides_again(
    redis_cluster: RedisCluster, on_cluster: Office
) -> None:
    async with selling(on_cluster) as load:
        for _ in range(2):
            redis_cluster.fullest_primary().kill()
            await load.decided(1_000, timeout_s=PATIENCE_S)
            await load.each_decided_by_redis(PATIENCE_S)
            await redis_cluster.mend()


async def test_slots_that_move_while_it_sells_take_their_events_along(
    redis_cluster: RedisCluster, on_cluster: Office
) -> None:
    async with selling(on_cluster) as load:
        for event_id in load.event_ids[:5]:
            taker = await redis_cluster.move(event_id)
            assert redis_cluster.primary_of(event_id) is taker
        await load.each_decided_by_redis(PATIENCE_S)
        await load.decided(500, timeout_s=PATIENCE_S)


async def test_a_cluster_that_is_gone_as_a_whole_costs_no_sale_and_is_filled_when_it_is_back(
    redis_cluster: RedisCluster, on_cluster: Office
) -> None:
    """It keeps nothing on disk: it comes back empty."""
    async with selling(on_cluster) as load:
        for node in redis_cluster.nodes:
            node.kill()
        await load.decided(1_000, by="local", timeout_s=PATIENCE_S)
        await asyncio.gather(*(node.launch() for node in redis_cluster.nodes))
        await redis_cluster.well()


# Sentinels


async def test_a_primary_behind_sentinels_that_dies_is_replaced_and_redis_decides_again(
    sentinels: Sentinels, behind_sentinels: Office
) -> None:
    async with selling(behind_sentinels) as load:
        for _ in range(2):
            killed = sentinels.primary
            killed.kill()
            await load.decided(1_000, timeout_s=PATIENCE_S)
            await load.each_decided_by_redis(PATIENCE_S)
            await sentinels.replaced(killed)
            await sentinels.mend()


async def test_a_new_primary_that_lacks_writes_is_brought_up_to_the_ledger(
    sentinels: Sentinels, behind_sentinels: Office
) -> None:
    """Its replicas could not follow for a while: what Redis decided last dies with the old one."""
    async with selling(behind_sentinels) as load:
        old = sentinels.primary
        ask(old, "ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
        ask(old, "CLIENT", "KILL", "TYPE", "replica")
        await load.decided(600, by="redis", timeout_s=PATIENCE_S)
        old.kill()
        await sentinels.replaced(old)
        await load.each_decided_by_redis(PATIENCE_S)
        logs = "".join(path.read_text() for path in Path(behind_sentinels.key_ring).parent.glob("purchases-*.log"))
        assert LOST in logs
        assert LOADED in logs


async def test_two_sentinels_less_change_nothing_for_who_knows_the_third(
    sentinels: Sentinels, behind_sentinels: Office
) -> None:
    async with selling(behind_sentinels) as load:
        sentinels.kill_sentinels(2)
        await load.decided(500, by="redis", timeout_s=PATIENCE_S)
        sentinels.start_sentinels()
