"""The rules, by example: one test for each sentence that a client could hold us to."""

from __future__ import annotations

import pytest

from models.commands import AddTickets, CloseEvent, Command
from models.facts import at_text
from models.reasons import Reason
from tests.unit.desk import TEN_OCLOCK_MS, Desk, about, names, refusal
from tests.unit.strategies import HOME, opening, purchase, state


@pytest.fixture
def desk() -> Desk:
    """Ten tickets of event 42 are on sale, at most four to an order."""
    return Desk(max_per_order=4)


def cancel(request_id: str, purchase_id: str, **buyer: str) -> Command:
    return about("cancel_purchase", request_id, purchase=purchase_id, **buyer)


def add(request_id: str, count: int) -> AddTickets:
    return AddTickets(type="add_tickets", request_id=request_id, event_id="42", count=count)


def close(request_id: str = "z-1", event_id: str = "42") -> CloseEvent:
    return CloseEvent(type="close_event", request_id=request_id, event_id=event_id)


# What is accepted


def test_a_created_event_is_answered_with_all_that_was_asked() -> None:
    assert Desk().ask(opening(max_per_order=4)) == {
        "type": "event_created",
        "event_id": "42",
        "seq": 1,
        "request_id": "c-1",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10,
        "max_per_order": 4,
        "price": {"amount": 4500, "currency": "EUR"},
        "rules": 2,
        "source": {"partition": HOME, "offset": 0},
        "at": at_text(TEN_OCLOCK_MS),
        "decided_by": "local",
    }


def test_an_event_without_an_order_limit_says_nothing_of_one() -> None:
    assert "max_per_order" not in Desk().ask(opening())


def test_a_purchase_gets_the_next_tickets_and_says_whose_they_are(desk: Desk) -> None:
    assert desk.ask(purchase("r-1", 2, "b-77")) == {
        "type": "purchase_confirmed",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "quantity": 2,
        "tickets": names(1, 2),
        "lines": [{"category": "general", "quantity": 2, "price": 4500, "tickets": names(1, 2)}],
        "amount": 9000,
        "currency": "EUR",
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }


def test_a_cancelled_purchase_says_whose_tickets_come_back(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    assert desk.ask(cancel("x-1", "r-1")) == {
        "type": "purchase_cancelled",
        "event_id": "42",
        "seq": 3,
        "request_id": "x-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "tickets": names(1, 2),
        "lines": [{"category": "general", "quantity": 2, "price": 4500}],
        "remaining": [],
        "refund": 9000,
        "currency": "EUR",
        "source": {"partition": HOME, "offset": 2},
        "at": at_text(TEN_OCLOCK_MS + 2),
        "decided_by": "local",
    }


def test_tickets_leave_first_in_first_out_cancelled_ones_behind_all_others(desk: Desk) -> None:
    desk.ask(purchase("r-1", 3))
    desk.ask(cancel("x-1", "r-1"))
    assert desk.left() == names(4, 5, 6, 7, 8, 9, 10, 1, 2, 3)


def test_added_tickets_are_named_on_and_join_the_tail(desk: Desk) -> None:
    desk.ask(purchase("r-1", 1))
    desk.ask(cancel("x-1", "r-1"))
    assert desk.ask(add("a-1", 2))["count"] == 2
    assert desk.left() == names(2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 11, 12)


def test_one_purchase_takes_tickets_from_several_runs_in_queue_order(desk: Desk) -> None:
    for number in range(1, 11):
        desk.ask(purchase(f"r-{number}"))
    for number in (9, 2, 3, 7):
        desk.ask(cancel(f"x-{number}", f"r-{number}"))
    assert desk.ask(purchase("r-last", 4))["tickets"] == names(9, 2, 3, 7)
    assert desk.ask(cancel("x-last", "r-last"))["tickets"] == names(9, 2, 3, 7)
    assert desk.left() == names(9, 2, 3, 7)


def test_ticket_names_have_more_digits_from_a_million_on() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1_000_000))
    desk.ask(add("a-1", 5))
    assert desk.left()[-6:] == [f"42-{number}" for number in range(1_000_000, 1_000_006)]


