"""A ticket that nobody can read is said to be one, wherever people look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxoffice.audit import Audit
from boxoffice.operating.doctor import examine
from boxoffice.operating.findings import State
from tests.support import paperwork
from tests.support.observed import get
from tests.support.office import Office
from tests.support.paperwork import dealt_with
from tests.support.workload import Sent, event_ids
from tests.unit.records import creation, purchase

SEED = 20261130
NO_FONT_HAS_IT = "\ua000"


async def test_a_ticket_that_nobody_can_read_counts_everywhere(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "documents"
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", folder.as_uri())
    [event_id] = event_ids(SEED, 1)
    readable = {**purchase("r-1", event_id), "buyer": "東京の山田さん"}
    unreadable = {**purchase("r-2", event_id), "buyer": NO_FONT_HAS_IT}
    selling = office.start(BOXOFFICE_HEALTH_PORT="0")
    drawing = office.start("documents")
    await office.ready(selling)
    await office.send(
        [Sent(event_id.encode(), json.dumps(one).encode()) for one in (creation(event_id, 3), readable, unreadable)]
    )
    await office.answered()
    settings = paperwork.settings_for(office, folder)
    await dealt_with(settings, process=drawing)
    found = await paperwork.check(office, folder)
    assert found.problems == []
    flaws = {one["ticket"]: one.get("flaws") for one in found.announcements}
    assert flaws == {
        f"{event_id}-000001": None,
        f"{event_id}-000002": ["buyer: no font has U+A000, a box stands instead"],
    }
    assert (await paperwork.status(settings)).flawed == 1

    _, scraped = get(drawing, "/metrics")
    assert "boxoffice_documents_flawed_total 1.0" in scraped
    assert await drawing.stop() == 0

    report = await Audit(settings, 0.0, (event_id,)).run()
    assert report.all_differences == []
    assert (
        f"Event {event_id}: 1 ticket with something that cannot be read as it was written: "
        "see flaws on ticket-documents."
    ) in report.notes
    (finding,) = (one for one in (await examine(settings, 0)).findings if one.subject == "documents")
    assert finding.state == State.WARNING
    assert f"the first {event_id}-000002 (buyer: no font has U+A000" in finding.sentence
    assert await selling.stop() == 0
