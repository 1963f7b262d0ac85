"""Strangers' records on all topics, and in Redis, beside a sale: everybody goes on, and everybody is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.redis.connection import connect
from lua.keys import event_statistics_key, global_statistics_key
from tests.support.office import POLL_S, PROCESSES, Office, Process
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.support.workload import Sent
from tests.unit.records import creation, purchase
from tests.unit.strangers import HARD_VALUES
from topics import TOPICS, event_stats, purchase_requests, stats_changelog

PARTITIONS = 2
EVENT = "42"
TICKET = f"{EVENT}-000001"
KEYS = (b"77", EVENT.encode(), b"\xff\xfe", b"partition-0", b"")
HEADERS: Sequence[tuple[str, Any]] = (
    ("boxoffice-read", None),
    ("ce_type", b"\xff"),
    ("boxoffice-position", None),
    ("boxoffice-origin", b"9:9"),
)


@pytest.fixture
async def office(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    url = (tmp_path / "documents").as_uri()
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", url)
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    opened.settings = changed(opened.settings, documents_url=url)
    await opened.open()
    yield opened
    opened.close()


async def sell(office: Office, *request_ids: str) -> None:
    """Sell a ticket for each request."""
    commands = [purchase(request_id, EVENT) for request_id in request_ids]
    await office.send([Sent(EVENT.encode(), json.dumps(command).encode()) for command in commands])


async def write_strange_records(office: Office) -> int:
    """Write them on every partition of every topic; returns how many on each topic."""
    values = [*HARD_VALUES, *[value for value in await _ours_elsewhere(office) if value]]
    async with clients.producer(office.settings.kafka) as producer:
        # The commands come last: behind their answers the ledger's newest records say its number of partitions.
        for topic in sorted(TOPICS, key=lambda topic: topic is purchase_requests.TOPIC):
            for number in range(PARTITIONS):
                for place, value in enumerate(values):
                    key = KEYS[place % len(KEYS)]
                    if value is None and topic is event_stats.TOPIC and key == EVENT.encode():
                        key = b"77"  # nobody can tell such a tombstone from ours
                    await producer.send(
                        topic.full_name(office.settings.kafka.topic_prefix),
                        value,
                        key=key,
                        partition=number,
                        headers=[*HEADERS] if topic is not purchase_requests.TOPIC else [],
                    )
        await producer.flush()
    await _end_in_a_marker(office, stats_changelog.TOPIC.full_name(office.settings.kafka.topic_prefix))
    return PARTITIONS * len(values)


async def _ours_elsewhere(office: Office) -> list[bytes | None]:
    """Whole records of the box office's own, on topics that they do not belong to, and of another release."""
    rows = await office.read(stats_changelog.TOPIC.full_name(office.settings.kafka.topic_prefix))
    newer = b'{"type":"seat_swapped","version":2,"event_id":"42","seq":99,"rules":2}'
    return [rows[0].value, rows[-1].value, newer, await _leading_out_of_the_store(office)]


async def _leading_out_of_the_store(office: Office) -> bytes:
    """A fact that is the next of its event by its seq, and would name a document so."""
    facts = [json.loads(record.value or b"") for record in await office.read(office.ledger)]
    sale = max((fact for fact in facts if fact["type"] == "purchase_confirmed"), key=lambda fact: int(fact["seq"]))
    return json.dumps({**sale, "seq": sale["seq"] + 1, "tickets": ["../../../x"]}).encode()


async def _end_in_a_marker(office: Office, topic: str) -> None:
    async with (
        clients.producer(office.settings.kafka, transactional_id=f"{topic}-stranger") as producer,
        producer.transaction(),
    ):
        for number in range(PARTITIONS):
            await producer.send(topic, b"{}", key=b"77", partition=number)


async def spoil_redis(office: Office) -> None:
    prefix = office.settings.kafka.topic_prefix
    client = connect(office.settings.redis)
    try:
        for words in (
            ("HSET", event_statistics_key(prefix, EVENT), "sold", "{", b"\xff", b"\xff"),
            ("HSET", event_statistics_key(prefix, "x\x1b[2J"), "sold", "1"),
            ("SET", event_statistics_key(prefix, "77"), "1"),
            ("HSET", global_statistics_key(prefix), "0", "[", "1", "{}", "nobody", "7"),
        ):
            await client.execute_command(*words)
    finally:
        await client.aclose()


async def start(office: Office, *processes: str) -> list[Process]:
    started = [office.start(process) for process in processes]
    for process in started:
        await office.ready(process)
    return started


