"""Statistics are exact: after kills, rebalances, repeats, a second owner, and a Redis that was emptied or is gone."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from time import monotonic
from typing import Any

import pytest

from boxoffice.kafka import clients
from boxoffice.redis.connection import connect
from boxoffice.statistics.figures import Figures, totals_of_events
from boxoffice.statistics.published import read_topic
from boxoffice.statistics.redis_figures import RedisFigures
from models.ledger import Ledger
from tests.faults.test_selling import send_slowly, workload
from tests.support.office import POLL_S, NewOffice, Office, Process
from tests.support.servers import NewRedis, kill_and_pause
from tests.unit.test_statistics import figures_by_the_rules
from topics import stats_changelog
from topics.purchase_results import READ_HEADER

pytestmark = pytest.mark.long

SEED = 20261124

Expected = dict[str, dict[str, Any]]


async def folded(office: Office) -> Expected:
    """Every event's figures, by the rules' fold of the whole ledger."""
    records = await office.read(office.ledger)
    expected: Expected = {}
    for number in range(office.settings.kafka.partitions):
        on_partition = [(r.value, clients.header(r.headers, READ_HEADER)) for r in records if r.partition == number]
        expected |= {
            event_id: {"partition": number, **figures}
            for event_id, figures in figures_by_the_rules(on_partition, number).items()
        }
    return expected


def differences(found: dict[str, Figures], expected: Expected) -> list[str]:
    """What is not as it must be, in words."""
    wrong = [f"{event_id} is no event" for event_id in found.keys() - expected.keys()]
    for event_id, figures in expected.items():
        have = found.get(event_id, {})
        wrong += [
            f"{event_id} {name}: {have.get(name)} not {value}"
            for name, value in figures.items()
            if have.get(name) != value
        ]
    return wrong


async def wrong_on_the_topic(office: Office, expected: Expected) -> list[str]:
    return differences((await read_topic(office.settings.kafka)).figures, expected)


async def wrong_in_redis(office: Office, expected: Expected) -> list[str]:
    """The events' hashes, and whether the partitions' totals are what their events add up to."""
    redis = RedisFigures(office.settings.redis)
    try:
        found = await redis.read()
    finally:
        await redis.aclose()
    events = {figures["event_id"]: figures for figures in found.events}
    totals = {of["partition"]: of for of in found.totals}
    wrong = differences(events, expected)
    for number in range(office.settings.kafka.partitions):
        sums = totals_of_events([figures for figures in events.values() if figures["partition"] == number])
        have = totals.get(number, {})
        wrong += [
            f"partition {number} {name}: {have.get(name)} not {value}"
            for name, value in sums.items()
            if name in ("events", "issued", "sold", "remaining", "rejected", "revenue")
            and have.get(name, 0) != value
            and (number in totals or sums["events"])
        ]
    return wrong


async def exact(office: Office, timeout_s: float = 60, *, in_redis: bool = True) -> None:
    """Wait until topic and Redis have the figures of the ledger's fold."""
    expected = await folded(office)
    deadline_s = monotonic() + timeout_s
    while wrong := [
        *await wrong_on_the_topic(office, expected),
        *(await wrong_in_redis(office, expected) if in_redis else []),
    ]:
        assert monotonic() < deadline_s, f"{len(wrong)} figures are wrong: {wrong[:10]}; {office._tails()}"
        await asyncio.sleep(POLL_S)
    assert expected


async def sold(office: Office, seed: int, count: int = 20_000) -> None:
    """A ledger of so many commands."""
    worker = office.start()
    await office.ready(worker)
    await office.send(workload(seed, count))
    await office.answered()
    assert await worker.stop() == 0


def changelog(office: Office) -> str:
    return stats_changelog.TOPIC.full_name(office.settings.kafka.topic_prefix)


