"""What a process says of itself while it runs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from urllib.error import HTTPError

import pytest

from tests.faults.conftest import NewOffice
from tests.office import Office, Process, until
from tests.servers import NewRedis
from tests.workload import commands, creations, event_ids

SEED = 20261124
PROMTOOL = shutil.which("promtool")


def get(process: Process, path: str) -> tuple[int, str]:
    """A request to the process' own port, which its log names."""
    [port] = re.findall(r'"message": "health and metrics".*?"port": (\d+)', process.log_text())
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_a_worker_that_has_its_partitions_is_live_ready_and_without_lag(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    ids = event_ids(SEED, 2)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 500)])
    await office.answered()
    await until(lambda: get(worker, "/health/ready")[0] == 200, 10, "the worker to be ready")
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
    redis.kill()
    await until(lambda: '"active": true' in get(worker, "/health")[1], 10, "the fallback")
    assert get(worker, "/health/ready")[0] == 200
    assert "boxoffice_fallback_active 1.0" in get(worker, "/metrics")[1]


@pytest.mark.promtool
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
async def test_promtool_finds_nothing_to_complain_of(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    _, scraped = get(worker, "/metrics")
    assert await asyncio.to_thread(complaints, scraped) == (0, "")


def complaints(scraped: str) -> tuple[int, str]:
    command = [str(PROMTOOL), "check", "metrics"]
    checked = subprocess.run(command, input=scraped, capture_output=True, text=True, check=False)
    return checked.returncode, checked.stdout + checked.stderr


async def test_two_workers_on_one_machine_move_to_free_ports(office: Office) -> None:
    first, second = office.start(BOXOFFICE_HEALTH_PORT="9464"), office.start(BOXOFFICE_HEALTH_PORT="9464")
    for worker in (first, second):
        await office.ready(worker)
    assert get(first, "/health/live")[0] == get(second, "/health/live")[0] == 200
