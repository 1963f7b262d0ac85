"""``boxoffice stats``, and what it reads: Redis or its replica, and the topic where Redis has nothing."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from boxoffice.cli.stats import picture
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from boxoffice.redis.connection import connect
from boxoffice.redis.presence import Presence
from boxoffice.settings import Settings
from boxoffice.statistics.documents import DocumentCounter
from boxoffice.statistics.figures import Sums, event_figures, partition_totals, stats_record, to_hash
from boxoffice.statistics.published import read_topic
from boxoffice.statistics.reading import Reader, Report
from boxoffice.statistics.redis_figures import RedisFigures
from lua.keys import event_statistics_key, global_statistics_key, process_key
from models.commands import Command
from models.documents import DocumentAnnouncement, write_announcement
from models.figures import Status
from models.ledger import Ledger
from models.members import GENERAL
from models.statistics import Statistics
from models.statistics_rows import EventStatistics, PartitionStatistics
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
    for number in range(settings.kafka.partitions):
        if number != HOME:
            await redis.write(partition_totals(Sums(), PartitionStatistics(number)), {})
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
    older.seq, older.categories[GENERAL].sold = newer.seq - 1, 0
    await publish(office, newer, older)
    assert (await read_topic(office.settings.kafka)).figures["42"]["sold"] == newer.total("sold")


async def test_readers_are_sent_to_the_replica(office: Office, new_redis: NewRedis) -> None:
    replica = await new_redis()
    await write_to_redis(changed(office.settings, redis_url=replica.url), statistics())
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
    assert row.split()[1:10] == ["Night", "at", "the", "Opera", "5", "5", "1", "225.00", "EUR"]
    assert row.split()[10:12] == ["2026-11-22", "10:00"]
    assert row.split()[-1] == "▆█"


async def test_a_closed_event_does_not_look_as_if_it_were_on_sale(office: Office) -> None:
    folded = statistics()
    folded.events["7"].status = Status.CLOSED
    await write_to_redis(office.settings, folded)
    told = stats(office).stdout
    assert "2 events   6 of 13 tickets sold   7 left, 2 of them of events that have ended   270.00 EUR" in told
    [row] = [line for line in told.splitlines() if line.split()[:1] == ["7"]]
    assert row.split()[5:7] == ["1", "closed"]


# What is lost or spoilt in Redis


async def read_now(settings: Settings) -> tuple[Report, str]:
    """What a reader finds, and how it is shown."""
    async with aclosing(Reader(settings)) as reader:
        report = await reader.read()
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(picture(report))
    return report, console.export_text()


async def in_redis(office: Office, *words: str | bytes | int) -> None:
    client = connect(office.settings.redis)
    await client.execute_command(*words)
    await client.aclose()


async def test_a_part_of_the_figures_is_not_shown_as_the_whole(office: Office) -> None:
    """As after FLUSHALL, when only some partitions are written again; and where one event's hash is gone."""
    folded, prefix = statistics(), office.settings.kafka.topic_prefix
    await publish(office, *folded.events.values())
    await write_to_redis(office.settings, folded)
    without_kafka = changed(office.settings, kafka_bootstrap_servers="127.0.0.1:1")
    for words, lacking in [
        (("DEL", event_statistics_key(prefix, "7")), ["1 event"]),
        (("DEL", event_statistics_key(prefix, "42")), ["2 events"]),
        (("HDEL", global_statistics_key(prefix), HOME), ["1 partition (3)"]),
        (("HDEL", global_statistics_key(prefix), 0, 1), ["3 partitions (0, 1, 3)"]),
    ]:
        await in_redis(office, *words)
        report, told = await read_now(office.settings)
        assert (report.lacking, report.left_out, report.complete) == (lacking, False, True)
        assert f"Redis lacks the figures of {lacking[0]}: they are read from the topic." in told
        assert (report.totals["sold"], report.totals["events"], len(report.events)) == (6, 2, 2)
        assert report.totals["revenue"] == {"EUR": 27_000}
    report, told = await read_now(without_kafka)
    assert (report.totals["sold"], report.complete) == (0, None)
    assert "Whether Redis has the figures of all partitions is not known, since Kafka cannot be asked." in told