def no_alarm(stats: Process) -> None:
    """It neither missed nor doubted anything."""
    for alarm in ("Traceback", "were not delivered", "reading the ledger", "wrote these rows too"):
        assert alarm not in stats.log_text(), stats.log_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_twenty_starts_on_a_backlog_with_kills_in_between(office: Office) -> None:
    chance = random.Random(SEED)
    office.start()
    for start in range(20):
        await office.send(workload(SEED + start, 4_000, events=20))
        await office.answered()
        if start % 2:
            await kill_at_work(office, chance)
        stats = office.start("stats")
        await office.ready(stats)
        await exact(office)
        no_alarm(stats)
        if start % 4 == 0:
            stats.kill()
        else:
            assert await stats.stop() == 0


async def kill_at_work(office: Office, chance: random.Random) -> None:
    """Start one, and kill it while it starts, or while it counts."""
    stats = office.start("stats")
    if chance.random() < 0.8:
        await office.ready(stats)
    await asyncio.sleep(chance.uniform(0, 0.3))
    stats.kill()
    no_alarm(stats)


async def test_two_workers_one_joining_and_one_leaving_under_load(office: Office) -> None:
    office.start()
    first = office.start("stats")
    await office.ready(first)
    sending = asyncio.create_task(send_slowly(office, workload(SEED + 100, 40_000)))
    await asyncio.sleep(1)
    second = office.start("stats")
    await office.ready(second)
    await asyncio.sleep(2)
    assert await first.stop() == 0
    third = office.start("stats")
    await asyncio.sleep(2)
    second.kill()
    await sending
    await office.answered()
    await exact(office)
    for stats in (first, second, third):
        no_alarm(stats)
    assert await third.stop() == 0


async def test_a_worker_that_stood_still_while_another_counted(office: Office) -> None:
    """A replaced worker that wakes up writes older rows and figures: they do not stay."""
    office.start()
    first = office.start("stats")
    await office.ready(first)
    sending = asyncio.create_task(send_slowly(office, workload(SEED + 200, 40_000)))
    await asyncio.sleep(1)
    first.signal(signal.SIGSTOP)
    second = office.start("stats")
    await office.ready(second)
    await asyncio.sleep(1)
    first.signal(signal.SIGCONT)
    await sending
    await office.answered()
    await exact(office)
    for process in (first, second):
        process.kill()
    office.start("stats")
    await exact(office)


async def test_repeats_and_a_second_owners_records_in_the_ledger(office: Office) -> None:
    await sold(office, SEED + 300, 5_000)
    stats = office.start("stats")
    await exact(office)
    records = await office.read(office.ledger)
    chance = random.Random(SEED)
    async with clients.producer(office.settings.kafka) as producer:
        for record in chance.sample(records, 1_000):
            value = (record.value or b"").replace(b'"redis"', b'"local"')
            await producer.send(
                office.ledger, value, key=record.key, partition=record.partition, headers=list(record.headers)
            )
        await producer.flush()
    await sold(office, SEED + 301, 5_000)
    await exact(office)
    assert await stats.stop() == 0


async def test_damaged_and_forged_records_in_the_ledger(office: Office) -> None:
    """They are passed over as soon as their commands are decided again; a forgery is undone."""
    await sold(office, SEED + 400, 3_000)
    stats = office.start("stats")
    await exact(office)
    ledgers = {number: Ledger(number) for number in range(office.settings.kafka.partitions)}
    for record in await office.read(office.ledger):
        ledgers[record.partition].read(record.value, clients.header(record.headers, READ_HEADER))
    async with clients.producer(office.settings.kafka) as producer:
        for number, ledger in ledgers.items():
            event = next((e for e in ledger.inventory.events.values() if e.left), None)
            if event is None:
                continue
            header = (READ_HEADER, b"%d-%d" % (ledger.bookmark + 1, ledger.bookmark + 1))
            forged = {
                "type": "purchase_confirmed",
                "event_id": event.event_id,
                "seq": event.seq + 1,
                "request_id": "forged",
                "buyer": "b-0",
                "quantity": 1,
                "tickets": [f"{event.event_id}-999999"],
                "source": {"partition": number, "offset": ledger.bookmark + 1},
                "at": "2026-11-22T10:00:00.123Z",
                "decided_by": "local",
            }
            for value in (b"garbage", json.dumps(forged).encode()):
                await producer.send_and_wait(office.ledger, value, partition=number, headers=[header])
    await sold(office, SEED + 401, 3_000)
    await exact(office)
    assert await stats.stop() == 0


