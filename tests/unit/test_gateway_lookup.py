"""A request is looked for where its answer may be: here first, then in Redis."""

from __future__ import annotations

import asyncio
import json

import pytest

from boxoffice.gateway import lookup as module
from boxoffice.gateway.lookup import Known, Lookup, State
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.records import NotServedError
from boxoffice.gateway.waiters import Outcome, Result, Waiter
from models.facts import ce_type, write_fact
from models.shapes import (
    DecisionFact,
    EventClosed,
    HoldExpired,
    PurchaseCancelled,
    PurchaseConfirmed,
    PurchaseHeld,
)

SOURCE = {"source": {"partition": 3, "offset": 1}, "at": "2026-11-22T10:00:00.123Z", "decided_by": "redis"}
CONFIRMED: PurchaseConfirmed = {
    "type": "purchase_confirmed",
    "event_id": "42",
    "seq": 2,
    "request_id": "r-1",
    "buyer": "b-1",
    "quantity": 1,
    "tickets": ["42-000001"],
    **SOURCE,  # type: ignore[typeddict-item]
}
HELD: PurchaseHeld = {
    "type": "purchase_held",
    "event_id": "42",
    "seq": 2,
    "request_id": "r-1",
    "purchase": "r-1",
    "buyer": "b-1",
    "quantity": 1,
    "tickets": ["42-000001"],
    "lines": [{"category": "general", "quantity": 1, "price": 4500, "tickets": ["42-000001"]}],
    "amount": 4500,
    "currency": "EUR",
    "due": "2026-11-22T10:10:00.123Z",
    **SOURCE,  # type: ignore[typeddict-item]
}
EXPIRED: HoldExpired = {
    "type": "hold_expired",
    "event_id": "42",
    "seq": 3,
    "request_id": "e-1",
    "purchase": "r-1",
    "buyer": "b-1",
    "tickets": ["42-000001"],
    **SOURCE,  # type: ignore[typeddict-item]
}
PAID: PurchaseConfirmed = {**CONFIRMED, "seq": 4, "request_id": "p-1", "purchase": "r-1", "payment": "pay-1"}
CANCELLED: PurchaseCancelled = {
    "type": "purchase_cancelled",
    "event_id": "42",
    "seq": 3,
    "request_id": "x-1",
    "purchase": "r-1",
    "buyer": "b-1",
    "tickets": ["42-000001"],
    **SOURCE,  # type: ignore[typeddict-item]
}
CLOSED: EventClosed = {
    "type": "event_closed",
    "event_id": "42",
    "seq": 4,
    "request_id": "z-1",
    **SOURCE,  # type: ignore[typeddict-item]
}


class InRedis:
    """Redis, as it is asked for one request."""

    def __init__(self) -> None:
        self.kept: DecisionFact | None = None
        self.serves = True
        self.changed_with: int | None = None
        self.asked = 0

    async def fact(self, _event_id: str, _request_id: str) -> DecisionFact | None:
        self.asked += 1
        if not self.serves:
            raise NotServedError
        return self.kept

    async def page_since(self, _event_id: str) -> int | None:
        if not self.serves:
            raise NotServedError
        return self.changed_with


class Bench:
    """A lookup, of one request."""

    def __init__(self) -> None:
        self.redis = InRedis()
        self.recent = Recent(100, 10**9, lambda _: None)
        self.is_ending = False
        self.lookup = Lookup(self.recent, self.redis, lambda: self.is_ending)

    def take(self, fact: bytes | None = None, kind: str = "purchase_confirmed", landed: int | None = 7) -> None:
        """The request came here."""
        asked = self.recent.begin("42", "r-1")
        asked.waiter = Waiter(0, "r", asked.hear)
        asked.waiter.landed = landed
        if fact is not None:
            asked.hear(Result(Outcome.ANSWERED, fact, ce_type(kind)))

    async def find(self, within_s: float = 0.0) -> Known:
        return await self.lookup.find("42", "r-1", within_s)


