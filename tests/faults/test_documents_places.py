"""The documents process keeps its place by itself: a start reads only what is new, and lost offsets repeat nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic

import pytest
from confluent_kafka.admin import AdminClient

from boxoffice.documents.places import read_places
from boxoffice.documents.status import facts_waiting
from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import group_id
from boxoffice.kafka.clients import producer as producer_of
from tests.faults.test_documents import Desk, sent, workload
from tests.support.office import POLL_S, Office, Process, until
from tests.support.paperwork import dealt_with
from tests.support.workload import event_ids
from tests.unit.records import creation, purchase
from topics import documents_places, ticket_documents

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SEED = 20261130
PATIENCE_S = 150


@pytest.fixture
def desk(office: Office, tmp_path: Path) -> Desk:
    return Desk(office, tmp_path / "documents")


async def forget_group(desk: Desk) -> None:
    """What Kafka does with a group that stood still for a week; one that was killed is a member for a while yet."""
    kafka = desk.settings.kafka
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    group = group_id(kafka, "documents")
    deadline_s = monotonic() + 60
    while (error := admin.delete_consumer_groups([group])[group].exception(timeout=15)) is not None:
        assert monotonic() < deadline_s, error
        await asyncio.sleep(POLL_S)


async def offsets_read(process: Process) -> int:
    """How much of the ledger a start read before it went on, once it goes on."""
    told = "ledger read up to where it goes on"
    await until(lambda: told in process.log_text(), 60, "the process to read the ledger")
    return int(json.loads(next(line for line in process.log_text().splitlines() if told in line))["offsets"])


async def announced(desk: Desk) -> int:
    """How many announcements there are, repeats too."""
    return len(await desk.office.read(ticket_documents.TOPIC.full_name(desk.settings.kafka.topic_prefix)))


async def sold(desk: Desk, seed: int, count: int = 300) -> int:
    """Have tickets sold and their documents made; returns how many announcements there are."""
    await desk.sell(workload(seed, count))
    process = desk.start()
    await desk.agrees(PATIENCE_S)
    assert await process.stop() == ExitStatus.OK
    return await announced(desk)


async def test_a_start_reads_nothing_of_what_was_dealt_with(desk: Desk) -> None:
    before = await sold(desk, SEED)
    process = desk.start()
    assert await offsets_read(process) == 0
    await desk.sell(sent(creation(event_ids(SEED + 9, 1)[0]), purchase("late", event_ids(SEED + 9, 1)[0])))
    await desk.agrees(PATIENCE_S)
    assert await announced(desk) == before + 1


async def test_a_process_that_was_killed_reads_no_more_than_the_tail(desk: Desk) -> None:
    await desk.sell(workload(SEED + 1, 600))
    process = desk.start()
    await desk.agrees(PATIENCE_S)
    facts = len(await desk.office.read(desk.office.ledger))

    async def kept() -> int:
        places = await read_places(desk.settings.kafka, range(desk.settings.kafka.partitions))
        return sum(found.place.offset for found in places.values() if found.place is not None)

    deadline_s = monotonic() + 30
    while await kept() < facts:
        assert monotonic() < deadline_s, await kept()
        await asyncio.sleep(POLL_S)
    process.kill()
    [event_id] = event_ids(SEED + 9, 1)
    await desk.sell(sent(creation(event_id, 50), *(purchase(f"r-{number}", event_id) for number in range(50))))
    assert await offsets_read(desk.start()) == 0
    assert len((await desk.agrees(PATIENCE_S)).held) > 500


async def test_nothing_is_drawn_twice_when_the_group_s_offsets_are_gone(desk: Desk) -> None:
    before = await sold(desk, SEED + 2)
    made = {path: path.stat().st_mtime_ns for path in desk.folder.glob("*/*.pdf")}
    await forget_group(desk)
    # Nobody says that it all waits again.
    assert await facts_waiting(desk.settings.kafka) == 0
    told = json.loads(desk.office.boxoffice("doctor", "--json").stdout)
    assert [lag["records"] for lag in told["lag"][group_id(desk.settings.kafka, "documents")]] == [0] * 6
    process = desk.start()
    assert await offsets_read(process) == 0
    [event_id] = event_ids(SEED + 9, 1)
    await desk.sell(sent(creation(event_id), purchase("late", event_id)))
    await desk.agrees(PATIENCE_S)
    assert await announced(desk) == before + 1
    assert {path: path.stat().st_mtime_ns for path in desk.folder.glob("*/*.pdf") if path in made} == made


async def test_a_group_that_is_forgotten_while_it_draws_and_dies_loses_no_ticket(desk: Desk) -> None:
    await desk.sell(workload(SEED + 3, 700))
    for least in (100, 300):
        process = desk.start("slow")
        await desk.makes(least)
        process.kill()
        await forget_group(desk)
    desk.start()
    assert len((await desk.agrees(PATIENCE_S)).held) > 500


async def test_without_group_and_place_all_is_drawn_again_and_announced_as_before(desk: Desk) -> None:
    await sold(desk, SEED + 4)
    before = (await desk.agrees(PATIENCE_S)).announcements
    await forget_group(desk)
    await desk.office.delete_topic(documents_places.TOPIC.full_name(desk.settings.kafka.topic_prefix))
    await desk.office.open()
    desk.start()
    after = await desk.agrees(PATIENCE_S)
    assert len(after.announcements) > len(before)
    distinct = {json.dumps(one, sort_keys=True) for one in before}
    assert {json.dumps(one, sort_keys=True) for one in after.announcements} == distinct


async def test_a_place_that_others_have_spoilt_is_made_anew_from_the_ledger(desk: Desk) -> None:
    before = await sold(desk, SEED + 5)
    topic = documents_places.TOPIC.full_name(desk.settings.kafka.topic_prefix)
    rows = await desk.office.read(topic)
    async with producer_of(desk.settings.kafka) as producer:
        for row in rows[:1]:
            await producer.send_and_wait(topic, b'{"seq":1}', key=b"999999", partition=row.partition)
            await producer.send_and_wait(topic, b"garbage", key=b"partition-9", partition=row.partition)
    await forget_group(desk)
    process = desk.start()
    await desk.agrees(PATIENCE_S)
    assert "unreadable place" in process.log_text()
    assert await process.stop() == ExitStatus.OK
    again = await announced(desk)
    assert again >= before
    process = desk.start()
    assert await offsets_read(process) == 0
    await dealt_with(desk.settings)
    assert await announced(desk) == again
    assert "unreadable place" not in process.log_text()
