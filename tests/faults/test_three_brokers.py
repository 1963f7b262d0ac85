"""Three brokers, of which some die, hang or are started again while it sells: nothing is lost or sold twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from boxoffice.embedded import EmbeddedKafka
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.errors import UnreachableError
from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from tests.faults.kept import KeptWorkers
from tests.faults.load import Load
from tests.faults.shared import new_events
from tests.support.observed import health
from tests.support.office import Office, until
from tests.support.servers import RedisAddress
from tests.support.settings import changed
from tests.support.workload import creations, order
from topics import TOPICS, purchase_requests, purchase_results

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EVENTS = 12
PATIENCE_S = 120
SILENT_S = 6
"""Longer than a broker's session: whoever could take over has done so."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """Three brokers, which leave a follower out that is two seconds behind."""
    opened = EmbeddedCluster(tmp_path_factory.mktemp("cluster"), 3, properties={"replica.lag.time.max.ms": "2000"})
    try:
        asyncio.run(opened.launch())
        yield opened
    finally:
        asyncio.run(opened.stop())


@pytest.fixture
async def office(
    cluster: EmbeddedCluster, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> AsyncIterator[Office]:
    """A box office on these brokers, not yet opened; all brokers are there and in sync again after it."""
    opened = Office(cluster.bootstrap_servers, redis_server.url, prefix, tmp_path)
    # Whoever sends and reads in a test waits as long as it takes.
    opened.settings = changed(opened.settings, kafka_request_timeout_ms=120_000)
    yield opened
    opened.close()
    for broker in cluster.brokers:
        broker.resume()
        if not broker.running:
            await broker.launch()


async def replicas(office: Office) -> dict[str, list[tuple[int, set[int], set[int]]]]:
    """Of each topic the leader, the replicas and those in sync of every partition."""
    names = [topic.full_name(office.settings.kafka.topic_prefix) for topic in TOPICS]
    async with clients.admin(office.settings.kafka) as admin:
        found = await admin.describe_topics(names)
    return {
        topic["topic"]: [(one["leader"], set(one["replicas"]), set(one["isr"])) for one in topic["partitions"]]
        for topic in found
    }


async def until_in_sync(office: Office, brokers: Collection[int]) -> None:
    """Wait until just these brokers are in sync everywhere."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                found = await replicas(office)
            except (KafkaError, UnreachableError, OSError):
                found = {}
            if found and all(isr == set(brokers) for topic in found.values() for _, _, isr in topic):
                return
            await asyncio.sleep(0.3)


async def led_by(office: Office, broker: int) -> int:
    """How many partitions of the ledger a broker leads."""
    return sum(leader == broker for leader, _, _ in (await replicas(office))[office.ledger])


async def test_a_broker_that_is_killed_under_load_loses_nothing_and_others_lead(
    cluster: EmbeddedCluster, office: Office
) -> None:
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office), Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        for number in (1, 2, 3):
            await until_in_sync(office, {1, 2, 3})
            cluster.brokers[number - 1].kill()
            await load.decided(1_000, timeout_s=PATIENCE_S)
            assert await led_by(office, number) == 0
            await cluster.brokers[number - 1].launch()
        await load.decided(500, timeout_s=PATIENCE_S)
    summary = await office.agrees(60)
    assert summary["commands"] >= load.sent


async def test_below_the_least_number_of_replicas_nothing_is_answered_and_all_is_once_there_are_enough(
    cluster: EmbeddedCluster, office: Office
) -> None:
    """Two of three die: what is acknowledged by one broker alone could be lost with it."""
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office, BOXOFFICE_PUBLISH_TIMEOUT_MS="10000"), Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        cluster.brokers[1].kill()
        cluster.brokers[2].kill()
        await asyncio.sleep(SILENT_S)
        answered = len(load.taken)
        await asyncio.sleep(2 * SILENT_S)
        assert len(load.taken) == answered
        await asyncio.gather(cluster.brokers[1].launch(), cluster.brokers[2].launch())
        await load.decided(1_000, timeout_s=PATIENCE_S)
    await office.agrees(60)


async def test_a_follower_that_hangs_is_left_out_and_let_in_again_when_it_has_all(
    cluster: EmbeddedCluster, office: Office
) -> None:
    """It is cut off from everybody. When it goes on, it must not serve what it has: it lacks what was sold since."""
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office), Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        await until_in_sync(office, {1, 2, 3})
        cluster.brokers[2].pause()
        await until_in_sync(office, {1, 2})
        await load.decided(1_000, timeout_s=PATIENCE_S)
        cluster.brokers[2].resume()
        await until_in_sync(office, {1, 2, 3})
        # It has all by now: another one may die.
        cluster.brokers[0].kill()
        await load.decided(1_000, timeout_s=PATIENCE_S)
        assert await led_by(office, 3) > 0
        await cluster.brokers[0].launch()
    await office.agrees(60)


async def test_all_brokers_are_started_again_one_after_the_other_while_it_sells(
    cluster: EmbeddedCluster, office: Office
) -> None:
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office) as kept, Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        for broker in cluster.brokers:
            await until_in_sync(office, {1, 2, 3})
            await broker.restart()
            await load.decided(500, timeout_s=PATIENCE_S)
    assert kept.ends == []
    await office.agrees(60)


async def create_on(office: Office, brokers: dict[int, list[int]]) -> None:
    """Create the topics: the replicas of commands and facts of some partitions on these brokers, all else on all."""
    settings = office.settings.kafka
    sale = (purchase_requests.TOPIC, purchase_results.TOPIC)
    async with clients.admin(settings) as admin:
        await admin.create_topics(
            [
                NewTopic(
                    topic.full_name(settings.topic_prefix),
                    -1,
                    -1,
                    {
                        number: brokers.get(number, [1, 2, 3]) if topic in sale else [1, 2, 3]
                        for number in range(settings.partitions)
                    },
                    {**topic.config, "min.insync.replicas": "1"},
                )
                for topic in TOPICS
            ]
        )


async def stopped_and_behind(behind: EmbeddedKafka, ahead: EmbeddedKafka, office: Office, ids: list[str]) -> None:
    """One dies, something is sold that only the other has, which dies too; the first comes back."""
    behind.kill()
    await until_without(office, 2)
    await office.send([order(event_id, "r-1") for event_id in ids])
    await office.answered()
    ahead.kill()
    await behind.launch()


async def until_without(office: Office, broker: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while any(broker in isr for topic in (await replicas(office)).values() for _, _, isr in topic):
            await asyncio.sleep(0.3)


async def test_a_broker_that_lacks_sales_is_not_made_leader(cluster: EmbeddedCluster, office: Office) -> None:
    """With one acknowledging replica, which nobody should have: even so its partition waits for who has all."""
    await create_on(office, {0: [1, 2]})
    _, ids = new_events(24)
    at_stake = [event_id for event_id in ids if home_partition(event_id, 6) == 0]
    others = [event_id for event_id in ids if home_partition(event_id, 6) != 0]
    assert at_stake
    worker = office.start(BOXOFFICE_PUBLISH_TIMEOUT_MS="20000")
    await office.ready(worker)
    await office.send(creations(ids, 100))
    await office.answered()
    await until_in_sync_at(office, 0, {1, 2})

    await stopped_and_behind(cluster.brokers[1], cluster.brokers[0], office, at_stake)
    await until(lambda: health(worker)["partitions"]["waiting"] == [0], PATIENCE_S, "the partition to wait")
    await office.send([order(event_id, "r-1") for event_id in others])
    await until(lambda: only_lags_at(health(worker)["lag"], 0), PATIENCE_S, "the others to sell on")
    assert (await replicas(office))[office.ledger][0][0] == clients.NO_LEADER

    await cluster.brokers[0].launch()
    await until(lambda: health(worker)["partitions"]["waiting"] == [], PATIENCE_S, "the partition to go on")
    await office.answered()
    assert worker.ended() is None
    summary = await office.agrees(60)
    assert all(summary["events"][event_id]["sold"] == 1 for event_id in ids)


async def until_in_sync_at(office: Office, number: int, brokers: set[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await replicas(office))[office.ledger][number][2] != brokers:
            await asyncio.sleep(0.3)


def only_lags_at(lags: dict[str, int], number: int) -> bool:
    return len(lags) == 6 and not any(lag for name, lag in lags.items() if name != str(number))
