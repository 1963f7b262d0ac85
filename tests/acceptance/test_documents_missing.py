"""Whoever asks for a ticket that has no document is told which case it is, and where it was looked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from boxoffice.errors import ExitStatus
from tests.acceptance.test_documents_cli import sell
from tests.support import paperwork
from tests.support.office import ROOT, Office
from tests.support.paperwork import dealt_with
from tests.support.servers import RedisAddress
from tests.support.workload import event_ids
from tests.unit.records import creation, purchase

SEED = 20261130


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")


async def told(office: Office, ticket: str) -> str:
    """What is said of a ticket without a document."""
    done = await office.run("ticket", ticket)
    assert (done.returncode, done.stdout) == (ExitStatus.REJECTED, "")
    start = f"There is no document of ticket {ticket}: "
    assert done.stderr.startswith(start)
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix(start)


def cancellation(event_id: str, purchase_id: str) -> Mapping[str, object]:
    return {"type": "cancel_purchase", "request_id": f"x-{purchase_id}", "event_id": event_id, "purchase": purchase_id}


async def test_the_ledger_says_why_a_ticket_has_no_document(office: Office, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    [event_id] = event_ids(SEED, 1)
    first, second, third, fourth = (f"{event_id}-{number:06d}" for number in (1, 2, 3, 4))
    bought = [purchase(f"r-{number}", event_id) for number in (1, 2, 3)]
    await sell(office, creation(event_id, 10), *bought, cancellation(event_id, "r-3"))
    # Nobody has made any store: what the ledger says holds all the same, and nobody makes one by looking.
    assert (await told(office, fourth)).startswith("it is not sold.")
    assert (await told(office, third)).startswith("it was given back with purchase r-3, and is not sold again.")
    assert (await told(office, first)).startswith("it is sold, and not drawn yet; ")
    assert not folder.exists()

    spoilt = {"BOXOFFICE_TEST_DRAWER": "tests.support.drawers:raising", "PYTHONPATH": str(ROOT)}
    process = office.start("documents", BOXOFFICE_DOCUMENTS_ATTEMPTS="1", **spoilt)
    await dealt_with(paperwork.settings_for(office, folder))
    [made] = folder.glob(f"{event_id}/{second}.*.pdf")
    made.unlink()
    said = await told(office, second)
    assert said.startswith(f"it is sold and was drawn, but none lies in {folder.as_uri()}. It was removed")
    assert "BOXOFFICE_DOCUMENTS_URL" in said
    assert await process.stop() == 0


async def test_a_second_terminal_without_the_variable_is_told_so(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "documents"
    [event_id] = event_ids(SEED + 1, 1)
    await sell(office, creation(event_id), purchase("r-1", event_id))
    process = office.start("documents")
    await dealt_with(paperwork.settings_for(office, folder))
    monkeypatch.delenv("BOXOFFICE_DOCUMENTS_URL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    place = (tmp_path / "data" / "boxoffice" / "documents").as_uri()
    assert f"none lies in {place}. " in await told(office, f"{event_id}-000001")
    status = await office.run("documents", "status")
    assert status.returncode == ExitStatus.UNREACHABLE
    assert status.stderr.startswith(f"There is no document store {place}: ")
    audit = await office.run("audit", "--wait", "0")
    assert (audit.returncode, audit.stdout) == (ExitStatus.UNREACHABLE, "")
    assert audit.stderr.startswith(f"There is no document store {place}: ")
    doctor = await office.run("doctor", "--json")
    assert doctor.returncode == ExitStatus.DIFFERS
    [found] = [one for one in json.loads(doctor.stdout)["findings"] if one["subject"] == "document store"]
    assert (found["state"], place in found["sentence"]) == ("problem", True)
    assert "BOXOFFICE_DOCUMENTS_URL" in found["advice"]
    assert not (tmp_path / "data").exists()
    assert await process.stop() == 0


async def test_a_box_office_that_never_drew_has_no_store_and_that_is_no_fault(office: Office, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    done = await office.run("documents", "status", "--json")
    assert json.loads(done.stdout)["made"] == 0
    found = json.loads((await office.run("doctor", "--json")).stdout)["findings"]
    assert [one for one in found if one["subject"] == "document store"] == []
    assert not folder.exists()


async def test_without_kafka_nobody_claims_to_know_whether_a_ticket_is_sold(
    redis_server: RedisAddress, tmp_path: Path
) -> None:
    office = Office("127.0.0.1:1", redis_server.url, "nobody-", tmp_path)
    place = (tmp_path / "documents").as_uri()
    done = await office.run("ticket", "42-000001")
    assert done.returncode == ExitStatus.UNREACHABLE
    assert done.stderr.startswith(f"There is no document of ticket 42-000001 in {place}. Kafka at 127.0.0.1:1 ")
