"""What must lie in the store and on ``ticket-documents`` by the ledger; not computed as the product does it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from boxoffice.documents.status import DocumentsStatus, documents_status, facts_waiting
from boxoffice.kafka import clients
from boxoffice.settings import Settings
from boxoffice.storage.store import DocumentStore
from tests.support.office import POLL_S, Office, Process, Record
from tests.support.settings import changed
from topics import ticket_documents

Fact = dict[str, Any]


@dataclass
class Paperwork:
    """What was found wrong, and what was found."""

    problems: list[str] = field(default_factory=list)
    held: dict[str, Fact] = field(default_factory=dict)
    """The sale of each ticket that is sold now."""
    announcements: list[Fact] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many different announcements there are of each type."""
        distinct = {json.dumps(one, sort_keys=True): one["type"] for one in self.announcements}
        return {kind: list(distinct.values()).count(kind) for kind in ("document_made", "document_removed")}


def settings_for(office: Office, folder: Path) -> Settings:
    """The office's settings with its documents in a folder."""
    return changed(office.settings, documents_url=folder.as_uri())


async def status(settings: Settings) -> DocumentsStatus:
    """How far the documents are, by the product."""
    return await documents_status(settings.kafka, DocumentStore(settings.documents))


async def dealt_with(settings: Settings, timeout_s: float = 60, process: Process | None = None) -> None:
    """Wait until every fact of the ledger is dealt with, and said to be."""
    deadline_s = monotonic() + timeout_s
    while waiting := await facts_waiting(settings.kafka):
        assert monotonic() < deadline_s, f"{waiting} facts are not dealt with after {timeout_s} s"
        assert process is None or process.ended() is None, process.log_text()[-2_000:]
        await asyncio.sleep(POLL_S)


async def check(office: Office, folder: Path, without: Iterable[str] = ()) -> Paperwork:
    """Compare store and announcements with the ledger; of tickets ``without`` a document there must be none."""
    found = Paperwork()
    facts = _facts(await office.read(office.ledger))
    for fact in facts:
        _fold(found.held, fact)
    for name in without:
        found.held.pop(name)
    _check_folder(found, folder)
    records = await office.read(ticket_documents.TOPIC.full_name(office.settings.kafka.topic_prefix))
    for record in records:
        _check_record(found, record, office.settings.kafka.partitions)
    _check_announcements(found, facts, folder, set(without))
    return found


def _facts(records: Iterable[Record]) -> list[Fact]:
    """The facts of each event, each once, in order."""
    by_event: defaultdict[str, dict[int, Fact]] = defaultdict(dict)
    for record in records:
        fact = json.loads(record.value or b"{}")
        if fact["seq"]:
            by_event[fact["event_id"]].setdefault(fact["seq"], fact)
    return [facts[seq] for facts in by_event.values() for seq in sorted(facts)]


def _fold(held: dict[str, Fact], fact: Fact) -> None:
    for ticket in fact.get("tickets", ()):
        if fact["type"] == "purchase_confirmed":
            held[ticket] = fact
        else:
            del held[ticket]


def _name(ticket: str, purchase: str) -> str:
    return f"{ticket.split('-', maxsplit=1)[0]}/{ticket}.{purchase}.pdf"


def _check_folder(found: Paperwork, folder: Path) -> None:
    # What a crash left half written goes by another name until it is stale: it is no document.
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "#" not in path.name}
    expected = {_name(ticket, sale["request_id"]) for ticket, sale in found.held.items()}
    found.problems += [f"missing: {name}" for name in sorted(expected - there)]
    found.problems += [f"should not be there: {name}" for name in sorted(there - expected)]
    for name in there & expected:
        pdf = (folder / name).read_bytes()
        if not (pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")):
            found.problems.append(f"no whole PDF: {name}")


def _check_record(found: Paperwork, record: Record, partitions: int) -> None:
    said = json.loads(record.value or b"{}")
    headers = dict(record.headers)
    right = {
        "key": (record.key, said["event_id"].encode()),
        "partition": (record.partition, clients.home_partition(said["event_id"], partitions)),
        "ce_id": (headers["ce_id"], f"{said['ticket']}-{said['seq']}".encode()),
        "ce_type": (headers["ce_type"], f"boxoffice.{said['type']}.v1".encode()),
        "ce_source": (headers["ce_source"], b"boxoffice/documents"),
        "ce_specversion": (headers["ce_specversion"], b"1.0"),
        "ce_time": (headers["ce_time"], said["at"].encode()),
        "content-type": (headers["content-type"], b"application/json"),
    }
    found.problems += [f"{what} of {said}: {is_!r}" for what, (is_, should_be) in right.items() if is_ != should_be]
    found.announcements.append(said)


def _check_announcements(found: Paperwork, facts: list[Fact], folder: Path, without: set[str]) -> None:
    said: defaultdict[tuple[str, int], list[Fact]] = defaultdict(list)
    for one in found.announcements:
        said[one["ticket"], one["seq"]].append(one)
    for fact in facts:
        for ticket in fact.get("tickets", ()):
            of_ticket = said.pop((ticket, fact["seq"]), [])
            if ticket in without:
                continue
            if not of_ticket or any(one != of_ticket[0] for one in of_ticket):
                found.problems.append(f"{ticket} of seq {fact['seq']} is announced as {of_ticket}")
            else:
                found.problems += _wrong(of_ticket[0], fact, folder)
    found.problems += [f"announced without a fact: {one}" for one in said.values()]
    for ticket, sale in found.held.items():
        pdf = (folder / _name(ticket, sale["request_id"])).read_bytes()
        [made] = (
            [
                one
                for one in {json.dumps(one): one for one in found.announcements if one["ticket"] == ticket}.values()
                if one["seq"] == sale["seq"]
            ]
            if ticket not in without
            else [None]
        )
        if made and (made["size_bytes"], made["sha256"]) != (len(pdf), hashlib.sha256(pdf).hexdigest()):
            found.problems.append(f"size or digest of {ticket} is not what was announced")


def _wrong(said: Fact, fact: Fact, folder: Path) -> list[str]:
    sold = fact["type"] == "purchase_confirmed"
    purchase = fact["request_id"] if sold else fact["purchase"]
    expected = {
        "type": "document_made" if sold else "document_removed",
        "event_id": fact["event_id"],
        "request_id": fact["request_id"],
        "buyer": fact["buyer"],
        "at": fact["at"],
        "location": f"{folder.as_uri()}/{_name(said['ticket'], purchase)}",
    }
    return [f"{said['ticket']}: {name} is {said[name]!r}" for name, value in expected.items() if said[name] != value]
