"""Every ticket gets its document, announced once or identically, whatever dies, hangs or is in the way."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

import aiohttp
import psutil
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from pypdf import PdfReader

from boxoffice.documents.status import facts_waiting
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.settings import Settings
from tests.support import paperwork
from tests.support.drawers import SPOILT
from tests.support.office import NewOffice, Office, Process, until
from tests.support.paperwork import dealt_with
from tests.support.servers import NewKafka, NewRedis, RedisAddress
from tests.support.workload import Sent, commands, creations, event_ids
from tests.unit.records import creation, purchase

pytestmark = pytest.mark.long

SEED = 20261124


class Desk:
    """An office with its documents in a folder of the test's."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.folder = folder
        self.settings: Settings = paperwork.settings_for(office, folder)

    def start(self, drawer: str = "", **environment: str) -> Process:
        """Start the documents process; ``drawer`` is one of tests/support/drawers.py."""
        if drawer:
            return self.office.start_documents(drawer, **self.environment, **environment)
        return self.office.start("documents", **self.environment, **environment)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BOXOFFICE_DOCUMENTS_URL": self.folder.as_uri(),
            "BOXOFFICE_DOCUMENTS_FIRST_RETRY_MS": "20",
            "BOXOFFICE_DOCUMENTS_LONGEST_RETRY_MS": "200",
            "BOXOFFICE_HEALTH_PORT": "0",
        }

    async def sell(self, records: list[Sent]) -> None:
        """Have commands decided, and wait until they are."""
        selling = self.office.start(BOXOFFICE_HEALTH_PORT="0")
        await self.office.ready(selling)
        await self.office.send(records)
        await self.office.answered()
        assert await selling.stop() == 0

    async def agrees(self, timeout_s: float = 60, without: tuple[str, ...] = ()) -> paperwork.Paperwork:
        """Wait until all is dealt with, and compare it with the ledger."""
        await dealt_with(self.settings, timeout_s)
        found = await paperwork.check(self.office, self.folder, without)
        assert found.problems == [], found.problems[:20]
        return found

    def made(self, event_id: str = "*") -> int:
        """Documents in the folder."""
        return sum(1 for _ in self.folder.glob(f"{event_id}/*.pdf"))

    async def makes(self, least: int, event_id: str = "*", timeout_s: float = 60) -> None:
        """Wait until there are so many documents."""
        await until(lambda: self.made(event_id) >= least, timeout_s, f"{least} documents")


@pytest.fixture
def desk(office: Office, tmp_path: Path) -> Desk:
    return Desk(office, tmp_path / "documents")


def sent(*commands: Mapping[str, object]) -> list[Sent]:
    return [Sent(str(command["event_id"]).encode(), json.dumps(command).encode()) for command in commands]


def workload(seed: int, count: int, events: int = 4) -> list[Sent]:
    ids = event_ids(seed, events)
    return [*creations(ids, capacity=count), *commands(seed, ids, count)]


def tickets(event_id: str, count: int) -> list[Sent]:
    """An event of which ``count`` tickets are sold, one by one."""
    return sent(creation(event_id, count), *(purchase(f"r-{number}", event_id) for number in range(count)))


async def test_each_sold_ticket_has_a_document_that_says_whose_it_is(desk: Desk) -> None:
    await desk.sell(workload(SEED, 600))
    process = desk.start()
    found = await desk.agrees()
    assert found.counts["document_made"] > 500
    assert found.counts["document_removed"] > 0
    for path in random.Random(SEED).sample(sorted(desk.folder.glob("*/*.pdf")), 20):
        ticket, order = path.name.removesuffix(".pdf").split(".", 1)
        [page] = PdfReader(path).pages
        text = page.extract_text()
        assert ticket in text
        assert order in text
        assert found.held[ticket]["buyer"] in text
    begun_s = monotonic()
    assert await process.stop() == ExitStatus.OK
    assert monotonic() - begun_s < 10


async def test_documents_are_made_while_tickets_are_sold(desk: Desk) -> None:
    desk.start()
    await desk.sell(workload(SEED + 1, 600))
    await desk.agrees()


async def test_a_ticket_that_is_sold_again_has_the_new_buyer_s_document_alone(desk: Desk) -> None:
    [event_id] = event_ids(SEED + 2, 1)
    cancel = {"type": "cancel_purchase", "request_id": "x-1", "event_id": event_id, "purchase": "r-1"}
    again = purchase("r-2", event_id) | {"buyer": "b-new"}
    await desk.sell(sent(creation(event_id, 1), purchase("r-1", event_id), cancel, again))
    desk.start()
    found = await desk.agrees()
    [sale] = found.held.values()
    assert sale["buyer"] == "b-new"
    assert [one["type"] for one in found.announcements] == ["document_made", "document_removed", "document_made"]