def test_a_close_ends_the_sale(desk: Desk) -> None:
    closed = desk.ask(close())
    assert (closed["type"], closed["seq"]) == ("event_closed", 2)
    assert desk.inventory.events["42"].closed


def test_events_do_not_touch_each_other(desk: Desk) -> None:
    desk.ask(opening("7", "c-1", capacity=1))
    desk.ask(close())
    sold = desk.ask(purchase("r-1", event_id="7"))
    assert (sold["tickets"], sold["seq"], len(desk.left())) == (["7-000001"], 2, 10)


# What is refused, and why


def test_unknown_event_is_the_reason_where_there_is_none() -> None:
    desk = Desk()
    assert refusal(desk.ask(purchase("r-1"))) == ("purchase_rejected", Reason.UNKNOWN_EVENT)
    for command in (cancel("x-1", "r-1"), add("a-1", 1), close()):
        rejected = desk.ask(command)
        assert refusal(rejected) == ("command_rejected", Reason.UNKNOWN_EVENT)
        assert rejected["command"] == command.type


def test_a_rejection_for_an_unknown_event_has_seq_0_and_leaves_nothing_behind() -> None:
    desk = Desk()
    assert desk.ask(purchase("r-1"))["seq"] == 0
    assert desk.inventory.events == {}
    desk.ask(opening())
    assert desk.ask(purchase("r-1"))["type"] == "purchase_confirmed"


def test_event_closed_is_the_reason_against_purchases_additions_and_a_second_close(desk: Desk) -> None:
    desk.ask(close())
    assert refusal(desk.ask(purchase("r-1"))) == ("purchase_rejected", Reason.EVENT_CLOSED)
    assert refusal(desk.ask(add("a-1", 1))) == ("command_rejected", Reason.EVENT_CLOSED)
    assert refusal(desk.ask(close("z-2"))) == ("command_rejected", Reason.EVENT_CLOSED)


