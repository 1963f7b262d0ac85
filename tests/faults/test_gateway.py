"""Gateways, brokers, workers and Redis die under buyers: nobody buys twice, loses what he bought, or hears two things.

Judged by the independent checkers: one of the ledger, one of all that was said over HTTP.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import home_partition
from tests.faults.brokers import OwnBroker
from tests.faults.cluster import Cluster, open_cluster
from tests.faults.http_load import BUYERS, FINAL, HttpLoad, everybody_was_told_the_truth
from tests.faults.shared import SharedOffice, new_events
from tests.support.gateways import Door, new_key
from tests.support.observed import get, health
from tests.support.office import Office, until
from tests.support.servers import RedisAddress
from tests.support.workload import creations
from topics import purchase_requests

CAPACITY = 2_000
SHORT_S, LONG_S = 5.0, 30.0

long = [pytest.mark.long, pytest.mark.timeout(300)]


async def doors_of(office: Office, count: int, **environment: str) -> list[Door]:
    """Some gateways that listen."""
    doors = [Door(office, **environment) for _ in range(count)]
    for door in doors:
        await door.ready()
    return doors


async def buyers_key(office: Office) -> str:
    """A key whose pace nobody reaches."""
    return await new_key(office, "buy", rate="100000")


async def on_sale(office: Office, number: int) -> tuple[int, list[str]]:
    """A seed, and events of which the ledger knows; a worker has to be there."""
    seed, ids = new_events(number)
    await office.send(creations(ids, CAPACITY))
    await office.answered()
    return seed, ids


@pytest.mark.parametrize("rounds", [pytest.param(1, id="once"), pytest.param(5, id="five times", marks=long)])
async def test_a_gateway_is_killed_and_whoever_waited_there_is_answered_elsewhere(office: Office, rounds: int) -> None:
    office.start()
    doors = await doors_of(office, 2)
    key = await buyers_key(office)
    seed, ids = await on_sale(office, 8)
    async with HttpLoad(doors, key, ids, seed) as load:
        for _ in range(rounds):
            await load.answered(300)
            load.doors[0].process.kill()
            await load.answered(300)
            load.doors.pop(0)
            load.doors += await doors_of(office, 1)
        await load.answered(300)
        await load.stop()
    assert load.statuses()[None] > 0, "nobody waited at the gateway that was killed"
    assert load.statuses().keys() <= {None, *FINAL}
    await everybody_was_told_the_truth(office, load.exchanges)
    assert [await door.process.stop() for door in load.doors] == [ExitStatus.OK] * 2


async def test_a_gateway_is_stopped_under_load_and_nobody_is_cut_off(office: Office) -> None:
    office.start()
    doors = await doors_of(office, 2)
    key = await buyers_key(office)
    seed, ids = await on_sale(office, 8)
    async with HttpLoad(doors, key, ids, seed) as load:
        await load.answered(300)
        assert await doors[0].process.stop() == ExitStatus.OK
        load.doors.remove(doors[0])
        await load.answered(300)
        await load.stop()
    at_it = [exchange for exchange in load.exchanges if exchange.instance == doors[0].base]
    # Whoever comes once it listens no more is not cut off: nothing of his was taken.
    assert {exchange.status for exchange in at_it if exchange.status is not None} <= {503, *FINAL}
    await everybody_was_told_the_truth(office, load.exchanges)


async def test_told_to_stop_without_workers_it_says_how_far_all_has_come_before_it_would_be_killed(
    office: Office,
) -> None:
    [door] = await doors_of(office, 1, BOXOFFICE_STOP_TIMEOUT_MS="8000")
    key = await buyers_key(office)
    async with HttpLoad([door], key, ["1", "2"], 1, wait_s=30) as load:
        await until(lambda: health(door.process)["requests"]["waiting"] >= BUYERS, 30, "all to wait")
        waiting = list(load.exchanges)
        assert await door.process.stop() == ExitStatus.OK
        await until(lambda: all(exchange.ended_s for exchange in waiting), 10, "all to be told")
    assert {exchange.status for exchange in waiting} == {202}


@pytest.mark.parametrize("seconds", [pytest.param(SHORT_S, id="5 s"), pytest.param(10.0, id="10 s", marks=long)])
async def test_kafka_is_gone_and_nobody_is_told_that_he_bought_what_the_ledger_does_not_have(
    broker: OwnBroker, suffering: Office, seconds: float
) -> None:
    suffering.start()
    doors = await doors_of(suffering, 2)
    key = await buyers_key(suffering)
    seed, ids = await on_sale(suffering, 8)
    async with HttpLoad(doors, key, ids, seed, wait_s=1) as load:
        await load.answered(300)
        broker.kafka.kill()
        gone_s = monotonic()
        await asyncio.sleep(seconds)
        back_s = monotonic()
        await broker.kafka.launch()
        await load.answered(300, timeout_s=90)
        await load.stop(timeout_s=90)
    meanwhile = {one.status for one in load.exchanges if gone_s + 1 < one.begun_s and one.ended_s < back_s}
    assert meanwhile <= {202, 503}
    assert load.statuses().keys() <= {202, 503, *FINAL}
    assert [door.process.ended() for door in doors] == [None, None]
    await everybody_was_told_the_truth(suffering, load.exchanges)


@pytest.mark.parametrize("seconds", [pytest.param(SHORT_S, id="5 s"), pytest.param(LONG_S, id="30 s", marks=long)])
async def test_without_a_worker_waits_become_accepted_and_are_answered_when_one_comes(
    office: Office, seconds: float
) -> None:
    worker = office.start()
    doors = await doors_of(office, 2)
    key = await buyers_key(office)
    seed, ids = await on_sale(office, 8)
    async with HttpLoad(doors, key, ids, seed, wait_s=2) as load:
        await load.answered(300)
        worker.kill()
        gone_s = monotonic()
        await asyncio.sleep(seconds)
        assert set(load.statuses(gone_s)) == {202}
        office.start()
        await load.answered(300)
        await load.stop()
    assert load.statuses().keys() <= {202, *FINAL}
    await everybody_was_told_the_truth(office, load.exchanges)


async def test_redis_is_gone_and_no_purchase_notices(shared_office: SharedOffice) -> None:
    office = shared_office.office
    doors = await doors_of(office, 2)
    key = await buyers_key(office)
    seed, ids = await on_sale(office, 8)
    async with HttpLoad(doors, key, ids, seed) as load:
        await load.answered(300)
        shared_office.redis.kill()
        await load.answered(500)
        [late] = await doors_of(office, 1)
        load.doors.append(late)
        await load.answered(300)
        await load.stop()
    assert load.statuses().keys() <= FINAL
    await shared_office.mend()
    await everybody_was_told_the_truth(office, load.exchanges)
    assert [await door.process.stop() for door in load.doors] == [ExitStatus.OK] * 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two brokers."""
    with open_cluster(tmp_path_factory.mktemp("cluster")) as opened:
        yield opened


