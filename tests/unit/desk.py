"""A box office of one partition, in memory: what it is asked, what it answers, what is left.

Whatever it answers is also written, read and folded a second time, and both must come to the same.
"""

from __future__ import annotations

from typing import Any, cast

from models.commands import Command
from models.event import Event, Position
from models.facts import read_fact, write_fact
from models.inventory import Inventory, decide, fold
from models.runs import numbers_in
from models.shapes import Fact
from models.tickets import ticket_name
from tests.unit.strategies import HOME, as_command, opening, state

TEN_OCLOCK_MS = 1_795_341_600_123
Members = dict[str, Any]


class Desk:
    """One partition's inventory, and the next offset of its commands. ``at_ms`` is the broker's clock."""

    def __init__(self, event_id: str = "42", **event: Any) -> None:
        """With members of an event it is created; ``capacity`` and ``price`` are 10 and 45.00 EUR."""
        self.inventory = Inventory(HOME)
        self.folded = Inventory(HOME)
        self.offset = 0
        self.at_ms = TEN_OCLOCK_MS
        if event:
            without = {"capacity": None, "price": None} if "categories" in event else {}
            self.ask(opening(event_id, **{**without, **event}))

    @classmethod
    def of_the_first_rules(cls, **event: Any) -> Desk:
        """Event 42 as a release of rules 1 has created it."""
        desk = cls()
        position = Position(0, TEN_OCLOCK_MS, {"partition": HOME, "offset": 0})
        created = {**decide(desk.inventory, opening(**event), position), "rules": 1}
        desk.take(cast("Fact", created))
        return desk

    @property
    def event(self) -> Event:
        """Event 42."""
        return self.inventory.events["42"]

    def ask(self, command: Command, origin: tuple[int, int] | None = None) -> Members:
        """The answer to a command that arrives now; it is in the ledger when this returns."""
        fact = self.decided(command, origin)
        self.take(cast("Fact", fact))
        return fact

    def decided(self, command: Command, origin: tuple[int, int] | None = None) -> Members:
        """The answer that it would get."""
        partition, offset = origin or (HOME, self.offset)
        position = Position(self.offset, self.at_ms, {"partition": partition, "offset": offset})
        return cast("Members", decide(self.inventory, command, position))

    def take(self, fact: Fact) -> None:
        """A fact comes into the ledger."""
        written = read_fact(write_fact(fact))
        assert fold(self.inventory, fact, self.offset) == fold(self.folded, written, self.offset)
        assert state(self.inventory) == state(self.folded)
        self.offset += 1
        self.at_ms += 1

    def wait(self, seconds: float) -> None:
        """The broker's clock goes on, or back."""
        self.at_ms += round(seconds * 1000)

    # What it is asked

    def buy(self, request_id: str, quantity: int = 1, buyer: str = "b-1", **members: Any) -> Members:
        """The answer to a purchase."""
        return self.ask(buying(request_id, quantity, buyer, **members))

    def pay(self, request_id: str, purchase: str, payment: str, amount: int, **members: Any) -> Members:
        """The answer to a payment."""
        return self.ask(paying(request_id, purchase, payment, amount, **members))

    def expire(self, request_id: str, purchase: str, **members: Any) -> Members:
        """The answer to somebody who looks whether a hold is due."""
        return self.ask(about("expire_hold", request_id, purchase=purchase, **members))

    def cancel(self, request_id: str, purchase: str, **members: Any) -> Members:
        """The answer to a buyer who gives tickets back."""
        return self.ask(about("cancel_purchase", request_id, purchase=purchase, **members))

    def operate(self, type_: str, request_id: str, **members: Any) -> Members:
        """The answer to an operator's command."""
        return self.ask(about(type_, request_id, **members))

    # What there is

    def left(self, category: str = "general") -> list[str]:
        """The names of the tickets in a category's queue, in order."""
        place = self.event.place_of(category)
        assert place is not None
        return [ticket_name("42", number) for number in numbers_in(self.event.categories[place].queue)]

    def figures(self, category: str = "general") -> tuple[int, int, int]:
        """How many tickets of a category are left, held and sold."""
        place = self.event.place_of(category)
        assert place is not None
        found = self.event.categories[place]
        assert found.issued - found.removed == found.left + found.held + found.sold
        return found.left, found.held, found.sold


def about(type_: str, request_id: str, **members: Any) -> Command:
    """A command about event 42; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return as_command({"type": type_, "request_id": request_id, "event_id": "42", **given})


def buying(request_id: str, quantity: int | None = 1, buyer: str = "b-1", **members: Any) -> Command:
    """A purchase; with ``lines`` it has no quantity of its own."""
    quantity = None if "lines" in members else quantity
    return about("purchase", request_id, quantity=quantity, buyer=buyer, **members)


def paying(request_id: str, purchase: str, payment: str, amount: int, **members: Any) -> Command:
    """A payment for a purchase, in euros."""
    paid = {"payment": payment, "amount": amount, "currency": "EUR"}
    return about("confirm_purchase", request_id, purchase=purchase, **(paid | members))


def names(*numbers: int) -> list[str]:
    """Names of tickets of event 42."""
    return [ticket_name("42", number) for number in numbers]


def category(id_: str, capacity: int, amount: int, name: str | None = None) -> Members:
    """A category of an event that is sold in euros."""
    price = {"amount": amount, "currency": "EUR"}
    return {"id": id_, "name": name or id_.title(), "capacity": capacity, "price": price}


def lines(**wanted: int) -> list[Members]:
    """What a purchase asks for: categories, and how many tickets of each."""
    return [{"category": id_, "quantity": quantity} for id_, quantity in wanted.items()]


def refusal(fact: Members) -> tuple[str, str]:
    """A refusal's type and reason."""
    return fact["type"], fact["reason"]
