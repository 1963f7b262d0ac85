"""What operators ask of a box office that lacks nothing: how an event stood, what is there, what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

from boxoffice.errors import ExitStatus
from tests.support.office import PROCESSES, Office
from tests.support.paperwork import dealt_with
from tests.support.workload import commands, creations, event_ids, order

SEED = 20261127


async def test_an_event_is_shown_as_it_stood(office: Office) -> None:
    [event_id] = event_ids(SEED, 1)
    office.start()
    await office.send([*creations([event_id], 10), *(order(event_id, f"r-{number}") for number in range(5))])
    await office.answered()
    records = [record for record in await office.read(office.ledger) if record.key == event_id.encode()]
    for sold, record in enumerate(records):
        done = await office.run("audit", event_id, "--at", str(record.offset), "--json")
        view = json.loads(done.stdout)
        assert (view["ledger"]["sold"], view["ledger"]["left"], view["offset"]) == (sold, 10 - sold, record.offset)
    last = json.loads(records[-1].value or b"")["at"]
    at_last = await office.run("audit", event_id, "--at", last, "--json")
    assert json.loads(at_last.stdout)["ledger"]["sold"] == 5
    too_early = await office.run("audit", event_id, "--at", "2020-01-01T00:00:00Z")
    assert too_early.returncode == ExitStatus.REJECTED
    assert (await office.run("audit", event_id, "--at", "yesterday")).returncode == ExitStatus.USAGE


async def test_a_rebuild_says_what_is_wrong_and_leaves_no_wish_behind(office: Office) -> None:
    event_id, unknown = event_ids(SEED, 2)
    worker = office.start()
    await office.send(creations([event_id], 10))
    await office.answered()
    assert await worker.stop() == 0
    assert (await office.run("rebuild", unknown)).returncode == ExitStatus.REJECTED
    assert (await office.run("rebuild")).returncode == ExitStatus.USAGE
    done = await office.run("rebuild", event_id, "--timeout", "0.5")
    assert done.returncode == ExitStatus.NO_ANSWER
    assert "1 of 1 events" in done.stderr
    told = await office.run("fallback", "status", "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["to_rebuild"] == []


async def test_stats_counts_the_documents_that_are_there(office: Office, tmp_path: Path) -> None:
    documents = {"BOXOFFICE_DOCUMENTS_URL": (tmp_path / "documents").as_uri()}
    for name in PROCESSES:
        await office.ready(office.start(name, BOXOFFICE_HEALTH_PORT="0", **documents))
    ids = event_ids(SEED, 3)
    await office.send([*creations(ids, 500), *commands(SEED, ids, 1_000)])
    await office.answered()
    await dealt_with(office.settings)
    told = json.loads((await office.run("stats", "--json")).stdout)
    files = list((tmp_path / "documents").glob("*/*.pdf"))
    assert len(files) > 500
    assert told["pdf"] == {
        "totalTickets": len(files),
        "totalSizeMB": round(sum(file.stat().st_size for file in files) / 1_000_000, 3),
    }
