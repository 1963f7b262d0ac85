"""The audit of statistics and documents: what the processes downstream made of a ledger, and what became of it.

They are written by the product's own functions, without the processes, so that a test can spoil one of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from boxoffice.audit import documents_check
from boxoffice.documents.announcing import announcement_record
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.side_records import dead_letter
from boxoffice.statistics.figures import Figures, Sums, event_figures, partition_totals, stats_record
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.storage.errors import NoStoreError
from boxoffice.storage.store import DocumentStore
from lua.keys import event_statistics_key, global_statistics_key
from models.documents import DocumentAnnouncement, document_name, made, removed
from models.facts import read_fact
from models.ledger import Ledger
from models.shapes import Fact
from models.statistics import Statistics
from tests.integration.test_audit import EVENT, OTHER, PARTITIONS, Sale
from tests.support import paperwork
from tests.support.office import PROCESSES, Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.support.workload import commands, creations, event_ids
from tests.unit.records import creation, purchase
from topics import event_stats, ticket_documents
from topics.purchase_results import READ_HEADER

SEED = 20261127
FIRST, CANCELLED, LAST = f"{EVENT}-000001", f"{EVENT}-000002", f"{EVENT}-000003"
CANCELLATION = {"type": "cancel_purchase", "request_id": "x-1", "event_id": EVENT, "purchase": "r-1"}


class Downstream(Sale):
    """A sale, and what statistics and documents must become of it."""

    def __init__(self, office: Office) -> None:
        super().__init__(office)
        self.store = DocumentStore(office.settings.documents)

    def path(self, ticket: str, purchase_id: str) -> Path:
        """Where a document lies."""
        folder = self.store.folder
        assert folder is not None
        return folder / document_name(ticket.partition("-")[0], ticket, purchase_id)

    def topic(self, name: str) -> str:
        """A topic with its prefix."""
        return self.office.settings.kafka.topic_prefix + name

    async def count(self) -> None:
        """Publish the statistics of the ledger as it is now."""
        records = await self.office.read(self.office.ledger)
        for number in range(PARTITIONS):
            statistics = Statistics.by_the_rules(Ledger(number))
            for record in records:
                if record.partition == number:
                    statistics.read(record.offset, record.value, clients.header(record.headers, READ_HEADER))
            await self._publish(number, statistics)

    async def _publish(self, number: int, statistics: Statistics) -> None:
        sums, figures = Sums(), {e.event_id: event_figures(e, number) for e in statistics.events.values()}
        for event_id, of_event in figures.items():
            sums.put(event_id, of_event)
            await self.publish_figures(event_id, of_event)
        redis = RedisFigures(self.office.settings.redis)
        await redis.write(partition_totals(sums, statistics.row), dict(figures))
        await redis.aclose()

    async def publish_figures(self, event_id: str, figures: Figures | None) -> None:
        """Publish an event's figures on the topic."""
        partition = clients.home_partition(event_id, PARTITIONS)
        await self._send(self.topic(event_stats.TOPIC.name), partition, stats_record(event_id, figures))

    async def make(self, keep: Callable[[DocumentAnnouncement], bool] = lambda _: True) -> None:
        """Store and announce the documents of the ledger as it is now; only announcements that ``keep`` likes."""
        for record in await self.office.read(self.office.ledger):
            for announcement in await self._papers(read_fact(record.value)):
                if keep(announcement):
                    topic = self.topic(ticket_documents.TOPIC.name)
                    await self._send(topic, record.partition, announcement_record(announcement, record))

    async def _papers(self, fact: Fact) -> list[DocumentAnnouncement]:
        announcements: list[DocumentAnnouncement] = []
        if fact["type"] == "purchase_confirmed":
            for ticket in fact["tickets"]:
                name, pdf = document_name(fact["event_id"], ticket, fact["request_id"]), b"%PDF of " + ticket.encode()
                await self.store.put(name, pdf)
                digest = sha256(pdf).hexdigest()
                announcements.append(made(fact, ticket, self.store.location(name), len(pdf), digest))
        elif fact["type"] == "purchase_cancelled":
            for ticket in fact["tickets"]:
                name = document_name(fact["event_id"], ticket, fact["purchase"])
                await self.store.remove(name)
                announcements.append(removed(fact, ticket, self.store.location(name)))
        return announcements

    async def bury(self, ticket: str) -> None:
        """Publish the fact that sold a ticket as the dead letter of one that could not be drawn."""
        for record in await self.office.read(self.office.ledger):
            if ticket.encode() in (record.value or b""):
                letter = dead_letter(record, f"Ticket {ticket} could not be drawn: it hung", ticket)
                await self._send(self.office.dead_letters, record.partition, letter)

    async def forge_burial(self, ticket: str) -> None:
        """Publish what becomes of an unreadable command that says all that such a dead letter says."""
        for record in await self.office.read(self.office.ledger):
            if ticket.encode() in (record.value or b""):
                _, _, headers = dead_letter(record, f"Ticket {ticket} could not be drawn: it hung", ticket)
                command = replace(record, topic=self.office.requests, headers=tuple(headers))
                await self._send(self.office.dead_letters, record.partition, dead_letter(command, "type: unknown"))

    async def _send(self, topic: str, partition: int, record: Any) -> None:
        key, value, headers = record
        async with clients.producer(self.office.settings.kafka) as producer:
            await producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))


