"""One event as it is kept in memory: its categories' queues, and the requests that were answered for good."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from models.accepted import Accepted, Kind, PricedLine, Run, Runs, State, pack, unpack
from models.facts import MAX_TIMESTAMP_MS, at_ms, clamped_ms
from models.members import GENERAL, MAX_QUANTITY
from models.pages import says_the_same
from models.refusals import Refusals
from models.runs import count_of, numbers_in, those_of
from models.shapes import DecisionFact, EventChanged, EventCreated, Source
from models.tickets import LEAST_DIGITS
from models.times import moment

REMEMBERS_REFUSALS: Final = 2
"""The version of the rules from which on a refused purchase is remembered, and facts say what a purchase costs."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class FoldError(Exception):
    """A fact that cannot follow the state: a seq is missing, or its tickets are not the queue's head."""


class Position(NamedTuple):
    """Where a command lies at home, when the broker took it there, and where it was produced."""

    offset: int
    timestamp_ms: int
    source: Source

    @property
    def at_ms(self) -> int:
        """When it came, within the calendar."""
        timestamp_ms = self.timestamp_ms
        return timestamp_ms if 0 <= timestamp_ms <= MAX_TIMESTAMP_MS else clamped_ms(timestamp_ms)


Draft = tuple[DecisionFact, tuple[PricedLine, ...], Runs, Position]
"""A sale that was just decided, with what it was made of: it is folded without a look at what it says."""


class Category:
    """Tickets of one kind and price: those that are left, in order, and how many there are of all others."""

    __slots__ = ("held", "id", "issued", "left", "name", "price", "queue", "removed", "sold")

    def __init__(self, id_: str, name: str, price: int, first: int, capacity: int) -> None:
        self.id = id_
        self.name = name
        self.price = price
        self.issued = capacity
        self.removed = 0
        self.sold = 0
        self.held = 0
        self.left = capacity
        self.queue: deque[Run] = deque([(first, first + capacity - 1)])

    def copy(self) -> Category:
        """The category as it is now."""
        copied = object.__new__(Category)
        for name in Category.__slots__:
            setattr(copied, name, getattr(self, name))
        copied.queue = self.queue.copy()
        return copied

    def head(self, quantity: int) -> Runs:
        """The next tickets of the queue; the caller knows that there are enough."""
        first, last = self.queue[0]
        if last - first + 1 >= quantity:
            return ((first, first + quantity - 1),)
        runs = []
        for first, last in self.queue:
            taken = min(last - first + 1, quantity)
            runs.append((first, first + taken - 1))
            quantity -= taken
            if not quantity:
                break
        return tuple(runs)

    def take(self, runs: Runs) -> int:
        """Remove the queue's head, as :meth:`head` gave it; returns how many that were."""
        taken = 0
        for _, last in runs:
            first_left, last_left = self.queue[0]
            if last == last_left:
                self.queue.popleft()
            else:
                self.queue[0] = (last + 1, last_left)
            taken += last - first_left + 1
        self.left -= taken
        return taken

    def join(self, runs: Sequence[Run]) -> int:
        """Tickets come back to the queue's tail; returns how many."""
        self.queue.extend(runs)
        joined = count_of(runs)
        self.left += joined
        return joined

    def add(self, first: int, count: int) -> None:
        """New tickets join the queue's tail."""
        self.issued += count
        self.join([(first, first + count - 1)])

    def remove(self, count: int) -> None:
        """Take tickets from the queue's tail away; the caller knows that there are enough."""
        self.removed += count
        self.left -= count
        while count:
            first, last = self.queue.pop()
            there = last - first + 1
            if there > count:
                self.queue.append((first, last - count))
                return
            count -= there


