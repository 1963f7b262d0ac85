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

from boxoffice.documents.status import DocumentsStatus, documents_status, facts_waiting, renewals_under_way
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
    """Wait until every fact of the ledger is dealt with, and said to be, and all is drawn again that has to be."""
    deadline_s = monotonic() + timeout_s
    while waiting := await facts_waiting(settings.kafka) + len(await renewals_under_way(settings.kafka)):
        assert monotonic() < deadline_s, f"{waiting} facts are not dealt with after {timeout_s} s"
        assert process is None or process.ended() is None, process.log_text()[-2_000:]
        await asyncio.sleep(POLL_S)


async def check(office: Office, folder: Path, without: Iterable[str] = ()) -> Paperwork:
    """Compare store and announcements with the ledger; of tickets ``without`` a document there must be none."""
    found, expected = Paperwork(), _Expected(_facts(await office.read(office.ledger)))
    found.held = {ticket: sale for ticket, sale in expected.held.items() if ticket not in set(without)}
    _check_folder(found, expected, folder)
    records = await office.read(ticket_documents.TOPIC.full_name(office.settings.kafka.topic_prefix))
    for record in records:
        _check_record(found, record, office.settings.kafka.partitions)
    _check_announcements(found, expected, folder, set(without))
    return found


def _facts(records: Iterable[Record]) -> list[Fact]:
    """The facts of each event, each once, in order."""
    by_event: defaultdict[str, dict[int, Fact]] = defaultdict(dict)
    for record in records:
        fact = json.loads(record.value or b"{}")
        if fact["seq"]:
            by_event[fact["event_id"]].setdefault(fact["seq"], fact)
    return [facts[seq] for facts in by_event.values() for seq in sorted(facts)]


class _Expected:
    """What follows from the facts: whose each ticket is, what is said of it, and under which name it lies.

    A page says what the event was created as, or changed to last: ``since`` is the seq of that, or 1.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.held: dict[str, Fact] = {}
        self.since: defaultdict[str, int] = defaultdict(lambda: 1)
        self.said: dict[tuple[str, int], Fact] = {}
        self.may_be_left_out: set[tuple[str, int]] = set()
        """What is given back before it was drawn again, or of an event that is changed again before."""
        self._pages: dict[str, tuple[str, ...]] = {}
        for fact in facts:
            self._take(fact)

    def _take(self, fact: Fact) -> None:
        match fact["type"]:
            case "event_created" | "event_changed":
                self._tell(fact)
            case "purchase_confirmed":
                for ticket in fact["tickets"]:
                    self.held[ticket] = fact
                    self._say("document_made", ticket, fact, fact)
            case "purchase_cancelled" if not fact.get("held"):
                for ticket in fact["tickets"]:
                    again = {key for key, one in self.said.items() if key[0] == ticket and "again" in one}
                    self.may_be_left_out |= again
                    self._say("document_removed", ticket, fact, self.held.pop(ticket))

    def _tell(self, fact: Fact) -> None:
        event_id, page = fact["event_id"], (fact["name"], fact["venue"], fact["starts_at"])
        if self._pages.setdefault(event_id, page) == page:
            return
        self._pages[event_id] = page
        self.may_be_left_out |= {
            key for key, one in self.said.items() if "again" in one and event_id == one["event_id"]
        }
        self.since[event_id] = fact["seq"]
        for ticket, sale in self.held.items():
            if sale["event_id"] == event_id:
                self._say("document_made", ticket, fact, sale, again=True)

    def _say(self, kind: str, ticket: str, fact: Fact, sale: Fact, **also: bool) -> None:
        purchase = sale.get("purchase", sale["request_id"])
        self.said[ticket, fact["seq"]] = {
            "type": kind,
            "event_id": fact["event_id"],
            "request_id": fact["request_id"] if kind == "document_removed" else purchase,
            "buyer": sale["buyer"],
            "at": fact["at"],
            "location": self.name(ticket, sale),
            "sale_seq": sale["seq"] if also else None,
            **also,
        }

    def name(self, ticket: str, sale: Fact) -> str:
        """Where the document of a ticket lies now, or has lain last."""
        event_id = sale["event_id"]
        page = f"@{self.since[event_id]}" if self.since[event_id] > 1 else ""
        return f"{event_id}/{ticket}.{sale.get('purchase', sale['request_id'])}{page}.pdf"


def _check_folder(found: Paperwork, expected: _Expected, folder: Path) -> None:
    # What a crash left half written goes by another name until it is stale: it is no document.
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "#" not in path.name}
    names = {expected.name(ticket, sale) for ticket, sale in found.held.items()}
    found.problems += [f"missing: {name}" for name in sorted(names - there)]
    found.problems += [f"should not be there: {name}" for name in sorted(there - names)]
    for name in there & names:
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


def _check_announcements(found: Paperwork, expected: _Expected, folder: Path, without: set[str]) -> None:
    said: defaultdict[tuple[str, int], list[Fact]] = defaultdict(list)
    for one in found.announcements:
        said[one["ticket"], one["seq"]].append(one)
    for key, should_be in expected.said.items():
        of_ticket = said.pop(key, [])
        if key[0] in without or (not of_ticket and key in expected.may_be_left_out):
            continue
        if not of_ticket or any(one != of_ticket[0] for one in of_ticket):
            found.problems.append(f"{key[0]} of seq {key[1]} is announced as {of_ticket}")
        else:
            found.problems += _wrong(of_ticket[0], should_be, folder)
    found.problems += [f"announced without a fact: {one}" for one in said.values()]
    for ticket, sale in found.held.items():
        path = folder / expected.name(ticket, sale)
        of_this = (one for one in found.announcements if one["ticket"] == ticket)
        newest = max(of_this, key=lambda one: int(one["seq"]), default=Fact())
        pdf = path.read_bytes() if path.exists() else b""
        if (newest.get("size_bytes"), newest.get("sha256")) != (len(pdf), hashlib.sha256(pdf).hexdigest()):
            found.problems.append(f"size or digest of {ticket} is not what was announced")


def _wrong(said: Fact, should_be: Fact, folder: Path) -> list[str]:
    expected = {
        **{name: value for name, value in should_be.items() if name != "again"},
        "location": f"{folder.as_uri()}/{should_be['location']}",
    }
    return [
        f"{said['ticket']}: {name} is {said.get(name)!r}" for name, value in expected.items() if said.get(name) != value
    ]
