"""Tickets that are drawn again after their event was changed: those that are somebody's, once each, at a rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from time import monotonic
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.batching import Record
from boxoffice.documents import renewing as module
from boxoffice.documents.queue import Order
from boxoffice.documents.renewing import OPEN, Holders, Pace, Renewing
from boxoffice.settings import load_settings
from models.accepted import Kind, State, unpack
from models.facts import write_fact
from models.inventory import Inventory
from models.renewals import Renewal, key_of, renewals_in, row_of
from models.shapes import Fact, PurchaseCancelled
from tests.unit.records import record
from tests.unit.story import Story
from tests.unit.strategies import HOME, Arrival, arrivals, sell

LEDGER = TP("purchase-results", 0)


class Places:
    """The rows as a topic keeps them, and how often each was written."""

    def __init__(self) -> None:
        self.rows: dict[bytes | None, bytes] = {}
        self.written: list[tuple[str, Renewal]] = []

    async def keep_renewals(self, number: int, renewals: Iterable[Renewal], done: Iterable[Renewal] = ()) -> None:
        assert number == LEDGER.partition
        await asyncio.sleep(0)
        for renewal in renewals:
            self.written.append(("kept", renewal))
            self.rows.update([row_of(renewal)])
        for renewal in done:
            self.written.append(("done", renewal))
            self.rows.pop(key_of(renewal), None)

    @property
    def kept(self) -> list[Renewal]:
        """What whoever starts now finds."""
        return renewals_in(self.rows)


class Bench:
    """A worker that draws again, on a ledger that a story tells. ``taken`` is how far it has taken that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, story: Story, places: Places | None = None) -> None:
        self.story = story
        self.places = places or Places()
        self.orders: list[Order] = []
        self.taken = len(story.facts)
        self.reads = 0
        kafka = load_settings().kafka
        self.renewing = Renewing(kafka, self.places, 1e5, self.orders.append, nullcontext)  # type: ignore[arg-type]
        monkeypatch.setattr(module, "reader", self._reader)
        monkeypatch.setattr(module, "read_between", self._read_between)

    @property
    def ledger(self) -> list[Record]:
        """Every fact twice, since a stale owner repeats; and between them facts of others."""
        return [
            record(offset, write_fact(self.story.facts[offset // 2]), key=b"42" if offset % 2 else b"43")
            for offset in range(2 * len(self.story.facts))
        ]

    @asynccontextmanager
    async def _reader(self, *_: Any) -> AsyncIterator[Bench]:
        self.reads += 1
        yield self

    async def beginning_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, 0)

    async def _read_between(self, _: Any, __: Any, first: int, end: int, ___: Any) -> AsyncIterator[list[Record]]:
        for one in self.ledger[first:end]:
            yield [one]

    def change(self, seq: int) -> Renewal:
        """The renewal for the change with that seq."""
        return Renewal("42", seq, 2 * seq - 1)

    async def note(self, seq: int) -> None:
        await self.renewing.note(LEDGER, self.change(seq), lambda: 2 * self.taken)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)

    async def drawn(self) -> list[str]:
        """Do what is to be done until nothing is, and say of which tickets that was."""
        drawn: list[str] = []
        async with asyncio.timeout(10):
            while self.renewing._tasks or self.orders:
                if self.orders:
                    drawn += self.do(self.orders.pop(0))
                await asyncio.sleep(0)
        return drawn

    @staticmethod
    def do(order: Order) -> list[str]:
        assert order.renewal is not None
        for _ in order.subjects:
            order.renewal.did(order)
        return list(order.subjects)


def sold() -> Story:
    """Tickets 1 to 4 are sold with the facts 2 to 5, and 2 is given back; 5 and 6 are sold, then comes the change 8."""
    story = Story()
    for number in range(2, 6):
        story.buy(f"r-{number}")
    story.ask("cancel_purchase", "x-6", purchase="r-3")
    story.buy("r-7", quantity=2)
    story.ask("change_event", "e-8", name="Late Night")
    return story


SOLD = ["42-000001", "42-000003", "42-000004", "42-000005", "42-000006"]


async def test_every_ticket_that_is_somebody_s_is_drawn_again_once_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, sold())
    bench.story.buy("r-9")  # by the new page already
    await bench.note(8)
    await bench.until(lambda: bool(bench.orders))
    assert bench.renewing.left == len(SOLD)
    assert {order.cause.offset for order in bench.orders} == {15}
    assert {order.renewal.change["seq"] for order in bench.orders if order.renewal} == {8}
    assert await bench.drawn() == SOLD
    assert (bench.places.kept, bench.renewing.left) == ([], 0)


