"""A buyer gives tickets back: all, or some; bought ones, held ones, ones that were paid for late."""

from __future__ import annotations

import pytest

from models.reasons import Reason
from tests.unit.desk import Desk, Members, category, lines, names, refusal


@pytest.fixture
def desk() -> Desk:
    """r-1 has two tickets of the stalls and two of the balcony: the last of one and the first of the other too."""
    desk = Desk(categories=[category("stalls", 2, 4500), category("balcony", 4, 1500)])
    desk.buy("r-1", lines=lines(stalls=2, balcony=2), buyer="b-77")
    return desk


@pytest.fixture
def holding() -> Desk:
    """r-1 holds three tickets at 45.00 EUR."""
    desk = Desk(hold_s=60)
    desk.buy("r-1", 3, "b-77")
    return desk


def costs(fact: Members) -> tuple[list[str], list[str], int]:
    """What a cancellation gives back, what the purchase keeps, and the refund."""
    assert (fact["type"], fact["currency"]) == ("purchase_cancelled", "EUR")
    return fact["tickets"], fact["remaining"], fact["refund"]


def test_some_tickets_are_given_back_and_the_others_kept(desk: Desk) -> None:
    assert costs(desk.cancel("x-1", "r-1", tickets=names(4, 2))) == (names(2, 4), names(1, 3), 6000)
    assert (desk.left("stalls"), desk.left("balcony")) == (names(2), names(5, 6, 4))
    assert (desk.figures("stalls"), desk.figures("balcony")) == ((1, 0, 1), (3, 0, 1))
    assert costs(desk.cancel("x-2", "r-1")) == (names(1, 3), [], 6000)
    assert (desk.left("stalls"), desk.left("balcony")) == (names(2, 1), names(5, 6, 4, 3))


def test_neighbours_of_two_categories_go_back_to_a_queue_each(desk: Desk) -> None:
    """Tickets 2 and 3 have consecutive numbers, and belong to two queues."""
    assert costs(desk.cancel("x-1", "r-1", tickets=names(2, 3))) == (names(2, 3), names(1, 4), 6000)
    assert (desk.left("stalls"), desk.left("balcony")) == (names(2), names(5, 6, 3))


def test_neighbours_of_two_categories_that_are_kept_stay_what_they_are(desk: Desk) -> None:
    desk.cancel("x-1", "r-1", tickets=names(1, 4))
    assert costs(desk.cancel("x-2", "r-1", tickets=names(3))) == (names(3), names(2), 1500)
    assert costs(desk.cancel("x-3", "r-1")) == (names(2), [], 4500)


def test_naming_all_tickets_is_giving_back_all(desk: Desk) -> None:
    fact = desk.cancel("x-1", "r-1", tickets=names(4, 3, 2, 1))
    assert costs(fact) == (names(1, 2, 3, 4), [], 12_000)
    assert refusal(desk.cancel("x-2", "r-1")) == ("command_rejected", Reason.ALREADY_CANCELLED)
    assert desk.cancel("x-1", "r-1") == fact


@pytest.mark.parametrize("tickets", [names(5), names(1, 5), ["42-999999"], ["7-000001"], ["42-1000000"]])
def test_no_such_ticket_is_the_reason_for_one_that_the_purchase_has_not(desk: Desk, tickets: list[str]) -> None:
    before = desk.figures("stalls"), desk.figures("balcony")
    assert refusal(desk.cancel("x-1", "r-1", tickets=tickets)) == ("command_rejected", Reason.NO_SUCH_TICKET)
    assert (desk.figures("stalls"), desk.figures("balcony")) == before


def test_a_ticket_is_given_back_once(desk: Desk) -> None:
    desk.cancel("x-1", "r-1", tickets=names(2))
    assert refusal(desk.cancel("x-2", "r-1", tickets=names(2))) == ("command_rejected", Reason.NO_SUCH_TICKET)
    assert desk.buy("r-2", category="stalls", buyer="b-2")["tickets"] == names(2)
    assert refusal(desk.cancel("x-2", "r-1", tickets=names(2))) == ("command_rejected", Reason.NO_SUCH_TICKET)


def test_a_refund_is_what_the_tickets_have_cost_and_not_what_they_cost_now(desk: Desk) -> None:
    desk.operate("change_event", "h-1", prices=[{"category": "stalls", "amount": 9999}])
    assert costs(desk.cancel("x-1", "r-1", tickets=names(1)))[2] == 4500
    assert desk.buy("r-2", category="stalls")["amount"] == 9999


