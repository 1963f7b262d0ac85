"""An event is changed: what is given of it, how many tickets there are, whether it is sold at all."""

from __future__ import annotations

from typing import Any

import pytest

from models.facts import at_text
from models.reasons import Reason
from tests.unit.desk import TEN_OCLOCK_MS, Desk, Members, category, names, refusal
from tests.unit.strategies import HOME


@pytest.fixture
def desk() -> Desk:
    """Four tickets of the stalls, then three of the balcony."""
    return Desk(categories=[category("stalls", 4, 4500), category("balcony", 3, 1500)], max_per_order=4)


# What is given of it


def test_a_change_tells_the_whole_event_as_it_is_now() -> None:
    desk = Desk(max_per_order=4, hold_s=600)
    desk.operate("remove_tickets", "a-1", count=3)
    assert desk.operate("change_event", "h-1", venue="Small Hall", hold_s=900) == {
        "type": "event_changed",
        "event_id": "42",
        "seq": 3,
        "request_id": "h-1",
        "name": "Night at the Opera",
        "venue": "Small Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "hold_s": 900,
        "max_per_order": 4,
        "capacity": 7,
        "price": {"amount": 4500, "currency": "EUR"},
        "rules": 2,
        "source": {"partition": HOME, "offset": 2},
        "at": at_text(TEN_OCLOCK_MS + 2),
        "decided_by": "local",
    }


def test_a_second_change_keeps_what_the_first_one_gave(desk: Desk) -> None:
    desk.operate("change_event", "h-1", name="Another night", on_sale_at="2026-11-01T10:00:00+01:00")
    second = desk.operate("change_event", "h-2", off_sale_at="2027-03-01T19:00Z", starts_at="2027-03-02T19:30+01:00")
    assert (second["name"], second["on_sale_at"]) == ("Another night", "2026-11-01T10:00:00+01:00")
    assert (second["off_sale_at"], second["starts_at_form"]) == ("2027-03-01T19:00Z", "rfc_3339")


@pytest.mark.parametrize("limit", ["max_per_order", "max_per_buyer", "hold_s"])
def test_a_limit_of_0_is_none(limit: str) -> None:
    limits: dict[str, Any] = {limit: 100}
    desk = Desk(**limits)
    assert desk.event.now[limit] == 100  # type: ignore[literal-required]
    assert limit not in desk.operate("change_event", "h-1", **{limit: 0})
    assert desk.buy("r-1", 10)["type"] == "purchase_confirmed"
    assert limit not in desk.operate("change_event", "h-2", name="Another night")


def test_prices_are_changed_for_what_is_sold_from_then_on(desk: Desk) -> None:
    desk.buy("r-1", category="stalls")
    changed = desk.operate("change_event", "h-1", prices=[{"category": "stalls", "amount": 5000}])
    assert [one["price"]["amount"] for one in changed["categories"]] == [5000, 1500]
    assert desk.buy("r-2", category="stalls")["amount"] == 5000
    assert desk.cancel("x-1", "r-1")["refund"] == 4500
    assert desk.cancel("x-2", "r-2")["refund"] == 5000


def test_a_price_of_0_ends_holding_and_one_above_begins_it() -> None:
    desk = Desk(hold_s=60, price={"amount": 0, "currency": "EUR"})
    assert desk.buy("r-1")["type"] == "purchase_confirmed"
    desk.operate("change_event", "h-1", prices=[{"category": "general", "amount": 1}])
    assert desk.buy("r-2")["type"] == "purchase_held"
    desk.operate("change_event", "h-2", prices=[{"category": "general", "amount": 0}])
    assert desk.buy("r-3")["type"] == "purchase_confirmed"


def test_unknown_category_is_the_reason_for_a_price_of_one_that_there_is_not(desk: Desk) -> None:
    prices = [{"category": "stalls", "amount": 1}, {"category": "roof", "amount": 1}]
    assert refusal(desk.operate("change_event", "h-1", prices=prices)) == (
        "command_rejected",
        Reason.UNKNOWN_CATEGORY,
    )
    assert desk.buy("r-1", category="stalls")["amount"] == 4500


def test_a_limit_for_a_buyer_counts_what_was_bought_before_it_came() -> None:
    desk = Desk(hold_s=60)
    desk.buy("r-1", 2)
    desk.buy("r-2", 1)
    desk.pay("p-2", "r-2", "pay-2", 4500)
    desk.buy("r-3", 4)
    desk.cancel("x-3", "r-3")
    desk.buy("r-4", 2, buyer="b-2")
    desk.operate("change_event", "h-1", max_per_buyer=4)
    assert refusal(desk.buy("r-5", 2)) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)
    assert desk.buy("r-6", 1)["type"] == "purchase_held"
    assert desk.buy("r-7", 2, buyer="b-2")["type"] == "purchase_held"
    assert refusal(desk.buy("r-8", 1, buyer="b-2")) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)


def test_a_limit_that_was_taken_away_counts_anew_when_it_comes_back() -> None:
    desk = Desk(max_per_buyer=2)
    desk.buy("r-1", 2)
    desk.operate("change_event", "h-1", max_per_buyer=0)
    desk.buy("r-2", 3)
    desk.operate("change_event", "h-2", max_per_buyer=6)
    assert desk.buy("r-3", 1)["type"] == "purchase_confirmed"
    assert refusal(desk.buy("r-4", 1)) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)