class Event:
    """One event. ``now`` is what is given of it: the fact of its creation, or of its newest change.

    ``rules_since`` is the seq from which on it is sold by the present rules; 0 while it is sold by those before.
    ``page_since`` is that of the fact since which its tickets' pages say what they say now.
    """

    __slots__ = (
        "_firsts",
        "_named",
        "_owners",
        "_unpacked",
        "accepted",
        "bought",
        "cancelled",
        "categories",
        "closed",
        "created",
        "currency",
        "draft",
        "event_id",
        "fence",
        "first_price",
        "fresh",
        "has_conditions",
        "hold_s",
        "issued",
        "max_per_order",
        "names_categories",
        "now",
        "off_sale_ms",
        "on_sale_ms",
        "page_since",
        "payments",
        "places",
        "prefix",
        "refusals",
        "rules_since",
        "seq",
    )

    def __init__(self, created: EventCreated, fence: int) -> None:
        self.created = created
        self.now: EventCreated | EventChanged = created
        self.event_id = created["event_id"]
        self.page_since = 1
        self.prefix = f"{self.event_id}-"
        self.seq = 1
        self.fence = fence
        self.closed = self.cancelled = False
        self.rules_since = int(created["rules"] >= REMEMBERS_REFUSALS)
        self._set_categories(created)
        self.currency = _currency(created)
        self.names_categories = "categories" in created
        self.first_price = self.categories[0].price
        """Of a ticket as it began, in an event that names no categories."""
        self.accepted: dict[str, bytes] = {}
        self.refusals = Refusals()
        self.payments: dict[str, str] = {}
        """Each payment that was used or refused, with the request that said so."""
        self.bought: dict[str, int] | None = None
        """How many tickets each buyer has, held ones too; None where nobody asks."""
        self.draft: Draft | None = None
        self.fresh: DecisionFact | None = None
        """What was decided last that is no sale: it says what is known, and need not be compared with it."""
        self._set_terms(created)
        # A sale names its tickets when it is decided and once more when it is folded.
        self._named: tuple[Runs, list[str]] = ((), [])
        # What changes a purchase looks at it when it is decided, when it is folded, and when its effect is made.
        self._unpacked: tuple[bytes, Accepted] | None = None

    def _set_categories(self, created: EventCreated) -> None:
        self.issued = 0
        self.categories: list[Category] = []
        self.places: dict[str, int] = {}
        # Which category a ticket's number belongs to: the first numbers of ranges, and whose they are.
        self._firsts: list[int] = []
        self._owners: list[int] = []
        for id_, name, price, capacity in _categories(created):
            self.places[id_] = len(self.categories)
            self.categories.append(Category(id_, name, price, self.issued + 1, capacity))
            self._issue(len(self.categories) - 1, capacity)

    def copy(self) -> Event:
        """The event as it is now, for whoever tells of it later; nothing more is decided by it."""
        copied = object.__new__(Event)
        for name in Event.__slots__:
            setattr(copied, name, getattr(self, name))
        copied.categories = [category.copy() for category in self.categories]
        copied.accepted = self.accepted.copy()
        copied._firsts, copied._owners = self._firsts.copy(), self._owners.copy()
        return copied

    # What it is

    @property
    def left(self) -> int:
        """How many tickets can still be sold."""
        return sum(category.left for category in self.categories)

    @property
    def sold(self) -> int:
        """How many tickets are somebody's for good."""
        return sum(category.sold for category in self.categories)

    @property
    def held(self) -> int:
        """How many tickets are kept for somebody who has not paid yet."""
        return sum(category.held for category in self.categories)

    @property
    def removed(self) -> int:
        """How many tickets there were that were taken away."""
        return sum(category.removed for category in self.categories)

    @property
    def rules(self) -> int:
        """The version of the rules that it is sold by."""
        return self.now["rules"]

    def place_of(self, category: str | None) -> int | None:
        """Where a category stands among the event's; None where it has none of that id."""
        return self.places.get(category or GENERAL)

    def end_sale(self, *, cancelled: bool = False) -> None:
        """Nothing is sold any more: it was closed, or called off."""
        self.closed |= not cancelled
        self.cancelled |= cancelled
        self.has_conditions = True

    def by_present_rules(self, seq: int) -> bool:
        """Whether the fact of this seq says what the present rules say."""
        return 0 < self.rules_since <= seq

    def change(self, changed: EventChanged) -> None:
        """It is given anew; purchases keep their prices."""
        if not says_the_same(self.now, changed):
            self.page_since = changed["seq"]
        self.now = changed
        for category, (_, name, price, _) in zip(self.categories, _categories(changed), strict=True):
            category.name, category.price = name, price
        if not self.rules_since and changed["rules"] >= REMEMBERS_REFUSALS:
            self.rules_since = changed["seq"]
        self._set_terms(changed)

    def _set_terms(self, terms: EventCreated | EventChanged) -> None:
        self.on_sale_ms = _ms(terms.get("on_sale_at"))
        self.off_sale_ms = _ms(terms.get("off_sale_at"))
        self.hold_s = terms.get("hold_s", 0)
        self.max_per_order = terms.get("max_per_order", MAX_QUANTITY)
        conditions = {"on_sale_at", "off_sale_at", "max_per_buyer"}
        # Most sales have none, and need not look at each.
        self.has_conditions = self.closed or self.cancelled or not conditions.isdisjoint(terms)
        if "max_per_buyer" not in terms:
            self.bought = None
        elif self.bought is None:
            self.bought = self._count_buyers()

    def _count_buyers(self) -> dict[str, int]:
        bought: dict[str, int] = {}
        for packed in self.accepted.values():
            accepted = unpack(packed)
            if accepted.kind is Kind.PURCHASE and has_tickets(accepted):
                bought[accepted.buyer] = bought.get(accepted.buyer, 0) + count_of(accepted.runs)
        return bought

    # Its tickets

    def _issue(self, place: int, count: int) -> int:
        """Give numbers to new tickets of a category; returns the first."""
        first = self.issued + 1
        if not self._owners or self._owners[-1] != place:
            self._firsts.append(first)
            self._owners.append(place)
        self.issued += count
        return first

    def add(self, place: int, count: int) -> None:
        """There are more tickets of a category."""
        self.categories[place].add(self._issue(place, count), count)

    def category_of(self, number: int) -> int:
        """The place of the category that a ticket belongs to, by its number."""
        return self._owners[bisect_right(self._firsts, number) - 1]

    def by_category(self, runs: Iterable[Run]) -> dict[int, list[Run]]:
        """Tickets by the places of their categories. All of a run are of one: they came from one queue."""
        found: dict[int, list[Run]] = {}
        for run in runs:
            found.setdefault(self.category_of(run[0]), []).append(run)
        return found

    def tickets(self, runs: Runs) -> list[str]:
        """The names of numbered tickets: EVENT-NNNNNN. The list is for reading only."""
        known, names = self._named
        if known != runs:
            prefix, names = self.prefix, []
            for first, last in runs:
                number = first
                # A loop and zfill, since a comprehension and a format cost twice as much.
                while number <= last:
                    names.append(prefix + str(number).zfill(LEAST_DIGITS))
                    number += 1
            self._named = (runs, names)
        return names

    def head(self, lines: Iterable[PricedLine]) -> Runs:
        """The next tickets of some categories; the caller knows that there are enough."""
        runs: Runs = ()
        for place, quantity, _ in lines:
            runs += self.categories[place].head(quantity)
        return runs

    def are_left(self, lines: Iterable[PricedLine]) -> bool:
        """Whether there are enough tickets for all lines."""
        return all(self.categories[place].left >= quantity for place, quantity, _ in lines)

    def sell(self, runs: Runs) -> None:
        """The heads of their queues are somebody's."""
        for place, own in self.by_category(runs).items():
            self.categories[place].sold += self.categories[place].take(tuple(own))

    def hold(self, runs: Runs) -> None:
        """The heads of their queues are kept for somebody."""
        for place, own in self.by_category(runs).items():
            self.categories[place].held += self.categories[place].take(tuple(own))

    def pay(self, runs: Runs) -> None:
        """What was held is somebody's."""
        for place, own in self.by_category(runs).items():
            paid = count_of(own)
            self.categories[place].held -= paid
            self.categories[place].sold += paid

    def give_back(self, runs: Runs, *, held: bool) -> None:
        """What was sold or held joins the tails of the queues."""
        for place, own in self.by_category(runs).items():
            category = self.categories[place]
            joined = category.join(own)
            if held:
                category.held -= joined
            else:
                category.sold -= joined

    # Its requests

    def knows(self, request_id: str) -> bool:
        """Whether a request was answered for good, accepted or refused."""
        return request_id in self.accepted or (self.refusals.count > 0 and request_id in self.refusals)

    def purchase(self, request_id: str) -> Accepted | None:
        """The purchase of that request id; None where there is none."""
        accepted = self.request(request_id)
        return accepted if accepted is not None and accepted.kind is Kind.PURCHASE else None

    def request(self, request_id: str) -> Accepted | None:
        """What was accepted by that request id; None where nothing was."""
        packed = self.accepted.get(request_id)
        if packed is None:
            return None
        if self._unpacked is None or self._unpacked[0] is not packed:
            self._unpacked = packed, unpack(packed)
        return self._unpacked[1]

    def new_request(self, fact: DecisionFact) -> str:
        """The id of a request that is not known yet.

        Raises:
            FoldError: it was answered for good before.
        """
        if self.knows(fact["request_id"]):
            raise FoldError(f"event {self.event_id} answered request {fact['request_id']} before")
        return fact["request_id"]

    def keep(self, fact: DecisionFact, offset: int, origin: tuple[int, int] | None) -> None:
        """Remember a request by its fact, in one order of members, however it was read."""
        whole = to_json(dict(sorted(fact.items())) | {"decided_by": "local"})
        accepted = Accepted(Kind.FACT, fact["seq"], offset, at_ms_of(fact), origin, fact=whole)
        self.accept(fact["request_id"], accepted)

    def accept(self, request_id: str, accepted: Accepted) -> None:
        """Remember a request, or what has become of it."""
        self.accepted[request_id] = packed = pack(accepted)
        if accepted.kind is Kind.PURCHASE:
            self._unpacked = packed, accepted

    def lines_of(self, purchase: Accepted) -> tuple[PricedLine, ...]:
        """What a purchase asked for, and at which prices."""
        if purchase.lines:
            return purchase.lines
        return ((0, count_of(purchase.runs), self.first_price),)

    def lines_now(self, purchase: Accepted) -> tuple[PricedLine, ...]:
        """The same, of the tickets that it has, or had last."""
        return self.lines_among(purchase, purchase.runs)

    def lines_among(self, purchase: Accepted, runs: Runs) -> tuple[PricedLine, ...]:
        """The same, of some tickets that are the purchase's, or were."""
        own = self.by_category(runs)
        lines = self.lines_of(purchase)
        return tuple((place, count_of(own[place]), price) for place, _, price in lines if place in own)

    def amount_of(self, runs: Runs, lines: Sequence[PricedLine]) -> int:
        """What tickets of a purchase cost."""
        if len(lines) == 1:
            return count_of(runs) * lines[0][2]
        prices = {place: price for place, _, price in lines}
        return sum((last - first + 1) * prices[self.category_of(first)] for first, last in runs)

    def count_for(self, buyer: str, tickets: int) -> None:
        """A buyer has so many tickets more, or less."""
        if self.bought is not None:
            count = self.bought.get(buyer, 0) + tickets
            if count:
                self.bought[buyer] = count
            else:
                self.bought.pop(buyer, None)

    def runs_of(self, tickets: Sequence[str], within: Runs) -> Runs | None:
        """The numbers of named tickets, in the order of ``within``; None if they are not all among those."""
        # By their names: what stands in a fact may be no ticket's name.
        numbers = dict(zip(self.tickets(within), numbers_in(within), strict=True))
        wanted = {numbers[ticket] for ticket in tickets if ticket in numbers}
        return tuple(those_of(within, wanted.__contains__)) if len(wanted) == len(tickets) else None


