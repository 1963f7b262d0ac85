"""What became of this instance's requests is remembered, as long as there is room."""

from __future__ import annotations

import asyncio

import pytest

from boxoffice.gateway.recent import EACH_BYTES, Asked, Recent
from boxoffice.gateway.waiters import Outcome, Result, Waiter
from models.facts import ce_type

LARGE = 10**9
CONFIRMED = Result(Outcome.ANSWERED, b'{"type":"purchase_confirmed","seq":2}', ce_type("purchase_confirmed"))
CANCELLED = Result(Outcome.ANSWERED, b'{"type":"purchase_cancelled","seq":3}', ce_type("purchase_cancelled"))
REJECTED = Result(Outcome.ANSWERED, b'{"type":"purchase_rejected"}', ce_type("purchase_rejected"))
FORWARDED = Result(Outcome.ANSWERED, b'{"type":"command_forwarded"}', ce_type("command_forwarded"))
ACCEPTED = Result(Outcome.ACCEPTED)


class Bench:
    """Recent requests, and the waiters that were given up."""

    def __init__(self, most: int = 100, most_bytes: int = LARGE) -> None:
        self.given_up: list[Waiter] = []
        self.recent = Recent(most, most_bytes, self.given_up.append)

    def ask(self, request_id: str, purchase: str | None = None) -> Asked:
        asked = self.recent.begin("42", request_id, purchase)
        asked.waiter = Waiter(0, "r", asked.hear)
        return asked

    def answer(self, request_id: str) -> Result | None:
        asked = self.recent.find("42", request_id)
        return asked.answer if asked is not None else None


async def test_a_request_is_on_its_way_from_when_the_log_holds_it_until_it_is_answered() -> None:
    bench = Bench()
    asked = bench.ask("r-1")
    landed = [asked.has_landed]
    assert asked.waiter is not None
    asked.waiter.landed = 7
    asked.hear(ACCEPTED)
    landed.append(asked.has_landed)
    assert (bench.answer("r-1"), landed) == (None, [False, True])
    asked.hear(REJECTED)
    assert bench.answer("r-1") == REJECTED
    assert asked.waiter is None


async def test_what_was_not_taken_or_may_not_have_been_is_not_known() -> None:
    for outcome in (Outcome.REFUSED, Outcome.UNKNOWN):
        bench = Bench()
        bench.ask("r-1").hear(Result(outcome))
        assert bench.recent.find("42", "r-1") is None
        assert bench.recent.size_bytes == 0


async def test_a_fact_that_decides_nothing_is_no_answer() -> None:
    bench = Bench()
    bench.ask("r-1").hear(FORWARDED)
    assert bench.recent.find("42", "r-1") is None


async def test_what_was_accepted_stays_so_while_it_is_asked_again_and_what_was_refused_is_asked_anew() -> None:
    bench = Bench()
    bench.ask("r-1").hear(CONFIRMED)
    again = bench.ask("r-1")
    assert bench.answer("r-1") == CONFIRMED
    again.hear(Result(Outcome.UNKNOWN))
    assert bench.answer("r-1") == CONFIRMED
    bench.ask("r-2").hear(REJECTED)
    bench.ask("r-2")
    assert bench.answer("r-2") is None
    assert len(bench.recent) == 2


async def test_a_cancelled_purchase_is_answered_by_its_cancellation() -> None:
    bench = Bench()
    bench.ask("r-1").hear(CONFIRMED)
    bench.ask("x-1", "r-1").hear(REJECTED)
    assert bench.answer("r-1") == CONFIRMED
    bench.ask("x-1", "r-1").hear(CANCELLED)
    assert (bench.answer("r-1"), bench.answer("x-1")) == (CANCELLED, CANCELLED)


async def test_of_several_cancellations_the_newest_tells_what_the_purchase_is() -> None:
    bench = Bench()
    bench.ask("r-1").hear(CONFIRMED)
    some, rest = CANCELLED, CANCELLED._replace(fact=CANCELLED.fact.replace(b"3", b"4"))
    bench.ask("x-1", "r-1").hear(some)
    bench.ask("x-2", "r-1").hear(rest)
    bench.ask("x-1", "r-1").hear(some)
    assert (bench.answer("r-1"), bench.answer("x-1"), bench.answer("x-2")) == (rest, some, rest)
    strange = CANCELLED._replace(fact=b"[]")
    bench.ask("x-3", "r-1").hear(strange)
    assert bench.answer("r-1") == rest


@pytest.mark.parametrize(
    ("kind", "may_change"),
    [
        *((kind, True) for kind in ("purchase_confirmed", "purchase_held", "hold_expired", "purchase_cancelled")),
        *((kind, False) for kind in ("purchase_rejected", "command_rejected", "event_created", "event_changed")),
    ],
)
async def test_of_purchases_alone_more_may_become(kind: str, may_change: bool) -> None:
    bench = Bench()
    asked = bench.ask("r-1")
    assert not asked.may_change
    asked.hear(Result(Outcome.ANSWERED, b"{}", ce_type(kind)))
    assert asked.may_change is may_change
    cancellation = bench.ask("x-1", "r-1")
    cancellation.hear(CANCELLED)
    assert not cancellation.may_change


async def test_the_oldest_are_forgotten_where_there_are_too_many() -> None:
    bench = Bench(most=3)
    for number in range(5):
        bench.ask(f"r-{number}").hear(CONFIRMED)
    assert [bench.answer(f"r-{number}") for number in range(5)] == [None, None, CONFIRMED, CONFIRMED, CONFIRMED]
    assert bench.recent.size_bytes == 3 * (EACH_BYTES + len(CONFIRMED.fact))


async def test_the_oldest_are_forgotten_where_they_take_too_much() -> None:
    large = CONFIRMED._replace(fact=b"x" * 5 * EACH_BYTES)
    bench = Bench(most_bytes=10 * EACH_BYTES)
    for number in range(4):
        bench.ask(f"r-{number}").hear(large)
        assert bench.recent.size_bytes <= 10 * EACH_BYTES
    assert len(bench.recent) == 1
    assert bench.answer("r-3") == large


async def test_nobody_follows_what_was_forgotten() -> None:
    bench = Bench(most=1)
    followed = bench.ask("r-1").waiter
    assert followed is not None
    followed.is_followed = True
    waits = bench.ask("r-2")
    assert bench.given_up == [followed]
    bench.ask("r-3")
    assert bench.given_up == [followed]
    waiter = waits.waiter
    waits.hear(ACCEPTED)
    assert bench.given_up == [followed, waiter]
    waits.hear(CONFIRMED)
    assert bench.recent.size_bytes == EACH_BYTES


async def test_who_waits_for_news_hears_of_the_answer_and_of_the_end() -> None:
    bench = Bench()
    asked = bench.ask("r-1")
    waiting = [asyncio.create_task(asked.change(60)) for _ in range(3)]
    await asyncio.sleep(0)
    asked.hear(CONFIRMED)
    await asyncio.gather(*waiting)
    ending = asyncio.create_task(bench.ask("r-2").change(60))
    await asyncio.sleep(0)
    bench.recent.wake_all()
    await ending
    assert bench.recent.watched == {}
    await bench.ask("r-3").change(0.001)
