"""Purchases that were refused are remembered for ever, in a few dozen bytes each."""

from __future__ import annotations

from sys import getsizeof
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import refusals as module
from models.event import Position
from models.inventory import Inventory, decide, fold
from models.reasons import Reason
from models.refusals import Refusals, Refused, checksum
from tests.unit.desk import Desk, Members, buying, lines, refusal
from tests.unit.strategies import HOME, opening

U63 = st.integers(0, 2**63 - 1)
IDS = st.text("abcXYZ019._:-", min_size=1, max_size=64)
REFUSED = st.builds(
    Refused,
    U63,
    U63,
    U63,
    st.none() | st.tuples(st.integers(0, 2**31 - 1), U63),
    st.sampled_from(Reason),
    st.integers(0, 2**32 - 1),
)
UUIDS = [f"f8fad5b-d9cb-469f-a165-{number:012d}" for number in range(12_000)]


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Tables are split after a few, but where it is measured what they take."""
    if "bytes" not in request.node.name:
        monkeypatch.setattr(module, "_MOST_OF_A_TABLE", 3)


@given(st.dictionaries(IDS, REFUSED, max_size=60), st.lists(IDS, max_size=20))
def test_whatever_was_refused_is_found_again_and_nothing_else(known: dict[str, Refused], others: list[str]) -> None:
    refusals = Refusals()
    for request_id, refused in known.items():
        assert request_id not in refusals
        refusals.add(request_id, refused)
    assert len(refusals) == refusals.count == len(known)
    for request_id in {*known, *others}:
        assert refusals.get(request_id) == known.get(request_id)
        assert (request_id in refusals) == (request_id in known)


@given(st.lists(IDS, unique=True, max_size=60))
def test_refusals_are_told_in_their_order_however_many_tables_they_are_in(ids: list[str]) -> None:
    refusals = Refusals()
    for seq, request_id in enumerate(ids):
        refusals.add(request_id, Refused(seq, seq, 0, None, Reason.SOLD_OUT, 0))
    assert [(request_id, refused.seq) for request_id, refused in refusals.items()] == list(
        zip(ids, range(len(ids)), strict=True)
    )


def test_ids_whose_hashes_are_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is split by other bits of a hash than those by which its entries lie in it."""
    monkeypatch.setattr(module, "_MOST_OF_A_TABLE", 1_000)
    monkeypatch.setattr(module, "hash", lambda request_id: len(request_id) << 24, raising=False)
    refusals = Refusals()
    for seq, request_id in enumerate(UUIDS[:50]):
        refusals.add(request_id, Refused(seq, seq, 0, None, Reason.SOLD_OUT, 0))
    assert [cast(Refused, refusals.get(request_id)).seq for request_id in UUIDS[:50]] == list(range(50))
    assert refusals.get("x" * 36) is None


def test_a_refused_purchase_takes_less_than_100_bytes_whatever_their_number() -> None:
    refusals = Refusals()
    for number, request_id in enumerate(UUIDS, 1):
        refusals.add(request_id, Refused(number, number, 1_795_341_600_123, None, Reason.SOLD_OUT, number))
        if number in (50, 200, 683, 1_366, 2_000, 2_001, 3_999, 8_000, 12_000):
            assert bytes_of(refusals) / number < 100


def bytes_of(refusals: Refusals) -> int:
    tables = list(dict.fromkeys(refusals._tables))
    parts = [part for table in tables for part in (table, table._entries, table._places)]
    return sum(map(getsizeof, [refusals, refusals._tables, *parts]))


def test_no_table_grows_beyond_some_hundred_kilobytes() -> None:
    """To make one larger, or to split it, keeps the sale waiting for some milliseconds at most."""
    refusals = Refusals()
    for number, request_id in enumerate(UUIDS):
        refusals.add(request_id, Refused(number, number, 0, None, Reason.SOLD_OUT, 0))
    tables = dict.fromkeys(refusals._tables)
    assert len(tables) > 1
    assert max(getsizeof(table._entries) for table in tables) < 300_000


