"""The clock on a real broker, beside an owner of the test's own: so a hold is due whenever the test wants it to be."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any

import aiohttp
import pytest
from aiokafka import TopicPartition

from boxoffice.clock.places import read_places
from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import group_id, home_partition, producer, read_between, reader
from models.accepted import State
from models.clock_places import ClockPlace, row_of
from tests.support.office import POLL_S, Office, Process
from tests.support.one_partition import NUMBER, OnePartition, buying, cancelling, holding, paying
from tests.support.servers import KafkaAddress, RedisAddress
from topics import clock_places
from topics.purchase_results import READ_HEADER

PARTITIONS = 4
EVENT = next(str(number) for number in range(1, 1_000) if home_partition(str(number), PARTITIONS) == NUMBER)
HOLD_MS = 600_000
PATIENCE_S = 60


class Desk:
    """A box office of which the test decides one partition, by the rules, with the times that it likes."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.partition = OnePartition()
        self.requests = TopicPartition(office.requests, NUMBER)
        self.ledger = TopicPartition(office.ledger, NUMBER)
        self._published = 0

    async def open(self) -> None:
        """Put the event on sale."""
        await self.sell([holding(EVENT, 500_000)], _now_ms() - 2 * HOLD_MS)

    async def sell(self, commands: Iterable[Mapping[str, Any]], at_ms: int) -> None:
        """Have commands decided as if they had come at that time."""
        values = [json.dumps(command).encode() for command in commands]
        async with producer(self.office.settings.kafka, linger_ms=5) as sender:
            for value in values:
                await sender.send(self.requests.topic, value, partition=NUMBER)
            await sender.flush()
        for value in values:
            self.partition.send(value, at_ms)
        self.partition.decide()
        await self.publish()

    async def publish(self) -> None:
        """Let the ledger have what was decided, or written by whomever."""
        async with producer(self.office.settings.kafka, linger_ms=5) as sender:
            for _, value, read in self.partition.ledger[self._published :]:
                headers = [(READ_HEADER, read)] if read is not None else []
                await sender.send(self.ledger.topic, value, key=EVENT.encode(), partition=NUMBER, headers=headers)
            await sender.flush()
        self._published = len(self.partition.ledger)

    async def asked(self) -> list[dict[str, Any]]:
        """The commands that somebody else has sent since those that were decided."""
        async with reader(self.office.settings.kafka, [self.requests]) as consumer:
            end = (await consumer.end_offsets([self.requests]))[self.requests]
            return [
                {**json.loads(record.value or b""), "sent_at_ms": record.timestamp}
                async for records in read_between(consumer, self.requests, self.partition.decided, end)
                for record in records
            ]

    async def were_asked(self, expected: int) -> list[dict[str, Any]]:
        """The same, as soon as there are so many."""
        deadline_s = monotonic() + PATIENCE_S
        while len(asked := await self.asked()) < expected:
            assert monotonic() < deadline_s
            await asyncio.sleep(POLL_S)
        return asked

    async def answer(self) -> Counter[str]:
        """Decide what was asked, as the broker has stamped it; returns what came of it."""
        for command in await self.asked():
            at_ms = command.pop("sent_at_ms")
            self.partition.send(command, at_ms)
        facts = self.partition.decide()
        await self.publish()
        return Counter(str(fact.get("reason", fact["type"])) for fact in facts)

    async def answered(self, expected: int, timeout_s: float = PATIENCE_S) -> Counter[str]:
        """Answer until so many were asked; returns what came of them."""
        found: Counter[str] = Counter()
        deadline_s = monotonic() + timeout_s
        while found.total() < expected:
            assert monotonic() < deadline_s, found
            found += await self.answer()
            await asyncio.sleep(POLL_S)
        return found

    async def asks_nothing(self, seconds: float = 3) -> None:
        """See that nobody asks for a while."""
        await asyncio.sleep(seconds)
        assert await self.asked() == []

    def held(self) -> int:
        """How many purchases are held, by the rules."""
        event = self.partition.inventory.events[EVENT]
        ids = [json.loads(record.value or b"{}").get("purchase") for record in self.partition.ledger if record.value]
        found = [event.purchase(one) for one in dict.fromkeys(filter(None, ids))]
        return sum(one is not None and one.state is State.HELD for one in found)

    async def place(self) -> ClockPlace | None:
        """The place that is kept."""
        return (await read_places(self.office.settings.kafka, [NUMBER]))[NUMBER]

    async def kept(self, offset: int) -> ClockPlace:
        """Wait for the place to be there."""
        deadline_s = monotonic() + PATIENCE_S
        while (place := await self.place()) is None or place.offset < offset:
            assert monotonic() < deadline_s, place
            await asyncio.sleep(POLL_S)
        return place


