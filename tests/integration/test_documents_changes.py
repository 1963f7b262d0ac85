"""Documents of a whole sale: what is held, paid for, given back in part, changed and archived; with the real process.

The ledger is written by the product's own decisions, without a worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from boxoffice.errors import ExitStatus
from lua.keys import event_keys
from tests.integration.test_audit import EVENT, PARTITIONS, Sale
from tests.support import paperwork
from tests.support.office import Office, Process, until
from tests.support.paperwork import Paperwork, dealt_with
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.unit.records import creation, purchase

CATEGORIES = [
    {"id": "stalls", "name": "Stalls", "capacity": 6, "price": {"amount": 4500, "currency": "EUR"}},
    {"id": "balcony", "name": "Balcony", "capacity": 4, "price": {"amount": 3000, "currency": "EUR"}},
]


class Desk(Sale):
    """A sale, and the folder that its documents are drawn into."""

    def __init__(self, office: Office, folder: Path) -> None:
        super().__init__(office)
        self.folder = folder
        self.environment = {
            "BOXOFFICE_DOCUMENTS_URL": folder.as_uri(),
            "BOXOFFICE_DOCUMENTS_FIRST_RETRY_MS": "20",
            "BOXOFFICE_HEALTH_PORT": "0",
        }

    async def sell(self, *commands: dict[str, Any]) -> None:
        """Have commands about the event answered on the ledger."""
        await self.send(0, *({"event_id": EVENT, **command} for command in commands))
        await self.decide()

    def start(self, **environment: str) -> Process:
        return self.office.start("documents", **self.environment, **environment)

    async def agrees(self) -> Paperwork:
        """Wait until all is dealt with, and compare it with the ledger."""
        await dealt_with(self.office.settings)
        found = await paperwork.check(self.office, self.folder)
        assert found.problems == [], found.problems[:20]
        return found

    @property
    def names(self) -> list[str]:
        """What lies in the folder."""
        return sorted(path.name for path in self.folder.glob("*/*.pdf"))

    def text(self, name: str) -> str:
        """What a document says."""
        [page] = PdfReader(self.folder / EVENT / name).pages
        return " ".join(page.extract_text().split())

    def said(self, found: Paperwork, ticket: str) -> list[tuple[str, int, int | None]]:
        """What was announced of a ticket."""
        ticket = f"{EVENT}-{ticket}"
        return [
            (one["type"], one["seq"], one.get("sale_seq")) for one in found.announcements if one["ticket"] == ticket
        ]

    async def audited(self) -> dict[str, Any]:
        """What the command line finds."""
        done = self.office.boxoffice("audit", "--wait", "0", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (ExitStatus.OK if found["agrees"] else ExitStatus.DIFFERS)
        return found


@pytest.fixture
async def desk(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    url = (tmp_path / "documents").as_uri()
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", url)
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    office.settings = changed(office.settings, documents_url=url)
    await office.open()
    yield Desk(office, tmp_path / "documents")
    office.close()


def whole(**terms: Any) -> dict[str, Any]:
    """An event with two categories, whose purchases are held."""
    event = creation(EVENT)
    del event["capacity"], event["price"]
    return {**event, "categories": CATEGORIES, "hold_s": 600, **terms}


def lines(request_id: str, **quantities: int) -> dict[str, Any]:
    wanted = [{"category": id_, "quantity": quantity} for id_, quantity in quantities.items()]
    return {"request_id": request_id, "buyer": "b-77", "lines": wanted}


def paying(request_id: str, bought: str, amount: int) -> dict[str, Any]:
    paid = {"purchase": bought, "payment": f"pay-{request_id}", "amount": amount, "currency": "EUR"}
    return {"type": "confirm_purchase", "request_id": request_id, **paid}


def cancelling(request_id: str, bought: str, *numbers: int) -> dict[str, Any]:
    tickets = {"tickets": [f"{EVENT}-{number:06d}" for number in numbers]} if numbers else {}
    return {"type": "cancel_purchase", "request_id": request_id, "purchase": bought, **tickets}


def changing(request_id: str, **members: Any) -> dict[str, Any]:
    return {"type": "change_event", "request_id": request_id, **members}


async def test_a_ticket_is_drawn_when_it_is_paid_for_and_says_its_category_and_what_was_paid(desk: Desk) -> None:
    """Seqs: 2 and 3 hold, 4 gives a held one back, 5 changes the price, 6 pays, 7 holds at the new price, 8 pays."""
    await desk.sell(
        whole(),
        lines("r-2", stalls=2, balcony=1),
        lines("r-3", balcony=2),
        cancelling("x-4", "r-3", 8),
        changing("e-5", prices=[{"category": "stalls", "amount": 9900}]),
        paying("p-6", "r-2", 12_000),
        lines("r-7", stalls=1),
        paying("p-8", "r-7", 9_900),
    )
    process = desk.start()
    found = await desk.agrees()
    assert desk.names == [
        f"{EVENT}-00000{n}.{order}.pdf" for n, order in ((1, "r-2"), (2, "r-2"), (3, "r-7"), (7, "r-2"))
    ]
    for number, category, price in (("1", "Stalls", "€45.00"), ("7", "Balcony", "€30.00"), ("3", "Stalls", "€99.00")):
        order = "r-7" if number == "3" else "r-2"
        text = desk.text(f"{EVENT}-00000{number}.{order}.pdf")
        assert f"CATEGORY {category}" in text
        assert f"PRICE {price}" in text
        assert f"ORDER {order}" in text
    assert desk.said(found, "000001") == [("document_made", 6, None)]
    assert desk.said(found, "000008") == [], "what was only held has no document that could be gone"
    await desk.sell(cancelling("x-9", "r-2", 2))
    found = await desk.agrees()
    assert desk.said(found, "000002") == [("document_made", 6, None), ("document_removed", 9, None)]
    assert desk.said(found, "000001") == [("document_made", 6, None)], "what the purchase keeps stays as it is"
    assert await process.stop() == ExitStatus.OK


async def test_a_change_that_the_page_says_is_drawn_again_and_no_other(desk: Desk) -> None:
    """Seqs: 2, 3 and 4 sell, 5 gives 3 back, 6 changes the limit, 7 the name, 8 sells, 9 gives 4 back."""
    await desk.sell(
        creation(EVENT), *(purchase(f"r-{number}", EVENT) for number in (2, 3, 4)), cancelling("x-5", "r-3")
    )
    process = desk.start()
    await desk.agrees()
    await desk.sell(changing("e-6", max_per_order=4))
    await desk.agrees()
    assert desk.names == [f"{EVENT}-000001.r-2.pdf", f"{EVENT}-000003.r-4.pdf"]
    await desk.sell(changing("e-7", name="A Night Off", starts_at="2027-04-01T20:15:00Z"))
    found = await desk.agrees()
    assert desk.names == [f"{EVENT}-000001.r-2@7.pdf", f"{EVENT}-000003.r-4@7.pdf"]
    assert desk.said(found, "000001") == [("document_made", 2, None), ("document_made", 7, 2)]
    text = desk.text(f"{EVENT}-000001.r-2@7.pdf")
    assert "A Night Off" in text
    assert "TIME 20:15" in text
    await desk.sell(purchase("r-8", EVENT), cancelling("x-9", "r-4"))
    found = await desk.agrees()
    assert desk.names == [f"{EVENT}-000001.r-2@7.pdf", f"{EVENT}-000004.r-8@7.pdf"]
    assert desk.said(found, "000003")[-1] == ("document_removed", 9, None)
    pdf = (desk.folder / EVENT / f"{EVENT}-000001.r-2@7.pdf").read_bytes()
    fetched = desk.folder.parent / "fetched.pdf"
    assert desk.office.boxoffice("ticket", f"{EVENT}-000001", "--out", str(fetched)).returncode == ExitStatus.OK
    assert fetched.read_bytes() == pdf
    assert await process.stop() == ExitStatus.OK


@pytest.mark.slow
async def test_who_is_killed_while_tickets_are_drawn_again_goes_on_where_it_was(desk: Desk) -> None:
    await desk.sell(creation(EVENT, 200), *(purchase(f"r-{number}", EVENT, 2) for number in range(100)))
    process = desk.start()
    await desk.agrees()
    await process.stop()
    await desk.sell(changing("e-1", venue="Studio"))
    process = desk.start(BOXOFFICE_DOCUMENTS_RENEWAL_RATE="25")
    # What was done is kept every other second.
    await until(lambda: len([name for name in desk.names if "@" in name]) > 100, 60, "half to be drawn again")
    # Sales are drawn beside it, and given back tickets are not drawn again.
    await desk.sell(cancelling("x-1", "r-99"), cancelling("x-2", "r-0"))
    await until(lambda: f"{EVENT}-000001.r-0@102.pdf" not in desk.names, 60, "a document to be removed")
    process.kill()
    process = desk.start()
    await desk.agrees()
    [said] = [line for line in process.log_text().splitlines() if "drawing tickets again" in line][-1:]
    left = re.search(r"tickets\W+(\d+)", said)
    assert left is not None
    assert 0 < int(left[1]) < 140


@pytest.mark.slow
async def test_the_audit_knows_of_holds_categories_and_changes(desk: Desk) -> None:
    await desk.sell(
        whole(),
        lines("r-2", stalls=2, balcony=1),
        lines("r-3", balcony=2),
        paying("p-4", "r-2", 12_000),
        cancelling("x-5", "r-2", 1),
        changing("e-6", name="A Night Off"),
        {"type": "remove_tickets", "request_id": "t-7", "category": "stalls", "count": 2},
    )
    process = desk.start()
    await desk.agrees()
    await desk.copy_to_redis()
    found = await desk.audited()
    assert found["agrees"], found["differences"]
    [event] = found["events"]
    stalls, balcony = event["categories"]
    assert stalls == {"id": "stalls", "name": "Stalls", "issued": 6, "removed": 2, "sold": 1, "held": 0, "left": 3}
    assert balcony == {"id": "balcony", "name": "Balcony", "issued": 4, "removed": 0, "sold": 1, "held": 2, "left": 1}
    assert (event["sold"], event["held"], event["left"], event["purchases"], event["holds"]) == (2, 2, 4, 1, 1)
    assert event["documents"] == {"made": 2, "failed": 0, "expired": 0, "flawed": 0, "renewing": 0}
    # An older page that lies there still, and one that was never drawn again.
    newer = desk.folder / EVENT / f"{EVENT}-000002.r-2@6.pdf"
    older = newer.with_name(f"{EVENT}-000002.r-2.pdf")
    older.write_bytes(b"%PDF")
    assert "that should be gone since a newer one is there" in str(await desk.audited())
    newer.unlink()
    assert "whose document was not drawn again" in str(await desk.audited())
    assert await process.stop() == ExitStatus.OK


@pytest.mark.slow
async def test_an_archived_event_has_its_documents_still_and_nothing_in_redis(desk: Desk) -> None:
    await desk.sell(whole(), lines("r-2", stalls=2), paying("p-3", "r-2", 9_000), lines("r-4", balcony=1))
    process = desk.start()
    await desk.agrees()
    await desk.copy_to_redis()
    await desk.sell({"type": "cancel_event", "request_id": "z-5"}, cancelling("x-6", "r-4"))
    await desk.sell(cancelling("x-7", "r-2", 1), {"type": "archive_event", "request_id": "z-8"})
    await dealt_with(desk.office.settings)
    assert desk.names == [f"{EVENT}-000002.r-2.pdf"], "what was not cancelled stays"
    found = await desk.audited()
    assert (found["events"], found["archived"]) == ([], 1)
    assert str(found["differences"]) == f"['Event {EVENT} was archived, and Redis has not forgotten it.']"
    keys = event_keys(desk.office.settings.kafka.topic_prefix, EVENT, ["stalls", "balcony"]).all
    await desk.redis("DEL", *keys)
    found = await desk.audited()
    assert found["agrees"], found["differences"]
    assert await process.stop() == ExitStatus.OK
    assert desk.office.boxoffice("event", "show", EVENT).returncode == ExitStatus.REJECTED
