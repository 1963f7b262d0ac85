"""What a process that lacks nothing says of itself: health, and the metrics that are documented."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.observed import get, health_and_status, idle
from tests.support.office import PROCESSES, Office, until
from tests.support.workload import commands, creations, event_ids
from tests.unit.test_metrics import documented

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
    status, told = health_and_status(worker)
    assert (status, told["status"]) == (200, "ok")
    assert set(told["lag"].values()) == {0}
    assert told["redis"]["connected"]
    assert not told["fallback"]["active"]
    assert told["dead_letters"] == {"owed": 0}
    assert told["partitions"] == {"ready": [0, 1, 2, 3, 4, 5], "refused": [], "newer_release": [], "waiting": []}


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
