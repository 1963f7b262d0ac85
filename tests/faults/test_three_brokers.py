"""Three brokers, of which some die, hang or are started again while it sells: nothing is lost or sold twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaError

from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.errors import UnreachableError
from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from tests.faults.cluster import create_on
from tests.faults.kept import KeptWorkers
from tests.faults.load import Load
from tests.faults.shared import new_events
from tests.support.observed import health
from tests.support.office import Office, until
from tests.support.servers import RedisAddress
from tests.support.settings import changed
from tests.support.workload import creations, order
from topics import TOPICS, purchase_results

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EVENTS = 12
PARTITIONS = 6
LOOK_MS = 3_000
LOOK_AGAIN_S = 0.3
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


class Partition(NamedTuple):
    """Who leads a partition, and who is in sync with it."""

    leader: int
    in_sync: frozenset[int]


async def partitions(office: Office) -> dict[str, list[Partition]]:
    """Those of each topic, as soon as a broker says so: one that hangs is not waited for."""
    settings = office.settings.kafka.model_copy(update={"request_timeout_ms": LOOK_MS})
    names = [topic.full_name(settings.topic_prefix) for topic in TOPICS]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(KafkaError, UnreachableError, OSError, TimeoutError):
                async with clients.admin(settings) as admin:
                    found = await admin.describe_topics(names)
                return {topic["topic"]: _in_order(topic["partitions"]) for topic in found}
            await asyncio.sleep(LOOK_AGAIN_S)


def _in_order(told: list[dict[str, Any]]) -> list[Partition]:
    """A broker tells of partitions in any order."""
    return [Partition(one["leader"], frozenset(one["isr"])) for one in sorted(told, key=itemgetter("partition"))]


async def until_so(office: Office, is_so: Callable[[dict[str, list[Partition]]], bool], what: str) -> None:
    """Wait until the brokers say that something is so."""
    deadline_s = monotonic() + PATIENCE_S
    while not is_so(found := await partitions(office)):
        assert monotonic() < deadline_s, f"waited {PATIENCE_S} s for {what}: {found}"
        await asyncio.sleep(LOOK_AGAIN_S)


async def until_in_sync(office: Office, *brokers: int) -> None:
    """Wait until just these brokers are in sync everywhere."""
    await until_so(
        office,
        lambda found: all(one.in_sync == set(brokers) for topic in found.values() for one in topic),
        f"{brokers} to be in sync",
    )


async def led_by(office: Office, broker: int) -> int:
    """How many partitions of the ledger a broker leads."""
    return sum(one.leader == broker for one in (await partitions(office))[office.ledger])


async def test_a_broker_that_is_killed_under_load_loses_nothing_and_others_lead(
    cluster: EmbeddedCluster, office: Office
) -> None:
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office), Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        for number in (1, 2, 3):
            await until_in_sync(office, 1, 2, 3)
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


async def test_a_follower_that_is_cut_off_is_left_out_and_let_in_again_when_it_has_all(
    cluster: EmbeddedCluster, office: Office
) -> None:
    """It hangs, so that nobody hears of it. When it goes on it lacks what was sold since, and must not serve it."""
    await create_on(office, lambda _, number: [1, 2, 3] if number % 2 else [2, 1, 3])
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office), Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        await until_in_sync(office, 1, 2, 3)
        assert await led_by(office, 3) == 0
        cluster.brokers[2].pause()
        await until_in_sync(office, 1, 2)
        await load.decided(1_000, timeout_s=PATIENCE_S)
        cluster.brokers[2].resume()
        await until_in_sync(office, 1, 2, 3)
        # It has all by now: both others may die, one after the other.
        for number in (0, 1):
            cluster.brokers[number].kill()
            await load.decided(1_000, timeout_s=PATIENCE_S)
            await cluster.brokers[number].launch()
            await until_in_sync(office, 1, 2, 3)
    await office.agrees(60)


async def test_all_brokers_are_started_again_one_after_the_other_while_it_sells(
    cluster: EmbeddedCluster, office: Office
) -> None:
    await office.open()
    seed, ids = new_events(EVENTS)
    async with KeptWorkers(office) as kept, Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        for broker in cluster.brokers:
            await until_in_sync(office, 1, 2, 3)
            await broker.restart()
            await load.decided(500, timeout_s=PATIENCE_S)
    assert kept.ends == []
    await office.agrees(60)


async def test_a_broker_that_lacks_sales_is_not_made_leader(cluster: EmbeddedCluster, office: Office) -> None:
    """With one acknowledging replica, which nobody should have: even so its partition waits for who has all."""

    def on(topic: str, number: int) -> list[int]:
        if topic != purchase_results.TOPIC.name:
            return [3, 1, 2]
        # All partitions of a topic have as many replicas.
        return [3, 1] if number else [1, 2]

    await create_on(office, on, {"min.insync.replicas": "1"})
    _, ids = new_events(24)
    at_stake = [event_id for event_id in ids if home_partition(event_id, PARTITIONS) == 0]
    others = [event_id for event_id in ids if home_partition(event_id, PARTITIONS) != 0]
    assert at_stake
    worker = office.start()
    await office.ready(worker)
    await office.send(creations(ids, 100))
    await office.answered()
    await until_so(office, lambda found: found[office.ledger][0].in_sync == {1, 2}, "both to have all")

    cluster.brokers[1].kill()
    await until_so(office, lambda found: found[office.ledger][0].in_sync == {1}, "the second to be left out")
    await office.send([order(event_id, "r-1") for event_id in ids])
    await office.answered()
    cluster.brokers[0].kill()
    await cluster.brokers[1].launch()
    await office.send([order(event_id, "r-2") for event_id in ids])
    await until(lambda: health(worker)["partitions"]["waiting"] == [0], PATIENCE_S, "the partition to wait")
    await until(lambda: only_lags_at(health(worker)["lag"], 0), PATIENCE_S, "the others to sell on")
    assert (await partitions(office))[office.ledger][0].leader == clients.NO_LEADER

    await cluster.brokers[0].launch()
    await until(lambda: health(worker)["partitions"]["waiting"] == [], PATIENCE_S, "the partition to go on")
    await office.answered()
    assert worker.ended() is None
    summary = await office.agrees(60)
    assert {summary["events"][event_id]["sold"] for event_id in (*at_stake, *others)} == {2}


def only_lags_at(lags: dict[str, int], number: int) -> bool:
    return len(lags) == PARTITIONS and not any(lag for name, lag in lags.items() if name != str(number))
