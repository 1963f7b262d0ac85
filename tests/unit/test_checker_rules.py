"""The checker sees each kind of fault that facts of the whole sale can have: holds, payments, limits, changes, ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from boxoffice.kafka.clients import home_partition
from tests.support.checker import check
from tests.unit.sale import Sale
from tests.unit.strategies import categories, opening
from tests.unit.test_checker import checked, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = home_partition("42", 3)
HOLD_MS = 60_000
EUR = {"currency": "EUR"}

STALLS_AND_BALCONY = [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}]
BEFORE_DUE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create_event", {}),
    ("purchase", {"request_id": "r-1", "buyer": "b-1", "lines": STALLS_AND_BALCONY}),
    ("purchase", {"request_id": "r-2", "buyer": "b-2", "quantity": 2, "category": "stalls"}),
    ("purchase", {"request_id": "r-3", "buyer": "b-3", "category": "stalls"}),
    ("confirm_purchase", {"request_id": "q-1", "purchase": "r-1", "payment": "pay-1", "amount": 10_500, **EUR}),
    ("confirm_purchase", {"request_id": "q-2", "purchase": "r-1", "payment": "pay-2", "amount": 10_500, **EUR}),
)
ONCE_DUE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("expire_hold", {"request_id": "e-1", "purchase": "r-2"}),
    ("confirm_purchase", {"request_id": "q-3", "purchase": "r-2", "payment": "pay-3", "amount": 9_000, **EUR}),
    ("cancel_purchase", {"request_id": "x-1", "purchase": "r-1", "tickets": ["42-000001"]}),
    ("purchase", {"request_id": "r-4", "buyer": "b-2", "quantity": 3, "category": "balcony"}),
    ("purchase", {"request_id": "r-5", "buyer": "b-2", "category": "balcony"}),
    ("remove_tickets", {"request_id": "d-1", "count": 1, "category": "balcony"}),
    ("add_tickets", {"request_id": "a-1", "count": 1, "category": "stalls", "actor": "till 3"}),
    ("change_event", {"request_id": "h-1", "max_per_buyer": 0, "prices": [{"category": "stalls", "amount": 5_000}]}),
    ("purchase", {"request_id": "r-2", "buyer": "b-2", "quantity": 2, "category": "stalls"}),
    ("close_event", {"request_id": "z-1"}),
    ("cancel_event", {"request_id": "k-1"}),
    ("purchase", {"request_id": "r-3", "buyer": "b-3", "category": "stalls"}),
    ("cancel_purchase", {"request_id": "x-2", "purchase": "r-4"}),
    ("archive_event", {"request_id": "y-1"}),
    ("purchase", {"request_id": "r-1", "buyer": "b-1", "lines": STALLS_AND_BALCONY}),
)
PLACES = {members.get("request_id", "c-1"): place for place, (_, members) in enumerate((*BEFORE_DUE, *ONCE_DUE))}
"""Where the fact that answers a request lies; of one that was asked twice, the second."""


def whole_sale() -> Sale:
    """Two categories, holds, a payment too many, one that is late, and the end of the event."""
    sale = Sale(1)
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    sale.random.choice = lambda values: values[0]  # type: ignore[method-assign,assignment]  # no time passes by itself
    terms: dict[str, Any] = {
        "capacity": None,
        "price": None,
        "categories": categories(4, 6),
        "hold_s": 60,
        "max_per_buyer": 5,
    }
    for kind, members in BEFORE_DUE:
        created = opening(**terms).model_dump(exclude_none=True) if kind == "create_event" else {}
        ask(sale, {"type": kind, "event_id": "42", **created, **members})
    sale.now_ms += HOLD_MS
    for kind, members in ONCE_DUE:
        ask(sale, {"type": kind, "event_id": "42", **members})
    sale.work()
    return sale


def ask(sale: Sale, members: dict[str, Any]) -> None:
    sale.produce(json.dumps(members).encode(), HOME, b"42")


def test_a_whole_sale_without_fault_has_no_problem() -> None:
    verdict = checked(whole_sale())
    assert verdict.problems == []
    assert verdict.summary["archives"] == {"42": 19}
    facts = [json.loads(record.value or b"") for record in whole_sale().results[HOME]]
    assert [fact.get("reason", fact["type"]) for fact in facts] == [
        *("event_created", "purchase_held", "purchase_held", "all_held", "purchase_confirmed", "already_paid"),
        *("hold_expired", "purchase_confirmed", "purchase_cancelled", "purchase_held", "over_buyer_limit"),
        *("tickets_removed", "tickets_added", "event_changed", "purchase_confirmed", "event_closed", "event_cancelled"),
        *("all_held", "purchase_cancelled", "event_archived", "event_archived"),
    ]


def says(answered: str, /, **members: Any) -> Callable[[Sale], None]:
    """Let the fact that answers a request say something else."""
    return lambda sale: rewrite(sale.results[HOME], PLACES[answered], **members)


def sold(category: str, *tickets: str) -> dict[str, Any]:
    """The members of a purchase that is held."""
    line = {"category": category, "quantity": len(tickets), "price": 1, "tickets": [*tickets]}
    due = "2027-01-01T00:00:00.000Z"
    return {"type": "purchase_held", "tickets": [*tickets], "lines": [line], "amount": len(tickets), **EUR, "due": due}


FALSIFICATIONS: dict[str, tuple[Callable[[Sale], object], str]] = {
    "a hold that is due at another time": (says("r-4", due="2026-11-22T10:00:59.999Z"), "due should be"),
    "a hold that ended before it was due": (
        says("e-1", at="2026-11-22T10:00:59.999Z"),
        "The hold of r-2 ended at 2026-11-22T10:00:59.999Z, and was due at 2026-11-22T10:01:00.000Z",
    ),
    "a hold that ended and was not told": (says("e-1", type="command_rejected", reason="not_due"), "type should be"),
    "a purchase that is sold at once and should be held": (
        says("r-4", type="purchase_confirmed"),
        "type should be 'purchase_held'",
    ),
    "other prices": (says("q-1", amount=1), "The lines cost 10500, the amount is 1"),
    "a late payment that takes the tickets of before": (
        says("q-3", tickets=["42-000001", "42-000002"]),
        "Ticket 42-000001 belongs to r-1 of event 42 and is sold to r-2",
    ),
    "a late payment that is not said to be late": (says("q-3", late=False), "r-2 is paid for and does not hold"),
    "a payment used twice": (says("q-3", payment="pay-1"), "Payment pay-1 was purchase_confirmed, and is"),
    "a payment refused and used": (says("q-3", payment="pay-2"), "Payment pay-2 was payment_refused, and is"),
    "a payment refused for another reason": (says("q-2", reason="sold_out"), "reason should be 'already_paid'"),
    "a payment refused that should be taken": (
        says("q-1", type="payment_refused", reason="sold_out"),
        "type should be 'purchase_confirmed'",
    ),
    "a buyer with too many tickets, held ones too": (
        says("r-5", purchase="r-5", **sold("balcony", "42-000009")),
        "b-2 has 6 tickets, and may have 5",
    ),
    "a ticket of another category": (
        says("r-4", **sold("balcony", "42-000001", "42-000007", "42-000008")),
        "Ticket 42-000001 is of stalls and is sold as balcony",
    ),
    "more removed than are left": (says("d-1", count=9), "4 of -3 tickets of balcony are somebody's"),
    "an event changed to another capacity": (
        says("h-1", categories=categories(4, 5)),
        "There are 5 tickets of stalls, and 4 in",
    ),
    "an event changed to another price": (says("h-1", categories=categories(5, 5)), "categories should be"),
    "a limit that was not taken away": (says("h-1", max_per_buyer=5), "max_per_buyer should be 'left out'"),
    "tickets added to another category": (says("a-1", category="balcony"), "category should be 'stalls'"),
    "an actor who is not told": (says("a-1", actor="till 4"), "actor should be 'till 3'"),
    "a refund of more than was paid": (says("x-1", refund=10_501), "r-1 paid 10500 and gets 10501 back"),
    "a refund of what was held": (says("x-2", refund=4_500), "refund should be 0"),
    "held tickets that are said to have been paid for": (says("x-2", payment="pay-9"), "payment should be 'left out'"),
    "a cancellation of part that keeps nothing": (says("x-1", remaining=[]), "remaining should be"),
    "sold out where held ones may come back": (says("r-3", reason="sold_out"), "reason should be 'all_held'"),
    "a reason of a later check": (says("r-5", reason="not_enough_left"), "reason should be 'over_buyer_limit'"),
    "a refusal that is forgotten": (
        says("r-3", seq=17, purchase="r-3", **sold("stalls", "42-000001")),
        "r-3 was refused for ever, and is sold tickets",
    ),
    "a sale after the event was called off": (
        says("x-2", request_id="r-9", purchase="r-9", **sold("balcony", "42-000009")),
        "r-9 of event 42 is sold tickets after the sale ended",
    ),
    "a purchase answered by what it was": (says("r-2", type="purchase_held"), "type should be 'purchase_confirmed'"),
    "an event archived while it is sold": (says("z-1", type="event_archived"), "Event 42 is archived too early"),
    "an archived event that goes on": (says("r-1", reason="unknown_event"), "Event 42 is archived, and goes on"),
    "an archived event that remembers": (says("r-1", seq=2), "seq should be 19"),
    "a fact without what it is about": (says("r-4", tickets=None), "A purchase_held lacks what it should say"),
}


@pytest.mark.parametrize(("falsify", "problem"), FALSIFICATIONS.values(), ids=FALSIFICATIONS)
def test_a_fault_of_the_whole_sale_is_told(falsify: Callable[[Sale], object], problem: str) -> None:
    sale = whole_sale()
    falsify(sale)
    problems = checked(sale).problems
    assert any(problem in sentence for sentence in problems), problems


def test_an_event_is_sold_by_the_rules_of_a_release_that_there_was() -> None:
    sale = Sale(1, rules=(1,))
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    ask(sale, opening().model_dump(exclude_none=True))
    sale.work()
    assert checked(sale).problems == []
    present = check(sale.all_requests, sale.all_results, sale.partitions, sale.dead_letters)
    assert any("rules should be 2, is 1" in problem for problem in present.problems)


def test_a_replaced_owner_of_an_older_release_may_have_created_an_event_by_its_rules() -> None:
    """Beside the chain: whoever reads takes the first, and the ledger does not say who knew of whom."""
    sale = Sale(1, rules=(1, 2))
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    ask(sale, opening().model_dump(exclude_none=True))
    ask(sale, {"request_id": "r-1", "event_id": "42", "buyer": "b-1"})
    older, newer = sale.worker(HOME), sale.worker(HOME)
    older.rules, newer.rules = 1, 2
    newer.sell(2)
    older.sell(2)
    assert checked(sale).problems == []
    present = check(sale.all_requests, sale.all_results, sale.partitions, sale.dead_letters)
    assert any("repeats another otherwise" in problem for problem in present.problems)