async def counted(office: Office, sold: int) -> dict[str, Any]:
    """What ``boxoffice stats`` shows, once it shows so many tickets and PDFs."""
    deadline_s = monotonic() + 60
    while True:
        done = await office.run("stats", "--json")
        assert done.returncode == 0, done.stderr
        shown: dict[str, Any] = json.loads(done.stdout)
        if (shown["global"]["totalSold"], shown["pdf"]["totalTickets"]) == (sold, sold):
            return shown
        assert monotonic() < deadline_s, shown
        await asyncio.sleep(POLL_S)


async def right(office: Office, *arguments: str, status: int = 0) -> str:
    """What a command says, whose exit status is right."""
    done = await office.run(*arguments)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout.isascii() or "\x1b" not in done.stdout
    return done.stdout


async def everybody_is_right(office: Office, strange: int) -> None:
    """Each command says what is so after four sales."""
    told = await right(office, "audit", "--wait", "30")
    assert "all agree" in told
    for topic in ("event-stats", "ticket-documents", "dead-letters"):
        assert f"{topic} {clients.home_partition(EVENT, PARTITIONS)}: " in told
    assert f"{strange // PARTITIONS} records that nobody of ours wrote." in told
    told = await right(office, "doctor")
    assert "that nobody of ours wrote" in told
    told = await right(office, "event", "show", EVENT)
    assert "sold" in told
    facts = [json.loads(line) for line in (await right(office, "results", "--json")).splitlines()]
    assert sum(fact.get("tickets", [""])[0].startswith(f"{EVENT}-") for fact in facts) == 4
    assert (await right(office, "results", "--from-beginning")).count("Sold 42-") == 4
    listed = json.loads(await right(office, "dead-letters", "list", "--limit", "10000", "--json"))
    assert sum(letter["of"] == "foreign" for letter in listed["letters"]) == strange
    assert sum(letter["of"] == "command" for letter in listed["letters"]) >= strange - 2 * PARTITIONS
    status = json.loads(await right(office, "documents", "status", "--json"))
    assert (status["made"], status["failed"]) == (4, 0)
    await right(office, "ticket", TICKET, "--out", "/dev/null")
    await right(office, "audit", EVENT, "--at", "2999-01-01T00:00:00Z")


async def spoilt_figures_are_named(office: Office) -> None:
    """What cannot be read in Redis is said, and read from the topic."""
    await spoil_redis(office)
    shown = await counted(office, 4)
    prefix = office.settings.kafka.topic_prefix
    # Meanwhile the process may have found that totals are lost, and written them again.
    assert {key.removeprefix(prefix) for key in shown["system"]["unreadableKeys"]} >= {
        "global:stats nobody",
        "event:{42}:stats",
        "event:{77}:stats",
        "event:{x\\x1b[2J}:stats",
    }
    assert [(event["eventId"], event["soldTickets"]) for event in shown["events"]] == [(EVENT, 4)]
    told = await right(office, "stats")
    assert "is no statistics" in told
    assert "event-stats holds" in told
    assert "in Redis where statistics lie cannot be read" in await right(office, "doctor")
    told = await right(office, "audit", "--wait", "0", status=ExitStatus.DIFFERS)
    assert f"Event {EVENT}: its statistics in Redis cannot be read: sold" in told


@pytest.mark.timeout(600)
async def test_everybody_goes_on_beside_strangers_and_is_right(office: Office) -> None:
    processes = await start(office, *PROCESSES)
    await office.send([Sent(EVENT.encode(), json.dumps(creation(EVENT)).encode())])
    await sell(office, "r-1", "r-2")
    await counted(office, 2)

    strange = await write_strange_records(office)
    await sell(office, "r-3")
    await counted(office, 3)
    assert [process.ended() for process in processes] == [None] * len(processes)

    # What starts again reads it all from the beginning.
    for process in processes:
        assert await process.stop() == 0
    processes = await start(office, *PROCESSES)
    await sell(office, "r-4")
    shown = await counted(office, 4)
    assert [(event["eventId"], event["soldTickets"]) for event in shown["events"]] == [(EVENT, 4)]
    assert shown["system"]["strangeRecords"]["ticket-documents"] == strange

    await everybody_is_right(office, strange)

    await spoilt_figures_are_named(office)
    # A sale writes its figures anew.
    await sell(office, "r-5")
    await counted(office, 5)
    assert [process.ended() for process in processes] == [None] * len(processes)
    for process in processes:
        assert await process.stop() == 0
        assert "Traceback" not in process.log_text()
