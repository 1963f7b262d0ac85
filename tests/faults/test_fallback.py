"""What operators do while sales go on: a drill, a rebuild, and audits that nobody has to ask for."""

from __future__ import annotations

import json
import signal
from typing import Any

from boxoffice.errors import ExitStatus
from lua.keys import event_keys
from tests.faults.load import Load
from tests.faults.shared import SharedOffice, new_events
from tests.support.observed import get
from tests.support.office import Office, Process, until
from tests.support.workload import creations, order

DRILL = "a drill: Redis is left alone, deciding locally"
BEYOND = str(10**9)
DEADLINE_S = 60


async def test_a_drill_outlives_a_worker_and_ends_when_it_is_told_to(shared_office: SharedOffice) -> None:
    seed, ids = new_events(4)
    office = shared_office.office
    survivor, victim = shared_office.workers
    async with Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        [seen, _] = shared_office.observed()
        assert (await office.run("fallback", "drill", "on", "--for", "600")).returncode == 0
        await shared_office.fallback(active=True)
        await load.decided(200, by="local")
        victim.kill()
        await shared_office.start_workers()
        await shared_office.fallback(active=True)
        await load.decided(200, by="local")
        told = await status_of_drill(office)
        assert {worker["fallback_reason"] for worker in told["workers"] if worker["using_fallback"]} == {"drill"}
        assert 0 < told["drill_ends_in_s"] <= 600
        assert (await office.run("fallback", "drill", "off")).returncode == 0
        await load.each_decided_by_redis()
    assert [line["level"] for line in seen.logged(DRILL)] == ["warning"]
    assert survivor.ended() is None
    await shared_office.in_step()
    await shared_office.agrees()


async def status_of_drill(office: Office) -> dict[str, Any]:
    """What ``fallback status`` says once both workers have said that they decide locally."""
    while True:
        done = await office.run("fallback", "status", "--json")
        assert done.returncode == ExitStatus.DIFFERS, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        if sum(worker["using_fallback"] for worker in told["workers"]) >= 2:
            return told


async def test_a_rebuild_replaces_what_no_worker_may_while_sales_go_on(shared_office: SharedOffice) -> None:
    """Redis claims to be further than the ledger: it may be an owner's word, and only an operator knows better."""
    seed, ids = new_events(3)
    office = shared_office.office
    async with Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        keys = event_keys(office.settings.kafka.topic_prefix, ids[0])
        shared_office.ask("HSET", keys.meta, "seq", BEYOND, "fence", BEYOND)
        await load.decided(200)
        assert shared_office.ask("HGET", keys.meta, "fence") == BEYOND
        assert (await office.run("audit", ids[0], "--wait", "1")).returncode == ExitStatus.DIFFERS
        done = await office.run("rebuild", ids[0], ids[1])
        assert done.returncode == 0, done.stdout + done.stderr
        await load.each_decided_by_redis()
    await shared_office.in_step()
    await shared_office.agrees()


async def test_all_events_are_rebuilt_into_an_empty_redis(shared_office: SharedOffice) -> None:
    seed, ids = new_events(5)
    office = shared_office.office
    await office.send([*creations(ids, 50), *(order(event_id, f"r-{seed}") for event_id in ids)])
    await office.answered()
    shared_office.ask("FLUSHALL")
    done = await office.run("rebuild", "--all", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    rebuilt = json.loads(done.stdout)
    assert {event_id: rebuilt[event_id]["sold"] for event_id in ids} == dict.fromkeys(ids, 1)
    await shared_office.agrees()


async def test_audits_are_made_again_and_again_and_their_outcome_is_a_metric(shared_office: SharedOffice) -> None:
    _, [event_id] = new_events(1)
    office = shared_office.office
    await office.send([*creations([event_id], 10), order(event_id, "r-1")])
    await office.answered()
    await shared_office.in_step()
    auditor = office.start("audit")
    await until(lambda: audits(auditor, "agrees") == 1, DEADLINE_S, "the first audit")
    assert await auditor.stop() == 0
    keys = event_keys(office.settings.kafka.topic_prefix, event_id)
    shared_office.ask("HSET", keys.purchases, "r-1", "not what was sold")
    often = office.start_command("audit", "--every", "1", "--wait", "1")
    await until(lambda: audits(often, "differs") >= 2, DEADLINE_S, "two audits that find a difference")
    assert "boxoffice_audit_differences 1.0" in get(often, "/metrics")[1]
    assert (await office.run("rebuild", event_id)).returncode == 0
    await until(lambda: audits(often, "agrees") >= 1, DEADLINE_S, "an audit that finds none")
    often.signal(signal.SIGTERM)
    assert await often.end() == 0


def audits(auditor: Process, outcome: str) -> float:
    """How many audits had this outcome."""
    if "health and metrics" not in auditor.log_text():
        return 0
    lines = get(auditor, "/metrics")[1].splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith(f'boxoffice_audits_total{{outcome="{outcome}"')
    )
