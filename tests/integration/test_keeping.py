"""A real ``dead-letters`` that is not as it should be, or not there, stops no sale; what is owed to it comes later."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.side_records import read_marks
from boxoffice.kafka.topics import create_topics
from tests.support.observed import get, health_and_status
from tests.support.office import Office, Process, until
from tests.support.workload import creations, event_ids, order

SEED = 20261129


async def send_garbage(office: Office, *numbers: int) -> set[tuple[int, int]]:
    """One unreadable byte on each of these partitions; returns where they lie."""
    async with clients.producer(office.settings.kafka) as producer:
        sent = [await producer.send_and_wait(office.requests, b"?", partition=number) for number in numbers]
    return {(one.partition, one.offset) for one in sent}


async def letters(office: Office) -> set[tuple[int, int]]:
    """Where the originals of the dead letters lie."""
    found = [read_marks(record.headers)[1] for record in await office.read(office.dead_letters)]
    return {(marks.partition, marks.offset) for marks in found if marks is not None}


async def kept(office: Office, wanted: set[tuple[int, int]]) -> None:
    """Wait until commands are among the dead letters."""
    deadline_s = monotonic() + 60
    while not (found := await letters(office)) >= wanted:
        assert monotonic() < deadline_s, f"{found} are kept, not {wanted}"
        await asyncio.sleep(0.5)
    assert found == wanted


def owed(worker: Process) -> int:
    """How many letters the worker says that it owes."""
    number: int = health_and_status(worker)[1]["dead_letters"]["owed"]
    return number


async def sell(office: Office, name: str) -> None:
    """Sell one ticket of each event that there is, and see that all was answered."""
    await office.send([order(event_id, name) for event_id in event_ids(SEED, 4)])
    await office.answered()


async def test_a_dead_letter_topic_may_have_one_partition(office: Office) -> None:
    await office.delete_topic(office.dead_letters)
    async with clients.admin(office.settings.kafka) as admin:
        await admin.create_topics([NewTopic(office.dead_letters, 1, 1)])
    worker = office.start()
    await office.send(creations(event_ids(SEED, 4), 10))
    sent = await send_garbage(office, *range(office.settings.kafka.partitions))
    await sell(office, "r-1")
    await kept(office, sent)
    listed = json.loads(office.boxoffice("dead-letters", "list", "--json").stdout)
    assert {tuple(map(int, one["original"].split(":")[1:])) for one in listed["letters"]} == sent
    assert "dead letters cannot be kept" not in worker.log_text()
    assert await worker.stop() == ExitStatus.OK
    assert office.boxoffice("documents", "status", "--json").returncode == ExitStatus.OK
    await office.agrees()


@pytest.mark.parametrize("starts_again", [False, True], ids=["goes-on", "starts-again"])
async def test_without_the_topic_sales_go_on_and_the_letters_come_later(office: Office, *, starts_again: bool) -> None:
    worker = office.start()
    await office.ready(worker)
    await office.delete_topic(office.dead_letters)
    await office.send(creations(event_ids(SEED, 4), 10))
    sent = await send_garbage(office, *range(office.settings.kafka.partitions))
    await sell(office, "r-1")
    assert owed(worker) == len(sent)
    assert f"boxoffice_dead_letters_owed {len(sent)}.0" in get(worker, "/metrics")[1]
    await until(lambda: "dead letters cannot be kept now" in worker.log_text(), 60, "the worker to say so")
    if starts_again:
        assert await worker.stop() == ExitStatus.OK
        worker = office.start()
        await sell(office, "r-2")
    await create_topics(office.settings.kafka)
    await kept(office, sent)
    await until(lambda: owed(worker) == 0, 30, "nothing to be owed")
    assert worker.ended() is None
    await office.agrees()


async def test_letters_that_are_kept_are_not_kept_again_by_the_next_owner(office: Office) -> None:
    worker = office.start()
    sent = await send_garbage(office, 0, 1, 2)
    await office.answered()
    await kept(office, sent)
    worker.kill()
    again = office.start()
    sent |= await send_garbage(office, 2)
    await office.answered()
    await kept(office, sent)
    await until(lambda: owed(again) == 0, 30, "nothing to be owed")
    assert len(await office.read(office.dead_letters)) == len(sent)
    tp = TopicPartition(office.requests, 2)
    group = clients.group_id(office.settings.kafka, "dead-letters")
    async with clients.reader(office.settings.kafka, [tp], group) as log:
        assert await log.committed(tp) == max(offset for number, offset in sent if number == 2) + 1
