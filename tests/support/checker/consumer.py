"""What a consumer sees who takes exactly seq + 1 of an event, and nothing but facts.

Whatever decided them, these hold: a ticket has one owner, and no more are somebody's than there are; a hold ends when
it is due and not before; a payment is used once or refused for ever; who was refused is refused for ever; sums add up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.checker.reading import GENERAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.checker.records import Members, Problems


@dataclass
class _Bought:
    """What a consumer knows of a purchase."""

    buyer: str
    due: str | None = None
    paid: int | None = None
    """Facts of the rules before do not say it."""
    refunded: int = 0
    tickets: list[str] = field(default_factory=list)


class Consumer:
    """One event, by its facts."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._terms: Members = {}
        self._rules = 0
        self._is_over = self._is_archived = False
        self._issued = 0
        self._ranges: list[tuple[int, str]] = []
        self._there_are: Counter[str] = Counter()
        self._live: dict[str, str] = {}
        self._of_category: Counter[str] = Counter()
        self._bought: dict[str, _Bought] = {}
        self._tickets_of: Counter[str] = Counter()
        self._payments: dict[str, str] = {}
        self._refused: set[str] = set()

    def take(self, fact: Members, where: str) -> None:
        """The next fact of the event."""
        kind = str(fact.get("type"))
        if self._is_archived and fact.get("reason") != "event_archived":
            self._tell("after the archive", f"Event {fact.get('event_id')} is archived, and goes on in {where}.")
        take = _TAKES.get(kind)
        if take is not None:
            try:
                take(self, fact, where)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                self._tell("lacks a member", f"A {kind} lacks what it should say in {where}: {error!r}.")

    def _tell(self, kind: str, sentence: str) -> None:
        self._problems.add(kind, sentence)

    # The event

    def _created(self, fact: Members, where: str) -> None:
        self._changed(fact, where)
        for category, count in _capacities(fact):
            self._issue(category, count)

    def _changed(self, fact: Members, where: str) -> None:
        self._terms, self._rules = fact, fact["rules"]
        if fact["type"] != "event_changed":
            return
        for category, count in _capacities(fact):
            if count != self._there_are[category]:
                told = f"There are {self._there_are[category]} tickets of {category}, and {count} in {where}."
                self._tell("other capacity", told)

    def _issue(self, category: str, count: int) -> None:
        self._ranges.append((self._issued + 1, category))
        self._issued += count
        self._there_are[category] += count

    def _added(self, fact: Members, _where: str) -> None:
        self._issue(fact.get("category", GENERAL), fact["count"])

    def _removed(self, fact: Members, where: str) -> None:
        self._there_are[fact["category"]] -= fact["count"]
        self._check_count(fact["category"], where)

    def _ended(self, _fact: Members, _where: str) -> None:
        self._is_over = True

    def _archived(self, fact: Members, where: str) -> None:
        held = [name for name, bought in self._bought.items() if bought.due is not None]
        if held or not self._is_over:
            self._tell("archived while it is sold", f"Event {fact['event_id']} is archived too early in {where}.")
        self._is_archived = True

    # Who has tickets

    def _sold(self, fact: Members, where: str) -> None:
        request_id, name = fact["request_id"], fact.get("purchase", fact["request_id"])
        if name != request_id:
            self._paid(fact, where)
            return
        if name in self._refused:
            self._tell("refused and sold", f"{name} was refused for ever, and is sold tickets in {where}.")
        is_held = fact["type"] == "purchase_held"
        bought = self._bought[name] = _Bought(fact["buyer"], fact["due"] if is_held else None)
        bought.paid = 0 if is_held else fact.get("amount")
        self._hand_over(fact, name, where)
        self._check_amount(fact, where)

    def _paid(self, fact: Members, where: str) -> None:
        name = fact["purchase"]
        self._use_payment(fact, where)
        bought = self._bought[name]
        if fact["late"]:
            self._hand_over(fact, name, where)
        elif bought.due is None or fact["tickets"] != bought.tickets:
            self._tell("not held", f"{name} is paid for and does not hold {fact['tickets']} in {where}.")
        bought.due, bought.paid = None, fact["amount"]
        self._check_amount(fact, where)

    def _hand_over(self, fact: Members, name: str, where: str) -> None:
        """Tickets that nobody had become a purchase's."""
        request = f"{name} of event {fact['event_id']}"
        if self._is_over:
            self._tell("sold after its end", f"{request} is sold tickets after the sale ended in {where}.")
        for ticket in fact["tickets"]:
            if ticket in self._live:
                told = f"Ticket {ticket} belongs to {self._live[ticket]} and is sold to {request} in {where}."
                self._tell("sold twice", told)
            self._live[ticket] = request
        self._bought[name].tickets = list(fact["tickets"])
        for line in _lines(fact):
            self._check_line(line, where)
        self._check_buyer(fact["buyer"], len(fact["tickets"]), where)

    def _check_line(self, line: Members, where: str) -> None:
        category = line["category"]
        for ticket in line["tickets"]:
            if self._category_of(ticket) != category:
                told = f"Ticket {ticket} is of {self._category_of(ticket)} and is sold as {category} in {where}."
                self._tell("other category", told)
        self._of_category[category] += len(line["tickets"])
        self._check_count(category, where)

    def _check_count(self, category: str, where: str) -> None:
        if self._of_category[category] > self._there_are[category]:
            told = f"{self._of_category[category]} of {self._there_are[category]} tickets of {category} are somebody's"
            self._tell("more than there are", f"{told} in {where}.")

    def _check_buyer(self, buyer: str, more: int, where: str) -> None:
        self._tickets_of[buyer] += more
        limit = self._terms.get("max_per_buyer")
        if limit is not None and self._tickets_of[buyer] > limit:
            told = f"{buyer} has {self._tickets_of[buyer]} tickets, and may have {limit}, in {where}."
            self._tell("over the buyer's limit", told)

    def _check_amount(self, fact: Members, where: str) -> None:
        costs = sum(line["quantity"] * line["price"] for line in fact.get("lines", ()))
        if "amount" in fact and fact["amount"] != costs:
            self._tell("other amount", f"The lines cost {costs}, the amount is {fact['amount']} in {where}.")

    def _category_of(self, ticket: str) -> str:
        number = int(ticket.rpartition("-")[2])
        return self._ranges[bisect_right(self._ranges, number, key=lambda issued: issued[0]) - 1][1]

    # Who has them no more

    def _expired(self, fact: Members, where: str) -> None:
        bought = self._bought[fact["purchase"]]
        if bought.due is None:
            self._tell("not held", f"{fact['purchase']} has no hold that could end in {where}.")
        elif fact["at"] < bought.due:
            told = f"The hold of {fact['purchase']} ended at {fact['at']}, and was due at {bought.due}, in {where}."
            self._tell("ended early", told)
        bought.due = None
        self._give_back(fact, where)

    def _cancelled(self, fact: Members, where: str) -> None:
        bought = self._bought[fact["purchase"]]
        self._give_back(fact, where)
        bought.tickets = fact.get("remaining", [])
        if not bought.tickets:
            bought.due = None
        bought.refunded += fact.get("refund", 0)
        if bought.paid is not None and bought.refunded > bought.paid:
            told = f"{fact['purchase']} paid {bought.paid} and gets {bought.refunded} back in {where}."
            self._tell("refunded more", told)

    def _give_back(self, fact: Members, where: str) -> None:
        buyer = self._bought[fact["purchase"]].buyer
        for ticket in fact["tickets"]:
            if self._live.pop(ticket, None) != f"{fact['purchase']} of event {fact['event_id']}":
                told = f"Ticket {ticket} is given back by {fact['purchase']}, who has not got it, in {where}."
                self._tell("given back by another", told)
            self._of_category[self._category_of(ticket)] -= 1
        self._tickets_of[buyer] -= len(fact["tickets"])

    # Payments and refusals

    def _use_payment(self, fact: Members, where: str) -> None:
        payment = fact["payment"]
        if payment in self._payments:
            told = f"Payment {payment} was {self._payments[payment]}, and is {fact['type']} in {where}."
            self._tell("payment answered twice", told)
        self._payments[payment] = fact["type"]

    def _refused_purchase(self, fact: Members, _where: str) -> None:
        if self._rules > 1 and fact["reason"] not in ("request_id_reused", "event_archived"):
            self._refused.add(fact["request_id"])


def _capacities(fact: Members) -> Iterable[tuple[str, int]]:
    categories: Any = fact.get("categories") or [{"id": GENERAL, "capacity": fact["capacity"]}]
    return [(category["id"], category["capacity"]) for category in categories]


def _lines(fact: Members) -> list[Members]:
    return fact.get("lines") or [{"category": GENERAL, "tickets": fact["tickets"]}]


_TAKES: dict[str, Callable[[Consumer, Members, str], None]] = {
    "event_created": Consumer._created,
    "event_changed": Consumer._changed,
    "tickets_added": Consumer._added,
    "tickets_removed": Consumer._removed,
    "event_closed": Consumer._ended,
    "event_cancelled": Consumer._ended,
    "event_archived": Consumer._archived,
    "purchase_confirmed": Consumer._sold,
    "purchase_held": Consumer._sold,
    "purchase_rejected": Consumer._refused_purchase,
    "payment_refused": Consumer._use_payment,
    "hold_expired": Consumer._expired,
    "purchase_cancelled": Consumer._cancelled,
}
