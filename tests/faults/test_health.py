"""What a process says of itself while it runs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.conftest import NewOffice
from tests.faults.observed import get
from tests.office import POLL_S, ROOT, Office, Process, until
from tests.servers import NewKafka, NewRedis, RedisAddress
from tests.unit.test_metrics import documented
from tests.workload import commands, creations, event_ids

SEED = 20261124
PROMTOOL = shutil.which("promtool")


async def test_a_worker_that_has_its_partitions_is_live_ready_and_without_lag(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    ids = event_ids(SEED, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 500)])
    await office.answered()
    await until(lambda: get(worker, "/health/ready")[0] == 200, 10, "the worker to be ready")
    await until(lambda: idle(worker), 10, "the worker to know that it is at the end")
    assert get(worker, "/health/live") == (200, '{"live": true}')
    status, text = get(worker, "/health")
    health = json.loads(text)
    assert (status, health["status"]) == (200, "ok")
    assert set(health["lag"].values()) == {0}
    assert health["redis"]["connected"]
    assert not health["fallback"]["active"]
    assert health["partitions"] == {"ready": [0, 1, 2, 3, 4, 5], "refused": []}


async def test_decisions_are_counted_by_outcome(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    ids = event_ids(SEED + 1, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 500)])
    await office.answered()
    verdict = await office.verdict()
    _, scraped = get(worker, "/metrics")
    confirmed = re.findall(r'boxoffice_decisions_total\{.*outcome="purchase_confirmed".*\} (\S+)', scraped)
    answered_again = verdict.summary["repeats"]
    assert verdict.summary["confirmed"] <= sum(map(float, confirmed)) <= verdict.summary["confirmed"] + answered_again
    assert "boxoffice_dead_letters_total" in scraped


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


PROCESSES = ("purchases", "documents", "stats")


async def scrapes(office: Office, folder: Path) -> dict[str, str]:
    """What each process serves after it had something to do."""
    started = {name: office.start(name, BOXOFFICE_DOCUMENTS_URL=folder.as_uri()) for name in PROCESSES}
    for process in started.values():
        await office.ready(process)
    ids = event_ids(SEED + 2, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 500)])
    await office.answered()
    for name in PROCESSES:
        await until(lambda name=name: idle(started[name]), 30, f"{name} to reach the end")  # type: ignore[misc]
    return {name: get(process, "/metrics")[1] for name, process in started.items()}


def idle(process: Process) -> bool:
    lag = json.loads(get(process, "/health")[1])["lag"]
    return bool(lag) and set(lag.values()) == {0}


def exposed(scraped: str) -> set[tuple[str, str]]:
    """Name and type of every metric."""
    return set(re.findall(r"^# TYPE (\S+) (\S+)$", scraped, re.MULTILINE))


async def test_each_process_serves_the_metrics_that_are_documented_of_it_and_no_other(
    office: Office, tmp_path: Path
) -> None:
    for name, scraped in (await scrapes(office, tmp_path / "documents")).items():
        own = {metric.name: metric for metric in documented() if name in metric.processes}
        assert exposed(scraped) == {(metric.name, metric.kind) for metric in own.values()}, name
        for family in text_string_to_metric_families(scraped):
            metric = own[f"{family.name}_total" if family.type == "counter" else family.name]
            assert all(set(sample.labels) - {"le"} == metric.labels for sample in family.samples), metric


@pytest.mark.promtool
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
async def test_promtool_finds_nothing_to_complain_of_in_any_process(office: Office, tmp_path: Path) -> None:
    for name, scraped in (await scrapes(office, tmp_path / "documents")).items():
        assert (name, *await asyncio.to_thread(complaints, scraped)) == (name, 0, "")


def complaints(scraped: str) -> tuple[int, str]:
    command = [str(PROMTOOL), "check", "metrics"]
    checked = subprocess.run(command, input=scraped, capture_output=True, text=True, check=False)
    return checked.returncode, checked.stdout + checked.stderr


async def test_two_workers_on_one_machine_move_to_free_ports(office: Office) -> None:
    first, second = office.start(BOXOFFICE_HEALTH_PORT="9464"), office.start(BOXOFFICE_HEALTH_PORT="9464")
    for worker in (first, second):
        await office.ready(worker)
    assert get(first, "/health/live")[0] == get(second, "/health/live")[0] == 200


STUCK_AFTER_S = 1


def start_documents(office: Office, folder: Path, **environment: str) -> Process:
    return office.start(
        "documents",
        BOXOFFICE_DOCUMENTS_URL=folder.as_uri(),
        BOXOFFICE_DOCUMENTS_LONGEST_RETRY_MS="200",
        BOXOFFICE_HEALTH_STUCK_AFTER_S=str(STUCK_AFTER_S),
        **environment,
    )


async def sell(office: Office, seed: int) -> None:
    selling = office.start()
    await office.ready(selling)
    ids = event_ids(seed, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 200)])
    await office.answered()


def health(process: Process) -> tuple[int, dict[str, Any]]:
    status, text = get(process, "/health")
    return status, json.loads(text)


def waits_for_long(process: Process) -> bool:
    return any(one["for_s"] > 3 * STUCK_AFTER_S for one in health(process)[1]["waits_for"])


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
    status, told = health(process)
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
    status, told = health(process)
    assert (status, told["status"], told["waits_for"]) == (200, "ok", [])


async def test_a_process_that_is_cut_off_from_kafka_says_so_and_lives(
    new_kafka: NewKafka, redis_server: RedisAddress, tmp_path: Path
) -> None:
    kafka = await new_kafka()
    office = Office(kafka.bootstrap_servers, redis_server.url, f"health-{SEED}-", tmp_path)
    await office.open()
    process = office.start()
    try:
        await office.ready(process)
        await until(lambda: health(process)[0] == 200, 10, "the process to be well")
        kafka.kill()
        await until(lambda: waits_for_long(process), 30, "Kafka to be waited for")
        status, told = health(process)
        assert (status, [one["server"] for one in told["waits_for"]]) == (503, ["Kafka"])
        assert get(process, "/health/live")[0] == 200
        await kafka.launch()
        await until(lambda: health(process)[0] == 200, 60, "the process to be well again")
        assert health(process)[1]["waits_for"] == []
    finally:
        office.close()


async def test_a_process_that_does_not_get_on_by_itself_is_not_alive(office: Office, tmp_path: Path) -> None:
    hook = {"BOXOFFICE_TEST_DRAWER": "tests.drawers:stuck", "PYTHONPATH": str(ROOT)}
    process = start_documents(office, tmp_path / "documents", BOXOFFICE_DOCUMENTS_DRAWING_TIMEOUT_MS="600000", **hook)
    await office.ready(process)
    await sell(office, SEED + 4)
    await until(lambda: get(process, "/health/live")[0] == 503, 30, "the process to be found stuck")
    status, told = health(process)
    assert (status, told["status"], told["waits_for"]) == (503, "unwell", [])
    assert get(process, "/health/ready")[0] == 200
