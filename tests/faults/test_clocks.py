"""Nothing decides by a worker's clock: one that is wrong by days, and jumps, leads to the same ledger."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from boxoffice.embedded.ports import HOST
from boxoffice.kafka.topics import create_topics
from tests.faults.load import Load
from tests.support.office import NewOffice, Office, Process, Record
from tests.support.servers import NewRedis
from tests.support.workload import event_ids

SEED = 20261127

JUMPING = """
# Python imports this before anything else: the wall clock of the process is a day ahead or a day behind,
# and jumps from one to the other twice a second; the monotonic clock is left alone, as it is by whoever sets a clock.
import time
DAY_S = 86_400
real, real_ns, elapsed = time.time, time.time_ns, time.monotonic
def wrong_by_s():
    return DAY_S if int(elapsed() * 2) % 2 else -DAY_S
time.time = lambda: real() + wrong_by_s()
time.time_ns = lambda: real_ns() + wrong_by_s() * 10**9
"""


def start_with_jumping_clock(office: Office, folder: Path) -> Process:
    (folder / "sitecustomize.py").write_text(JUMPING)
    return office.start(PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def clock_is_wrong_by(office: Office) -> timedelta:
    """How far the time at which the only worker says that it started is from now."""
    told = json.loads(office.boxoffice("stats", "--json").stdout)
    [process] = told["system"]["processes"]
    return abs(datetime.fromisoformat(process["startedAt"]) - datetime.now(UTC))


def decided(records: list[Record]) -> list[tuple[int, bytes | None, object, object]]:
    """All that a ledger says, but for who decided."""
    facts = [json.loads(record.value or b"{}") | {"decided_by": None} for record in records]
    return [(one.partition, one.key, one.headers, fact) for one, fact in zip(records, facts, strict=True)]


@pytest.mark.long
async def test_a_worker_whose_clock_jumps_by_days_stalls_at_nothing_and_another_decides_all_of_it_alike(
    new_office: NewOffice, new_redis: NewRedis, tmp_path: Path
) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    first = start_with_jumping_clock(office, tmp_path)
    await office.ready(first)
    async with Load(office, event_ids(SEED, 8), SEED) as load:
        await load.each_decided_by_redis()
        redis.pause()
        await load.decided(200, by="local")
        redis.resume()
        await load.each_decided_by_redis()
    await office.agrees()
    assert clock_is_wrong_by(office) > timedelta(hours=23)
    assert await first.stop() == 0
    ledger = decided(await office.read(office.ledger))
    await office.delete_topic(office.ledger)
    await create_topics(office.settings.kafka)
    with Redis(host=HOST, port=redis.port) as client:
        client.flushall()
    office.start()
    await office.answered()
    assert decided(await office.read(office.ledger)) == ledger
    await office.agrees()
