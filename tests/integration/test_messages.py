"""docs/messages.md and what is published with it, against the topics of a box office that runs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBase

from boxoffice.kafka.clients import home_partition
from boxoffice.kafka.record_batches import TolerantRecords
from tests.support.gateways import new_key
from tests.support.office import ROOT, Office, Record, until
from tests.support.paperwork import dealt_with, settings_for
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.workload import Sent
from tests.unit.test_schema import assert_fits
from topics import TOPICS, clock_places, event_stats, purchase_requests, ticket_documents

GUIDE = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
FACTS, DOCUMENTS, STATISTICS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
DEADLINE_S = 60

COMMANDS = (
    b'{"type":"create_event","request_id":"c-1","event_id":"42","name":"Night at the Opera","venue":"Main Hall",'
    b'"starts_at":"2027-03-01T19:30:00+01:00","capacity":10,"max_per_order":8,"price":{"amount":4500,"currency":"EUR"}}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b-77","quantity":2}',
    b'{"request_id":"r-2","event_id":"42","buyer":"b-78","quantity":9}',
    b'{"request_id":"r-3","event_id":"42","buyer":"b-79","quantity":6}',
    b'{"type":"cancel_purchase","request_id":"x-1","event_id":"42","purchase":"r-1"}',
    b'{"request_id":"r-4","event_id":"42","buyer":"b-80","quantity":3}',
    b'{"type":"close_event","request_id":"z-1","event_id":"42"}',
    b"garbage",
)
"""Of r-3's tickets the seventh cannot be drawn; r-4 gets the first ticket again."""

DECIDED = [
    "event_created c-1",
    "purchase_confirmed r-1 ['42-000001', '42-000002']",
    "purchase_rejected r-2 over_order_limit",
    "purchase_confirmed r-3 ['42-000003', '42-000004', '42-000005', '42-000006', '42-000007', '42-000008']",
    "purchase_cancelled x-1 ['42-000001', '42-000002']",
    "purchase_confirmed r-4 ['42-000009', '42-000010', '42-000001']",
    "event_closed z-1",
]
HELD = {**dict.fromkeys((3, 4, 5, 6, 8), "r-3"), **dict.fromkeys((9, 10, 1), "r-4")}
"""The purchases of the tickets that have a document in the end."""


@dataclass(frozen=True)
class Sale:
    """A box office that has dealt with the commands."""

    office: Office
    store: Path

    def topic(self, name: str) -> str:
        """A topic's name on the broker."""
        return f"{self.office.settings.kafka.topic_prefix}{name}"


@pytest.fixture
async def sale(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Sale]:
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=4)
    sold = Sale(office, tmp_path / "documents")
    await office.open()
    await new_key(office, "buy")
    office.start()
    documents = office.start_documents(
        "raising", BOXOFFICE_DOCUMENTS_URL=sold.store.as_uri(), BOXOFFICE_DOCUMENTS_ATTEMPTS="1"
    )
    stats = office.start("stats")
    for command in COMMANDS:
        await office.send([Sent(b"42", command)])
        await office.answered()
    # Away from home: forwarded, and then the answer that it had before.
    await office.send([Sent(key_of_another_partition(4), COMMANDS[3])])
    await office.answered()
    await dealt_with(settings_for(office, sold.store), DEADLINE_S, documents)
    # Its last figures are published when it stops, if not before.
    assert await stats.stop() == 0
    yield sold
    office.close()


def key_of_another_partition(partitions: int) -> bytes:
    home = home_partition("42", partitions)
    return next(str(key).encode() for key in range(100) if home_partition(str(key), partitions) != home)


def message_of(record: Record, topic: str) -> str:
    """The name of the message that a record is."""
    headers = dict(record.headers)
    if topic == "dead-letters":
        return f"{'document' if b'purchase-results' in headers['boxoffice-position'] else 'command'}_dead_letter"
    return headers["ce_type"].decode().split(".")[1]


async def test_every_record_is_what_the_asyncapi_document_says(sale: Sale) -> None:
    home = home_partition("42", sale.office.settings.kafka.partitions)
    seen = set()
    for topic in ("purchase-results", ticket_documents.TOPIC.name, event_stats.TOPIC.name, "dead-letters"):
        for record in await sale.office.read(sale.topic(topic)):
            name = message_of(record, topic)
            payload = None if name == "command_dead_letter" else json.loads(record.value or b"null")
            assert_fits(name, payload, {header: value.decode() for header, value in record.headers})
            if payload and payload["seq"]:
                assert (record.key, record.partition) == (b"42", home)
            seen.add(name)
    assert seen == {
        "event_created", "purchase_confirmed", "purchase_rejected", "purchase_cancelled", "event_closed",
        "command_forwarded", "command_unreadable", "document_made", "document_removed", "event_stats",
        "command_dead_letter", "document_dead_letter",
    }  # fmt: skip