def has_tickets(purchase: Accepted) -> bool:
    """Whether the tickets of a purchase are its own: bought, or held."""
    return purchase.state in (State.CONFIRMED, State.HELD)


def _categories(terms: EventCreated | EventChanged) -> Iterator[tuple[str, str, int, int]]:
    """Id, name, price and capacity of each."""
    named: Any = terms.get("categories")
    if named is None:
        yield GENERAL, "", terms["price"]["amount"], terms["capacity"]
        return
    for category in named:
        yield category["id"], category["name"], category["price"]["amount"], category["capacity"]


def _currency(created: EventCreated) -> str:
    priced: Any = created["categories"][0] if "categories" in created else created
    return str(priced["price"]["currency"])


def _ms(text: str | None) -> int | None:
    """The first millisecond that is not before a time: commands come at whole ones."""
    return None if text is None else -((_EPOCH - moment(text)) // _MILLISECOND)


def at_ms_of(fact: DecisionFact) -> int:
    """When the command of a fact came.

    Raises:
        FoldError: that is no time at which one can have come.
    """
    try:
        timestamp_ms = at_ms(fact["at"])
    except ValueError:
        timestamp_ms = -1
    if timestamp_ms < 0:
        raise FoldError(f"{fact['at']} is no time at which a command can have come")
    return timestamp_ms