async def test_what_is_given_back_meanwhile_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the ledger was read, and while it is: some of a purchase, and all of another."""
    bench = Bench(monkeypatch, sold())
    await bench.note(8)
    bench.renewing.saw(bench.story.ask("cancel_purchase", "x-9", purchase="r-7", tickets=["42-000005"]))
    await bench.until(lambda: bool(bench.orders))
    bench.renewing.saw(bench.story.ask("cancel_purchase", "x-10", purchase="r-5"))
    of_another: PurchaseCancelled = bench.story.facts[-1] | {"event_id": "43", "tickets": ["43-000001"]}
    bench.renewing.saw(of_another)
    assert await bench.drawn() == ["42-000001", "42-000003", "42-000006"]


async def test_a_ticket_of_a_hold_that_was_paid_for_is_drawn_again_and_no_held_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = Story(capacity=10, price={"amount": 4500, "currency": "EUR"}, hold_s=60)
    story.buy("r-2", quantity=2)
    story.buy("r-3", quantity=3)
    story.pay("p-4", "r-2", "pay-1", 9000)
    story.ask("cancel_purchase", "x-5", purchase="r-3", tickets=["42-000003"])
    story.ask("change_event", "e-6", venue="Studio")
    bench = Bench(monkeypatch, story)
    await bench.note(6)
    await bench.until(lambda: bool(bench.orders))
    assert bench.orders[0].fact["seq"] == 4
    assert await bench.drawn() == ["42-000001", "42-000002"]


async def test_it_is_kept_before_anything_is_drawn_and_moves_with_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, sold())
    await bench.note(8)
    assert bench.places.kept == [bench.change(8)]
    await bench.until(lambda: len(bench.orders) == 4)
    bench.do(bench.orders[1])
    await bench.renewing.keep()
    assert bench.places.kept == [Renewal("42", 8, 15, 3)]  # that of the first sale
    bench.do(bench.orders[0])
    await bench.renewing.keep()
    await bench.renewing.keep()
    assert [renewal.next_offset for what, renewal in bench.places.written if what == "kept"] == [0, 3, 9]
    del bench.orders[:2]
    assert await bench.drawn() == SOLD[2:]


async def test_whoever_comes_after_a_crash_goes_on_where_it_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Bench(monkeypatch, sold())
    await before.note(8)
    await before.until(lambda: len(before.orders) == 4)
    for order in before.orders[:2]:
        before.do(order)
    await before.renewing.keep()
    before.do(before.orders[2])  # and this was not kept any more
    await before.renewing.let_go()
    bench = Bench(monkeypatch, before.story, before.places)
    await bench.renewing.begin(LEDGER, bench.places.kept, 16)
    await bench.until(lambda: bool(bench.orders))
    assert bench.renewing.left == 3
    assert await bench.drawn() == SOLD[2:]
    assert bench.places.kept == []


async def test_who_stops_keeps_how_far_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, sold())
    await bench.note(8)
    await bench.until(lambda: len(bench.orders) == 4)
    await bench.renewing.stop()
    bench.do(bench.orders[0])
    await bench.renewing.keep()
    await bench.renewing.let_go()
    assert [renewal.next_offset for renewal in bench.places.kept] == [7]


async def test_a_change_that_is_taken_again_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group has not committed it: sales before it are made again too, with the page before."""
    bench = Bench(monkeypatch, sold())
    kept = Renewal("42", 8, 15, 11)
    bench.places.rows.update([row_of(kept)])
    await bench.renewing.begin(LEDGER, bench.places.kept, 15)
    assert bench.renewing._tasks == {}
    await bench.note(8)
    assert bench.places.kept == [bench.change(8)]
    assert await bench.drawn() == SOLD


async def test_an_event_that_is_changed_again_is_drawn_for_the_newest_change_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, sold())
    await bench.note(8)
    await bench.until(lambda: len(bench.orders) == 4)
    bench.do(bench.orders.pop(0))
    bench.story.buy("r-9")
    bench.story.ask("change_event", "e-10", name="Night again")
    bench.taken = len(bench.story.facts)
    await bench.note(10)
    assert bench.places.kept == [bench.change(10)]
    open_before = list(bench.orders)
    await bench.until(lambda: len(bench.orders) > len(open_before) + 4)
    assert {order.renewal.change["seq"] for order in bench.orders[3:] if order.renewal} == {10}
    del bench.orders[:3]
    assert await bench.drawn() == [*SOLD[:2], *SOLD[2:], "42-000007"]
    for order in open_before:  # what was open is done all the same, before
        bench.do(order)
    await bench.renewing.keep()
    assert bench.places.kept == []


