"""What became of a purchase, by the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Final

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka.clients import home_partition
from boxoffice.kafka.topics import check_topics
from boxoffice.operating.following_home import home_ledger
from boxoffice.settings import KafkaSettings
from models.members import GENERAL
from models.shapes import Fact


class NoSuchOrderError(BoxOfficeError):
    """No purchase was ever asked for with this request id."""

    exit_status = ExitStatus.REJECTED
    remedy = "See the ids with `boxoffice results --event EVENT`; over HTTP the caller's id stands before the key."

    def __init__(self, event_id: str, purchase: str) -> None:
        super().__init__(f"Event {event_id} has no purchase {purchase}.")


class Standing(StrEnum):
    """What a purchase is."""

    REFUSED = auto()
    HELD = auto()
    CONFIRMED = auto()
    EXPIRED = auto()
    CANCELLED = auto()


@dataclass
class Order:
    """A purchase as its newest fact leaves it.

    ``tickets`` are those that it has now, or that are held; ``amount`` is what they cost, and ``refund`` what was to be
    paid back, in the smallest unit of ``currency``. An expired one could be paid for late: ``amount`` is what that
    would cost. ``facts`` are all that are about it, in order, each once.
    """

    event_id: str
    purchase: str
    buyer: str = ""
    standing: Standing = Standing.REFUSED
    tickets: list[str] = field(default_factory=list)
    amount: int = 0
    refund: int = 0
    currency: str = ""
    due: str | None = None
    payment: str | None = None
    facts: list[Any] = field(default_factory=list)
    _prices: dict[str, int] = field(default_factory=dict)

    def take(self, fact: Any, price: int) -> None:
        """Take a fact about it; ``price`` is that of a ticket of ``general``, where the fact does not say it."""
        self.facts.append(fact)
        match fact["type"]:
            case "purchase_rejected" if self.standing is Standing.REFUSED:
                self.buyer = fact["buyer"]
            case "purchase_held" | "purchase_confirmed":
                self._take_tickets(fact, price)
            case "purchase_cancelled":
                self._cancel(fact)
            case "hold_expired":
                self.standing, self.tickets, self.due = Standing.EXPIRED, [], None

    def _take_tickets(self, fact: Any, price: int) -> None:
        is_held = fact["type"] == "purchase_held"
        self.standing = Standing.HELD if is_held else Standing.CONFIRMED
        self.buyer, self.tickets, self.due = fact["buyer"], fact["tickets"], fact.get("due")
        self.payment = fact.get("payment", self.payment)
        lines = fact.get("lines") or [{"category": GENERAL, "price": price, "tickets": fact["tickets"]}]
        self._prices = {ticket: line["price"] for line in lines for ticket in line["tickets"]}
        self.amount = self._cost(self.tickets)

    def _cancel(self, fact: Any) -> None:
        was_held = self.standing is Standing.HELD
        self.refund += 0 if was_held else self._cost(fact["tickets"])
        self.tickets = fact.get("remaining", [])
        self.amount = self._cost(self.tickets)
        if not self.tickets:
            self.standing, self.due = Standing.CANCELLED, None

    def _cost(self, tickets: Iterable[str]) -> int:
        return sum(self._prices[ticket] for ticket in tickets)


_OF_PURCHASES: Final = ("purchase_confirmed", "purchase_held", "purchase_rejected")


class Orders:
    """The orders of one event that somebody asks for, made of the event's facts in their order."""

    def __init__(self, event_id: str, purchases: Sequence[str]) -> None:
        self._event_id = event_id
        self._seq = 0
        self._price = 0
        self._currency = ""
        self._asked = frozenset(purchases)
        self.found: dict[str, Order] = {}

    def take(self, fact: Fact) -> None:
        """Take a fact that counts; of another event, and what comes again, is passed over."""
        if fact["event_id"] != self._event_id or fact["seq"] <= self._seq:
            return
        self._seq = fact["seq"]
        said: Any = fact
        if fact["type"] == "event_created":
            self._take_terms(said)
        purchase = said.get("purchase") or (said["request_id"] if fact["type"] in _OF_PURCHASES else None)
        if purchase in self._asked and self._is_about(said, purchase):
            order = self.found.setdefault(purchase, Order(self._event_id, purchase, currency=self._currency))
            order.take(fact, self._price)

    def _take_terms(self, created: Any) -> None:
        price = created.get("price") or created["categories"][0]["price"]
        self._price, self._currency = price["amount"], price["currency"]

    def _is_about(self, fact: Any, purchase: str) -> bool:
        """Whether it tells of the purchase: its id may have been used for something else, which was refused then."""
        return purchase in self.found or fact["type"] in _OF_PURCHASES


async def order_of(settings: KafkaSettings, event_id: str, purchase: str) -> Order:
    """A purchase, by all that the ledger says of it.

    Raises:
        NoSuchOrderError: it says nothing.
        NewerReleaseError: a newer release has written there.
        UnreachableError: Kafka did not answer.
        TopicsError: the topics cannot be used.
    """
    orders = Orders(event_id, [purchase])
    async with home_ledger(settings, home_partition(event_id, await check_topics(settings))) as home:
        async for told in home.facts():
            orders.take(told.fact)
    order = orders.found.get(purchase)
    if order is None:
        raise NoSuchOrderError(event_id, purchase)
    return order
