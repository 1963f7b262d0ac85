"""Hypothesis strategies for commands and for the order in which they arrive on a partition.

Ids, buyers and quantities come from small pools, so that repeats, reused ids, sold-out events and
cancellations of what exists are common; bounds are tested elsewhere, by example. A command is drawn as
two numbers and not member by member, which is twenty times faster and shrinks as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

from models.commands import Command, CreateEvent, Purchase, read_command
from models.event import Category, Position
from models.inventory import Inventory, decide, fold, is_second_copy
from models.runs import numbers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.shapes import Fact, Source

HOME = 3
"""The partition of the inventories under test."""

EVENT_IDS = ("42", "42", "42", "42", "42", "7")
PURCHASE_IDS = tuple(f"r-{number}" for number in range(16))
CANCELLATION_IDS = tuple(f"x-{number}" for number in range(1, 9))
PAYING_IDS = tuple(f"p-{number}" for number in range(1, 9))
EXPIRY_IDS = tuple(f"e-{number}" for number in range(1, 5))
OTHER_IDS = ("c-1", "a-1", "a-2", "z-1", "x-1")
CHANGING_IDS = tuple(f"h-{number}" for number in range(1, 5))
PAYMENTS = tuple(f"pay-{number}" for number in range(1, 7))
CATEGORIES = (None, None, "general", "stalls", "stalls", "balcony", "balcony", "roof")
"""What a command may name; ``roof`` is none of any event's."""
PRICES = {"general": 4500, "stalls": 4500, "balcony": 1500, "roof": 1}
ACTORS: tuple[dict[str, str], ...] = ({}, {}, {}, {}, {"actor": "till 3"}, {"actor": "Zoë"})
BUYERS = ("b-1", "b-2", "Zoë, 2nd row")
BUYERS_TO_CANCEL: tuple[dict[str, str], ...] = ({}, {}, *({"buyer": buyer} for buyer in BUYERS))
QUANTITIES = (1, 2, 1, 3, 2, 4, 5, 7)
OTHER_PARTITIONS = (0, 1, 11)
STARTS = ("2027-03-01T19:30:00Z", "2027-03-01T19:30+01:00", "2027-03-01T19:30:00.123456789Z", "2027-03-01T19:30:00Z")
TIMES_MS = (
    *(1_795_341_600_000, 1_795_341_600_123, 1_795_341_599_999, 0, 253_402_300_799_999),
    *(1_795_341_660_000, 1_795_341_660_123),
)
"""The last two are a minute later: what was held for so long is due."""
ON_SALE = ("2026-11-22T10:00:00.000Z", "2026-11-22T11:00:00.1229+01:00", "2026-11-22 10:00Z", "1900-01-01T00:00:00Z")
OFF_SALE = ("2026-11-22T10:01:00Z", "2026-11-22T11:01:00.1229+01:00")

T = TypeVar("T")
Members = dict[str, Any]
"""A command's members, as JSON has them."""


