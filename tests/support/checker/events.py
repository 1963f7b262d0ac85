"""What the rules know of one event: its tickets by category, its purchases, and what was answered for good."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.checker.reading import GENERAL, microseconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.checker.records import Members

Wanted = list[tuple[str, int]]
"""Categories, and how many tickets of each."""

LIMITS = ("max_per_order", "hold_s", "max_per_buyer")
TERMS = ("name", "venue", "starts_at", "on_sale_at", "off_sale_at", *LIMITS)
"""What is given of an event."""
ALIVE = ("held", "confirmed")
"""A purchase that has tickets is one of these."""


@dataclass
class Category:
    """Tickets of one kind and price; those that are left stand in a queue."""

    id: str
    name: str
    price: int
    queue: deque[str] = field(default_factory=deque)
    issued: int = 0
    removed: int = 0
    held: int = 0
    sold: int = 0


@dataclass
class Purchase:
    """A request to buy that got tickets. ``tickets`` are those that it has, or had last."""

    request_id: str
    buyer: str
    wanted: Wanted
    prices: dict[str, int]
    tickets: list[str]
    state: str
    due_ms: int = 0
    payment: str | None = None


class Event:
    """One event, from its creation on. ``rules`` is the version by which it is sold now."""

    def __init__(self, created: Members, rules: int) -> None:
        self.created = created
        self.event_id: str = created["event_id"]
        self.rules = rules
        self.seq = 1
        self.closed = False
        self.cancelled = False
        self.terms: Members = {name: created[name] for name in TERMS}
        self.names_categories = created["categories"] is not None
        alone = {"id": GENERAL, "name": "", "capacity": created["capacity"], "price": created["price"]}
        given: list[Any] = created["categories"] or [alone]
        self.currency: str = given[0]["price"]["currency"]
        self.categories = {one["id"]: Category(one["id"], one["name"], one["price"]["amount"]) for one in given}
        self.issued = 0
        self._ranges: list[tuple[int, str]] = []
        for one in given:
            self.issue(one["id"], one["capacity"])
        self.answers: dict[str, tuple[Members, Members]] = {}
        """By request id: the command, and the fact that answers it from now on."""
        self.purchases: dict[str, Purchase] = {}
        self.payments: dict[str, Members] = {}
        """Each payment, with the fact that used or refused it."""
        self.tickets_of: Counter[str] = Counter()
        """How many tickets each buyer has, held ones too."""

    @property
    def owners(self) -> dict[str, str]:
        """Each ticket that is held or sold, with its purchase."""
        alive = (purchase for purchase in self.purchases.values() if purchase.state in ALIVE)
        return {ticket: purchase.request_id for purchase in alive for ticket in purchase.tickets}

    def issue(self, category: str, count: int) -> None:
        """Put further tickets at a queue's tail; they are numbered through, over all categories."""
        self._ranges.append((self.issued + 1, category))
        names = (f"{self.event_id}-{self.issued + number:06d}" for number in range(1, count + 1))
        self.categories[category].queue += names
        self.categories[category].issued += count
        self.issued += count

    def category_of(self, ticket: str) -> str:
        """The category that a ticket was issued for, by its number."""
        number = int(ticket.rpartition("-")[2])
        return self._ranges[bisect_right(self._ranges, number, key=lambda issued: issued[0]) - 1][1]

    def remove(self, category: str, count: int) -> None:
        """Take tickets from a queue's tail."""
        self.categories[category].removed += count
        for _ in range(count):
            self.categories[category].queue.pop()

    def are_left(self, wanted: Wanted) -> bool:
        """Whether all lines can be had."""
        return all(len(self.categories[category].queue) >= quantity for category, quantity in wanted)

    def take(self, wanted: Wanted, state: str) -> list[str]:
        """The heads of the queues become somebody's: held or sold."""
        taken = []
        for category, quantity in wanted:
            queue = self.categories[category].queue
            taken += [queue.popleft() for _ in range(quantity)]
        self.count(taken, state, 1)
        return taken

    def give_back(self, tickets: Iterable[str], state: str) -> None:
        """What was held or sold joins the tails of the queues."""
        tickets = list(tickets)
        self.count(tickets, state, -1)
        for ticket in tickets:
            self.categories[self.category_of(ticket)].queue.append(ticket)

    def count(self, tickets: Iterable[str], state: str, by: int) -> None:
        """So many tickets more, or less, are held or sold."""
        for ticket in tickets:
            category = self.categories[self.category_of(ticket)]
            if state == "held":
                category.held += by
            else:
                category.sold += by

    def cost(self, purchase: Purchase, tickets: Iterable[str]) -> int:
        """What tickets of a purchase cost when it was made."""
        return sum(purchase.prices[self.category_of(ticket)] for ticket in tickets)

    def wanted_now(self, purchase: Purchase) -> Wanted:
        """The lines of what a purchase has, or had last."""
        own = Counter(self.category_of(ticket) for ticket in purchase.tickets)
        return [(category, own[category]) for category, _ in purchase.wanted if own[category]]

    def opens_at_us(self) -> int | None:
        """When the sale begins, in microseconds since 1970; None where it has always begun."""
        return _microseconds(self.terms["on_sale_at"])

    def ends_at_us(self) -> int | None:
        """When it ends."""
        return _microseconds(self.terms["off_sale_at"])


def _microseconds(text: str | None) -> int | None:
    return None if text is None else microseconds_of(text)
