"""What is held is paid for, or is not: due times, payments, late ones, refused ones."""

from __future__ import annotations

import pytest

from models.facts import at_text
from models.reasons import PaymentReason, Reason
from tests.unit.desk import TEN_OCLOCK_MS, Desk, category, lines, names, refusal
from tests.unit.strategies import HOME


@pytest.fixture
def desk() -> Desk:
    """Ten tickets at 45.00 EUR, held for ten minutes; r-1 holds two of them."""
    desk = Desk(hold_s=600)
    desk.buy("r-1", 2, "b-77")
    return desk


def refused(desk: Desk, purchase: str, payment: str, amount: int, currency: str = "EUR") -> str:
    """Why a payment is refused; it takes no ticket, and holds none up."""
    before = desk.figures()
    fact = desk.pay(f"p-{payment}", purchase, payment, amount, currency=currency)
    assert fact["type"] == "payment_refused"
    assert (fact["purchase"], fact["payment"], fact["amount"], fact["currency"]) == (
        purchase,
        payment,
        amount,
        currency,
    )
    assert desk.figures() == before
    return str(fact["reason"])


# Held


def test_a_purchase_that_costs_something_is_held_until_it_is_due() -> None:
    desk = Desk(hold_s=600)
    assert desk.buy("r-1", 2, "b-77") == {
        "type": "purchase_held",
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
        "due": at_text(TEN_OCLOCK_MS + 1 + 600_000),
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }
    assert desk.figures() == (8, 2, 0)


def test_a_purchase_that_costs_nothing_is_confirmed_at_once() -> None:
    desk = Desk(hold_s=600, categories=[category("free", 5, 0), category("paid", 5, 100)])
    assert desk.buy("r-1", category="free")["type"] == "purchase_confirmed"
    assert desk.buy("r-2", lines=lines(free=1, paid=1))["type"] == "purchase_held"
    assert (desk.figures("free"), desk.figures("paid")) == ((3, 1, 1), (4, 1, 0))


def test_a_hold_at_the_end_of_the_calendar_is_due_at_its_end() -> None:
    desk = Desk(hold_s=600)
    desk.at_ms = 2**62
    assert desk.buy("r-1")["due"] == "9999-12-31T23:59:59.999Z"
    assert desk.expire("e-1", "r-1")["type"] == "hold_expired"


# Paid for


def test_whoever_pays_for_what_is_held_gets_those_tickets(desk: Desk) -> None:
    desk.buy("r-2")
    assert desk.pay("p-1", "r-1", "pay-1", 9000) == {
        "type": "purchase_confirmed",
        "event_id": "42",
        "seq": 4,
        "request_id": "p-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "quantity": 2,
        "tickets": names(1, 2),
        "lines": [{"category": "general", "quantity": 2, "price": 4500, "tickets": names(1, 2)}],
        "amount": 9000,
        "currency": "EUR",
        "payment": "pay-1",
        "late": False,
        "source": {"partition": HOME, "offset": 3},
        "at": at_text(TEN_OCLOCK_MS + 3),
        "decided_by": "local",
    }
    assert desk.figures() == (7, 1, 2)


def test_a_payment_does_not_look_at_the_time_while_the_hold_stands(desk: Desk) -> None:
    desk.wait(10_000)
    assert desk.pay("p-1", "r-1", "pay-1", 9000)["late"] is False


@pytest.mark.parametrize("command", ["close_event", "cancel_event"])
def test_what_is_held_can_be_paid_for_when_the_sale_has_ended(desk: Desk, command: str) -> None:
    desk.operate(command, "z-1")
    assert desk.pay("p-1", "r-1", "pay-1", 9000)["tickets"] == names(1, 2)


def test_a_held_purchase_is_paid_at_the_price_that_it_was_held_at(desk: Desk) -> None:
    desk.operate("change_event", "h-1", prices=[{"category": "general", "amount": 100}])
    assert refused(desk, "r-1", "pay-0", 200) == PaymentReason.AMOUNT_MISMATCH
    assert desk.pay("p-1", "r-1", "pay-1", 9000)["amount"] == 9000
    assert desk.buy("r-2", 2)["amount"] == 200


def test_a_hold_keeps_its_due_time_when_the_event_holds_longer_or_no_more(desk: Desk) -> None:
    desk.operate("change_event", "h-1", hold_s=0)
    assert desk.buy("r-2")["type"] == "purchase_confirmed"
    desk.wait(599)
    assert refusal(desk.expire("e-1", "r-1")) == ("command_rejected", Reason.NOT_DUE)
    desk.operate("change_event", "h-2", hold_s=86_400)
    desk.wait(1)
    assert desk.expire("e-1", "r-1")["type"] == "hold_expired"