@pytest.fixture
async def of_two(cluster: Cluster, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A box office on these brokers, not yet opened; both brokers are there again after it."""
    opened = Office(cluster.stays.bootstrap_servers, redis_server.url, prefix, tmp_path)
    yield opened
    opened.close()
    if not cluster.goes.running:
        await cluster.goes.launch()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_partition_without_a_leader_fails_alone(cluster: Cluster, of_two: Office) -> None:
    office = of_two
    await cluster.open(office, (purchase_requests.TOPIC.name, 0))
    office.start()
    [door] = await doors_of(office, 1, BOXOFFICE_GATEWAY_PATIENCE_S="2")
    key = await buyers_key(office)
    seed, ids = await on_sale(office, 24)
    alone = [event_id for event_id in ids if home_partition(event_id, 6) == 0]
    others = [event_id for event_id in ids if home_partition(event_id, 6) != 0]
    cluster.goes.kill()
    gone_s = monotonic()
    stuck = HttpLoad([door], key, alone, seed, wait_s=1, first=1_000_000)
    async with HttpLoad([door], key, others, seed) as load, stuck:
        await load.answered(600)
        await until(lambda: stuck.statuses()[503] > 20, 60, "the others to be refused")
        assert stuck.statuses(gone_s).keys() <= {503}
        assert load.statuses(gone_s).keys() <= FINAL
        await cluster.goes.launch()
        await stuck.answered(100, timeout_s=90)
        await asyncio.gather(load.stop(), stuck.stop())
    await everybody_was_told_the_truth(office, load.exchanges + stuck.exchanges)


async def test_a_gateway_that_waits_for_kafka_at_its_start_does_not_listen(
    broker: OwnBroker, suffering: Office
) -> None:
    broker.kafka.kill()
    door, stopped = Door(suffering), Door(suffering)
    processes = [door.process, stopped.process]
    await until(lambda: all("waiting for Kafka" in one.log_text() for one in processes), 30, "both to wait")
    assert await stopped.process.stop() == -signal.SIGTERM
    assert get(door.process, "/health/ready")[0] == 503
    assert "the gateway listens" not in door.process.log_text()
    await broker.kafka.launch()
    await door.ready()
    await until(lambda: get(door.process, "/health/ready")[0] == 200, 30, "it to be ready")


async def test_a_port_that_is_taken_ends_the_gateway_and_is_named(office: Office) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = office.start("gateway", BOXOFFICE_GATEWAY_PORT=str(port))
        assert await process.end() == ExitStatus.USAGE
    assert f"127.0.0.1:{port}, where nothing can listen" in process.log_text()


@pytest.mark.long
async def test_a_gateway_ends_when_the_partitions_were_raised(office: Office) -> None:
    [door] = await doors_of(office, 1)
    await office.raise_partitions(9, office.requests, office.ledger)
    assert await door.process.end(timeout_s=60) == ExitStatus.REFUSED
    assert "The number of partitions was changed: it was 6, and now " in door.process.log_text()