def _now_ms() -> int:
    return int(time() * 1000)


@pytest.fixture
async def desk(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    await office.open()
    desk = Desk(office)
    await desk.open()
    yield desk
    office.close()


async def start(desk: Desk, **environment: str) -> Process:
    process = desk.office.start("clock", **environment)
    await desk.office.ready(process)
    return process


async def metrics(process: Process) -> dict[str, float]:
    """What it measures, by series."""
    line = next(one for one in process.log_text().splitlines() if "health and metrics" in one)
    url = f"http://127.0.0.1:{json.loads(line)['port']}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


async def test_what_is_due_is_asked_about_and_nothing_else(desk: Desk) -> None:
    due_ms = _now_ms() - HOLD_MS - 5_000
    await desk.sell([buying(f"due-{number}", EVENT) for number in range(5)], due_ms)
    await desk.sell([buying("paid", EVENT), buying("cancelled", EVENT), buying("cut", EVENT)], due_ms)
    tickets = json.loads(desk.partition.ledger[-1].value or b"")["tickets"]
    ending = [paying("paid", EVENT), cancelling("cancelled", EVENT), cancelling("cut", EVENT, tickets[0])]
    await desk.sell(ending, due_ms)
    await desk.sell([buying("later", EVENT)], _now_ms())
    process = await start(desk)
    assert await desk.answered(6) == {"hold_expired": 6}
    await desk.asks_nothing()
    assert desk.held() == 1
    found = await metrics(process)
    assert found["boxoffice_clock_holds"] == 1
    assert found["boxoffice_clock_overdue_seconds"] == 0
    assert found["boxoffice_clock_asked_total"] == 6
    assert found['boxoffice_clock_answers_total{answer="expired"}'] == 6
    assert found["boxoffice_clock_late_seconds_count"] == 6
    assert await process.stop() == ExitStatus.OK


async def test_a_hold_is_asked_about_at_its_time(desk: Desk) -> None:
    await start(desk)
    due_ms = _now_ms() + 4_000
    await desk.sell([buying("r-1", EVENT)], due_ms - HOLD_MS)
    asked = await desk.were_asked(1)
    assert [command["purchase"] for command in asked] == ["r-1"]
    assert 0 <= asked[0]["sent_at_ms"] - due_ms < 5_000
    assert await desk.answer() == {"hold_expired": 1}


async def test_what_is_not_answered_is_not_asked_again_and_who_starts_anew_asks_once_more(desk: Desk) -> None:
    await desk.sell([buying(f"r-{number}", EVENT) for number in range(10)], _now_ms() - HOLD_MS - 5_000)
    process = await start(desk)
    await desk.were_asked(10)
    await asyncio.sleep(3)
    assert len(await desk.asked()) == 10, "the log answers in its time"
    process.kill()
    await start(desk)
    await desk.were_asked(20)  # Before it is answered: who comes late finds nothing to ask.
    assert await desk.answered(20) == {"hold_expired": 20}, "ten of them again, with the facts that they had"
    assert desk.held() == 0
    await desk.asks_nothing()


async def test_a_clock_that_is_killed_loses_no_hold_and_the_next_reads_from_the_oldest_one(desk: Desk) -> None:
    before_ms = _now_ms() - 60_000
    await desk.sell([buying(f"paid-{number}", EVENT) for number in range(300)], before_ms)
    await desk.sell([paying(f"paid-{number}", EVENT) for number in range(300)], before_ms)
    await desk.sell([buying(f"held-{number}", EVENT) for number in range(5)], _now_ms() - HOLD_MS + 20_000)
    process = await start(desk)
    place = await desk.kept(601)
    assert (place.offset, place.event_id, place.request_id) == (601, EVENT, "held-0")
    process.kill()
    again = await start(desk)
    assert await desk.answered(5) == {"hold_expired": 5}
    assert desk.held() == 0
    place = await desk.kept(desk.partition.ledger[-1].offset)
    assert place.due is None
    assert await again.stop() == ExitStatus.OK


async def test_a_group_whose_offsets_were_set_to_the_end_loses_no_hold(desk: Desk) -> None:
    await desk.sell([buying("r-1", EVENT)], _now_ms() - HOLD_MS + 15_000)
    process = await start(desk)
    await desk.kept(1)
    await desk.sell([buying("r-2", EVENT)], _now_ms() - HOLD_MS + 15_000)
    assert await process.stop() == ExitStatus.OK
    kafka = desk.office.settings.kafka
    async with reader(kafka, [desk.ledger], group_id(kafka, "clock")) as consumer:
        end = (await consumer.end_offsets([desk.ledger]))[desk.ledger]
        await consumer.commit({desk.ledger: end})
    await start(desk)
    assert await desk.answered(2) == {"hold_expired": 2}


@pytest.mark.parametrize(
    "row",
    [
        row_of(ClockPlace(NUMBER, 2, EVENT, "another"))[1],
        row_of(ClockPlace(NUMBER, 1_000_000, EVENT, "r-1"))[1],
        b"whatever",
    ],
    ids=["of another ledger", "behind the end", "unreadable"],
)
async def test_a_place_that_cannot_be_believed_is_none(desk: Desk, row: bytes) -> None:
    await desk.sell([buying("r-1", EVENT), buying("r-2", EVENT)], _now_ms() - HOLD_MS - 5_000)
    topic = clock_places.TOPIC.full_name(desk.office.settings.kafka.topic_prefix)
    async with producer(desk.office.settings.kafka) as sender:
        await sender.send_and_wait(topic, row, key=b"partition-%d" % NUMBER, partition=NUMBER)
    await start(desk)
    assert await desk.answered(2) == {"hold_expired": 2}


async def test_strangers_records_stop_nobody_and_a_newer_release_s_fact_does(desk: Desk) -> None:
    await desk.sell([buying("r-1", EVENT)], _now_ms() - HOLD_MS - 5_000)
    for value in (None, b"", b"x", b"\xff", b"{}", b'{"type":"seat_swapped"}'):
        desk.partition.write(value, None)
        desk.partition.write(value, b"70000-70001")
    await desk.publish()
    process = await start(desk)
    assert await desk.answered(1) == {"hold_expired": 1}
    newer = json.loads(desk.partition.ledger[-1].value or b"") | {"type": "seat_swapped", "seq": 99}
    number = desk.partition.decided
    desk.partition.write(json.dumps(newer).encode(), b"%d-%d" % (number, number))
    await desk.publish()
    deadline_s = monotonic() + PATIENCE_S
    while "a newer release's fact" not in process.log_text():
        assert monotonic() < deadline_s
        await asyncio.sleep(POLL_S)
    await desk.sell([buying("r-2", EVENT)], _now_ms() - HOLD_MS - 5_000)
    await desk.asks_nothing()
    assert process.ended() is None


def holds_found(desk: Desk) -> list[tuple[str, str, str]]:
    """What the doctor says of holds."""
    found = json.loads(desk.office.boxoffice("doctor", "--json", "--watch", "0").stdout)["findings"]
    return [(one["state"], one["sentence"], one["advice"]) for one in found if one["subject"] == "holds"]


async def test_the_doctor_says_which_holds_do_not_end_and_whether_a_clock_runs(desk: Desk) -> None:
    await desk.sell([buying("r-1", EVENT)], _now_ms() - HOLD_MS - 180_000)
    process = await start(desk)
    await desk.kept(1)
    [(state, sentence, advice)] = await asyncio.to_thread(holds_found, desk)
    said = f"Holds on 1 partition are due and have not ended, the first on partition {NUMBER} for [3-9] minutes."
    assert (state, re.fullmatch(said, sentence) is not None) == ("problem", True), sentence
    assert "workers get on" in advice
    assert await process.stop() == ExitStatus.OK
    [(state, _, advice)] = await asyncio.to_thread(holds_found, desk)
    assert (state, "boxoffice run clock" in advice) == ("problem", True)
    await start(desk)
    # Once or twice: the second clock asks as well, unless the first one's question was answered before.
    assert (await desk.answered(1)).keys() == {"hold_expired"}
    await desk.kept(desk.partition.ledger[-1].offset - 1)
    deadline_s = monotonic() + PATIENCE_S
    while (place := await desk.place()) is None or place.due is not None:
        assert monotonic() < deadline_s
        await asyncio.sleep(POLL_S)
    assert await asyncio.to_thread(holds_found, desk) == []


async def test_the_doctor_misses_a_clock_as_soon_as_something_is_held(desk: Desk) -> None:
    await desk.office.ready(desk.office.start("stats"))
    assert await asyncio.to_thread(holds_found, desk) == []
    await desk.sell([buying("r-1", EVENT, 3)], _now_ms())
    deadline_s = monotonic() + PATIENCE_S
    while not (found := await asyncio.to_thread(holds_found, desk)):
        assert monotonic() < deadline_s
        await asyncio.sleep(POLL_S)
    [(state, sentence, advice)] = found
    assert state == "problem"
    assert sentence.startswith("3 tickets kept for buyers, and no clock has ever run")
    assert "boxoffice run clock" in advice


async def test_many_that_are_due_in_the_same_second_are_asked_about_at_a_pace(desk: Desk) -> None:
    count = 3_000
    await desk.sell([buying(f"r-{number}", EVENT, 1) for number in range(count)], _now_ms() - HOLD_MS - 5_000)
    process = await start(desk, BOXOFFICE_CLOCK_RATE="1000", BOXOFFICE_CLOCK_MOST_UNANSWERED="200")
    found: Counter[str] = Counter()
    most = 0
    began_s = monotonic()
    while found.total() < count:
        assert monotonic() < began_s + PATIENCE_S, found
        most = max(most, len(await desk.asked()))
        found += await desk.answer()
    assert most <= 200
    assert monotonic() - began_s > count / 1_000 - 1
    assert found == {"hold_expired": count}
    assert desk.held() == 0
    assert (await metrics(process))["boxoffice_clock_asked_total"] == count


async def test_of_two_clocks_each_asks_about_its_own_and_one_goes_on_for_both(desk: Desk) -> None:
    one, other = await start(desk), await start(desk)
    deadline_s = monotonic() + PATIENCE_S
    while not all('"partitions": [' in process.log_text() for process in (one, other)):
        assert monotonic() < deadline_s
        await asyncio.sleep(POLL_S)
    await desk.sell([buying(f"r-{number}", EVENT) for number in range(20)], _now_ms() - HOLD_MS + 8_000)
    one.kill()
    found = await desk.answered(20)
    assert set(found) == {"hold_expired"}
    assert desk.held() == 0
    assert await other.stop() == ExitStatus.OK
