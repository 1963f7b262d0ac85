"""An event is called off by whoever runs it, as often as it is stopped, and nothing is cancelled twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from boxoffice.audit.event_view import ArchivedEventError, UnknownEventError
from boxoffice.cli.calling_off import how_far, sentence
from boxoffice.errors import ExitStatus
from boxoffice.operating import calling_off
from boxoffice.operating.calling_off import CalledOff, CallingOff, NotCalledOffError
from boxoffice.operating.following_home import Told
from boxoffice.settings import load_settings
from models.derived_ids import CALLING_OFF, first_id, next_id
from models.inventory import Inventory, fold
from tests.unit.story import CATEGORIES, HOME, Story, holding


class StoppedError(Exception):
    """Somebody killed it."""


class Worker:
    """A home partition whose commands are decided as they are sent: its ledger, and the producer to it.

    ``asked`` are the ids of all commands; it stops whoever asks more than ``most``, and answers nobody if ``asleep``.
    """

    def __init__(self, story: Story) -> None:
        self.story = story
        self.asked: list[str] = []
        self.most = 10_000
        self.asleep = False
        self.begin()

    def begin(self) -> None:
        """Read from the beginning, as whoever starts does."""
        self.read = 0
        self.ledger = SimpleNamespace(partition=HOME, inventory=Inventory(HOME))

    def event(self, event_id: str) -> Any:
        return self.ledger.inventory.events.get(event_id)

    async def facts(self) -> AsyncIterator[Told]:
        for offset in range(self.read, len(self.story.facts)):
            self.read = offset + 1
            fold(self.ledger.inventory, self.story.facts[offset], offset)
            yield Told(self.story.facts[offset], offset)

    async def facts_through(self, offset: int) -> AsyncIterator[Told]:
        while self.asleep:
            await asyncio.sleep(0.01)
        async for told in self.facts():
            yield told
        assert self.read > offset

    async def send(self, _topic: str, value: bytes, *, key: bytes, partition: int) -> Any:
        assert (key, partition) == (b"42", HOME)
        members = json.loads(value)
        if len(self.asked) == self.most:
            raise StoppedError
        self.asked.append(members["request_id"])
        landed = asyncio.get_running_loop().create_future()
        landed.set_result(SimpleNamespace(offset=len(self.story.facts)))
        self.story.ask(members.pop("type"), **members)
        return landed


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """In the place of Kafka."""
    there = Worker(holding())

    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[Worker]:
        there.begin()
        yield there

    async def partitions(_: object) -> int:
        return 12

    for name, stand_in in {"home_ledger": opened, "producer": opened, "check_topics": partitions}.items():
        monkeypatch.setattr(calling_off, name, stand_in)
    return there


async def call_off(told: list[CalledOff] | None = None, rate_per_s: int = 10_000, timeout_s: float = 5) -> CalledOff:
    seen = [] if told is None else told
    tell = lambda report: seen.append(replace(report))  # noqa: E731
    calling = CallingOff(
        load_settings().kafka, "42", rate_per_s=rate_per_s, timeout_s=timeout_s, tell=tell, actor="manager-1"
    )
    return await calling.run()


def sold(story: Story) -> None:
    """Three purchases are held, of which one is paid for; a fourth is cancelled before."""
    story.buy("r-1", lines=[{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}])
    story.buy("r-2", category="stalls", quantity=1)
    story.buy("r-3", category="stalls", quantity=2)
    story.buy("r-4", category="stalls", quantity=1)
    story.pay("p-1", "r-1", "pay-1", 12_000)
    story.ask("cancel_purchase", "x-4", purchase="r-4")


async def test_everything_is_cancelled_once_held_ones_too(worker: Worker) -> None:
    sold(worker.story)
    told: list[CalledOff] = []
    report = await call_off(told)
    assert report == CalledOff("42", purchases=3, held=2, tickets=6, refund=12_000, currency="EUR", left=0)
    event = worker.story.event
    assert (event.cancelled, event.sold, event.held, event.left) == (True, 0, 0, 8)
    assert worker.asked[1:] == [first_id(CALLING_OFF, purchase) for purchase in ("r-1", "r-2", "r-3")]
    assert {fact.get("actor") for fact in worker.story.facts[-4:]} == {"manager-1"}
    assert [one.left for one in told] == [3, 0]
    assert sentence(report) == (
        "Event 42 is called off: 3 purchases cancelled, 2 of them while they were held, 6 tickets in all; "
        "120.00 EUR to be paid back."
    )
    assert how_far(told[0]) == "0 of 3 purchases cancelled, 0.00 EUR to be paid back"


@pytest.mark.parametrize("killed_after", range(5))
async def test_whoever_is_killed_anywhere_runs_it_again_and_it_goes_on(worker: Worker, killed_after: int) -> None:
    """The report is of all that was cancelled, not of the last run alone."""
    sold(worker.story)
    worker.most = killed_after
    if killed_after < 4:
        with pytest.raises(StoppedError):
            await call_off(rate_per_s=5)
    worker.most = 10_000
    report = await call_off()
    assert report == CalledOff("42", purchases=3, held=2, tickets=6, refund=12_000, currency="EUR", left=0)
    cancelled = [fact["purchase"] for fact in worker.story.facts if fact["type"] == "purchase_cancelled"]
    assert sorted(cancelled) == ["r-1", "r-2", "r-3", "r-4"]
    asked = list(worker.asked)
    assert await call_off() == report
    assert worker.asked == asked, "there is nothing left to ask"


async def test_an_id_that_somebody_has_taken_is_passed_over(worker: Worker) -> None:
    sold(worker.story)
    taken = first_id(CALLING_OFF, "r-1")
    worker.story.buy(taken, category="balcony")
    worker.story.buy(next_id(taken), category="balcony")
    report = await call_off()
    assert (report.purchases, worker.story.event.held, worker.story.event.sold) == (4, 0, 0)
    assert next_id(taken) in worker.asked


async def test_what_others_cancel_or_what_expires_meanwhile_is_not_asked_for_in_vain(worker: Worker) -> None:
    sold(worker.story)
    worker.story.ask("cancel_event", "o-1")
    worker.story.ask("cancel_purchase", "x-1", purchase="r-1", tickets=["42-000001"])
    worker.story.at_ms += 3_600_000
    worker.story.ask("expire_hold", "e-2", purchase="r-2")
    worker.story.ask("cancel_purchase", "x-3", purchase="r-3")
    report = await call_off()
    assert worker.asked == [first_id(CALLING_OFF, "r-1")]
    assert report == CalledOff("42", purchases=2, held=1, tickets=5, refund=12_000, currency="EUR", left=0)


async def test_not_more_are_asked_for_than_the_rate_says(worker: Worker) -> None:
    story = worker.story = Story(categories=CATEGORIES)
    for number in range(6):
        story.buy(f"r-{number}", category="stalls")
    begun_s = asyncio.get_running_loop().time()
    told: list[CalledOff] = []
    report = await call_off(told, rate_per_s=20)
    assert (report.purchases, report.refund) == (6, 27_000)
    # Four at a time, and then the time of these four.
    assert asyncio.get_running_loop().time() - begun_s >= 0.2
    assert [one.left for one in told] == [6, 2, 0]


async def test_without_an_answer_it_is_said_how_far_it_is(worker: Worker) -> None:
    sold(worker.story)
    worker.asleep = True
    with pytest.raises(NotCalledOffError, match=r"within 0.1 s.* Run the same command again") as late:
        await call_off(timeout_s=0.1)
    assert late.value.exit_status == ExitStatus.NO_ANSWER


async def test_what_is_not_there_or_archived_cannot_be_called_off(worker: Worker) -> None:
    worker.story.ask("close_event", "z-1")
    worker.story.ask("archive_event", "f-1")
    with pytest.raises(ArchivedEventError):
        await call_off()
    worker.story.facts.clear()
    with pytest.raises(UnknownEventError):
        await call_off()
    assert worker.asked == []


async def test_an_event_by_the_first_rules_pays_back_its_only_price(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.changing.RULES_VERSION", 1)
    story = worker.story = Story()
    story.buy("r-1", quantity=3)
    assert "amount" not in story.facts[-1]
    report = await call_off()
    assert (report.purchases, report.tickets, report.refund) == (1, 3, 13_500)