LISTENING = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Tests that run in the background of a shell are deaf to Ctrl-C, and so would be what they start."""


@contextmanager
def running(source: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended by Ctrl-C."""
    with output.open("wb") as told, output.with_suffix(".errors").open("wb") as errors:
        started = subprocess.Popen([sys.executable, "-u", "-c", LISTENING + source], stdout=told, stderr=errors)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGINT)
        try:
            started.wait(timeout=15)
        finally:
            started.kill()
            started.wait()


class Consumer:
    """The guide's program, on the topics of an office; with another body for its loop if one is given."""

    def __init__(self, sale: Sale, topic: str, body: str = "", before: str = "") -> None:
        source = FACTS
        if body:
            start, loop = FACTS.split("try:\n")
            poll, _ = loop.split("        fact = ")
            source = f"{start}{before}try:\n{poll}{textwrap.indent(body, ' ' * 8)}finally:\n    consumer.close()\n"
        for told, own in {
            "127.0.0.1:9092": sale.office.settings.kafka.bootstrap_servers,
            '"purchase-results"': f'"{sale.topic(topic)}"',
            '"shop"': f'"{sale.topic(topic)}-shop"',
        }.items():
            assert told in source
            source = source.replace(told, own)
        self._source = source
        self._output = sale.store.with_name(f"told-by-{topic}")

    async def lines(self, enough: Callable[[list[str]], bool]) -> list[str]:
        """What it prints, until that is enough."""
        with running(self._source, self._output) as program:
            await until(lambda: self._ended_or(program, enough), DEADLINE_S, "the guide's consumer")
        assert enough(self._lines()), self._output.with_suffix(".errors").read_text()
        return self._lines()

    def _ended_or(self, program: subprocess.Popen[bytes], enough: Callable[[list[str]], bool]) -> bool:
        return program.poll() is not None or enough(self._lines())

    def _lines(self) -> list[str]:
        whole, _, _ = self._output.read_text().rpartition("\n")
        return [line.rstrip() for line in whole.splitlines()]


async def assert_facts_are_told_once(sale: Sale) -> None:
    """Also after a restart."""
    consumer = Consumer(sale, "purchase-results")
    for _ in range(2):
        assert await consumer.lines(lambda lines: DECIDED[-1] in lines) == DECIDED


async def assert_documents_are_known(sale: Sale) -> None:
    topic = ticket_documents.TOPIC.name
    count = len(await sale.office.read(sale.topic(topic)))
    lines = await Consumer(sale, topic, DOCUMENTS).lines(lambda lines: len(lines) == count)
    newest = {ticket: (kind, location) for kind, ticket, location in map(str.split, lines)}
    stored = {f"42-{number:06d}": f"{sale.store.as_uri()}/42/42-{number:06d}.{HELD[number]}.pdf" for number in HELD}
    assert {ticket: where for ticket, (kind, where) in newest.items() if kind == "document_made"} == stored
    assert newest["42-000002"][0] == "document_removed"
    assert {path.as_uri() for path in sale.store.glob("*/*")} == set(stored.values())


async def assert_the_newest_statistics_are_known(sale: Sale) -> None:
    """2 and 6 sold, 2 given back, 3 sold."""
    consumer = Consumer(sale, event_stats.TOPIC.name, STATISTICS, before="figures = {}\n")
    await consumer.lines(lambda lines: lines[-1:] == ["42 9 10 40500 EUR"])


def _codecs(fetched: bytes) -> Iterator[int]:
    """What each record batch of a fetch is packed with; a cut one ends it."""
    begins = 0
    while begins + DefaultRecordBase.HEADER_STRUCT.size <= len(fetched):
        _, length, _, _, _, attributes, *_ = DefaultRecordBase.HEADER_STRUCT.unpack_from(fetched, begins)
        yield attributes & DefaultRecordBase.CODEC_MASK
        begins += DefaultRecordBase.AFTER_LEN_OFFSET + length


async def test_what_is_published_needs_no_codec(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    codecs: dict[str, set[int]] = {}
    # Clients write the commands, and where nothing was held a clock keeps no place.
    unwritten = {purchase_requests.TOPIC.name, clock_places.TOPIC.name}
    for topic in (one.name for one in TOPICS if one.name not in unwritten):
        seen = codecs.setdefault(topic, set())

        class Seen(TolerantRecords):
            def __init__(self, fetched: bytes, seen: set[int] = seen) -> None:
                seen.update(_codecs(fetched))
                super().__init__(fetched)

        monkeypatch.setattr(fetcher, "MemoryRecords", Seen)
        await sale.office.read(sale.topic(topic))
    assert codecs == {topic: {DefaultRecordBase.CODEC_NONE} for topic in codecs}


async def test_the_guides_consumers_work_as_they_are_written(sale: Sale) -> None:
    await assert_facts_are_told_once(sale)
    await assert_documents_are_known(sale)
    await assert_the_newest_statistics_are_known(sale)
