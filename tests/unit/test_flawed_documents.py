"""What drawing finds amiss reaches the announcement, and from there the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from boxoffice import metrics
from boxoffice.audit.papers import Papers
from boxoffice.batching import Record
from boxoffice.documents.drawing import Drawn
from boxoffice.documents.making import Making
from boxoffice.documents.pages import KnownEvent, Said
from boxoffice.documents.queue import Job
from boxoffice.settings import load_settings
from boxoffice.storage.store import DocumentStore, Stored
from models.commands import read_command
from models.documents import DocumentAnnouncement, document_name, made
from models.event import Position
from models.inventory import Inventory, decide, fold
from models.shapes import Fact
from tests.support.settings import changed
from tests.unit.test_documents import order, sale

PDF = b"%PDF"
FLAW = "buyer: no font has U+A000, a box stands instead"
TICKETS = ("42-000001", "42-000002")


class Pages:
    """An event that is known."""

    async def of(self, event_id: str, seq: int, *, whole: bool = False) -> KnownEvent:  # noqa: ARG002
        return KnownEvent(event_id, [Said(1, "Opera", "Hall", "2027-03-01T19:30:00Z")], is_whole=True)

    async def begin_at(self, event_ids: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(event_ids, "2027-03-01T19:30:00Z")


class Announcer:
    """Remembers what it is to announce."""

    def __init__(self) -> None:
        self.announced: list[DocumentAnnouncement] = []

    async def announce(self, announcement: DocumentAnnouncement, fact: Record) -> None:  # noqa: ARG002
        self.announced.append(announcement)


@pytest.mark.parametrize("flaws", [(), (FLAW,)])
async def test_what_drawing_finds_amiss_is_announced_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flaws: tuple[str, ...]
) -> None:
    settings = changed(load_settings(), documents_url=(tmp_path / "documents").as_uri())
    pages: Any = Pages()
    announcer: Any = Announcer()
    nobody: Any = None
    making = Making(settings.kafka, settings.documents, nobody, pages, nobody, nullcontext)
    monkeypatch.setattr(making, "_announcer", announcer)

    async def draw(*_: object) -> Drawn:
        return Drawn(PDF, sha256(PDF).hexdigest(), flaws)

    monkeypatch.setattr(making, "_draw", draw)
    counted = metrics.DOCUMENTS_FLAWED._value.get()
    async with asyncio.timeout(30):
        await making._do(Job(order(sale()), TICKETS[0]))
    (announcement,) = announcer.announced
    assert announcement.get("flaws", []) == list(flaws)
    assert metrics.DOCUMENTS_FLAWED._value.get() - counted == len(flaws)


@pytest.mark.parametrize("flawed", [(), TICKETS[:1], TICKETS])
def test_the_audit_counts_what_is_announced_with_flaws(tmp_path: Path, flawed: tuple[str, ...]) -> None:
    inventory = Inventory(0)
    commands = (
        b'{"type":"create_event","request_id":"c","event_id":"42","name":"O","venue":"H","capacity":9,'
        b'"starts_at":"2027-03-01T19:30:00Z","price":{"amount":1,"currency":"EUR"}}',
        b'{"request_id":"r-2","event_id":"42","buyer":"b","quantity":2}',
    )
    facts: list[Fact] = []
    for offset, command in enumerate(commands):
        position = Position(offset, 1_795_341_600_123, {"partition": 0, "offset": offset})
        facts.append(decide(inventory, read_command(command), position))
        fold(inventory, facts[-1], offset)
    fact = facts[-1]
    assert fact["type"] == "purchase_confirmed"
    papers = Papers(inventory.events["42"])
    for ticket in TICKETS:
        name = document_name("42", ticket, "r-2")
        papers.take(made(fact, ticket, f"file:///x/{name}", len(PDF), "0" * 64, (FLAW,) if ticket in flawed else ()))
        assert papers.stored(Stored(name, len(PDF), datetime.now(UTC)))
    settings = changed(load_settings(), documents_url=(tmp_path / "documents").as_uri())
    counts = papers.judge(DocumentStore(settings.documents), 0, may_be_gone=False)
    assert (counts.made, counts.flawed) == (2, len(flawed))