async def test_facts_that_come_again_make_nothing_twice(desk: Desk) -> None:
    await desk.sell(workload(SEED + 3, 200))
    process = desk.start()
    before = await desk.agrees()
    records = await desk.office.read(desk.office.ledger)
    async with clients.producer(desk.settings.kafka) as producer:
        for record in [*records, *records[:50]]:
            await producer.send(
                record.topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
            )
        await producer.flush()
    await dealt_with(desk.settings)
    # Also after a restart, which has to know what was taken before it.
    assert await process.stop() == ExitStatus.OK
    desk.start()
    await desk.sell(sent(creation(event_ids(SEED + 4, 1)[0])))
    after = await desk.agrees()
    assert after.announcements == before.announcements


@pytest.mark.parametrize(
    ("drawer", "reason"),
    [
        ("hanging", "it took longer than 0.5 s"),
        ("crashing", "its process ended with status 9"),
        ("raising", "ValueError: this one cannot be drawn"),
    ],
)
async def test_a_ticket_that_cannot_be_drawn_is_a_dead_letter_and_costs_no_other(
    desk: Desk, drawer: str, reason: str
) -> None:
    ids = event_ids(SEED + 5, 3)
    await desk.sell([command for event_id in ids for command in tickets(event_id, 60)])
    desk.start(drawer, BOXOFFICE_DOCUMENTS_DRAWING_TIMEOUT_MS="500", BOXOFFICE_DOCUMENTS_ATTEMPTS="2")
    spoilt = tuple(f"{event_id}-{SPOILT}" for event_id in ids)
    found = await desk.agrees(without=spoilt)
    assert len(found.held) == 3 * 59
    assert await the_dead(desk) == {ticket: f"Ticket {ticket} could not be drawn: {reason}" for ticket in spoilt}
    status = await paperwork.status(desk.settings)
    assert (status.made, status.failed, status.waiting) == (3 * 59, 3, 0)
    assert status.size_bytes == sum(path.stat().st_size for path in desk.folder.glob("*/*.pdf"))


async def the_dead(desk: Desk) -> dict[str, str]:
    """The reason of each dead letter, which is a sale, by its ticket."""
    found = {}
    for record in await desk.office.read(desk.office.dead_letters):
        fact = json.loads(record.value or b"{}")
        [ticket] = fact["tickets"]
        headers = dict(record.headers)
        found[ticket] = headers["boxoffice-reason"].decode()
        assert headers["boxoffice-ticket"] == ticket.encode()
        assert headers["boxoffice-position"].startswith(f"{desk.office.ledger}:{record.partition}:".encode())
        assert headers["ce_type"] == b"boxoffice.purchase_confirmed.v1"
    return found


async def test_a_ticket_that_was_given_up_is_drawn_when_the_group_is_set_back_to_its_sale(desk: Desk) -> None:
    """As ``boxoffice dead-letters retry`` tells whoever would publish the sale again."""
    office, [event_id] = desk.office, event_ids(SEED + 5, 1)
    await desk.sell(tickets(event_id, 60))
    process = desk.start("raising", BOXOFFICE_DOCUMENTS_ATTEMPTS="1")
    ticket = f"{event_id}-{SPOILT}"
    await desk.agrees(without=(ticket,))
    assert await process.stop() == ExitStatus.OK
    refused = office.boxoffice("dead-letters", "retry", "--all")
    assert refused.returncode == ExitStatus.DIFFERS
    told = re.search(
        rf"the sale at (\S+):([0-9]+):([0-9]+) of ticket {ticket}, .* set the group (\S+) back", refused.stdout
    )
    assert told, refused.stdout
    topic, partition, offset, group = told.groups()
    back = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, int(partition), int(offset))])
    admin = AdminClient({"bootstrap.servers": office.settings.kafka.bootstrap_servers})
    admin.alter_consumer_group_offsets([back])[group].result(timeout=15)
    desk.start()
    await desk.makes(60)
    found = await desk.agrees()
    assert len(found.held) == 60


async def test_an_event_that_always_hangs_does_not_hold_up_the_others(desk: Desk) -> None:
    bad, good = event_ids(SEED + 6, 2)
    await desk.sell([*tickets(bad, 7), *tickets(good, 300)])
    process = desk.start("hanging", BOXOFFICE_DOCUMENTS_DRAWING_TIMEOUT_MS="2000", BOXOFFICE_DOCUMENTS_PROCESSES="2")
    await desk.makes(299, good, timeout_s=10)
    assert process.ended() is None
    await desk.agrees(without=(f"{bad}-{SPOILT}", f"{good}-{SPOILT}"))


def drawers_of(process: Process) -> list[psutil.Process]:
    """The processes that draw, and the server that they are forked from."""
    return psutil.Process(process._child.pid).children(recursive=True)


