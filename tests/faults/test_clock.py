"""Clocks that are killed, stand still or go wrong, beside a real worker: every hold ends once, and none early."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.office import Office, Process, until
from tests.support.one_partition import buying, holding, paying
from tests.support.workload import Sent

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

EVENTS = ("42", "43", "44", "45", "46", "47")
HOLD_S = 60
HELD = 40
"""Of each event."""
PAID = 12
QUIET_S = 45

FAST = """
# Python imports this before anything else: the wall clock of the process is five minutes ahead.
import time
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + 300
time.time_ns = lambda: real_ns() + 300 * 10**9
"""


async def sell(office: Office) -> None:
    """Have tickets held in every event, and some of them paid for."""
    commands: list[dict[str, Any]] = [holding(event_id, 1_000, HOLD_S) for event_id in EVENTS]
    commands += [buying(f"r-{number}", event_id) for number in range(HELD) for event_id in EVENTS]
    commands += [paying(f"r-{number}", event_id) for number in range(PAID) for event_id in EVENTS]
    await office.send([Sent(one["event_id"].encode(), json.dumps(one).encode()) for one in commands])
    await office.answered()


async def facts(office: Office) -> list[dict[str, Any]]:
    """All that the ledger says."""
    return [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]


async def every_hold_ends(office: Office, timeout_s: float) -> None:
    """Wait until what was not paid for has expired; see that it did once, not early, and that all agrees."""
    expected = {(event_id, f"r-{number}") for event_id in EVENTS for number in range(PAID, HELD)}
    deadline_s = monotonic() + timeout_s
    while len(expired := [one for one in await facts(office) if one["type"] == "hold_expired"]) < len(expected):
        assert monotonic() < deadline_s, f"{len(expired)} of {len(expected)} holds have ended"
        await asyncio.sleep(1)
    await office.answered()
    told = await facts(office)
    due = {(one["event_id"], one["purchase"]): one["due"] for one in told if one["type"] == "purchase_held"}
    seqs: dict[tuple[str, str], set[int]] = {}
    for one in told:
        if one["type"] == "hold_expired":
            seqs.setdefault((one["event_id"], one["purchase"]), set()).add(one["seq"])
            assert one["at"] >= due[one["event_id"], one["purchase"]]
    assert seqs.keys() == expected
    assert all(len(found) == 1 for found in seqs.values())
    await office.agrees()


def latest_s(told: list[dict[str, Any]]) -> float:
    """How long after it was due the last hold has ended, by the broker's time."""
    due = {(one["event_id"], one["purchase"]): one["due"] for one in told if one["type"] == "purchase_held"}
    return max(
        (datetime.fromisoformat(one["at"]) - datetime.fromisoformat(due[one["event_id"], one["purchase"]])).seconds
        for one in told
        if one["type"] == "hold_expired"
    )


async def started(office: Office, **environment: str) -> Process:
    process = office.start("clock", BOXOFFICE_HEALTH_PORT="0", **environment)
    await office.ready(process)
    return process


async def test_a_clock_that_is_killed_and_one_that_stands_still_lose_no_hold(office: Office) -> None:
    worker = office.start(BOXOFFICE_HEALTH_PORT="0")
    await office.ready(worker)
    killed, still = await started(office), await started(office)
    await sell(office)
    await asyncio.sleep(QUIET_S)
    killed.kill()
    still.freeze()
    await started(office)
    await every_hold_ends(office, HOLD_S + 90)
    # Whatever it took for due when it stood still, it may ask for now.
    still.signal(signal.SIGCONT)
    await asyncio.sleep(5)
    await office.answered()
    await every_hold_ends(office, 30)
    assert worker.ended() is None
    assert latest_s(await facts(office)) < HOLD_S


async def test_a_clock_that_is_fast_by_minutes_lets_no_hold_end_early(office: Office, tmp_path: Path) -> None:
    await office.ready(office.start(BOXOFFICE_HEALTH_PORT="0"))
    (tmp_path / "sitecustomize.py").write_text(FAST)
    clock = await started(office, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    await sell(office)
    await every_hold_ends(office, HOLD_S + 60)
    refused = Counter(one["reason"] for one in await facts(office) if one["type"] == "command_rejected")
    assert refused["not_due"] >= len(EVENTS) * (HELD - PAID), "it asked early about each"
    # Once early, and once when it was time: not each second.
    assert refused.total() <= 2 * len(EVENTS) * HELD
    assert latest_s(await facts(office)) < HOLD_S
    await until(lambda: clock.ended() is None, 1, "the clock to live")
