"""Promise: a box office that rests moves to more partitions with all it sold, and a repeat gets its first answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from boxoffice.errors import ExitStatus, NewerReleaseError, TopicsError
from boxoffice.kafka import clients
from boxoffice.kafka.topics import check_topics
from boxoffice.operating import growing
from boxoffice.operating.growing import Growing, Growth, NotGrownError
from models.event import Event
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.support.sold import SoldOffice
from tests.support.workload import Sent, commands, creations, event_ids, order
from tests.unit.records import purchase

SEED = 20261128
BEFORE, AFTER = 3, 8


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """Three partitions, and nothing sold yet."""
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=BEFORE)
    await opened.open()
    yield opened
    opened.close()


@pytest.fixture
def grown(office: Office, kafka: KafkaAddress, redis_server: RedisAddress, tmp_path: Path) -> Iterator[Office]:
    """Where it moves to: its topics are not there yet."""
    prefix = f"{office.settings.kafka.topic_prefix}new-"
    (tmp_path / "new").mkdir()
    moved = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path / "new", partitions=AFTER)
    yield moved
    moved.close()


async def move(office: Office, grown: Office, **options: bool) -> Growth:
    return await Growing(office.settings.kafka, grown.settings.kafka).run(**options)


async def facts(office: Office) -> list[dict[str, Any]]:
    """What counts of a ledger: each event's facts in order, but for where commands lay and who decided."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for record in await office.read(office.ledger):
        fact = json.loads(record.value or b"")
        if fact["seq"]:
            found.setdefault((fact["event_id"], fact["seq"]), {**fact, "source": None, "decided_by": None})
    return [found[key] for key in sorted(found)]


async def test_everything_that_was_sold_moves_and_a_repeat_gets_its_first_answer(office: Office, grown: Office) -> None:
    ids = event_ids(SEED, 12)
    worker = office.start()
    sent = [*creations(ids, 150), *commands(SEED, ids, 3_000)]
    await office.send([*sent, Sent(b"", b"tickets please"), *sent[::17]])
    await office.answered()
    assert (await office.verdict()).problems == []
    running = await office.run("topics", "grow", "--to", str(AFTER), "--prefix", grown.settings.kafka.topic_prefix)
    assert running.returncode == ExitStatus.DIFFERS
    assert "workers run: stop them first" in running.stderr
    assert await worker.stop() == ExitStatus.OK
    done = await office.run(
        "topics", "grow", "--to", str(AFTER), "--prefix", grown.settings.kafka.topic_prefix, "--json"
    )
    assert done.returncode == ExitStatus.OK, done.stderr
    before = await facts(office)
    told = json.loads(done.stdout)
    assert (told["events"], told["facts"], told["undecided"]) == (12, len(before), 0)
    assert {fact["type"] for fact in before} >= {"purchase_confirmed", "purchase_rejected", "purchase_cancelled"}
    assert await facts(grown) == before
    assert (await grown.verdict()).problems == []

    grown.start()
    await grown.send(sent[:400])
    await grown.answered()
    await grown.agrees()
    first = {(fact["event_id"], fact["request_id"]): fact for fact in before if fact["type"] == "purchase_confirmed"}
    confirmed = [
        fact
        for record in await grown.read(grown.ledger)
        if (fact := json.loads(record.value or b""))["type"] == "purchase_confirmed"
    ]
    assert len(confirmed) > len(first)
    for fact in confirmed:
        known = first[fact["event_id"], fact["request_id"]]
        assert (fact["tickets"], fact["seq"]) == (known["tickets"], known["seq"])


async def test_a_box_office_whose_partitions_were_raised_moves_with_what_nobody_has_decided(
    office: Office, grown: Office
) -> None:
    sold = SoldOffice(office, 6)
    away, still = sold.away[:5], sold.still[:5]
    await sold.sell(*away, *still)
    await sold.raise_partitions()
    # Clients that know of six partitions ask on; nobody decides.
    asked = [order(event_id, "r-2") for event_id in (*away, *still)]
    office.settings = changed(office.settings, partitions=6)
    await office.send(asked)
    growth = await move(office, grown)
    assert (growth.events, growth.facts, growth.undecided) == (10, 20, 10)
    grown.start()
    await grown.answered()
    await grown.agrees()
    tickets = [fact["tickets"] for fact in await facts(grown) if fact["type"] == "purchase_confirmed"]
    assert len(tickets) == 20
    assert len({ticket for of_purchase in tickets for ticket in of_purchase}) == sum(map(len, tickets))