async def test_killing_the_pool_s_processes_loses_nothing(desk: Desk) -> None:
    await desk.sell(tickets(event_ids(SEED + 7, 1)[0], 500))
    process = desk.start("slow", BOXOFFICE_DOCUMENTS_ATTEMPTS="20")
    chance = random.Random(SEED)
    for killed in range(1, 11):
        await desk.makes(20 * killed)
        chance.choice(drawers_of(process)).kill()
    await desk.agrees()
    assert process.ended() is None


@pytest.mark.parametrize("obstacle", ["file", "folder"])
async def test_a_store_that_cannot_be_written_holds_the_documents_up_and_loses_none(desk: Desk, obstacle: str) -> None:
    first, second = event_ids(SEED + 8, 2)
    in_the_way: Callable[[], object] = desk.folder.touch
    if obstacle == "folder":
        in_the_way = (desk.folder / first).touch
        desk.folder.mkdir()
    in_the_way()
    process = desk.start()
    await desk.sell([*tickets(first, 200), *tickets(second, 200)])
    await until(lambda: "the document store fails" in process.log_text(), 20, "the process to say that it waits")
    await asyncio.sleep(2)
    assert (await documents_status_of_kafka(desk)) > 0
    assert process.log_text().count("the document store fails") == 1
    (desk.folder if obstacle == "file" else desk.folder / first).unlink()
    found = await desk.agrees()
    assert len(found.held) == 400
    assert process.log_text().count("the document store works again") == 1
    assert process.ended() is None


async def documents_status_of_kafka(desk: Desk) -> int:
    """Facts that wait, whatever the store is like."""
    return await facts_waiting(desk.settings.kafka)


async def test_sigkill_twice_in_the_middle_leaves_no_half_file_and_loses_none(desk: Desk) -> None:
    await desk.sell(workload(SEED + 9, 700))
    for least in (100, 300):
        process = desk.start("slow")
        await desk.makes(least)
        children = drawers_of(process)
        assert children
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=3)
        assert alive == []
    # As a crash leaves it, at a moment that cannot be hit.
    half = desk.folder / event_ids(SEED + 9, 1)[0] / "1-000001.r-1.pdf#1"
    half.write_bytes(b"%PDF-")
    os.utime(half, (0, 0))
    desk.start()
    await until(lambda: not half.exists(), 10, "the half file to be removed")
    found = await desk.agrees()
    assert len(found.held) > 500


async def test_processes_that_hang_end_with_the_box_office(desk: Desk) -> None:
    await desk.sell(tickets(event_ids(SEED + 10, 1)[0], 20))
    process = desk.start("stuck")
    await until(lambda: len(drawers_of(process)) > 2, 20, "the pool to hang")
    children = drawers_of(process)
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=3)
    assert alive == []


async def test_sigterm_ends_with_0_within_10_s_though_tickets_hang_and_the_store_is_away(desk: Desk) -> None:
    await desk.sell(tickets(event_ids(SEED + 11, 1)[0], 50))
    desk.folder.touch()
    for drawer in ("stuck", ""):
        process = desk.start(drawer)
        await desk.office.ready(process)
        await asyncio.sleep(1)
        begun_s = monotonic()
        assert await process.stop() == ExitStatus.OK
        assert monotonic() - begun_s < 10
    desk.folder.unlink()
    desk.start()
    assert len((await desk.agrees()).held) == 50


async def test_a_second_process_takes_over_what_the_first_had_not_done(desk: Desk) -> None:
    await desk.sell(workload(SEED + 12, 800, events=12))
    first = desk.start("slow")
    await desk.makes(50)
    second = desk.start("slow")
    await desk.office.ready(second)
    await desk.makes(200)
    assert await first.stop() == ExitStatus.OK
    await desk.agrees()


async def test_a_second_process_can_join_while_the_store_is_away(desk: Desk) -> None:
    await desk.sell(workload(SEED + 13, 400, events=12))
    desk.folder.touch()
    first = desk.start()
    await until(lambda: "the document store fails" in first.log_text(), 20, "the first to wait")
    second = desk.start()
    await desk.office.ready(second, timeout_s=20)
    desk.folder.unlink()
    await desk.agrees()
    assert first.ended() is None


async def test_a_process_that_was_stopped_and_replaced_does_no_harm(desk: Desk) -> None:
    [event_id] = event_ids(SEED + 14, 1)
    await desk.sell(tickets(event_id, 300))
    zombie = desk.start("slow")
    await desk.makes(50)
    zombie.signal(signal.SIGSTOP)
    heir = desk.start()
    await desk.office.ready(heir, timeout_s=60)
    cancelled = [
        {"type": "cancel_purchase", "request_id": f"x-{number}", "event_id": event_id, "purchase": f"r-{number}"}
        for number in range(0, 300, 2)
    ]
    resold = [purchase(f"s-{number}", event_id) | {"buyer": "b-new"} for number in range(150)]
    await desk.sell(sent(*cancelled, *resold))
    await dealt_with(desk.settings)
    zombie.signal(signal.SIGCONT)
    await asyncio.sleep(5)
    held = {
        ticket: path
        for path in desk.folder.glob("*/*.pdf")
        for ticket in [path.name.split(".")[0]]
        if "s-" in path.name
    }
    assert len(held) == 150
    assert all("b-new" in PdfReader(path).pages[0].extract_text() for path in list(held.values())[:10])