class _Choices:
    """Small choices, all taken out of one number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, values: Sequence[T]) -> T:
        self.number, index = divmod(self.number, len(values))
        return values[index]


KINDS = (
    *("purchase",) * 18,
    *("confirm_purchase",) * 2,
    *("expire_hold",) * 2,
    *("cancel_purchase",) * 3,
    *("add_tickets",) * 2,
    *("remove_tickets",) * 2,
    *("create_event",) * 2,
    *("change_event",) * 2,
    *("close_event",),
    *("cancel_event",),
    *("archive_event",),
)


def command_members(kind: str, number: int) -> Members:
    """The members of one command of a kind: every choice is in the number."""
    choose = _Choices(number)
    command: Members = {"type": kind, "event_id": choose(EVENT_IDS), **choose(ACTORS)}
    return command | _MEMBERS[kind](choose)


def _purchase(choose: _Choices) -> Members:
    command: Members = {"request_id": choose((*PURCHASE_IDS, "x-1", "c-1")), "buyer": choose(BUYERS)}
    match choose(("quantity", "quantity", "category", "lines")):
        case "quantity":
            command["quantity"] = choose(QUANTITIES)
        case "category":
            command |= {"quantity": choose(QUANTITIES), **_category(choose)}
        case "lines":
            wanted = dict.fromkeys(choose((("stalls", "balcony"), ("balcony", "stalls"), ("stalls",), ("general",))))
            command["lines"] = [{"category": category, "quantity": choose(QUANTITIES)} for category in wanted]
    return command


def _category(choose: _Choices) -> Members:
    category = choose(CATEGORIES)
    return {} if category is None else {"category": category}


def _confirm_purchase(choose: _Choices) -> Members:
    return {
        "request_id": choose((*PAYING_IDS, "r-1")),
        "purchase": choose((*PURCHASE_IDS, "x-1")),
        "payment": choose(PAYMENTS),
        "amount": choose((1, 1, 2, 3)) * choose((4500, 4500, 1500, 0)),
        "currency": choose(("EUR", "EUR", "EUR", "CHF")),
    }


def _expire_hold(choose: _Choices) -> Members:
    return {"request_id": choose((*EXPIRY_IDS, "r-1")), "purchase": choose((*PURCHASE_IDS, "x-1"))}


def _cancel_purchase(choose: _Choices) -> Members:
    command: Members = {"request_id": choose((*CANCELLATION_IDS, "r-1")), "purchase": choose((*PURCHASE_IDS, "c-1"))}
    command |= choose(BUYERS_TO_CANCEL)
    if choose((False, False, True)):
        command["tickets"] = [f"42-{choose(range(1, 9)):06d}", f"42-{choose(range(9, 13)):06d}"][: choose((1, 2))]
    return command


def _create_event(choose: _Choices) -> Members:
    command: Members = {
        "request_id": choose((*OTHER_IDS, "r-0")),
        "name": choose(("Night at the Opera", "Øresund")),
        "venue": "Main Hall",
        "starts_at": choose(STARTS),
    }
    amount = choose((0, 4500))
    if choose((False, True)):
        command |= {"capacity": choose(range(1, 13)), "price": {"amount": amount, "currency": "EUR"}}
    else:
        command["categories"] = categories(choose(range(1, 7)), choose(range(1, 7)), amount)
    return command | _some_terms(choose)


def categories(stalls: int = 4, balcony: int = 6, price: int = 4500) -> list[Members]:
    """Two categories of an event; the balcony's price is the same everywhere."""
    return [
        {"id": id_, "name": id_.title(), "capacity": capacity, "price": {"amount": amount, "currency": "EUR"}}
        for id_, capacity, amount in (("stalls", stalls, price), ("balcony", balcony, 1500))
    ]


def _some_terms(choose: _Choices) -> Members:
    """What else may be given of an event; the last of each is not."""
    given = {
        "max_per_order": choose((4, None, None)),
        "hold_s": choose((60, 60, None)),
        "max_per_buyer": choose((3, 9, None)),
        "on_sale_at": choose((*ON_SALE, *[None] * 8)),
        "off_sale_at": choose((*OFF_SALE, *[None] * 8)),
    }
    return {name: value for name, value in given.items() if value is not None}


def _change_event(choose: _Choices) -> Members:
    command: Members = {"request_id": choose((*CHANGING_IDS, "r-4"))} | _some_terms(choose)
    if choose((False, True)):
        command["name"] = choose(("Night at the Opera", "Another Night"))
    for limit in ("hold_s", "max_per_order", "max_per_buyer"):
        if limit in command and choose((False, True)):
            command[limit] = 0
    if choose((False, True)):
        named = choose((("general",), ("stalls",), ("balcony", "stalls"), ("stalls", "roof")))
        command["prices"] = [{"category": category, "amount": choose((0, 1500, 4500))} for category in named]
    return command


def _of_some_tickets(choose: _Choices) -> Members:
    return {"request_id": choose((*OTHER_IDS, "r-2")), "count": choose(range(1, 7)), **_category(choose)}


def _of_the_whole(choose: _Choices) -> Members:
    return {"request_id": choose((*OTHER_IDS, "r-3"))}


_MEMBERS: dict[str, Callable[[_Choices], Members]] = {
    "purchase": _purchase,
    "confirm_purchase": _confirm_purchase,
    "expire_hold": _expire_hold,
    "cancel_purchase": _cancel_purchase,
    "create_event": _create_event,
    "change_event": _change_event,
    "add_tickets": _of_some_tickets,
    "remove_tickets": _of_some_tickets,
    "close_event": _of_the_whole,
    "cancel_event": _of_the_whole,
    "archive_event": _of_the_whole,
}