async def test_a_refusal_that_was_seen_here_is_told_without_redis() -> None:
    bench = Bench()
    bench.take(b"refused", "purchase_rejected")
    assert await bench.find() == Known(State.ANSWERED, b"refused")
    assert bench.redis.asked == 0


async def test_a_confirmation_that_was_seen_here_is_told_byte_for_byte_unless_redis_knows_that_it_was_cancelled() -> (
    None
):
    bench = Bench()
    own = b'{"seq": 2, "of": "the ledger"}'
    bench.take(own)
    for kept in (None, CONFIRMED):
        bench.redis.kept = kept
        assert await bench.find() == Known(State.ANSWERED, own)
    bench.redis.serves = False
    assert await bench.find() == Known(State.ANSWERED, own)
    bench.redis.serves, bench.redis.kept = True, CANCELLED
    assert json.loads((await bench.find()).fact) == CANCELLED


@pytest.mark.parametrize("since", [EXPIRED, PAID, CANCELLED])
async def test_what_became_of_a_hold_elsewhere_is_told_and_never_what_it_was_before(since: DecisionFact) -> None:
    bench = Bench()
    bench.take(write_fact(HELD), "purchase_held")
    bench.redis.kept = since
    assert json.loads((await bench.find()).fact) == since
    # A Redis that has not caught up knows less than who heard it from the ledger.
    bench.take(write_fact(since), since["type"])
    bench.redis.kept = HELD
    assert await bench.find() == Known(State.ANSWERED, write_fact(since))


async def test_a_hold_that_has_expired_may_be_paid_for_all_the_same() -> None:
    bench = Bench()
    bench.take(write_fact(EXPIRED), "hold_expired")
    bench.redis.kept = PAID
    assert json.loads((await bench.find()).fact) == PAID


async def test_what_came_by_another_instance_is_told_by_redis() -> None:
    bench = Bench()
    for kept in (CONFIRMED, HELD, EXPIRED, PAID, CANCELLED, CLOSED):
        bench.redis.kept = kept
        known = await bench.find()
        assert (known.state, json.loads(known.fact)) == (State.ANSWERED, kept)


async def test_nobody_knows_what_neither_this_instance_nor_redis_knows() -> None:
    bench = Bench()
    assert await bench.find() == Known(State.NOT_KNOWN)
    bench.redis.serves = False
    assert await bench.find() == Known(State.NOT_SERVED)


async def test_it_is_on_its_way_only_when_the_log_holds_it() -> None:
    bench = Bench()
    bench.take(landed=None)
    assert await bench.find() == Known(State.NOT_ACKNOWLEDGED)
    bench.take(landed=7)
    assert await bench.find() == Known(State.ON_ITS_WAY)
    assert bench.redis.asked == 0


async def test_an_answer_is_waited_for() -> None:
    bench = Bench()
    bench.take()
    finding = asyncio.create_task(bench.find(60))
    await asyncio.sleep(0)
    bench.take(b"refused", "purchase_rejected")
    assert await finding == Known(State.ANSWERED, b"refused")


async def test_what_another_instance_took_is_waited_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.001)
    bench = Bench()
    finding = asyncio.create_task(bench.find(60))
    while bench.redis.asked < 3:
        await asyncio.sleep(0)
    bench.redis.kept = CLOSED
    assert (await finding).state is State.ANSWERED


async def test_an_instance_that_ends_lets_nobody_wait() -> None:
    bench = Bench()
    bench.take()
    finding = asyncio.create_task(bench.find(60))
    await asyncio.sleep(0)
    bench.is_ending = True
    bench.recent.wake_all()
    assert await finding == Known(State.ON_ITS_WAY)


async def test_the_wait_has_an_end() -> None:
    bench = Bench()
    bench.take()
    assert await bench.find(0.01) == Known(State.ON_ITS_WAY)