async def test_rows_that_were_deleted_or_overwritten_are_made_again(office: Office) -> None:
    """Whatever happened to the changelog while nobody ran."""
    await sold(office, SEED + 500, 5_000)
    stats = office.start("stats")
    await exact(office)
    assert await stats.stop() == 0
    topic = changelog(office)
    rows = await office.read(topic)
    async with clients.producer(office.settings.kafka) as producer:
        for record in rows[: len(rows) // 2]:
            await producer.send(topic, record.value, key=record.key, partition=record.partition)
        await producer.send(topic, b"garbage", key=rows[-1].key, partition=rows[-1].partition)
        await producer.flush()
    await sold(office, SEED + 501, 1_000)
    stats = office.start("stats")
    await exact(office)
    assert await stats.stop() == 0


async def test_older_rows_of_a_replaced_worker_do_not_stay(office: Office) -> None:
    """Whoever owns the partition writes its own on top, before anybody starts from them."""
    await sold(office, SEED + 800, 5_000)
    stats = office.start("stats")
    await exact(office)
    rows = await office.read(changelog(office))
    await sold(office, SEED + 800, 2_000)
    await exact(office)
    async with clients.producer(office.settings.kafka) as producer:
        for record in rows:
            if not (record.key or b"").startswith(b"partition-"):
                await producer.send(changelog(office), record.value, key=record.key, partition=record.partition)
        await producer.flush()
    await sold(office, SEED + 801, 2_000)
    await exact(office)
    assert "wrote these rows too" in stats.log_text()
    stats.kill()
    stats = office.start("stats")
    await office.ready(stats)
    await exact(office)
    no_alarm(stats)


async def test_redis_killed_and_emptied_gets_its_figures_back(new_office: NewOffice, new_redis: NewRedis) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    office.start()
    stats = office.start("stats")
    await office.ready(stats)
    sending = asyncio.create_task(send_slowly(office, workload(SEED + 600, 20_000)))
    await asyncio.sleep(1)
    await kill_and_pause(redis)
    await sending
    await office.answered()
    await exact(office)
    client = connect(office.settings.redis)
    await client.execute_command("FLUSHALL")
    await client.aclose()
    await exact(office)
    redis.kill()
    await office.send(workload(SEED + 601, 1_000))
    await office.answered()
    await exact(office, in_redis=False)
    shown = json.loads((await office.run("stats", "--json")).stdout)
    assert shown["system"]["redisConnected"] is False
    assert shown["global"]["totalSold"] == sum(figures["sold"] for figures in (await folded(office)).values())
    assert await stats.stop() == 0


async def test_sigterm_under_load_ends_with_0_within_10_s_and_publishes_the_last_state(office: Office) -> None:
    office.start()
    stats = office.start("stats", BOXOFFICE_STATS_INTERVAL_MS="60000")
    await office.ready(stats)
    await office.send(workload(SEED + 700, 5_000))
    await office.answered()
    expected = await folded(office)
    await counted(office, sum(figures["seq"] for figures in expected.values()))
    begun_s = monotonic()
    assert await stats.stop() == 0
    assert monotonic() - begun_s < 10
    assert await wrong_on_the_topic(office, expected) == []
    assert await wrong_in_redis(office, expected) == []


async def counted(office: Office, facts: int) -> None:
    """Wait until the rows hold so many facts."""
    deadline_s = monotonic() + 60
    while True:
        rows = {record.key: record.value or b"{}" for record in await office.read(changelog(office))}
        partitions = [json.loads(value) for key, value in rows.items() if (key or b"").startswith(b"partition-")]
        if sum(row["facts"] for row in partitions) == facts:
            return
        assert monotonic() < deadline_s, f"{facts} facts were not counted; {office._tails()}"
        await asyncio.sleep(POLL_S)
