"""Tickets go back where they belong, and what was said of them stays said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lua.copies import Snapshot
from lua.effects import effect_of_sale
from models.commands import UnreadableCommandError, read_command
from models.event import Position
from models.inventory import Inventory, decide, fold
from tests.unit.strategies import HOME, as_command, opening, without_decider

CATEGORIES = [
    {"id": "stalls", "name": "Stalls", "capacity": 3, "price": {"amount": 4500, "currency": "EUR"}},
    {"id": "balcony", "name": "Balcony", "capacity": 3, "price": {"amount": 1500, "currency": "EUR"}},
]
AT_MS = 1_795_341_600_000


class Office:
    """One event, and what is asked of it."""

    def __init__(self, **event: Any) -> None:
        self.inventory = Inventory(HOME)
        self.offset = -1
        self.ask(**opening(**event).model_dump(exclude_none=True))

    def ask(self, at_ms: int = AT_MS, **members: Any) -> Any:
        """The fact that answers a command, which the table has taken."""
        self.offset += 1
        command = as_command({"event_id": "42", "request_id": f"q-{self.offset}", **members})
        fact = decide(self.inventory, command, Position(self.offset, at_ms, {"partition": HOME, "offset": self.offset}))
        fold(self.inventory, fact, self.offset)
        return dict(fact)

    def left(self) -> dict[str, int]:
        """How many tickets are left of each category."""
        return {category.id: category.left for category in self.inventory.events["42"].categories}


def test_tickets_with_numbers_one_after_the_other_go_back_to_a_category_each() -> None:
    """The last one of the stalls and the first one of the balcony."""
    office = Office(capacity=None, price=None, categories=CATEGORIES)
    lines = [{"category": "stalls", "quantity": 3}, {"category": "balcony", "quantity": 2}]
    office.ask(request_id="r-1", buyer="b-1", lines=lines)
    part = office.ask(type="cancel_purchase", purchase="r-1", tickets=["42-000001", "42-000003", "42-000004"])
    assert part["remaining"] == ["42-000002", "42-000005"]
    assert part["refund"] == 2 * 4500 + 1500
    assert office.left() == {"stalls": 2, "balcony": 2}
    rest = office.ask(type="cancel_purchase", purchase="r-1")
    assert rest["refund"] == 4500 + 1500
    assert office.left() == {"stalls": 3, "balcony": 3}


def test_what_remains_of_two_categories_is_still_of_two() -> None:
    office = Office(capacity=None, price=None, categories=CATEGORIES)
    lines = [{"category": "stalls", "quantity": 3}, {"category": "balcony", "quantity": 1}]
    office.ask(request_id="r-1", buyer="b-1", lines=lines)
    office.ask(type="cancel_purchase", purchase="r-1", tickets=["42-000001"])
    rest = office.ask(type="cancel_purchase", purchase="r-1")
    assert rest["refund"] == 2 * 4500 + 1500
    assert office.left() == {"stalls": 3, "balcony": 3}


def test_what_was_given_back_while_it_was_held_is_never_said_to_have_been_paid_for() -> None:
    """Its repeat is the same fact, also when the rest was paid for since."""
    office = Office(hold_s=600)
    office.ask(request_id="r-1", buyer="b-1", quantity=2)
    part: dict[str, Any] = {"request_id": "x-1", "purchase": "r-1", "tickets": ["42-000001"]}
    first = office.ask(type="cancel_purchase", **part)
    office.ask(type="confirm_purchase", purchase="r-1", payment="p-1", amount=4500, currency="EUR")
    again = office.ask(type="cancel_purchase", **part)
    assert without_decider(again) == without_decider(first)
    assert "payment" not in again


def test_a_sale_has_one_record_in_redis_whichever_way_it_got_there() -> None:
    """Also by the rules before, and with an actor: sold by the script, settled, or loaded from the table."""
    for rules in (1, 2):
        office = Office()
        event = office.inventory.events["42"]
        event.created["rules"] = event.now["rules"] = rules
        event.rules_since = rules - 1
        for request_id, actor in (("r-1", None), ("r-2", "till 3")):
            sold = office.ask(request_id=request_id, buyer="b-1", actor=actor)
            settled = effect_of_sale(event, sold, office.offset).records
            assert settled == (request_id, dict(Snapshot.of(event, HOME).records())[request_id])


@pytest.mark.parametrize(
    ("on_sale_at", "is_on_sale"),
    [
        ("2026-11-22T10:00:00.000Z", True),
        ("2026-11-22T10:00:00.0001Z", False),
        ("2026-11-22T10:00:00.0009Z", False),
        ("2026-11-22T10:00:00.001Z", False),
        ("2026-11-22T09:59:59.9999Z", True),
    ],
)
def test_a_sale_that_opens_between_two_milliseconds_opens_with_the_later_one(on_sale_at: str, is_on_sale: bool) -> None:
    office = Office(on_sale_at=on_sale_at)
    at_ms = 1_795_341_600_000
    fact = office.ask(at_ms, request_id="r-1", buyer="b-1")
    assert (fact["type"] == "purchase_confirmed") is is_on_sale
    closing = Office(off_sale_at=on_sale_at)
    fact = closing.ask(at_ms, request_id="r-1", buyer="b-1")
    assert (fact["type"] == "purchase_confirmed") is not is_on_sale


def test_a_null_counts_as_left_out_in_lists_too() -> None:
    line = {"category": "stalls", "quantity": 1}
    command = {"request_id": "r-1", "event_id": "42", "buyer": "b-1", "lines": [line]}
    with_null = {**command, "lines": [{**line, "note": None}]}
    assert read_command(json.dumps(with_null).encode()) == as_command(command)
    with pytest.raises(UnreadableCommandError):
        read_command(json.dumps({**command, "lines": [None]}).encode())