# Expired


def test_a_hold_that_is_due_expires_and_its_tickets_join_the_tail(desk: Desk) -> None:
    desk.wait(599.998)
    assert refusal(desk.expire("e-0", "r-1")) == ("command_rejected", Reason.NOT_DUE)
    assert desk.expire("e-1", "r-1") == {
        "type": "hold_expired",
        "event_id": "42",
        "seq": 4,
        "request_id": "e-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "tickets": names(1, 2),
        "lines": [{"category": "general", "quantity": 2, "price": 4500}],
        "source": {"partition": HOME, "offset": 3},
        "at": at_text(TEN_OCLOCK_MS + 1 + 600_000),
        "decided_by": "local",
    }
    assert desk.left() == names(3, 4, 5, 6, 7, 8, 9, 10, 1, 2)
    assert desk.figures() == (10, 0, 0)


def test_who_looked_too_early_may_look_again_with_the_same_id(desk: Desk) -> None:
    """An early look is not remembered: a trigger's id is derived from the purchase, and is the only one that it has."""
    assert refusal(desk.expire("e-1", "r-1")) == ("command_rejected", Reason.NOT_DUE)
    desk.wait(600)
    assert desk.expire("e-1", "r-1")["type"] == "hold_expired"


def test_not_held_is_the_reason_for_whatever_a_hold_has_become(desk: Desk) -> None:
    for request_id in ("r-2", "r-3"):
        desk.buy(request_id)
    desk.wait(600)
    desk.pay("p-1", "r-1", "pay-1", 9000)
    desk.cancel("x-2", "r-2")
    desk.expire("e-3", "r-3")
    for number in (1, 2, 3):
        assert refusal(desk.expire(f"e-again-{number}", f"r-{number}")) == ("command_rejected", Reason.NOT_HELD)
    assert refusal(desk.expire("e-9", "r-9")) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert refusal(desk.expire("e-9", "p-1")) == ("command_rejected", Reason.NO_SUCH_PURCHASE)


def test_nothing_expires_that_was_never_held() -> None:
    desk = Desk(capacity=10)
    desk.buy("r-1")
    desk.wait(10_000_000)
    assert refusal(desk.expire("e-1", "r-1")) == ("command_rejected", Reason.NOT_HELD)


# Paid for late


@pytest.fixture
def late(desk: Desk) -> Desk:
    """The hold of r-1 has expired."""
    desk.wait(600)
    desk.expire("e-1", "r-1")
    return desk


def test_whoever_pays_late_gets_other_tickets_of_the_same_lines(late: Desk) -> None:
    paid = late.pay("p-1", "r-1", "pay-1", 9000)
    assert (paid["type"], paid["late"], paid["tickets"]) == ("purchase_confirmed", True, names(3, 4))
    assert late.figures() == (8, 0, 2)


def test_a_late_payment_is_for_the_lines_and_prices_that_were_held() -> None:
    desk = Desk(categories=[category("stalls", 4, 4500), category("balcony", 4, 1500)], hold_s=60)
    desk.buy("r-1", lines=lines(balcony=1, stalls=2))
    desk.cancel("x-1", "r-1", tickets=names(1))
    desk.operate("change_event", "h-1", prices=[{"category": "stalls", "amount": 9999}])
    desk.wait(60)
    desk.expire("e-1", "r-1")
    paid = desk.pay("p-1", "r-1", "pay-1", 6000)
    assert (paid["late"], paid["amount"]) == (True, 6000)
    assert paid["lines"] == [
        {"category": "balcony", "quantity": 1, "price": 1500, "tickets": names(6)},
        {"category": "stalls", "quantity": 1, "price": 4500, "tickets": names(3)},
    ]


def test_a_late_payment_is_refused_where_too_few_are_left(late: Desk) -> None:
    late.buy("r-2", 9)
    assert refused(late, "r-1", "pay-1", 9000) == PaymentReason.SOLD_OUT


@pytest.mark.parametrize(
    ("command", "reason"),
    [("close_event", PaymentReason.EVENT_CLOSED), ("cancel_event", PaymentReason.EVENT_CANCELLED)],
)
def test_a_late_payment_is_refused_when_the_sale_has_ended(late: Desk, command: str, reason: str) -> None:
    late.operate(command, "z-1")
    assert refused(late, "r-1", "pay-1", 9000) == reason