@pytest.fixture
async def sold(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Downstream]:
    """Two events, four tickets sold and one of them cancelled; neither statistics nor documents yet."""
    url = (tmp_path / "documents").as_uri()
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", url)
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    office.settings = changed(office.settings, documents_url=url)
    await office.open()
    made = Downstream(office)
    await made.send(0, creation(EVENT), *(purchase(f"r-{number}", EVENT) for number in range(3)), CANCELLATION)
    await made.send(0, purchase("big", EVENT, 100), b"garbage")
    await made.send(1, creation(OTHER), purchase("s-1", OTHER), purchase("away", EVENT))
    await made.decide()
    await made.copy_to_redis()
    yield made
    office.close()


@pytest.fixture
async def served(sold: Downstream) -> Downstream:
    """The same, with its statistics and documents."""
    await sold.count()
    await sold.make()
    return sold


def _rows(table: str) -> Mapping[str, list[str]]:
    rows = (line.split() for line in table.splitlines())
    return {row[0]: row[1:] for row in rows if row and row[0] in (EVENT, OTHER)}


# What is right


async def test_statistics_and_documents_that_agree_are_shown_for_each_event(served: Downstream) -> None:
    done = served.office.boxoffice("audit", "--wait", "0")
    assert done.returncode == ExitStatus.OK, done.stdout + done.stderr
    assert {event_id: (row[7], row[-2]) for event_id, row in _rows(done.stdout).items()} == {
        EVENT: ("3", "equal"),
        OTHER: ("1", "equal"),
    }
    assert "4 documents" in done.stdout.splitlines()[-1]
    found = json.loads(served.office.boxoffice("audit", "--wait", "0", "--json").stdout)
    assert {event["event_id"]: (event["statistics"], event["documents"]) for event in found["events"]} == {
        EVENT: (True, {"made": 3, "failed": 0, "expired": 0, "flawed": 0, "renewing": 0}),
        OTHER: (True, {"made": 1, "failed": 0, "expired": 0, "flawed": 0, "renewing": 0}),
    }


async def test_what_never_ran_is_not_compared_and_that_is_said(sold: Downstream) -> None:
    report = await sold.audit()
    assert report.all_differences == []
    assert report.notes == [
        "No documents were compared: 'boxoffice run documents' never ran here.",
        "No statistics were compared: 'boxoffice run stats' never ran here.",
    ]
    assert {(event.statistics, event.documents) for event in report.events} == {(None, None)}


async def test_a_process_that_has_run_and_made_nothing_is_missed(sold: Downstream) -> None:
    process = sold.office.start("documents", BOXOFFICE_HEALTH_PORT="0", BOXOFFICE_DOCUMENTS_URL="file:///dev/null/no")
    await sold.office.ready(process)
    # Its store is broken; the one that the audit looks at is there, and empty.
    await sold.store.make()
    report = await sold.audit(OTHER)
    process.kill()
    unannounced, missing = sorted(report.all_differences)
    assert unannounced.startswith(f"Event {OTHER}: 1 ticket whose document is not announced, the first {OTHER}-000001.")
    assert missing.startswith(f"Event {OTHER}: 1 ticket without a document, the first {OTHER}-000001 (at file://")


async def test_a_ticket_that_was_drawn_in_the_end_is_missed_though_it_is_a_dead_letter_too(served: Downstream) -> None:
    await served.bury(FIRST)
    assert (await served.audit()).all_differences == []
    served.path(FIRST, "r-0").unlink()
    [difference] = (await served.audit()).all_differences
    assert f"1 ticket without a document, the first {FIRST} (at " in difference


async def test_what_could_not_be_drawn_is_not_missed(sold: Downstream) -> None:
    await sold.make(lambda announcement: announcement["ticket"] != FIRST)
    sold.path(FIRST, "r-0").unlink()
    await sold.bury(FIRST)
    report = await sold.audit()
    assert report.all_differences == []
    assert f"Event {EVENT}: 1 ticket could not be drawn: see dead-letters." in report.notes
    assert [event.documents.failed for event in report.events if event.documents] == [1, 0]


