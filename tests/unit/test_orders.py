"""What became of a purchase, by the facts about it."""

from __future__ import annotations

import pytest

from boxoffice.cli.orders import NothingToPayError, cost_of, what_became
from boxoffice.operating.orders import Order, Orders, Standing
from tests.unit.story import Story, holding

HOUR_MS = 3_600_000
BOTH = [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}]


def order_in(story: Story, purchase: str = "r-1") -> Order:
    """The order as the story leaves it; every fact comes twice, as after a crash."""
    orders = Orders("42", [purchase])
    for fact in story.facts:
        for _ in range(2):
            orders.take(fact)
    return orders.found[purchase]


def test_a_purchase_is_held_paid_for_and_given_back_piece_by_piece() -> None:
    story = holding()
    story.buy("r-1", lines=BOTH)
    order = order_in(story)
    assert (order.standing, order.amount, order.due) == (Standing.HELD, 12_000, "2026-11-22T10:10:00.000Z")
    assert what_became(order) == (
        "Purchase r-1 of event 42, by b-1, is held until 2026-11-22 10:10 UTC: 3 tickets, 120.00 EUR to be paid."
    )
    story.ask("cancel_purchase", "x-1", purchase="r-1", tickets=["42-000007"])
    order = order_in(story)
    assert (order.standing, order.amount, order.refund) == (Standing.HELD, 9_000, 0)
    story.pay("p-1", "r-1", "pay-1", 9_000)
    story.pay("p-2", "r-1", "pay-2", 9_000)
    order = order_in(story)
    assert (order.standing, order.payment, order.due, len(order.facts)) == (Standing.CONFIRMED, "pay-1", None, 4)
    assert what_became(order).endswith("is confirmed: 2 tickets, 90.00 EUR, paid by pay-1.")
    story.ask("cancel_purchase", "x-2", purchase="r-1", tickets=["42-000001"])
    assert what_became(order_in(story)).endswith("1 ticket, 45.00 EUR, paid by pay-1; 45.00 EUR to be paid back.")
    story.ask("cancel_purchase", "x-3", purchase="r-1")
    order = order_in(story)
    assert (order.standing, order.tickets, order.amount, order.refund) == (Standing.CANCELLED, [], 0, 9_000)
    assert what_became(order) == "Purchase r-1 of event 42, by b-1, is cancelled; 90.00 EUR to be paid back."
    assert [fact["request_id"] for fact in order.facts] == ["r-1", "x-1", "p-1", "p-2", "x-2", "x-3"]


def test_a_purchase_that_was_not_paid_in_time_has_no_tickets_and_can_be_paid_late() -> None:
    story = holding()
    story.buy("r-1", category="stalls", quantity=2)
    story.at_ms += HOUR_MS
    story.ask("expire_hold", "e-1", purchase="r-1")
    order = order_in(story)
    assert (order.standing, order.tickets, order.amount) == (Standing.EXPIRED, [], 9_000)
    assert cost_of(order).endswith("it would cost 90.00 EUR. It is confirmed with 90.00 EUR.")
    assert story.pay("p-1", "r-1", "pay-1", order.amount)["late"] is True
    order = order_in(story)
    assert (order.standing, order.tickets, order.amount) == (Standing.CONFIRMED, ["42-000003", "42-000004"], 9_000)


def test_a_refused_purchase_is_an_order_too() -> None:
    story = Story(capacity=1, price={"amount": 4500, "currency": "EUR"})
    story.buy("r-1", "b-7", quantity=2)
    order = order_in(story)
    assert (order.standing, order.buyer) == (Standing.REFUSED, "b-7")
    assert what_became(order) == "Purchase r-1 of event 42, by b-7, was refused."


def test_another_buyers_use_of_the_same_id_changes_nothing() -> None:
    story = Story()
    story.buy("r-1")
    story.buy("r-1", "b-2")
    order = order_in(story)
    assert (order.standing, order.buyer, len(order.facts)) == (Standing.CONFIRMED, "b-1", 2)


def test_a_payment_for_nothing_is_no_order() -> None:
    story = holding()
    story.pay("p-1", "r-1", "pay-1", 9_000)
    orders = Orders("42", ["r-1"])
    for fact in story.facts:
        orders.take(fact)
    assert orders.found == {}


def test_by_the_first_rules_a_purchase_costs_what_the_event_said() -> None:
    story = Story()
    story.buy("r-1", quantity=3)
    story.ask("cancel_purchase", "x-1", purchase="r-1")
    later = ("purchase", "lines", "amount", "currency", "refund", "remaining")
    orders = Orders("42", ["r-1"])
    for fact in story.facts[:2]:
        orders.take({name: value for name, value in fact.items() if name not in later})  # type: ignore[arg-type]
    assert (orders.found["r-1"].amount, orders.found["r-1"].currency) == (13_500, "EUR")
    cancelled = {name: value for name, value in story.facts[2].items() if name not in later[1:]}
    orders.take(cancelled)  # type: ignore[arg-type]
    assert (orders.found["r-1"].standing, orders.found["r-1"].refund) == (Standing.CANCELLED, 13_500)


def test_nobody_is_told_to_pay_for_what_cannot_be_paid() -> None:
    story = holding()
    story.buy("r-1", category="stalls")
    story.pay("p-1", "r-1", "pay-1", 4_500)
    with pytest.raises(NothingToPayError, match=r"is confirmed: 1 ticket, .* There is nothing to be paid"):
        cost_of(order_in(story))
