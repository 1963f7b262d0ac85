"""What is folded follows what was folded before: anything else is refused, and leaves the state as it was."""

from __future__ import annotations

from typing import Any, cast

import pytest

from models.event import FoldError, Position
from models.facts import at_text
from models.inventory import decide, fold
from models.shapes import DecisionFact, Fact
from tests.unit.desk import TEN_OCLOCK_MS, Desk, about, names
from tests.unit.strategies import HOME, purchase, state


@pytest.fixture
def desk() -> Desk:
    """Ten tickets of event 42 are on sale, at most four to an order."""
    return Desk(max_per_order=4)


def confirmed(desk: Desk, **members: Any) -> Fact:
    """The fact that would sell the next ticket, with other members."""
    position = Position(desk.offset, TEN_OCLOCK_MS, {"partition": HOME, "offset": desk.offset})
    return cast("Fact", {**decide(desk.inventory, purchase("r-new"), position), **members})


def cancelled(desk: Desk, **members: Any) -> Fact:
    """The fact that would cancel r-1, with other members."""
    position = Position(desk.offset, TEN_OCLOCK_MS, {"partition": HOME, "offset": desk.offset})
    return cast(
        "Fact", {**decide(desk.inventory, about("cancel_purchase", "x-new", purchase="r-1"), position), **members}
    )


def refuses(desk: Desk, fact: Fact, why: str) -> None:
    before = state(desk.inventory)
    with pytest.raises(FoldError, match=why):
        fold(desk.inventory, fact, desk.offset)
    assert state(desk.inventory) == before


def test_a_fact_behind_a_gap_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, seq=3), "is at seq 1, the fact at 3")


def test_a_fact_of_an_event_that_does_not_exist_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, event_id="8"), "event 8 does not exist")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "event_id": "8", "seq": 2}), "at seq 2")


def test_a_second_creation_is_refused(desk: Desk) -> None:
    created = desk.inventory.events["42"].created
    refuses(desk, cast("Fact", {**created, "seq": 2, "request_id": "c-2"}), "created again")


@pytest.mark.parametrize(
    ("tickets", "why"),
    [
        (names(2), "next, the fact sells"),
        (names(1, 2), "next, the fact sells"),
        ([], "10 tickets left, the fact sells 0"),
        (["43-000001"], "next, the fact sells"),
        (["tickets"], "next, the fact sells"),
    ],
)
def test_tickets_that_are_not_the_queues_head_are_refused(desk: Desk, tickets: list[str], why: str) -> None:
    refuses(desk, confirmed(desk, tickets=tickets), why)


def test_a_sale_of_another_quantity_than_its_tickets_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, quantity=2), "r-new of event 42 is not as the fact says")


def test_a_sale_of_more_than_is_left_is_refused(desk: Desk) -> None:
    tickets = names(*range(1, 12))
    lines = [{"category": "general", "quantity": 11, "price": 4500, "tickets": tickets}]
    sold = confirmed(desk, quantity=11, tickets=tickets, lines=lines, amount=11 * 4500)
    refuses(desk, sold, "10 tickets left, the fact sells 11")


def test_a_second_effect_of_one_request_is_refused(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    refuses(desk, confirmed(desk, request_id="r-1"), "answered request r-1 before")
    refuses(desk, cancelled(desk, request_id="r-1"), "answered request r-1 before")


def test_a_cancellation_of_what_is_not_sold_is_refused(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    refuses(desk, cancelled(desk, purchase="r-9"), "no live purchase r-9")
    refuses(desk, cancelled(desk, purchase="c-1"), "no live purchase c-1")
    refuses(desk, cancelled(desk, tickets=names(1)), "r-1 of event 42 is not as the fact says")
    refuses(desk, cancelled(desk, buyer="b-9"), "r-1 of event 42 is not as the fact says")
    once_more = cancelled(desk)
    desk.cancel("x-1", "r-1")
    refuses(desk, cast("Fact", {**once_more, "seq": 4}), "no live purchase r-1")


@pytest.mark.parametrize("at", ["2026-02-30T10:00:00.000Z", "0000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z"])
def test_a_time_that_no_command_can_have_is_refused(desk: Desk, at: str) -> None:
    refuses(desk, confirmed(desk, at=at), "no time")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "event_id": "8", "at": at}), "no time")


def test_a_fact_that_counts_is_refused_with_seq_0(desk: Desk) -> None:
    refuses(desk, confirmed(desk, seq=0), "has seq 0")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "seq": 0}), "has seq 0")


def test_facts_with_seq_0_leave_only_their_origin_behind(desk: Desk) -> None:
    before = state(desk.inventory)
    away: Fact = {
        "type": "command_forwarded",
        "event_id": "8",
        "seq": 0,
        "request_id": "r-1",
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS),
        "home": 5,
    }
    unreadable: Fact = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "source": {"partition": HOME, "offset": 2},
        "at": at_text(TEN_OCLOCK_MS),
        "reason": "no JSON",
    }
    assert not fold(desk.inventory, away, 1)
    assert not fold(desk.inventory, unreadable, 2)
    assert state(desk.inventory) == before


def test_the_fence_is_the_offset_of_the_last_new_fact(desk: Desk) -> None:
    event = desk.inventory.events["42"]
    desk.ask(purchase("r-1"), (5, 99))
    assert event.fence == 1
    desk.ask(purchase("r-1"))
    assert event.fence == 1
    desk.ask(purchase("r-2", 5))
    assert event.fence == 3


def test_a_fold_tells_whether_the_fact_was_new(desk: Desk) -> None:
    fact: DecisionFact = decide(
        desk.inventory, purchase("r-1"), Position(1, TEN_OCLOCK_MS, {"partition": HOME, "offset": 1})
    )
    assert fold(desk.inventory, fact, 1)
    assert not fold(desk.inventory, fact, 1)
    assert not fold(desk.inventory, fact, 2)
    assert desk.inventory.events["42"].fence == 1