async def test_a_command_that_says_that_it_is_such_a_dead_letter_excuses_nothing(sold: Downstream) -> None:
    await sold.make(lambda announcement: announcement["ticket"] != FIRST)
    sold.path(FIRST, "r-0").unlink()
    await sold.forge_burial(FIRST)
    report = await sold.audit()
    assert any(f"1 ticket without a document, the first {FIRST} (at " in said for said in report.all_differences)
    assert (await paperwork.status(sold.office.settings)).failed == 0


async def test_documents_of_an_event_that_is_over_are_not_missed(
    served: Downstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.path(FIRST, "r-0").unlink()
    served.office.settings = changed(served.office.settings, documents_kept_after_event_days=30)
    begins = datetime.fromisoformat(str(creation(EVENT)["starts_at"]))
    # Until it is over for so long, a ticket that is gone is missed, whenever it was sold.
    at(monkeypatch, begins + timedelta(days=29))
    assert not (await served.audit()).agrees
    at(monkeypatch, begins + timedelta(days=31))
    report = await served.audit()
    assert report.all_differences == []
    assert f"Event {EVENT}: 1 document gone, as the event is over." in report.notes


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let the audit of documents take this for now."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(moment.timestamp(), tz)

    monkeypatch.setattr(documents_check, "datetime", Clock)


async def test_documents_under_their_former_names_are_theirs(sold: Downstream) -> None:
    """As an earlier release stored them: with capitals and nothing that says so."""
    await sold.send(0, purchase("R-9", EVENT, 1))
    await sold.decide()
    await sold.copy_to_redis()
    await sold.count()
    await sold.make()
    path = next(sold.path(FIRST, "R-9").parent.glob("*.R-9=1.pdf"))
    path.rename(path.with_name(path.name.replace("=1", "")))
    assert (await sold.audit()).all_differences == []


async def test_a_store_in_the_wrong_place_is_not_taken_for_one_without_documents(
    served: Downstream, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    served.office.settings = changed(served.office.settings, documents_url=elsewhere.as_uri())
    with pytest.raises(NoStoreError, match=f"no document store {elsewhere.as_uri()}: "):
        await served.audit()
    assert not elsewhere.exists()


async def test_announcements_that_have_expired_are_not_missed(served: Downstream) -> None:
    await served.delete_before(served.topic(ticket_documents.TOPIC.name), 0, 2)
    await served.delete_before(served.topic(ticket_documents.TOPIC.name), 1, 1)
    assert (await served.audit()).all_differences == []


async def test_a_ticket_that_is_sold_again_has_the_new_buyers_document(served: Downstream) -> None:
    await served.send(0, purchase("rest", EVENT, 7))
    await served.decide()
    await served.copy_to_redis()
    await served.count()
    await served.make()
    assert served.path(CANCELLED, "rest").exists()
    assert (await served.audit()).all_differences == []


async def test_only_the_events_asked_for_are_compared(served: Downstream) -> None:
    served.path(FIRST, "r-0").unlink()
    await served.redis("DEL", event_statistics_key(served.office.settings.kafka.topic_prefix, EVENT))
    assert (await served.audit(OTHER)).all_differences == []
    assert len((await served.audit(EVENT)).all_differences) == 2


# What is wrong


async def _delete_document(sale: Downstream) -> None:
    sale.path(FIRST, "r-0").unlink()


async def _empty_document(sale: Downstream) -> None:
    sale.path(FIRST, "r-0").write_bytes(b"")


async def _cut_document(sale: Downstream) -> None:
    path = sale.path(FIRST, "r-0")
    path.write_bytes(path.read_bytes()[:5])


async def _keep_cancelled_document(sale: Downstream) -> None:
    sale.path(CANCELLED, "r-1").write_bytes(b"%PDF")


async def _put_foreign_document(sale: Downstream) -> None:
    sale.path(FIRST, "thief").write_bytes(b"%PDF")


async def _put_foreign_event(sale: Downstream) -> None:
    path = sale.path("777-000001", "r-1")
    path.parent.mkdir()
    path.write_bytes(b"%PDF")


async def _change_statistics(sale: Downstream) -> None:
    await sale.redis("HSET", event_statistics_key(sale.office.settings.kafka.topic_prefix, EVENT), "sold", "9")


async def _garble_statistics(sale: Downstream) -> None:
    await sale.redis("HSET", event_statistics_key(sale.office.settings.kafka.topic_prefix, EVENT), "sold", "{")


async def _delete_statistics(sale: Downstream) -> None:
    await sale.redis("DEL", event_statistics_key(sale.office.settings.kafka.topic_prefix, EVENT))


async def _put_foreign_statistics(sale: Downstream) -> None:
    await sale.redis("HSET", event_statistics_key(sale.office.settings.kafka.topic_prefix, "777"), "sold", "9")


async def _change_totals(sale: Downstream) -> None:
    key = global_statistics_key(sale.office.settings.kafka.topic_prefix)
    totals = json.loads(await sale.redis("HGET", key, "0"))
    await sale.redis("HSET", key, "0", json.dumps({**totals, "offset": 10**6, "sold": 9}))


async def _garble_totals(sale: Downstream) -> None:
    await sale.redis("HSET", global_statistics_key(sale.office.settings.kafka.topic_prefix), "0", "[]")


async def _delete_totals(sale: Downstream) -> None:
    await sale.redis("HDEL", global_statistics_key(sale.office.settings.kafka.topic_prefix), "0")


async def _remove_from_topic(sale: Downstream) -> None:
    await sale.publish_figures(EVENT, None)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_delete_document, "Event {0}: 1 ticket without a document, the first {0}-000001 (at file://"),
        (_empty_document, "Event {0}: 1 ticket without a document, the first {0}-000001 (at file://"),
        (_cut_document, "Event {0}: 1 document of another size than announced, the first {0}/{0}-000001.r-0.pdf (5 "),
        (_keep_cancelled_document, "Event {0}: 1 document that no sale accounts for, the first {0}/{0}-000002.r-1"),
        (_put_foreign_document, "Event {0}: 1 document that no sale accounts for, the first {0}/{0}-000001.thief"),
        (_put_foreign_event, "Event 777 is in the document store, and not in the ledger."),
        (_change_statistics, "Event {0}: its statistics in Redis: sold is 9, and should be 3."),
        (_garble_statistics, "Event {0}: its statistics in Redis cannot be read: "),
        (_delete_statistics, "Event {0}: its statistics in Redis: missing."),
        (_put_foreign_statistics, "Event 777 is in Redis' statistics, and not in the ledger."),
        (_change_totals, "{1}global:stats 0: sold is 9, and should be 3."),
        (_garble_totals, "{1}global:stats 0 cannot be read: "),
        (_delete_totals, "{1}global:stats 0: missing."),
        (_remove_from_topic, "Event {0}: its statistics on event-stats: missing."),
    ],
)
async def test_what_was_spoiled_differs(
    served: Downstream, spoil: Callable[[Downstream], Awaitable[None]], sentence: str
) -> None:
    await spoil(served)
    told = "\n".join((await served.audit()).all_differences)
    assert sentence.format(EVENT, served.office.settings.kafka.topic_prefix) in told
    assert f"Event {OTHER}: " not in told


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("document_made", "1 ticket whose document is not announced, the first {}."),
        ("document_removed", "1 cancelled ticket whose document's removal is not announced, the first {}."),
    ],
)
async def test_an_announcement_that_is_missing_differs(sold: Downstream, kind: str, sentence: str) -> None:
    ticket = {"document_made": FIRST, "document_removed": CANCELLED}[kind]
    await sold.make(lambda announcement: (announcement["type"], announcement["ticket"]) != (kind, ticket))
    assert (await sold.audit()).all_differences == [f"Event {EVENT}: {sentence.format(ticket)}"]