async def test_what_can_be_read_nowhere_is_left_out_and_said(office: Office) -> None:
    folded, prefix = statistics(), office.settings.kafka.topic_prefix
    await write_to_redis(office.settings, folded)
    await in_redis(office, "HSET", event_statistics_key(prefix, "7"), "sold", "{")
    report, told = await read_now(changed(office.settings, kafka_bootstrap_servers="127.0.0.1:1"))
    assert report.complete is False
    assert [figures["event_id"] for figures in report.events] == ["42"]
    assert f"What lies under {prefix}event:{{7}}:stats in Redis is no statistics: they are left out, since the " in told


GARBAGE = (b"", b"{", b"[]", b"null", b"-1", b"1.5", b'"1"', b"\xff", b"1e999", b"9" * 5000, b"\x1b[31m")


async def test_no_malformed_field_takes_the_statistics_away(office: Office) -> None:
    folded, prefix = statistics(), office.settings.kafka.topic_prefix
    await publish(office, *folded.events.values())
    of_event = to_hash(event_figures(folded.events["42"], HOME))
    texts = {"name", "venue", "status", "on_sale_at", "off_sale_at", "first_sale_at", "last_sale_at"}
    numbers_or_null = {"hold_s", "max_per_order", "max_per_buyer"}
    for place, name in enumerate(of_event):
        await write_to_redis(office.settings, folded)
        value = GARBAGE[place % len(GARBAGE)]
        await in_redis(office, "HSET", event_statistics_key(prefix, "42"), name, value)
        report, told = await read_now(office.settings)
        assert [figures["event_id"] for figures in report.events] == ["7", "42"], name
        assert report.totals["sold"] == 6
        assert "\x1b" not in told
        if name not in texts and not (name in numbers_or_null and value == b"null"):
            assert report.unreadable == [f"{prefix}event:{{42}}:stats"], name
    for value in GARBAGE:
        await write_to_redis(office.settings, folded)
        await in_redis(office, "HSET", global_statistics_key(prefix), HOME, value)
        report, told = await read_now(office.settings)
        assert (report.totals["sold"], report.unreadable) == (6, [f"{prefix}global:stats 3"])
        assert (
            f"What lies under {prefix}global:stats 3 in Redis is no statistics: they are read from the topic." in told
        )


async def test_the_process_bears_whatever_lies_in_the_place_of_its_figures(office: Office) -> None:
    folded, prefix = statistics(), office.settings.kafka.topic_prefix
    seqs = {event_id: event.seq for event_id, event in folded.events.items()}
    totals, event = global_statistics_key(prefix), event_statistics_key(prefix, "42")
    redis = RedisFigures(office.settings.redis)
    try:
        for key, *words in [
            *((key, "SET", key, "garbage") for key in (totals, event)),
            *((key, "RPUSH", key, "garbage") for key in (totals, event)),
            *((totals, "HSET", totals, HOME, value) for value in GARBAGE),
            *((event, "HSET", event, "seq", value) for value in GARBAGE),
        ]:
            await in_redis(office, "DEL", key)
            await in_redis(office, *words)
            assert await redis.lost(HOME, folded.row.offset, seqs) is not None, words
            await write_to_redis(office.settings, folded)
            assert await redis.lost(HOME, folded.row.offset, seqs) is None, words
    finally:
        await redis.aclose()


async def test_free_events_have_the_same_revenue_by_redis_and_by_the_topic(office: Office) -> None:
    folded = statistics()
    for event in folded.events.values():
        event.categories[GENERAL].taken = 0
    folded.events["7"].currency = "USD"
    await publish(office, *folded.events.values())
    await write_to_redis(office.settings, folded)
    by_redis, _ = await read_now(office.settings)
    by_topic, _ = await read_now(changed(office.settings, redis_url=NOWHERE))
    assert by_redis.totals["revenue"] == by_topic.totals["revenue"] == {"EUR": 0, "USD": 0}


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
    assert "1 PDF, 0.0 MB" in stats(office).stdout


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
        "complete": True,
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
    assert texts["revenue"] == '{"amount":22500,"currency":"EUR","refunded":0}'
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