_NUMBERS = st.integers(0, 2**40)


def members(kinds: Sequence[str] = KINDS) -> st.SearchStrategy[Members]:
    """The members of a command of some kind; purchases are the most common."""
    return st.builds(command_members, st.sampled_from(kinds), _NUMBERS)


def with_nulls(command: Members) -> st.SearchStrategy[Members]:
    """The same members, and nulls for some that are left out, as a serializer writes them: its class may know more."""
    others = {
        "quantity",
        "buyer",
        "max_per_order",
        "purchase",
        "count",
        "note",
        "price",
        "starts_at",
        "lines",
        "actor",
    }
    nulls = st.sets(st.sampled_from(sorted(others - command.keys()))).map(dict.fromkeys)
    return nulls.map(lambda added: _with_nulls_inside({**added, **command}))


def _with_nulls_inside(value: Any) -> Any:
    """The same with a null more in each object that stands in it."""
    if isinstance(value, list):
        return [_with_a_null(one) for one in value]
    return {name: _with_a_null(member) for name, member in value.items()}


def _with_a_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {**_with_nulls_inside(value), "tax": None}
    return _with_nulls_inside(value) if isinstance(value, list) else value


def commands(kinds: Sequence[str] = KINDS) -> st.SearchStrategy[Command]:
    """A command, read."""
    return members(kinds).map(as_command)


def as_command(command: Members) -> Command:
    """The command with these members, read as a worker reads it."""
    return read_command(json.dumps(command).encode())


def opening(event_id: str = "42", request_id: str = "c-1", **members: Any) -> CreateEvent:
    """A ``create_event`` with ten tickets, or as the members say."""
    event = {
        "type": "create_event",
        "request_id": request_id,
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10,
        "price": {"amount": 4500, "currency": "EUR"},
    }
    return CreateEvent.model_validate(event | members)


def purchase(request_id: str, quantity: int = 1, buyer: str = "b-1", event_id: str = "42") -> Purchase:
    """A ``purchase``."""
    return Purchase(request_id=request_id, event_id=event_id, buyer=buyer, quantity=quantity)


@dataclass(frozen=True)
class Arrival:
    """A command at its home: its offset there, the broker's time, and where it was produced."""

    command: Command
    offset: int
    timestamp_ms: int
    source: Source

    @property
    def position(self) -> Position:
        """What decide is told about it."""
        return Position(self.offset, self.timestamp_ms, self.source)

    @property
    def origin(self) -> Source | None:
        """Where it was forwarded from, if it was."""
        return self.source if self.source["partition"] != HOME else None


_STEPS = st.tuples(
    st.sampled_from((*KINDS, *("again",) * 4, *("give back",) * 7, *("pay",) * 7, *("expire",) * 5)),
    _NUMBERS,
    st.integers(0, 4 * 4 * 3 * 4 * len(TIMES_MS) - 1),
)


@st.composite
def arrivals(draw: st.DrawFn, min_size: int = 0, max_size: int = 60, *, opened: bool = True) -> list[Arrival]:
    """Commands as they arrive at home: offsets with gaps, times that may stand still or go back.

    With ``opened`` the first of them creates event 42. Commands are asked again, and purchases that were asked are
    cancelled, paid for, or looked at whether they are due. Some were forwarded; a forwarder's origins rise, and now and
    then begin again from an earlier one, as after a crash: those are second copies.
    """
    # Lists alone stay short on average, and an event takes some commands to sell out.
    size = draw(st.integers(min_size, max_size))
    terms: Members = draw(
        st.sampled_from([{}, {"max_per_order": 4}, {"hold_s": 60}, {"hold_s": 60, "max_per_buyer": 4}])
    )
    if opened and draw(st.booleans()):
        stalls, balcony = draw(st.integers(1, 10)), draw(st.integers(1, 10))
        terms |= {"capacity": None, "price": None, "categories": categories(stalls, balcony)}
    elif opened:
        terms["capacity"] = draw(st.integers(1, 20))
    asked: list[Command] = [opening(**terms)] if opened else []
    offset, found_at = 0, dict.fromkeys(OTHER_PARTITIONS, 0)
    arrived = [Arrival(command, 0, TIMES_MS[0], {"partition": HOME, "offset": 0}) for command in asked]
    for kind, number, way in draw(st.lists(_STEPS, min_size=size, max_size=size)):
        command = _next_command(kind, number, asked)
        asked.append(command)
        choose = _Choices(way)
        offset += choose((1, 1, 2, 5))
        source: Source = {"partition": HOME, "offset": offset}
        if choose((False, False, False, True)):
            origin = choose(OTHER_PARTITIONS)
            found_at[origin] = max(0, found_at[origin] + choose((1, 3, 0, -1)))
            source = {"partition": origin, "offset": found_at[origin]}
        arrived.append(Arrival(command, offset, choose(TIMES_MS), source))
    return arrived