def test_a_sold_ticket_of_a_usual_event_takes_less_than_100_bytes_beside_what_the_allocator_takes() -> None:
    """With ids of 36 characters and two tickets a purchase; as a worker's memory grows it is less than 150."""
    inventory, commands = Inventory(HOME), [buying(f"0{request_id}", 2, "buyer-77") for request_id in UUIDS[:10_000]]
    for offset, command in enumerate([opening(capacity=20_000), *commands]):
        fold(inventory, decide(inventory, command, Position(offset, 0, {"partition": HOME, "offset": offset})), offset)
    event = inventory.events["42"]
    taken = getsizeof(event.accepted) + sum(getsizeof(key) + getsizeof(kept) for key, kept in event.accepted.items())
    assert event.sold == 20_000
    assert taken / event.sold < 100


# What is remembered


@pytest.mark.parametrize(
    ("event", "asked", "reason"),
    [
        ({"max_per_order": 1}, {"quantity": 2}, Reason.OVER_ORDER_LIMIT),
        ({"max_per_buyer": 1}, {"quantity": 2}, Reason.OVER_BUYER_LIMIT),
        ({"capacity": 1}, {"quantity": 2}, Reason.NOT_ENOUGH_LEFT),
        ({"on_sale_at": "2027-01-01T00:00:00Z"}, {}, Reason.NOT_ON_SALE_YET),
        ({"off_sale_at": "2026-01-01T00:00:00Z"}, {}, Reason.SALE_ENDED),
        ({"capacity": 1}, {"category": "stalls"}, Reason.UNKNOWN_CATEGORY),
        ({"capacity": 1}, {"lines": lines(stalls=1, general=1)}, Reason.UNKNOWN_CATEGORY),
    ],
)
def test_every_reason_is_remembered_with_what_was_asked(event: Members, asked: Members, reason: Reason) -> None:
    desk = Desk(**event)
    refused = desk.buy("r-1", **asked)
    assert refusal(refused) == ("purchase_rejected", reason)
    desk.wait(10**8)
    desk.operate("change_event", "h-1", max_per_order=0, max_per_buyer=0, on_sale_at="2026-01-01T00:00:00Z")
    desk.operate("add_tickets", "a-1", count=10)
    assert desk.buy("r-1", **asked) == refused
    other: Members
    for other in ({**asked, "buyer": "b-2"}, {**asked, "actor": "till 3"}, {"quantity": 7}):
        assert refusal(desk.buy("r-1", **other)) == ("purchase_rejected", Reason.REQUEST_ID_REUSED)


def test_a_refused_purchase_that_was_forwarded_is_answered_with_its_first_position() -> None:
    desk = Desk(capacity=1)
    refused = desk.ask(buying("r-1", 2), (5, 99))
    assert refused["source"] == {"partition": 5, "offset": 99}
    assert desk.ask(buying("r-1", 2), (5, 120)) == refused
    assert desk.buy("r-1", 2) == refused


def test_the_id_of_a_refused_purchase_stands_for_nothing_else() -> None:
    desk = Desk(capacity=1)
    desk.buy("r-1", 2)
    desk.buy("r-2", 1)
    reused = ("command_rejected", Reason.REQUEST_ID_REUSED)
    assert refusal(desk.cancel("r-1", "r-2")) == reused
    assert refusal(desk.operate("close_event", "r-1")) == reused
    assert refusal(desk.pay("r-1", "r-2", "pay-1", 4500)) == reused
    assert desk.cancel("x-1", "r-2")["type"] == "purchase_cancelled"


def test_of_a_refused_purchase_there_is_nothing_to_cancel_to_pay_for_or_to_expire() -> None:
    desk = Desk(capacity=1)
    desk.buy("r-1", 2)
    assert refusal(desk.cancel("x-1", "r-1")) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert refusal(desk.expire("e-1", "r-1")) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert desk.pay("p-1", "r-1", "pay-1", 9000)["reason"] == Reason.NO_SUCH_PURCHASE


def test_what_was_refused_for_an_event_that_was_not_there_is_asked_anew_when_it_is() -> None:
    """There was nothing to keep it in."""
    desk = Desk()
    assert refusal(desk.buy("r-1")) == ("purchase_rejected", Reason.UNKNOWN_EVENT)
    desk.ask(opening())
    assert desk.buy("r-1")["type"] == "purchase_confirmed"


def test_lines_alike_are_one_request_however_they_are_asked_for() -> None:
    desk = Desk(capacity=1)
    refused = desk.buy("r-1", 2)
    assert desk.buy("r-1", 2, category="general") == refused
    assert desk.buy("r-1", lines=lines(general=2)) == refused
    assert checksum("a") != checksum("b")