def test_a_closed_event_can_be_changed_and_one_that_was_called_off_cannot(desk: Desk) -> None:
    desk.operate("close_event", "z-1")
    assert desk.operate("change_event", "h-1", venue="Small Hall")["type"] == "event_changed"
    assert refusal(desk.buy("r-1", category="stalls")) == ("purchase_rejected", Reason.EVENT_CLOSED)
    desk.operate("cancel_event", "z-2")
    assert refusal(desk.operate("change_event", "h-2", venue="Hall")) == ("command_rejected", Reason.EVENT_CANCELLED)


# How many tickets there are


def test_added_tickets_are_numbered_on_and_join_the_tail_of_their_category(desk: Desk) -> None:
    added = desk.operate("add_tickets", "a-1", category="stalls", count=2)
    assert (added["category"], added["count"]) == ("stalls", 2)
    assert (desk.left("stalls"), desk.left("balcony")) == (names(1, 2, 3, 4, 8, 9), names(5, 6, 7))
    desk.operate("add_tickets", "a-2", category="balcony", count=1)
    bought = desk.buy("r-1", lines=[{"category": "balcony", "quantity": 4}])
    assert bought["tickets"] == names(5, 6, 7, 10)
    desk.cancel("x-1", "r-1", tickets=names(10))
    assert desk.left("balcony") == names(10)


def test_removed_tickets_are_the_last_of_what_is_left(desk: Desk) -> None:
    desk.buy("r-1", 3, category="stalls")
    desk.cancel("x-1", "r-1", tickets=names(2))
    removed = desk.operate("remove_tickets", "a-1", category="stalls", count=1)
    assert (removed["category"], removed["count"]) == ("stalls", 1)
    assert desk.left("stalls") == names(4)
    assert desk.figures("stalls") == (1, 0, 2)


def test_numbers_of_removed_tickets_are_not_given_again() -> None:
    desk = Desk(capacity=4)
    desk.operate("remove_tickets", "a-1", count=3)
    desk.operate("add_tickets", "a-2", count=2)
    assert desk.left() == names(1, 5, 6)


def test_tickets_are_removed_all_or_none() -> None:
    desk = Desk(capacity=4, hold_s=60)
    desk.buy("r-1", 2)
    assert refusal(desk.operate("remove_tickets", "a-1", count=3)) == ("command_rejected", Reason.NOT_ENOUGH_LEFT)
    desk.operate("remove_tickets", "a-2", count=2)
    assert refusal(desk.operate("remove_tickets", "a-3", count=1)) == ("command_rejected", Reason.ALL_HELD)
    desk.pay("p-1", "r-1", "pay-1", 9000)
    assert refusal(desk.operate("remove_tickets", "a-3", count=1)) == ("command_rejected", Reason.SOLD_OUT)
    assert desk.figures() == (0, 0, 2)


@pytest.mark.parametrize("command", ["add_tickets", "remove_tickets"])
def test_tickets_are_of_a_category_that_there_is(desk: Desk, command: str) -> None:
    for named in ({}, {"category": "roof"}):
        fact = desk.operate(command, "a-1", count=1, **named)
        assert refusal(fact) == ("command_rejected", Reason.UNKNOWN_CATEGORY)


# Whether it is sold at all


@pytest.mark.parametrize(
    ("ended", "reason"), [("close_event", Reason.EVENT_CLOSED), ("cancel_event", Reason.EVENT_CANCELLED)]
)
def test_nothing_is_sold_added_or_removed_when_the_sale_has_ended(desk: Desk, ended: str, reason: Reason) -> None:
    desk.operate(ended, "z-1")
    assert refusal(desk.buy("r-1", category="stalls")) == ("purchase_rejected", reason)
    tickets: Members = {"category": "roof", "count": 1_000_000}
    for command in ("add_tickets", "remove_tickets"):
        assert refusal(desk.operate(command, "a-1", **tickets)) == ("command_rejected", reason)
    assert refusal(desk.operate("close_event", "z-2")) == ("command_rejected", reason)


def test_a_closed_event_can_be_called_off_once(desk: Desk) -> None:
    desk.operate("close_event", "z-1")
    assert desk.operate("cancel_event", "z-2")["type"] == "event_cancelled"
    assert refusal(desk.operate("cancel_event", "z-3")) == ("command_rejected", Reason.EVENT_CANCELLED)


def test_whoever_calls_an_event_off_cancels_its_purchases_one_by_one(desk: Desk) -> None:
    """So refunds and mails follow by the usual road."""
    desk.buy("r-1", 2, category="stalls")
    assert desk.operate("cancel_event", "z-1").keys() == {
        *("type", "event_id", "seq", "request_id", "source", "at", "decided_by")
    }
    assert desk.figures("stalls") == (2, 0, 2)
    assert desk.cancel("x-1", "r-1")["refund"] == 9000
    assert desk.figures("stalls") == (4, 0, 0)
