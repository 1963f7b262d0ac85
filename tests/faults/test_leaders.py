"""One of two brokers dies with a partition that it alone leads: that partition waits, and the others sell on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import home_partition
from tests.faults.cluster import Cluster, open_cluster
from tests.support.observed import get, health
from tests.support.office import Office, Process, until
from tests.support.servers import RedisAddress
from tests.support.workload import creations, event_ids, order
from topics import purchase_requests, purchase_results

LEDGER, REQUESTS = purchase_results.TOPIC.name, purchase_requests.TOPIC.name
PUBLISH_TIMEOUT_S = 20
LONG_S = 1.5 * PUBLISH_TIMEOUT_S
"""Longer than any publish may take."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two brokers."""
    with open_cluster(tmp_path_factory.mktemp("cluster")) as opened:
        yield opened


@pytest.fixture
async def office(cluster: Cluster, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A box office on these brokers, not yet opened; both brokers are there again after it."""
    opened = Office(cluster.stays.bootstrap_servers, redis_server.url, prefix, tmp_path)
    yield opened
    opened.close()
    if not cluster.goes.running:
        await cluster.goes.launch()


def start(office: Office) -> Process:
    """Start a worker."""
    return office.start(BOXOFFICE_PUBLISH_TIMEOUT_MS=str(PUBLISH_TIMEOUT_S * 1000))


def waiting(*workers: Process) -> list[int]:
    """The partitions that wait, at any of some workers."""
    return sorted(number for worker in workers for number in health(worker)["partitions"]["waiting"])


def answered(left_alone: int, *workers: Process) -> bool:
    """Whether all is answered but on one partition."""
    lags = {number: lag for worker in workers for number, lag in health(worker)["lag"].items()}
    return len(lags) == 6 and not any(lag for number, lag in lags.items() if number != str(left_alone))


async def one_waits_and_the_others_sell_on(office: Office, worker: Process, ids: list[str]) -> None:
    """Partition 0, for longer than any publish may take; whoever looks is told."""
    await office.send([order(event_id, "r-1") for event_id in ids])
    await until(lambda: waiting(worker) == [0] and answered(0, worker), 60, "one partition to wait, the others to sell")
    assert get(worker, "/health/live")[0] == 200
    assert 'boxoffice_partitions{state="waiting"} 1.0' in get(worker, "/metrics")[1]
    doctor = await office.run("doctor")
    assert doctor.returncode == ExitStatus.DIFFERS, doctor.stdout + doctor.stderr
    assert f"{office.ledger} has no leader for partition 0." in doctor.stdout.replace("\n", " ")
    await asyncio.sleep(LONG_S)
    await office.send([order(event_id, "r-2") for event_id in ids])
    await until(lambda: answered(0, worker), 30, "the others to sell on")


async def test_a_ledger_partition_without_a_leader_waits_and_is_answered_when_its_broker_is_back(
    cluster: Cluster, office: Office
) -> None:
    await cluster.open(office, (LEDGER, 0))
    ids = event_ids(1, 24)
    assert {home_partition(event_id, 6) for event_id in ids} == set(range(6))
    first = start(office)
    await office.ready(first)
    await office.send(creations(ids, 500))
    await office.answered()

    cluster.goes.kill()
    await one_waits_and_the_others_sell_on(office, first, ids)

    # Who comes meanwhile, takes over or gives up partitions, and goes.
    second = start(office)
    await office.ready(second)
    await until(lambda: waiting(first, second) == [0], 60, "the partition to wait at one of them")
    await office.send([order(event_id, "r-3") for event_id in ids])
    await until(lambda: answered(0, first, second), 60, "both to sell on")
    assert await first.stop() == ExitStatus.OK
    await until(lambda: waiting(second) == [0] and answered(0, second), 60, "the other to have all")

    await cluster.goes.launch()
    await until(lambda: waiting(second) == [], 60, "none to wait")
    await office.answered()
    assert second.ended() is None
    assert second.log_text().count("partition waits: nobody leads it") <= 2
    await office.agrees()


async def test_who_cannot_forward_to_a_partition_without_a_leader_waits_and_the_others_sell_on(
    cluster: Cluster, office: Office
) -> None:
    await cluster.open(office, (REQUESTS, 0))
    ids = event_ids(2, 24)
    away = next(event_id for event_id in ids if home_partition(event_id, 6) == 0)
    behind_key = next(event_id for event_id in ids if home_partition(event_id, 6) == 3)
    others = [event_id for event_id in ids if home_partition(event_id, 6) != 0]
    worker = start(office)
    await office.ready(worker)
    await office.send(creations(ids, 500))
    await office.answered()

    cluster.goes.kill()
    await office.send([order(away, "r-1")._replace(key=behind_key.encode())])
    await until(lambda: waiting(worker) == [3], 60, "who forwards to wait")
    await office.send([order(event_id, "r-1") for event_id in others])
    await asyncio.sleep(LONG_S)
    await until(lambda: answered(3, worker), 30, "the others to sell on")
    await cluster.goes.launch()
    await until(lambda: waiting(worker) == [], 60, "none to wait")
    await office.answered()
    assert worker.ended() is None
    await office.agrees()
