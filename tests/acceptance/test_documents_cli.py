"""People fetch tickets and see how far they are: one sentence and a status where that does not work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from boxoffice.errors import ExitStatus
from tests.support import paperwork
from tests.support.office import Office
from tests.support.paperwork import dealt_with
from tests.support.workload import Sent, event_ids
from tests.unit.records import creation, purchase

SEED = 20261125


async def sell(office: Office, *commands: Mapping[str, object]) -> None:
    selling = office.start(BOXOFFICE_HEALTH_PORT="0")
    await office.ready(selling)
    await office.send([Sent(str(one["event_id"]).encode(), json.dumps(one).encode()) for one in commands])
    await office.answered()
    assert await selling.stop() == 0


async def test_a_ticket_is_fetched_by_its_name(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "documents"
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", folder.as_uri())
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    [event_id] = event_ids(SEED, 1)
    cancel = {"type": "cancel_purchase", "request_id": "x-1", "event_id": event_id, "purchase": "r-1"}
    await sell(
        office, creation(event_id, 3), purchase("r-1", event_id), cancel, *(purchase(f"r-{n}", event_id) for n in "234")
    )
    process = office.start("documents")
    await dealt_with(paperwork.settings_for(office, folder))
    found = await paperwork.check(office, folder)
    assert found.problems == []
    name = f"{event_id}-000001"
    out = tmp_path / "ticket.pdf"

    async def fetched() -> bytes:
        done = await office.run("ticket", name, "--out", str(out))
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}\n", "")
        return out.read_bytes()

    [made] = [one for one in found.announcements if (one["ticket"], one["seq"]) == (name, found.held[name]["seq"])]
    assert hashlib.sha256(await fetched()).hexdigest() == made["sha256"]
    # As if the old buyer's were not removed yet.
    (folder / event_id / f"{name}.r-1.pdf").write_bytes(b"old")
    assert hashlib.sha256(await fetched()).hexdigest() == made["sha256"]
    (folder / event_id / f"{name}.r-1.pdf").unlink()

    status = await office.run("documents", "status", "--json")
    size_bytes = sum(path.stat().st_size for path in folder.glob("*/*.pdf"))
    counts = {"flawed": 0, "renewing": 0, "waiting": 0, "failed": 0}
    expected = {"store": folder.as_uri(), "made": 3, "size_bytes": size_bytes, **counts}
    assert json.loads(status.stdout) == expected
    table = await office.run("documents", "status")
    assert str(size_bytes) in table.stdout
    assert await process.stop() == 0


async def test_a_document_under_its_former_name_is_fetched_and_goes_with_its_purchase(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an earlier release stored and announced it, whatever it is called by now."""
    folder = tmp_path / "documents"
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", folder.as_uri())
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    [event_id] = event_ids(SEED + 1, 1)
    await sell(office, creation(event_id), purchase("R-1", event_id), purchase("r-2", event_id))
    process = office.start("documents")
    await dealt_with(paperwork.settings_for(office, folder))
    [path] = folder.glob("*/*.R-1=1.pdf")
    former = path.rename(path.with_name(path.name.replace("=1", "")))
    out = tmp_path / "ticket.pdf"
    assert (await office.run("ticket", f"{event_id}-000001", "--out", str(out))).returncode == 0
    assert out.read_bytes() == former.read_bytes()
    await sell(office, {"type": "cancel_purchase", "request_id": "x-1", "event_id": event_id, "purchase": "R-1"})
    await dealt_with(paperwork.settings_for(office, folder))
    assert [path.name for path in folder.glob("*/*.pdf")] == [f"{event_id}-000002.r-2.pdf"]
    assert await process.stop() == 0


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("42-000099", ExitStatus.REJECTED, "There is no document of ticket 42-000099: "),
        ("nonsense", ExitStatus.USAGE, "'nonsense' is no ticket: "),
        ("42-000001/../x", ExitStatus.USAGE, "'42-000001/../x' is no ticket: "),
    ],
)
def test_a_ticket_without_a_document_is_one_sentence_and_a_status(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: ExitStatus, sentence: str
) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    done = office.boxoffice("ticket", name)
    assert done.returncode == status
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_store_that_is_unreachable_is_one_sentence_and_a_status(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documents").touch()
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    for command in (("ticket", "42-000001"), ("documents", "status")):
        done = office.boxoffice(*command)
        assert done.returncode == ExitStatus.UNREACHABLE
        assert done.stderr.startswith(f"The document store {(tmp_path / 'documents').as_uri()}/ cannot be used (")
        assert done.stderr.count("\n") == 1