async def test_of_two_that_were_kept_the_older_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    story = sold()
    story.ask("change_event", "e-9", name="Night again")
    bench = Bench(monkeypatch, story)
    for seq in (9, 8):
        bench.places.rows.update([row_of(bench.change(seq))])
    await bench.renewing.begin(LEDGER, bench.places.kept, 2 * bench.taken)
    assert bench.places.kept == [bench.change(9)]
    assert await bench.drawn() == SOLD


@pytest.mark.parametrize("offset", [3, 13, 900])
async def test_what_was_kept_for_another_ledger_is_forgotten(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    bench = Bench(monkeypatch, sold())
    bench.places.rows.update([row_of(Renewal("42", 8, offset))])
    await bench.renewing.begin(LEDGER, bench.places.kept, 1_000)
    assert await bench.drawn() == []
    assert bench.places.kept == []


async def test_no_more_than_so_many_tickets_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    for number in range(30):
        story.buy(f"r-{number}", quantity=3)
    story.ask("change_event", "e-1", name="Late Night")
    bench = Bench(monkeypatch, story)
    await bench.note(story.event.seq)
    seen, drawn = [], 0
    while bench.renewing._tasks:
        await asyncio.sleep(0)
        seen.append(sum(len(order.subjects) for order in bench.orders))
        if len(seen) % 50 == 0 and bench.orders:
            drawn += len(bench.do(bench.orders.pop(0)))
    assert drawn == 90
    assert OPEN - 3 < max(seen) <= OPEN


async def test_so_many_a_second_go_on() -> None:
    pace, begun_s = Pace(100), monotonic()
    for _ in range(4):
        await pace.wait(5)
    assert 0.14 < monotonic() - begun_s < 2


# Who holds what


@given(arrivals(), st.integers(0, 1))
def test_holders_are_those_that_the_rules_say(arrived: list[Arrival], repeats: int) -> None:
    inventory = Inventory(HOME)
    facts = sell(inventory, arrived)
    for event in inventory.events.values():
        holders = Holders(event.event_id)
        for number, fact in enumerate(facts):
            if fact["event_id"] == event.event_id:
                holders.read(fact)
                for before in facts[max(0, number - repeats) : number]:
                    if before["event_id"] == event.event_id:
                        holders.read(before)
        confirmed_by = {
            accepted.purchase: accepted.seq
            for accepted in map(unpack, event.accepted.values())
            if accepted.kind is Kind.CONFIRMATION
        }
        for request_id in event.accepted:
            purchase = event.purchase(request_id)
            if purchase is not None:
                tickets = event.tickets(purchase.runs)
                held = list(tickets) if purchase.state is State.CONFIRMED else []
                assert holders.held(tickets, confirmed_by.get(request_id, purchase.seq)) == held
        assert holders.between(0, 2**63 - 1) == event.sold


def test_a_ticket_of_another_event_makes_no_room() -> None:
    story, holders = sold(), Holders("42")
    holders.read(story.facts[0])
    forged: Fact = story.facts[1] | {"tickets": ["43-000001"]}
    holders.read(forged)
    assert holders.between(0, 99) == 0


# Rows


@given(st.integers(1, 2**53), st.integers(0, 2**53), st.integers(0, 2**53), st.sampled_from(["0", "42", "9" * 18]))
def test_a_renewal_is_read_as_it_was_kept(seq: int, offset: int, next_offset: int, event_id: str) -> None:
    renewal = Renewal(event_id, seq, offset, next_offset)
    assert renewals_in(dict([row_of(renewal)])) == [renewal]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"42", b'{"seq":1}'),
        (b"renewal-42-0", b'{"offset":1,"next_offset":0}'),
        (b"renewal-042-1", b'{"offset":1,"next_offset":0}'),
        (b"renewal-42-1", b'{"offset":-1,"next_offset":0}'),
        (b"renewal-42-1", b'{"offset":1}'),
        (b"renewal-42-1", b"\xff"),
        (None, b""),
    ],
)
def test_what_nobody_of_ours_wrote_is_no_renewal(key: bytes | None, value: bytes) -> None:
    assert renewals_in({key: value}) == []