async def test_a_command_that_was_forwarded_and_not_decided_moves_once(office: Office, grown: Office) -> None:
    sold = SoldOffice(office, 6)
    event_id = sold.away[0]
    await sold.sell(event_id)
    home = sold.home(event_id)
    elsewhere = (home + 1) % BEFORE
    value = json.dumps(purchase("r-2", event_id)).encode()
    async with clients.producer(office.settings.kafka) as producer:
        sent = await producer.send_and_wait(office.requests, value, partition=elsewhere)
        origin = [("boxoffice-origin", f"{elsewhere}:{sent.offset}".encode()), ("traceparent", b"00-1")]
        for _ in range(2):
            await producer.send_and_wait(office.requests, value, event_id.encode(), home, headers=origin)
        await producer.send_and_wait(office.requests, b"tickets please", partition=elsewhere)
    assert (await move(office, grown)).undecided == 2
    moved = {record.value: record for record in await grown.read(grown.requests)}
    assert [name for name, _ in moved[value].headers] == ["traceparent"]
    assert moved[value].partition == clients.home_partition(event_id, AFTER)
    assert b"tickets please" in moved


async def test_nobody_sells_from_an_unfinished_move_which_starts_over_only_if_asked_to(
    office: Office, grown: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SoldOffice(office, 6).sell("1", "2", "3")

    async def interrupted(_growing: Growing) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(Growing, "_compare", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await move(office, grown)
    with pytest.raises(TopicsError, match=r"message\.timestamp\.type=CreateTime"):
        await check_topics(grown.settings.kafka)
    with pytest.raises(NotGrownError, match=r"An interrupted move left .*--start-over"):
        await move(office, grown)
    assert (await move(office, grown, start_over=True)).facts == 6
    assert await check_topics(grown.settings.kafka) == AFTER
    with pytest.raises(NotGrownError, match="There are topics already"):
        await move(office, grown, start_over=True)


async def test_a_move_is_not_finished_if_an_event_arrives_otherwise(
    office: Office, grown: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = growing._digest

    def other(event: Event) -> bytes:
        """Of the new ledger: only there an event lies on a partition that the old one has not."""
        return told(event) + (b"!" if event.created["source"]["partition"] >= BEFORE else b"")

    event_id = next(one for one in map(str, range(1, 99)) if clients.home_partition(one, AFTER) >= BEFORE)
    await SoldOffice(office, 6).sell(event_id)
    monkeypatch.setattr(growing, "_digest", other)
    with pytest.raises(NotGrownError, match="did not arrive as it was"):
        await move(office, grown)
    with pytest.raises(TopicsError):
        await check_topics(grown.settings.kafka)


async def test_commands_that_come_meanwhile_are_not_left_behind(
    office: Office, grown: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SoldOffice(office, 6).sell("1")
    compare = Growing._compare

    async def slowly(self: Growing) -> None:
        await office.send([order("1", "r-9")])
        await compare(self)

    monkeypatch.setattr(Growing, "_compare", slowly)
    with pytest.raises(NotGrownError, match="Commands came while the box office was moved"):
        await move(office, grown)
    with pytest.raises(TopicsError):
        await check_topics(grown.settings.kafka)


async def test_an_event_that_was_sold_on_two_partitions_is_for_people_to_decide(office: Office, grown: Office) -> None:
    sold = SoldOffice(office, 6)
    await sold.sell(sold.away[0])
    after = SoldOffice(office, 6)
    await sold.raise_partitions()
    after.before = 6
    await after.sell(sold.away[0])
    with pytest.raises(NotGrownError, match=f"Event {sold.away[0]} lies on two partitions"):
        await move(office, grown)


async def test_what_a_newer_release_has_decided_is_not_moved_by_an_older_one(office: Office, grown: Office) -> None:
    sold = SoldOffice(office, 6)
    await sold.sell("1")
    [*_, last] = [record for record in await office.read(office.ledger) if record.partition == sold.home("1")]
    newer = json.dumps({**json.loads(last.value or b""), "type": "ticket_raffled", "seq": 3}).encode()
    accounted = ("boxoffice-read", f"{last.offset + 1}-{last.offset + 1}".encode())
    async with clients.producer(office.settings.kafka) as producer:
        await producer.send_and_wait(office.ledger, newer, b"1", sold.home("1"), headers=[accounted])
    with pytest.raises(NewerReleaseError):
        await move(office, grown)
    with pytest.raises(TopicsError):
        await check_topics(grown.settings.kafka)


async def test_the_same_prefix_is_refused(office: Office) -> None:
    with pytest.raises(NotGrownError, match="another prefix"):
        await move(office, office)