async def test_a_cold_event_need_not_wait_for_a_hot_one(desk: Desk) -> None:
    hot, cold = event_ids(SEED + 15, 2)
    await desk.sell([*tickets(hot, 1_500), *tickets(cold, 5)])
    desk.start("slow", BOXOFFICE_DOCUMENTS_QUEUE_SIZE="500")
    await desk.makes(5, cold)
    assert desk.made(hot) < 1_000
    await desk.agrees()


async def test_without_redis_the_ledger_says_what_a_page_says(
    new_office: NewOffice, new_redis: NewRedis, tmp_path: Path
) -> None:
    redis = await new_redis()
    desk = Desk(await new_office(redis.url), tmp_path / "documents")
    # All are created before any ticket is sold, on one partition, and one event is kept: the others are looked up.
    ids = [one for one in event_ids(SEED + 16, 60) if clients.home_partition(one, desk.settings.kafka.partitions) == 0][
        :3
    ]
    selling = [tickets(event_id, 10) for event_id in ids]
    await desk.sell([*(created for created, *_ in selling), *(order for _, *orders in selling for order in orders)])
    redis.kill()
    process = desk.start(BOXOFFICE_DOCUMENTS_CACHE_SIZE="1")
    await desk.agrees()
    assert process.log_text().count("Redis is down, reading events from the ledger") == 1
    path = next(desk.folder.glob(f"{ids[0]}/*.pdf"))
    assert "Night at the Opera" in PdfReader(path).pages[0].extract_text()


async def test_a_publish_that_fails_ends_the_process_and_the_next_one_goes_on(
    new_kafka: NewKafka, redis_server: RedisAddress, tmp_path: Path
) -> None:
    broker = await new_kafka()
    office = Office(broker.bootstrap_servers, redis_server.url, f"d{SEED}-", tmp_path)
    desk = Desk(office, tmp_path / "documents")
    try:
        await office.open()
        await desk.sell(tickets(event_ids(SEED + 17, 1)[0], 300))
        process = desk.start("slow", BOXOFFICE_PUBLISH_TIMEOUT_MS="1000")
        await desk.makes(50)
        broker.pause()
        assert await process.end(timeout_s=30) == ExitStatus.PUBLISH_FAILED
        broker.resume()
        desk.start()
        assert len((await desk.agrees()).held) == 300
    finally:
        office.close()


async def test_what_waits_is_bounded_in_memory(desk: Desk) -> None:
    await desk.sell([command for event_id in event_ids(SEED + 19, 2) for command in tickets(event_id, 4_000)])
    process = desk.start("stuck", BOXOFFICE_DOCUMENTS_QUEUE_SIZE="200")
    await desk.office.ready(process)
    port = json.loads(next(line for line in process.log_text().splitlines() if "health and metrics" in line))["port"]
    await asyncio.sleep(3)
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/health") as answer:
        health = await answer.json()
    # Of each partition what may wait, and a fetch that was under way.
    assert 200 <= health["documents"]["waiting"] <= 2 * (200 + 2_500)
    assert sum(health["lag"].values()) > 7_900


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_5000_tickets_with_everything_that_can_happen(desk: Desk) -> None:
    ids = event_ids(SEED + 18, 10)
    await desk.sell([command for event_id in ids for command in tickets(event_id, 500)])
    spoilt = tuple(f"{event_id}-{SPOILT}" for event_id in ids)
    environment = {"BOXOFFICE_DOCUMENTS_DRAWING_TIMEOUT_MS": "500", "BOXOFFICE_DOCUMENTS_ATTEMPTS": "2"}
    process = desk.start("hanging", **environment)
    await desk.makes(1_000)
    drawers_of(process)[-1].kill()
    aside = desk.folder.with_name("aside")
    process.freeze()  # or it might make the folder again in between
    desk.folder.rename(aside)
    desk.folder.touch()
    process.signal(signal.SIGCONT)
    await until(lambda: "the document store fails" in process.log_text(), 20, "the process to say that it waits")
    desk.folder.unlink()
    aside.rename(desk.folder)
    for least in (2_000, 3_000):
        await desk.makes(least)
        process.kill()
        process = desk.start("hanging", **environment)
    found = await desk.agrees(timeout_s=120, without=spoilt)
    assert len(found.held) == 4_990
