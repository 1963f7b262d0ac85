"""A sale as plain lists of tickets' names, made from the facts alone: what the rules are judged by."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from models.members import GENERAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.event import Event
    from models.shapes import Fact

Members = dict[str, Any]
EFFECTS = frozenset(
    {
        "event_created",
        "purchase_confirmed",
        "purchase_held",
        "payment_refused",
        "hold_expired",
        "purchase_cancelled",
        "event_changed",
        "tickets_added",
        "tickets_removed",
        "event_closed",
        "event_cancelled",
        "event_archived",
    }
)
"""The facts that change something; each is about a request of its own."""


def counting(facts: list[Fact]) -> list[Members]:
    """The facts that a consumer takes: exactly seq + 1 of their event; repeats are ignored."""
    reached: Counter[str] = Counter()
    taken = []
    for fact in cast("list[Members]", facts):
        if fact["seq"] == reached[fact["event_id"]] + 1:
            reached[fact["event_id"]] += 1
            taken.append(fact)
    return taken


class PlainEvent:
    """One event. It fails where a fact sells what is not there, or gives back what is nobody's."""

    def __init__(self, created: Members) -> None:
        self.event_id = created["event_id"]
        self.issued = 0
        self.queues: dict[str, list[str]] = {}
        self.category_of: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        """By ticket, the purchase whose it is."""
        self.buyers: dict[str, str] = {}
        """By purchase."""
        self.held: set[str] = set()
        """Purchases that have to be paid for."""
        self.ended: Counter[str] = Counter()
        """How often a hold has ended, by purchase."""
        self.payments: Counter[str] = Counter()
        """How often a payment was answered for good."""
        self.limit: int | None = created.get("max_per_buyer")
        for category, capacity in _capacities(created):
            self.issue(category, capacity)

    def issue(self, category: str, count: int) -> None:
        """New tickets join a category's tail."""
        for _ in range(count):
            self.issued += 1
            ticket = f"{self.event_id}-{self.issued:06d}"
            self.category_of[ticket] = category
            self.queues.setdefault(category, []).append(ticket)

    def take(self, fact: Members) -> None:
        """What a fact changes."""
        if "payment" in fact and fact["type"] != "purchase_cancelled":
            self.payments[fact["payment"]] += 1
        match fact["type"]:
            case "purchase_held" | "purchase_confirmed":
                self._sell_or_pay(fact)
            case "hold_expired" | "purchase_cancelled":
                self._return(fact)
            case "event_changed":
                self.limit = fact.get("max_per_buyer")
            case "tickets_added":
                self.issue(fact.get("category", GENERAL), fact["count"])
            case "tickets_removed":
                for _ in range(fact["count"]):
                    del self.category_of[self.queues[fact["category"]].pop()]

    def _sell_or_pay(self, fact: Members) -> None:
        purchase = cast("str", fact.get("purchase", fact["request_id"]))
        if purchase in self.held:
            self._end(purchase)
            assert sorted(fact["tickets"]) == self._owns(purchase)
            return
        self._sell(fact, purchase)
        if fact["type"] == "purchase_held":
            self.held.add(purchase)

    def _sell(self, fact: Members, purchase: str) -> None:
        assert len(fact["tickets"]) == fact["quantity"]
        self.buyers[purchase] = fact["buyer"]
        for ticket in fact["tickets"]:
            assert self.queues[self.category_of[ticket]].pop(0) == ticket
            assert ticket not in self.owners
            self.owners[ticket] = purchase
        if self.limit is not None:
            assert self.tickets_of_buyer(fact["buyer"]) <= self.limit

    def _return(self, fact: Members) -> None:
        purchase, remaining = fact["purchase"], fact.get("remaining", [])
        if purchase in self.held and not remaining:
            self._end(purchase)
        for ticket in fact["tickets"]:
            assert self.owners.pop(ticket) == purchase
            self.queues[self.category_of[ticket]].append(ticket)
        assert sorted(remaining) == self._owns(purchase)

    def _end(self, purchase: str) -> None:
        self.held.remove(purchase)
        self.ended[purchase] += 1

    def _owns(self, purchase: str) -> list[str]:
        return sorted(ticket for ticket, owner in self.owners.items() if owner == purchase)

    def tickets_of_buyer(self, buyer: str) -> int:
        """How many tickets a buyer has, held ones too."""
        return sum(self.buyers[purchase] == buyer for purchase in self.owners.values())

    def figures(self, category: str) -> tuple[int, int, int]:
        """How many tickets of a category are left, held and sold."""
        own = [owner in self.held for ticket, owner in self.owners.items() if self.category_of[ticket] == category]
        return len(self.queues[category]), sum(own), len(own) - sum(own)

    def check(self, event: Event) -> None:
        """The rules' own event is the same."""
        for category in event.categories:
            assert category.issued - category.removed == category.left + category.held + category.sold
            assert (category.left, category.held, category.sold) == self.figures(category.id)
            assert event.tickets(tuple(category.queue)) == self.queues[category.id]
        assert max(self.payments.values(), default=1) == 1
        assert event.payments.keys() == self.payments.keys()
        if event.bought is not None:
            assert event.bought == Counter(self.buyers[purchase] for purchase in self.owners.values())


def _capacities(created: Members) -> Iterator[tuple[str, int]]:
    if "categories" not in created:
        yield GENERAL, created["capacity"]
        return
    for category in created["categories"]:
        yield category["id"], category["capacity"]


def plain_events(facts: list[Fact]) -> dict[str, PlainEvent]:
    """The events that all facts lead to, but those that were archived."""
    events: dict[str, PlainEvent] = {}
    for fact in counting(facts):
        if fact["type"] == "event_created":
            events[fact["event_id"]] = PlainEvent(fact)
        elif fact["type"] == "event_archived":
            assert not events.pop(fact["event_id"]).held
        elif fact["event_id"] in events:
            events[fact["event_id"]].take(fact)
    return events