def test_a_late_payment_is_refused_where_the_buyer_would_have_too_many() -> None:
    desk = Desk(hold_s=60, max_per_buyer=2)
    desk.buy("r-1", 2)
    desk.wait(60)
    desk.expire("e-1", "r-1")
    desk.buy("r-2", 1)
    assert refused(desk, "r-1", "pay-1", 9000) == PaymentReason.OVER_BUYER_LIMIT
    assert desk.buy("r-3", 1)["type"] == "purchase_held"


# Refused


def test_a_payment_for_what_nobody_bought_is_refused(desk: Desk) -> None:
    for purchase in ("r-9", "c-1"):
        assert refused(desk, purchase, f"pay-{purchase}", 9000) == PaymentReason.NO_SUCH_PURCHASE


def test_a_second_payment_is_refused(desk: Desk) -> None:
    desk.pay("p-1", "r-1", "pay-1", 9000)
    assert refused(desk, "r-1", "pay-2", 9000) == PaymentReason.ALREADY_PAID


def test_a_payment_for_what_was_confirmed_at_once_is_refused() -> None:
    desk = Desk(hold_s=60, price={"amount": 0, "currency": "EUR"})
    desk.buy("r-1")
    assert refused(desk, "r-1", "pay-1", 0) == PaymentReason.ALREADY_PAID


def test_a_payment_for_what_was_cancelled_is_refused(desk: Desk) -> None:
    desk.cancel("x-1", "r-1")
    assert refused(desk, "r-1", "pay-1", 9000) == PaymentReason.ALREADY_CANCELLED


@pytest.mark.parametrize(("amount", "currency"), [(8999, "EUR"), (9001, "EUR"), (9000, "CHF"), (0, "EUR")])
def test_a_payment_of_another_amount_is_refused(desk: Desk, amount: int, currency: str) -> None:
    assert refused(desk, "r-1", "pay-1", amount, currency) == PaymentReason.AMOUNT_MISMATCH
    assert desk.pay("p-2", "r-1", "pay-2", 9000)["type"] == "purchase_confirmed"


def test_a_refused_payment_is_refused_for_ever_under_whatever_request() -> None:
    """A model sold a free ticket otherwise: the refund was on its way when a ticket came back and the webhook again."""
    desk = Desk(capacity=1, hold_s=60)
    desk.buy("r-1")
    desk.wait(60)
    desk.expire("e-1", "r-1")
    desk.buy("r-2", buyer="b-2")
    refusal_of_it = desk.pay("p-1", "r-1", "pay-1", 4500)
    assert refusal_of_it["reason"] == PaymentReason.SOLD_OUT
    desk.cancel("x-1", "r-2")
    assert desk.figures() == (1, 0, 0)
    for request_id, purchase, amount in (("p-1", "r-1", 4500), ("p-2", "r-1", 4500), ("p-3", "r-2", 1)):
        assert desk.pay(request_id, purchase, "pay-1", amount) == refusal_of_it
    assert desk.pay("p-4", "r-1", "pay-2", 4500)["late"] is True


def test_a_payment_that_was_used_is_told_again_under_whatever_request(desk: Desk) -> None:
    paid = desk.pay("p-1", "r-1", "pay-1", 9000)
    assert desk.pay("p-2", "r-1", "pay-1", 9000) == paid
    assert not desk.event.knows("p-2")


def test_payment_reused_is_the_reason_for_one_that_has_paid_for_something_else(desk: Desk) -> None:
    desk.buy("r-2", 2)
    desk.pay("p-1", "r-1", "pay-1", 9000)
    for purchase, amount, currency in (("r-2", 9000, "EUR"), ("r-1", 4500, "EUR"), ("r-1", 9000, "CHF")):
        fact = desk.pay("p-2", purchase, "pay-1", amount, currency=currency)
        assert refusal(fact) == ("command_rejected", Reason.PAYMENT_REUSED)
    assert desk.pay("p-2", "r-2", "pay-2", 9000)["type"] == "purchase_confirmed"


def test_one_request_is_of_one_payment(desk: Desk) -> None:
    desk.pay("p-1", "r-1", "pay-1", 9000)
    fact = desk.pay("p-1", "r-1", "pay-2", 9000)
    assert refusal(fact) == ("command_rejected", Reason.REQUEST_ID_REUSED)
    assert refusal(desk.pay("r-1", "r-1", "pay-2", 9000)) == ("command_rejected", Reason.REQUEST_ID_REUSED)