def _next_command(kind: str, number: int, asked: list[Command]) -> Command:
    """Any command; or one that was asked before, again; or something about a purchase that was asked."""
    choose = _Choices(number)
    if kind == "again" and asked:
        return choose(asked)
    bought = [command for command in asked if isinstance(command, Purchase)]
    if kind in KINDS or not bought:
        return as_command(command_members(kind if kind in KINDS else "purchase", number))
    sold = choose(bought)
    about = {"event_id": sold.event_id, "purchase": sold.request_id}
    match kind:
        case "give back":
            buyer = choose(({}, {"buyer": sold.buyer}, {"buyer": choose(BUYERS)}))
            some = {"tickets": [f"{sold.event_id}-{choose(range(1, 13)):06d}"]} if choose((False, False, True)) else {}
            return as_command(
                {"type": "cancel_purchase", "request_id": choose(CANCELLATION_IDS), **about, **buyer, **some}
            )
        case "pay":
            paid = {"payment": choose(PAYMENTS), "amount": _amount(sold), "currency": "EUR"}
            return as_command({"type": "confirm_purchase", "request_id": choose(PAYING_IDS), **about, **paid})
    return as_command({"type": "expire_hold", "request_id": choose(EXPIRY_IDS), **about})


def _amount(sold: Purchase) -> int:
    """What it costs, as long as no price was changed."""
    lines = [(sold.category or "stalls", sold.quantity)]
    if sold.lines is not None:
        lines = [(line.category, line.quantity) for line in sold.lines]
    return sum(quantity * PRICES[category] for category, quantity in lines)


def answer(inventory: Inventory, arrival: Arrival) -> Fact | None:
    """Decide one arrival and fold the fact; None for a second copy, which gets no record."""
    if arrival.origin and is_second_copy(inventory, arrival.origin, arrival.command):
        return None
    fact = decide(inventory, arrival.command, arrival.position)
    fold(inventory, fact, arrival.offset)
    return fact


def sell(inventory: Inventory, arrived: list[Arrival]) -> list[Fact]:
    """The facts that answer the arrivals, in order."""
    answers = [answer(inventory, arrival) for arrival in arrived]
    return [fact for fact in answers if fact is not None]


def state(inventory: Inventory) -> dict[str, Any]:
    """Everything that an inventory holds, as a value that later changes do not reach."""
    events = {
        event_id: {
            "created": dict(event.created),
            "now": without_decider(event.now),
            "rules_since": event.rules_since,
            "page_since": event.page_since,
            "seq": event.seq,
            "fence": event.fence,
            "issued": event.issued,
            "closed": event.closed,
            "cancelled": event.cancelled,
            "categories": [_state_of(category) for category in event.categories],
            "accepted": dict(event.accepted),
            "refusals": dict(event.refusals.items()),
            "payments": dict(event.payments),
            "bought": None if event.bought is None else dict(event.bought),
        }
        for event_id, event in inventory.events.items()
    }
    origins = {number: list(origins) for number, origins in inventory.origins.items()}
    archived = dict(inventory.archived)
    return {"partition": inventory.partition, "events": events, "archived": archived, "origins": origins}


def _state_of(category: Category) -> dict[str, Any]:
    figures = ("id", "name", "price", "issued", "removed", "sold", "held", "left")
    return {name: getattr(category, name) for name in figures} | {"queue": list(numbers_in(category.queue))}


def without_decider(fact: Fact) -> dict[str, Any]:
    """The members of a fact that never differ when it is published again."""
    return {member: value for member, value in fact.items() if member != "decided_by"}