async def test_statistics_that_stay_behind_differ(served: Downstream) -> None:
    await served.send(0, purchase("next", EVENT))
    await served.decide()
    await served.copy_to_redis()
    told = "\n".join((await served.audit()).all_differences)
    for where in (f"Event {EVENT}: its statistics in Redis", f"Event {EVENT}: its statistics on event-stats"):
        assert f"{where}: they count to offset 8 of the ledger, not to 9." in told
    assert f"Event {EVENT}: 1 ticket without a document" in told


async def test_a_store_that_cannot_be_read_is_status_5(served: Downstream, tmp_path: Path) -> None:
    (tmp_path / "documents").rename(tmp_path / "elsewhere")
    (tmp_path / "documents").touch()
    done = served.office.boxoffice("audit", "--wait", "0")
    assert done.returncode == ExitStatus.UNREACHABLE
    assert done.stderr.startswith("The document store ")
    assert done.stderr.count("\n") == 1


# While sales go on


@pytest.mark.slow
async def test_an_audit_agrees_while_tickets_are_sold_and_cancelled(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await office.open()
    for process in PROCESSES:
        await office.ready(office.start(process))
    ids = event_ids(SEED, 6)
    await office.send(creations(ids, 20_000))
    load = list(commands(SEED, ids, 12_000))
    auditing = asyncio.create_task(office.run("audit", "--wait", "60"))
    sent = 0
    while not auditing.done() and sent < len(load):
        await office.send(load[sent : sent + 20])
        sent += 20
        await asyncio.sleep(0.1)
    done = await auditing
    office.close()
    assert done.returncode == ExitStatus.OK, done.stdout + done.stderr
    assert sent < len(load), "the audit was to end while sales go on"
    assert "never ran" not in done.stdout
