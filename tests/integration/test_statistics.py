"""``boxoffice stats``, and what it reads: Redis or its replica, and the topic where Redis has nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from boxoffice.redis.connection import connect
from boxoffice.redis.presence import Presence
from boxoffice.settings import Settings
from boxoffice.statistics.documents import DocumentCounter
from boxoffice.statistics.figures import Sums, event_figures, partition_totals, stats_record
from boxoffice.statistics.published import read_topic
from boxoffice.statistics.redis_figures import RedisFigures
from lua.keys import event_statistics_key, global_statistics_key, process_key
from models.commands import Command
from models.documents import DocumentAnnouncement, write_announcement
from models.ledger import Ledger
from models.statistics import EventStatistics, Statistics
from tests.integration.test_presence import state
from tests.support.office import Office, boxoffice_path, until
from tests.support.servers import KafkaAddress, NewRedis, RedisAddress
from tests.support.settings import changed
from tests.unit.strategies import HOME, TIMES_MS, Arrival, opening, purchase
from tests.unit.test_documents_counting import cancelled, sold
from tests.unit.test_ledger import decide_after
from tests.unit.test_statistics import folded

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=4)
    await opened.open()
    yield opened
    opened.close()


def statistics() -> Statistics:
    """Two events: 5 of 10 and 1 of 3 tickets sold, a purchase refused."""
    commands: list[Command] = [
        opening("42"),
        purchase("r-1", 2),
        purchase("r-2", 3),
        purchase("r-3", 9),
        opening("7", capacity=3),
        purchase("r-4", event_id="7"),
    ]
    arrived = [
        Arrival(command, offset, TIMES_MS[0] + 1_000 * offset, {"partition": HOME, "offset": offset})
        for offset, command in enumerate(commands)
    ]
    return folded(decide_after(Ledger(HOME), arrived))


async def write_to_redis(settings: Settings, folded: Statistics) -> None:
    sums = Sums()
    figures = {event.event_id: event_figures(event, HOME) for event in folded.events.values()}
    for event_id, of_event in figures.items():
        sums.put(event_id, of_event)
    redis = RedisFigures(settings.redis)
    await redis.write(partition_totals(sums, folded.row), dict(figures))
    await redis.aclose()


async def publish(office: Office, *rows: EventStatistics) -> None:
    topic = f"{office.settings.kafka.topic_prefix}event-stats"
    async with clients.producer(office.settings.kafka) as producer:
        for row in rows:
            key, value, headers = stats_record(row.event_id, event_figures(row, HOME))
            await producer.send_and_wait(topic, value, key=key, partition=HOME, headers=list(headers))


def stats(office: Office, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [boxoffice_path(), "stats", *arguments],
        env={**office.environment, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def members(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_shown(shown: dict[str, Any]) -> None:
    total = shown["global"]
    assert {name: total[name] for name in ("totalEvents", "totalTickets", "totalSold", "totalRemaining")} == {
        "totalEvents": 2,
        "totalTickets": 13,
        "totalSold": 6,
        "totalRemaining": 7,
    }
    assert total["revenue"] == {"EUR": 27_000}
    assert total["rejected"] == {"not_enough_left": 1}
    assert total["soldBySecond"]["sold"][-5:] == [2, 3, 0, 0, 1]
    assert [(e["eventId"], e["soldTickets"], e["remainingTickets"]) for e in shown["events"]] == [
        ("7", 1, 2),
        ("42", 5, 5),
    ]
    assert shown["pdf"] == {"totalTickets": 0, "totalSizeMB": 0}


async def test_redis_is_read_and_says_the_same_as_the_topic(office: Office) -> None:
    folded = statistics()
    await write_to_redis(office.settings, folded)
    await publish(office, *folded.events.values())
    from_redis = members(stats(office, "--json"))
    from_topic = members(stats(office, "--json", BOXOFFICE_REDIS_URL=NOWHERE))
    assert_shown(from_redis)
    assert_shown(from_topic)
    assert from_redis["events"] == from_topic["events"]
    assert (from_redis["system"]["redisConnected"], from_topic["system"]["redisConnected"]) == (True, False)
    # Whoever cannot be asked cannot use it either.
    assert from_topic["system"]["usingFallback"] is True


async def test_the_topic_is_read_where_redis_is_empty(office: Office) -> None:
    await publish(office, *statistics().events.values())
    shown = members(stats(office, "--json"))
    assert_shown(shown)
    assert shown["system"]["redisConnected"] is True


async def test_a_box_office_without_statistics_has_none(office: Office) -> None:
    shown = members(stats(office, "--json"))
    assert (shown["global"]["totalEvents"], shown["events"]) == (0, [])
    assert "0 events" in stats(office).stdout


async def test_a_replaced_workers_older_figures_are_not_believed(office: Office) -> None:
    newer, older = statistics().events["42"], statistics().events["42"]
    older.seq, older.sold = newer.seq - 1, 0
    await publish(office, newer, older)
    assert (await read_topic(office.settings.kafka)).figures["42"]["sold"] == newer.sold


async def test_readers_are_sent_to_the_replica(office: Office, new_redis: NewRedis) -> None:
    replica = await new_redis()
    await write_to_redis(changed(office.settings, redis_url=SecretStr(replica.url)), statistics())
    assert members(stats(office, "--json"))["global"]["totalEvents"] == 0
    shown = members(stats(office, "--json", BOXOFFICE_REDIS_REPLICA_URL=replica.url))
    assert_shown(shown)
    assert shown["system"]["redisConnected"] is True


def test_a_replicas_address_that_cannot_be_used_is_said_by_its_name(office: Office) -> None:
    for url in ("http://127.0.0.1", "redis://127.0.0.1/zero"):
        done = stats(office, BOXOFFICE_REDIS_REPLICA_URL=url)
        assert done.returncode == ExitStatus.USAGE
        assert done.stderr.startswith("BOXOFFICE_REDIS_REPLICA_URL "), done.stderr
        assert "Traceback" not in done.stderr


async def test_events_are_shown_with_a_chart_of_their_sales(office: Office) -> None:
    await write_to_redis(office.settings, statistics())
    told = stats(office).stdout
    assert "2 events   6 of 13 tickets sold   7 left" in told
    assert [line[-5:] for line in told.splitlines()[4:8]] == [" █   ", "▆█   ", "██  ▃", "██  █"]
    [row] = [line for line in told.splitlines() if line.split()[:1] == ["42"]]
    assert row.split()[1:10] == ["Night", "at", "the", "Opera", "5", "5", "1", "22,500", "EUR"]
    assert row.split()[-1] == "▆█"


async def announce(office: Office, *announcements: DocumentAnnouncement) -> None:
    topic = f"{office.settings.kafka.topic_prefix}ticket-documents"
    async with clients.producer(office.settings.kafka) as producer:
        for one in announcements:
            await producer.send_and_wait(topic, write_announcement(one), partition=one["seq"] % 4)
        await producer.send_and_wait(topic, b"garbage", partition=1)


async def test_documents_are_counted_by_their_announcements(office: Office) -> None:
    await write_to_redis(office.settings, statistics())
    await announce(office, sold(2, "42-000001", 10_000), sold(3, "42-000002", 20_000), cancelled(4, "42-000001", 2))
    assert members(stats(office, "--json"))["pdf"] == {"totalTickets": 1, "totalSizeMB": 0.02}
    assert "1 PDFs, 0.0 MB" in stats(office).stdout


async def test_what_was_counted_is_not_read_again(office: Office) -> None:
    counter = DocumentCounter(office.settings.kafka)
    await announce(office, sold(2, "42-000001", 10_000))
    assert (await counter.count()).tickets == 1
    await announce(office, sold(3, "42-000002", 20_000), sold(2, "42-000001", 10_000))
    counted = await counter.count()
    assert (counted.tickets, counted.size_bytes) == (2, 30_000)


async def test_figures_in_redis_are_shown_though_kafka_is_down(office: Office) -> None:
    await write_to_redis(office.settings, statistics())
    shown = members(stats(office, "--json", BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"))
    assert shown["global"]["totalSold"] == 6
    assert shown["pdf"] == {"totalTickets": None, "totalSizeMB": None}
    assert "PDFs not counted" in stats(office, BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1").stdout


async def test_the_system_is_what_its_processes_say(office: Office) -> None:
    await write_to_redis(office.settings, statistics())
    unknown = members(stats(office, "--json"))["system"]
    assert unknown == {
        "usingFallback": None,
        "redisConnected": True,
        "uptime": None,
        "memoryUsage": None,
        "processes": [],
        "unreadableKeys": [],
        "strangeRecords": {},
    }
    said = [
        state("documents", uptime_s=30.5, memory_bytes=2_000_000, waits_for=["document store"]),
        state(uptime_s=20.0, memory_bytes=3_000_000, using_fallback=False),
        state(uptime_s=10.0, memory_bytes=4_000_000, using_fallback=True),
    ]
    presences = [Presence(office.settings.redis, one.process, 3) for one in said]
    client = connect(office.settings.redis)
    try:
        for presence, one in zip(presences[:2], said[:2], strict=True):
            await presence.say(one)
        assert members(stats(office, "--json"))["system"]["usingFallback"] is False
        await presences[2].say(said[2])
        await client.execute_command("SET", process_key(office.settings.kafka.topic_prefix, "stats", "odd"), "garbage")
        shown = members(stats(office, "--json"))["system"]
        assert (shown["usingFallback"], shown["uptime"], shown["memoryUsage"]) == (True, 30.5, 9_000_000)
        assert [(one["process"], one["waitsFor"]) for one in shown["processes"]] == [
            ("documents", ["document store"]),
            ("purchases", []),
            ("purchases", []),
        ]
        assert shown["unreadableKeys"] == [f"{office.settings.kafka.topic_prefix}process:stats:odd"]
        told = stats(office).stdout
        assert "documents 1, purchases 2   up 0:00:30   9 MB" in told
        assert "documents on box-1 (process 1, 127.0.0.1:9464) waits for document store." in told
        assert "Some process decides without Redis." in told
        assert "process:stats:odd in Redis is no process." in told
    finally:
        for presence in presences:
            await presence.take_back()
        await client.aclose()


async def test_watching_goes_on_until_it_is_told_to_stop(office: Office, tmp_path: Path) -> None:
    await write_to_redis(office.settings, statistics())
    out = tmp_path / "out"
    with out.open("wb") as file:
        watching = subprocess.Popen(
            [boxoffice_path(), "stats", "--watch", "--json", "--interval", "0.1"], env=office.environment, stdout=file
        )
    try:
        await until(lambda: len(out.read_bytes().splitlines()) >= 3, 30, "three looks")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    finally:
        watching.kill()
    for line in out.read_bytes().splitlines():
        assert_shown(json.loads(line))


async def test_figures_in_redis_are_hashes_that_a_person_can_read(office: Office) -> None:
    await write_to_redis(office.settings, statistics())
    prefix = office.settings.kafka.topic_prefix
    client = connect(office.settings.redis)
    event = await client.execute_command("HGETALL", event_statistics_key(prefix, "42"))
    totals = await client.execute_command("HGETALL", global_statistics_key(prefix))
    await client.aclose()
    texts = {name.decode(): value.decode() for name, value in event.items()}
    assert (texts["name"], texts["sold"], texts["remaining"]) == ("Night at the Opera", "5", "5")
    assert texts["revenue"] == '{"amount":22500,"currency":"EUR"}'
    assert json.loads(totals[b"3"])["sold"] == 6


async def test_what_redis_lost_is_noticed(office: Office) -> None:
    folded = statistics()
    seqs = {event_id: event.seq for event_id, event in folded.events.items()}
    redis, client = RedisFigures(office.settings.redis), connect(office.settings.redis)
    try:
        assert sorted(await redis.lost(HOME, folded.row.offset, seqs) or ()) == ["42", "7"]
        await write_to_redis(office.settings, folded)
        assert await redis.lost(HOME, folded.row.offset, seqs) is None
        assert await redis.lost(HOME, folded.row.offset + 1, seqs) == []
        await client.execute_command("DEL", event_statistics_key(office.settings.kafka.topic_prefix, "7"))
        assert await redis.lost(HOME, folded.row.offset, seqs) == ["7"]
    finally:
        await redis.aclose()
        await client.aclose()


async def test_a_changelog_with_other_partitions_is_refused(office: Office) -> None:
    changelog = f"{office.settings.kafka.topic_prefix}boxoffice-stats-events-changelog"
    await office.delete_topic(changelog)
    await create_topics(changed(office.settings, partitions=3).kafka)
    process = office.start("stats")
    assert await process.end() == ExitStatus.REFUSED
    assert f"{changelog} has 3 partitions, and must have 4, as the ledger." in process.log_text()
