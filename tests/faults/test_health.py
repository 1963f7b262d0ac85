"""What a process says of itself while something that it needs is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from tests.support.observed import get, health, health_and_status, idle
from tests.support.office import POLL_S, NewOffice, Office, Process, until
from tests.support.servers import NewKafka, NewRedis, RedisAddress
from tests.support.workload import commands, creations, event_ids

SEED = 20261124
STUCK_AFTER_S = 1


async def test_a_redis_that_is_gone_shows_and_the_worker_stays_ready(
    new_office: NewOffice, new_redis: NewRedis
) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    worker = office.start()
    await office.ready(worker)
    await until(lambda: get(worker, "/health/ready")[0] == 200, 10, "the worker to be ready")
    redis.kill()
    await until(lambda: '"active": true' in get(worker, "/health")[1], 10, "the fallback")
    assert get(worker, "/health/ready")[0] == 200
    assert "boxoffice_fallback_active 1.0" in get(worker, "/metrics")[1]


def start_documents(office: Office, folder: Path, **environment: str) -> Process:
    return office.start("documents", **of_documents(folder), **environment)


def of_documents(folder: Path) -> dict[str, str]:
    return {
        "BOXOFFICE_DOCUMENTS_URL": folder.as_uri(),
        "BOXOFFICE_DOCUMENTS_LONGEST_RETRY_MS": "200",
        "BOXOFFICE_HEALTH_STUCK_AFTER_S": str(STUCK_AFTER_S),
    }


async def sell(office: Office, seed: int) -> None:
    selling = office.start()
    await office.ready(selling)
    ids = event_ids(seed, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 200)])
    await office.answered()


def waits_for_long(process: Process) -> bool:
    return any(one["for_s"] > 3 * STUCK_AFTER_S for one in health(process)["waits_for"])


async def test_a_process_that_waits_for_an_outside_server_lives_and_says_what_it_waits_for(
    office: Office, tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    folder.write_text("in the way")
    process = start_documents(office, folder)
    await office.ready(process)
    await sell(office, SEED + 3)

    await until(lambda: waits_for_long(process), 30, "the store to be waited for")
    assert get(process, "/health/live")[0] == 200
    assert get(process, "/health/ready")[0] == 200
    status, told = health_and_status(process)
    assert (status, told["status"], [one["server"] for one in told["waits_for"]]) == (
        503,
        "unwell",
        ["document store"],
    )
    assert any(told["lag"].values())

    folder.unlink()
    deadline_s = monotonic() + 30
    while not idle(process):
        # Having waited for long, it is not found stuck as soon as the store is back.
        assert get(process, "/health/live")[0] == 200
        assert monotonic() < deadline_s, process.log_text()[-1_000:]
        await asyncio.sleep(POLL_S)
    status, told = health_and_status(process)
    assert (status, told["status"], told["waits_for"]) == (200, "ok", [])


@pytest.mark.long
async def test_a_process_that_is_cut_off_from_kafka_says_so_and_lives(
    new_kafka: NewKafka, redis_server: RedisAddress, tmp_path: Path
) -> None:
    kafka = await new_kafka()
    office = Office(kafka.bootstrap_servers, redis_server.url, f"health-{SEED}-", tmp_path)
    await office.open()
    process = office.start()
    try:
        await office.ready(process)
        await until(lambda: get(process, "/health")[0] == 200, 10, "the process to be well")
        kafka.kill()
        await until(lambda: waits_for_long(process), 30, "Kafka to be waited for")
        status, told = health_and_status(process)
        assert (status, [one["server"] for one in told["waits_for"]]) == (503, ["Kafka"])
        assert get(process, "/health/live")[0] == 200
        await kafka.launch()
        await until(lambda: get(process, "/health")[0] == 200, 60, "the process to be well again")
        assert health(process)["waits_for"] == []
    finally:
        office.close()


async def test_a_process_that_does_not_get_on_by_itself_is_not_alive(office: Office, tmp_path: Path) -> None:
    environment = of_documents(tmp_path / "documents")
    process = office.start_documents("stuck", **environment, BOXOFFICE_DOCUMENTS_DRAWING_TIMEOUT_MS="600000")
    await office.ready(process)
    await sell(office, SEED + 4)
    await until(lambda: get(process, "/health/live")[0] == 503, 30, "the process to be found stuck")
    status, told = health_and_status(process)
    assert (status, told["status"], told["waits_for"]) == (503, "unwell", [])
    assert get(process, "/health/ready")[0] == 200
