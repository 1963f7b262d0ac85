"""What a newer release wrote stops an older one there, and there alone: workers, documents, statistics, the audit."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import home_partition, producer
from models.facts import at_text
from tests.support.observed import get, health_and_status
from tests.support.office import Office, until
from tests.support.workload import Sent, order
from topics.purchase_results import READ_HEADER

NEWER, OTHER = "42", "7"
"""Two events with different homes."""

UNKNOWN = "thing_of_a_release_to_come"
"""A type that no release will have, lest this test ages into one about facts that are known."""


def creation(event_id: str) -> Sent:
    command = {
        "type": "create_event",
        "request_id": f"c-{event_id}",
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10,
        "price": {"amount": 4500, "currency": "EUR"},
    }
    return Sent(event_id.encode(), json.dumps(command).encode())


async def write_newer(office: Office, partition: int, offset: int, seq: int) -> None:
    """What a newer release answers to the next command on a partition."""
    fact: dict[str, Any] = {
        "type": UNKNOWN,
        "event_id": NEWER,
        "seq": seq,
        "request_id": "r-2",
        "source": {"partition": partition, "offset": offset},
        "at": "2026-11-22T10:00:00.123Z",
        "decided_by": "local",
    }
    headers = [(READ_HEADER, b"%d-%d" % (offset, offset))]
    async with producer(office.settings.kafka) as sender:
        await sender.send_and_wait(
            office.ledger, json.dumps(fact).encode(), key=NEWER.encode(), partition=partition, headers=headers
        )


async def test_an_older_release_stops_where_a_newer_one_wrote_and_sells_on_elsewhere(
    office: Office, tmp_path: Path
) -> None:
    home, other = (home_partition(event_id, office.settings.kafka.partitions) for event_id in (NEWER, OTHER))
    assert home != other
    first = office.start()
    await office.send([creation(NEWER), creation(OTHER), order(NEWER, "r-1"), order(OTHER, "r-1")])
    await office.answered()
    assert await first.stop() == 0
    await write_newer(office, home, offset=2, seq=3)
    await office.send([order(NEWER, "r-2"), order(OTHER, "r-2")])

    documents = {"BOXOFFICE_DOCUMENTS_URL": (tmp_path / "documents").as_uri()}
    worker, drawer, counter = office.start(), office.start("documents", **documents), office.start("stats")
    await office.ready(worker)
    asked = await office.run("buy", OTHER, "1", "--buyer", "b", "--request-id", "r-3", "--timeout", "60")
    assert asked.returncode == 0, asked.stderr
    status, told = health_and_status(worker)
    assert (status, told["live"]) == (503, True)
    assert told["partitions"]["refused"] == told["partitions"]["newer_release"] == [home]
    assert 'boxoffice_partitions{state="newer_release"} 1.0' in get(worker, "/metrics")[1]
    assert f"written by a newer release: it knows facts of the type {UNKNOWN}" in worker.log_text()

    await until(
        lambda: all("a newer release's fact" in one.log_text() for one in (drawer, counter)), 60, "both to stop"
    )
    assert drawer.ended() is None
    assert counter.ended() is None
    await _documents(tmp_path / "documents", 4)
    assert {path.name.partition(".")[0] for path in (tmp_path / "documents").glob("*/*.pdf")} == {
        f"{NEWER}-000001",
        *(f"{OTHER}-00000{number}" for number in (1, 2, 3)),
    }

    for command in (["audit"], ["event", "show", NEWER]):
        done = await office.run(*command, **documents)
        assert done.returncode == ExitStatus.NEWER_RELEASE, (command, done.stdout, done.stderr)
        assert "written by a newer release" in done.stderr
        assert "docs/upgrading.md" in done.stderr
    assert (await office.run("event", "show", OTHER)).returncode == 0


async def _documents(folder: Path, count: int) -> None:
    deadline_s = time.monotonic() + 60
    await until(lambda: len(list(folder.glob("*/*.pdf"))) == count or time.monotonic() > deadline_s, 70, "documents")


async def test_a_worker_that_meets_a_newer_release_ends_and_its_partition_is_refused_at_the_next_start(
    office: Office,
) -> None:
    home = home_partition(NEWER, office.settings.kafka.partitions)
    worker = office.start()
    await office.send([creation(NEWER)])
    await office.answered()
    await write_newer(office, home, offset=1, seq=2)
    await office.send([order(NEWER, "r-1")])
    assert await worker.end() == ExitStatus.NEWER_RELEASE
    again = office.start()
    await office.ready(again)
    assert health_and_status(again)[1]["partitions"]["newer_release"] == [home]


async def test_an_earlier_release_s_answer_stands_and_the_same_command_is_decided_when_it_is_sent_again(
    office: Office,
) -> None:
    """It read no nulls: this one does, and neither answers that command once more nor takes the topic for another."""
    home = home_partition(NEWER, office.settings.kafka.partitions)
    first = office.start()
    await office.send([creation(NEWER)])
    await office.answered()
    assert await first.stop() == 0
    nulled = Sent(NEWER.encode(), json.dumps({**json.loads(order(NEWER, "r-1").value), "quantity": None}).encode())
    await office.send([nulled])
    [asked] = [record for record in await office.read(office.requests) if record.value == nulled.value]
    answer = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "reason": "quantity: Input should be a valid integer",
        "source": {"partition": home, "offset": asked.offset},
        "at": at_text(asked.timestamp),
    }
    async with producer(office.settings.kafka) as sender:
        headers = [(READ_HEADER, b"%d-%d" % (asked.offset, asked.offset))]
        value = json.dumps(answer).encode()
        await sender.send_and_wait(office.ledger, value, key=b"", partition=home, headers=headers)

    again = office.start()
    await office.ready(again)
    assert health_and_status(again)[1]["partitions"]["refused"] == []
    await office.send([nulled])
    await office.answered()
    facts = [
        json.loads(record.value or b"{}") for record in await office.read(office.ledger) if record.partition == home
    ]
    assert [(fact["type"], fact["source"]["offset"]) for fact in facts] == [
        ("event_created", 0),
        ("command_unreadable", asked.offset),
        ("purchase_confirmed", asked.offset + 1),
    ]
    audited = await office.run("audit", "--wait", "30")
    assert audited.returncode == 0, audited.stdout + audited.stderr