def test_a_stranger_is_told_the_same_of_some_tickets_as_of_a_purchase_that_is_not_there(desk: Desk) -> None:
    for buyer in ("b-78", "b-7"):
        refused = desk.cancel("x-1", "r-1", buyer=buyer, tickets=names(1))
        assert refusal(refused) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert costs(desk.cancel("x-1", "r-1", buyer="b-77", tickets=names(1)))[0] == names(1)


def test_a_purchase_of_which_some_was_given_back_is_answered_with_that(desk: Desk) -> None:
    part = desk.cancel("x-1", "r-1", tickets=names(1))
    assert desk.buy("r-1", lines=lines(stalls=2, balcony=2), buyer="b-77") == part
    assert desk.buy("r-1", lines=lines(stalls=1, balcony=2), buyer="b-77")["reason"] == Reason.REQUEST_ID_REUSED


def test_two_parts_of_a_purchase_are_told_apart_by_their_tickets(desk: Desk) -> None:
    first = desk.cancel("x-1", "r-1", tickets=names(1, 3))
    assert desk.cancel("x-1", "r-1", tickets=names(3, 1)) == first
    for other in ({"tickets": names(1)}, {"tickets": names(1, 2)}, {}):
        assert refusal(desk.cancel("x-1", "r-1", **other)) == ("command_rejected", Reason.REQUEST_ID_REUSED)


# Held ones


def test_what_is_held_is_given_back_without_a_refund(holding: Desk) -> None:
    fact = holding.cancel("x-1", "r-1")
    assert (costs(fact), fact["held"]) == ((names(1, 2, 3), [], 0), True)
    assert "payment" not in fact
    assert holding.figures() == (10, 0, 0)


def test_of_what_is_held_some_is_given_back_and_the_rest_is_paid_for(holding: Desk) -> None:
    part = holding.cancel("x-1", "r-1", tickets=names(2))
    assert costs(part) == (names(2), names(1, 3), 0)
    assert holding.figures() == (8, 2, 0)
    assert holding.pay("p-0", "r-1", "pay-0", 13_500)["reason"] == "amount_mismatch"
    paid = holding.pay("p-1", "r-1", "pay-1", 9000)
    assert (paid["tickets"], paid["lines"][0]["quantity"]) == (names(1, 3), 2)
    assert holding.cancel("x-1", "r-1", tickets=names(2)) == part


def test_of_what_is_held_the_rest_expires(holding: Desk) -> None:
    holding.cancel("x-1", "r-1", tickets=names(2))
    holding.wait(60)
    assert holding.expire("e-1", "r-1")["tickets"] == names(1, 3)
    assert holding.left()[-3:] == names(2, 1, 3)


def test_what_has_expired_is_not_given_back(holding: Desk) -> None:
    holding.wait(60)
    holding.expire("e-1", "r-1")
    assert refusal(holding.cancel("x-1", "r-1")) == ("command_rejected", Reason.NOT_HELD)


# Paid ones


def test_a_cancellation_of_what_was_paid_for_names_the_payment(holding: Desk) -> None:
    holding.pay("p-1", "r-1", "pay-1", 13_500)
    part = holding.cancel("x-1", "r-1", tickets=names(1))
    assert (costs(part), part["payment"]) == ((names(1), names(2, 3), 4500), "pay-1")
    rest = holding.cancel("x-2", "r-1")
    assert (costs(rest), rest["payment"]) == ((names(2, 3), [], 9000), "pay-1")
    assert "held" not in rest


def test_what_was_paid_for_late_is_given_back_as_any_other(holding: Desk) -> None:
    holding.wait(60)
    holding.expire("e-1", "r-1")
    holding.pay("p-1", "r-1", "pay-1", 13_500)
    assert costs(holding.cancel("x-1", "r-1", tickets=names(5))) == (names(5), names(4, 6), 4500)
    assert refusal(holding.cancel("x-2", "r-1", tickets=names(1))) == ("command_rejected", Reason.NO_SUCH_TICKET)
    assert costs(holding.cancel("x-2", "r-1"))[2] == 9000


@pytest.mark.parametrize("command", ["close_event", "cancel_event"])
def test_tickets_are_given_back_when_the_sale_has_ended_too(desk: Desk, command: str) -> None:
    desk.operate(command, "z-1")
    assert costs(desk.cancel("x-1", "r-1"))[2] == 12_000
