"""What ``boxoffice stats`` says of real processes, and that it says it without Redis."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.office import POLL_S, PROCESSES, NewOffice, Office, Process
from tests.support.servers import NewRedis

SEED = 20261125
QUICK = {"BOXOFFICE_PRESENCE_INTERVAL_S": "0.5", "BOXOFFICE_HEALTH_PORT": "0"}


def told(office: Office) -> dict[str, Any]:
    done = office.boxoffice("stats", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def until_system(office: Office, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What is said of the system as soon as it is so."""
    async with asyncio.timeout(60):
        while True:
            system: dict[str, Any] = (await asyncio.to_thread(told, office))["system"]
            if holds(system):
                return system
            await asyncio.sleep(POLL_S)


def running(system: dict[str, Any]) -> Counter[str]:
    return Counter(one["process"] for one in system["processes"])


@pytest.mark.long
async def test_stats_says_which_processes_run_and_whether_they_do_without_redis(
    new_office: NewOffice, new_redis: NewRedis, tmp_path: Path
) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    documents = {"BOXOFFICE_DOCUMENTS_URL": (tmp_path / "documents").as_uri()}
    started: dict[str, Process] = {name: office.start(name, **QUICK, **documents) for name in PROCESSES}
    second = office.start(**QUICK)
    for process in (*started.values(), second):
        await office.ready(process)

    def all_ready(system: dict[str, Any]) -> bool:
        return len(system["processes"]) == 5 and all(one["ready"] for one in system["processes"])

    system = await until_system(office, all_ready)
    assert running(system) == {"purchases": 2, "documents": 1, "stats": 1, "clock": 1}
    assert system["usingFallback"] is False
    assert system["memoryUsage"] == sum(one["memoryUsage"] for one in system["processes"])
    assert system["uptime"] == max(one["uptime"] for one in system["processes"])
    assert {one["host"] for one in system["processes"]} == {socket.gethostname()}
    assert all(one["live"] and not one["waitsFor"] for one in system["processes"])

    assert await second.stop() == 0
    assert running(told(office)["system"]) == {"purchases": 1, "documents": 1, "stats": 1, "clock": 1}

    redis.kill()
    system = await until_system(office, lambda system: not system["redisConnected"])
    assert (system["usingFallback"], system["processes"]) == (True, [])
    await redis.launch()
    system = await until_system(
        office, lambda system: len(running(system)) == len(PROCESSES) and not system["usingFallback"]
    )
    assert system["redisConnected"]
    assert all(process.ended() is None for process in started.values())
