"""What a few commands are answered with, one after the other: for tests of those who only tell of it."""

from __future__ import annotations

import json
from typing import Any, Final

from models.commands import read_command
from models.event import Event, Position
from models.inventory import Inventory, decide, fold

HOME: Final = 4
TEN_OCLOCK_MS: Final = 1_795_341_600_000
"""2026-11-22T10:00:00Z."""

CATEGORIES: Final = [
    {"id": "stalls", "name": "Stalls", "capacity": 6, "price": {"amount": 4500, "currency": "EUR"}},
    {"id": "balcony", "name": "Balcony", "capacity": 2, "price": {"amount": 3000, "currency": "EUR"}},
]
PLAIN: Final = {"capacity": 1000, "price": {"amount": 4500, "currency": "EUR"}}


class Story:
    """The commands of event 42, which comes first, and ``facts`` that answer them."""

    def __init__(self, **terms: Any) -> None:
        self.inventory = Inventory(HOME)
        self.facts: list[Any] = []
        self.at_ms = TEN_OCLOCK_MS
        of_event = {"name": "Night", "venue": "Hall", "starts_at": "2027-03-01T19:30:00+01:00"}
        self.ask("create_event", "c-1", **(of_event | (terms or PLAIN)))

    @property
    def event(self) -> Event:
        """The event, as the facts leave it."""
        return self.inventory.events["42"]

    def ask(self, kind: str, request_id: str, **members: Any) -> Any:
        """The fact that answers a command."""
        said = {"type": kind, "request_id": request_id, "event_id": "42", **members}
        offset = len(self.facts)
        position = Position(offset, self.at_ms, {"partition": HOME, "offset": offset})
        fact = decide(self.inventory, read_command(json.dumps(said).encode()), position)
        fold(self.inventory, fact, offset)
        self.facts.append(fact)
        return fact

    def buy(self, request_id: str, buyer: str = "b-1", **members: Any) -> Any:
        """The fact that answers a purchase."""
        return self.ask("purchase", request_id, buyer=buyer, **members)

    def pay(self, request_id: str, purchase: str, payment: str, amount: int) -> Any:
        """The fact that answers a payment."""
        return self.ask(
            "confirm_purchase", request_id, purchase=purchase, payment=payment, amount=amount, currency="EUR"
        )


def holding() -> Story:
    """An event with two categories, whose purchases are held for ten minutes."""
    return Story(categories=CATEGORIES, hold_s=600)