def test_a_purchase_can_be_cancelled_after_the_close(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    desk.ask(close())
    assert desk.ask(cancel("x-1", "r-1"))["tickets"] == names(1, 2)
    assert refusal(desk.ask(purchase("r-2"))) == ("purchase_rejected", Reason.EVENT_CLOSED)


def test_sold_out_is_the_reason_when_nothing_is_left() -> None:
    desk = Desk(capacity=1)
    desk.ask(purchase("r-1"))
    assert refusal(desk.ask(purchase("r-2"))) == ("purchase_rejected", Reason.SOLD_OUT)


def test_not_enough_left_is_the_reason_when_fewer_are_left_than_asked() -> None:
    desk = Desk(capacity=1)
    assert refusal(desk.ask(purchase("r-1", 2))) == ("purchase_rejected", Reason.NOT_ENOUGH_LEFT)
    assert desk.left() == names(1)


def test_over_order_limit_is_the_reason_above_the_events_own_limit(desk: Desk) -> None:
    assert refusal(desk.ask(purchase("r-1", 5))) == ("purchase_rejected", Reason.OVER_ORDER_LIMIT)
    assert desk.ask(purchase("r-2", 4))["type"] == "purchase_confirmed"


def test_without_an_order_limit_a_purchase_may_have_a_hundred() -> None:
    desk = Desk(capacity=100)
    assert len(desk.ask(purchase("r-1", 100))["tickets"]) == 100


def test_request_id_reused_is_the_reason_for_an_id_with_other_content(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    desk.ask(cancel("x-1", "r-1"))
    desk.ask(add("a-1", 1))
    desk.ask(close())
    reused: list[Command] = [
        purchase("r-1", 1, "b-77"),
        purchase("r-1", 2, "b-78"),
        cancel("x-1", "x-1"),
        cancel("x-1", "r-1", buyer="b-78"),
        add("a-1", 2),
        opening(max_per_order=3),
        opening(),
        opening(max_per_order=4, name="Another night"),
    ]
    for command in reused:
        assert desk.ask(command)["reason"] == Reason.REQUEST_ID_REUSED


@pytest.mark.parametrize("request_id", ["c-1", "r-1", "x-1", "a-1", "z-1"])
def test_request_id_reused_is_the_reason_for_an_id_with_another_type(desk: Desk, request_id: str) -> None:
    accepted: dict[str, Command] = {
        "r-1": purchase("r-1"),
        "x-1": cancel("x-1", "r-1"),
        "a-1": add("a-1", 1),
        "z-1": close("z-1"),
    }
    for command in accepted.values():
        desk.ask(command)
    accepted["c-1"] = opening(max_per_order=4)
    for of_another_type in accepted.values():
        if of_another_type.request_id != request_id:
            renamed = of_another_type.model_copy(update={"request_id": request_id})
            rejected = desk.ask(renamed)
            assert rejected["reason"] == Reason.REQUEST_ID_REUSED
            expected = "purchase_rejected" if renamed.type == "purchase" else "command_rejected"
            assert rejected["type"] == expected


def test_event_exists_is_the_reason_for_a_second_creation(desk: Desk) -> None:
    assert refusal(desk.ask(opening(request_id="c-2"))) == ("command_rejected", Reason.EVENT_EXISTS)
    desk.ask(close())
    assert refusal(desk.ask(opening(request_id="c-2"))) == ("command_rejected", Reason.EVENT_EXISTS)


def test_no_such_purchase_is_the_reason_for_a_cancellation_of_what_was_never_sold(desk: Desk) -> None:
    desk.ask(purchase("r-1", 5))
    for never_sold in ("r-1", "r-2", "c-1"):
        assert refusal(desk.ask(cancel("x-1", never_sold))) == ("command_rejected", Reason.NO_SUCH_PURCHASE)


def test_a_stranger_is_told_the_same_as_of_a_purchase_that_is_not_there(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    for buyer in ("b-78", "b-7", "b-77 "):
        refused = cancel("x-1", "r-1", buyer=buyer)
        assert refusal(desk.ask(refused)) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    desk.ask(cancel("x-2", "r-1"))
    assert refusal(desk.ask(cancel("x-3", "r-1", buyer="b-78"))) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert refusal(desk.ask(cancel("x-3", "r-1", buyer="b-77"))) == ("command_rejected", Reason.ALREADY_CANCELLED)


def test_the_buyer_of_a_purchase_can_cancel_it(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "Zoë, 2nd row"))
    cancelled = desk.ask(cancel("x-1", "r-1", buyer="Zoë, 2nd row"))
    assert (cancelled["type"], cancelled["tickets"]) == ("purchase_cancelled", names(1, 2))
    assert desk.ask(cancel("x-1", "r-1", buyer="Zoë, 2nd row")) == cancelled
    assert desk.ask(cancel("x-1", "r-1")) == cancelled


def test_already_cancelled_is_the_reason_for_a_second_cancellation(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    desk.ask(cancel("x-1", "r-1"))
    assert refusal(desk.ask(cancel("x-2", "r-1"))) == ("command_rejected", Reason.ALREADY_CANCELLED)


def test_a_rejection_of_a_purchase_says_who_asked_for_how_many(desk: Desk) -> None:
    assert desk.ask(purchase("r-1", 5, "b-77")) == {
        "type": "purchase_rejected",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "reason": "over_order_limit",
        "buyer": "b-77",
        "quantity": 5,
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }


def test_rejections_take_a_seq_too(desk: Desk) -> None:
    asked: list[Command] = [purchase("r-1", 5), cancel("x-1", "r-9"), opening(request_id="c-2")]
    assert [desk.ask(command)["seq"] for command in asked] == [2, 3, 4]
    assert desk.ask(purchase("r-2"))["seq"] == 5


# The order of the checks


def test_a_reused_id_is_told_before_the_close(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    desk.ask(close())
    assert desk.ask(purchase("r-1", 2))["reason"] == Reason.REQUEST_ID_REUSED


def test_the_close_is_told_before_the_order_limit(desk: Desk) -> None:
    desk.ask(close())
    assert desk.ask(purchase("r-1", 5))["reason"] == Reason.EVENT_CLOSED


def test_the_order_limit_is_told_before_what_is_left() -> None:
    desk = Desk(capacity=1, max_per_order=1)
    assert desk.ask(purchase("r-1", 2))["reason"] == Reason.OVER_ORDER_LIMIT
    desk.ask(purchase("r-2", 1))
    assert desk.ask(purchase("r-3", 2))["reason"] == Reason.OVER_ORDER_LIMIT


def test_the_close_is_told_before_sold_out() -> None:
    desk = Desk(capacity=1)
    desk.ask(purchase("r-1"))
    desk.ask(close())
    assert desk.ask(purchase("r-2"))["reason"] == Reason.EVENT_CLOSED


# The same request again


def test_a_repeated_request_gets_the_same_tickets(desk: Desk) -> None:
    first = desk.ask(purchase("r-1", 2))
    desk.ask(purchase("r-2"))
    desk.ask(close())
    before = state(desk.inventory)
    assert desk.ask(purchase("r-1", 2)) == first
    assert state(desk.inventory) == before


def test_every_accepted_command_is_answered_again_with_its_own_fact(desk: Desk) -> None:
    asked: list[Command] = [purchase("r-1"), purchase("r-2"), cancel("x-1", "r-1"), add("a-1", 3), close()]
    first = [desk.ask(command) for command in asked]
    created = {**desk.inventory.events["42"].created}
    assert [desk.ask(command) for command in asked[1:]] == first[1:]
    assert desk.ask(opening(max_per_order=4)) == created


def test_a_purchase_that_was_cancelled_since_is_answered_with_its_cancellation(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    cancelled = desk.ask(cancel("x-1", "r-1"))
    assert desk.ask(purchase("r-1", 2)) == cancelled
    assert cancelled["purchase"] == "r-1"


def test_a_refused_purchase_is_refused_for_ever_whatever_comes_back() -> None:
    """Whoever was told that it is sold out has gone; a copy of the request must not buy for him."""
    desk = Desk(capacity=1)
    desk.ask(purchase("r-1"))
    refused = desk.ask(purchase("r-2"))
    desk.ask(cancel("x-1", "r-1"))
    assert desk.ask(purchase("r-2")) == refused
    assert desk.ask(purchase("r-3"))["tickets"] == names(1)


def test_a_refused_id_with_other_content_is_reused(desk: Desk) -> None:
    refused = desk.ask(purchase("r-1", 5))
    assert refusal(desk.ask(purchase("r-1", 4))) == ("purchase_rejected", Reason.REQUEST_ID_REUSED)
    assert desk.ask(purchase("r-1", 5)) == refused


def test_another_command_that_was_refused_is_a_new_attempt_when_it_is_asked_again(desk: Desk) -> None:
    """A trigger that was early must be able to ask again."""
    assert refusal(desk.ask(cancel("x-1", "r-1"))) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    desk.ask(purchase("r-1"))
    assert desk.ask(cancel("x-1", "r-1"))["type"] == "purchase_cancelled"


def test_request_ids_belong_to_their_event(desk: Desk) -> None:
    desk.ask(opening("7", "c-1"))
    desk.ask(purchase("r-1", 1))
    assert desk.ask(purchase("r-1", 2, event_id="7"))["tickets"] == ["7-000001", "7-000002"]


def test_changing_an_answer_does_not_change_the_event(desk: Desk) -> None:
    """The caller writes into it who decided."""
    again = desk.ask(opening(max_per_order=4))
    before = state(desk.inventory)
    again["decided_by"] = "redis"
    assert state(desk.inventory) == before
