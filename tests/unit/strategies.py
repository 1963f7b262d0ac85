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

from models.commands import CancelPurchase, Command, CreateEvent, Purchase, read_command
from models.event import Position
from models.inventory import Inventory, decide, fold, is_second_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.shapes import Fact, Source

HOME = 3
"""The partition of the inventories under test."""

EVENT_IDS = ("42", "42", "42", "7")
PURCHASE_IDS = tuple(f"r-{number}" for number in range(16))
CANCELLATION_IDS = tuple(f"x-{number}" for number in range(1, 9))
OTHER_IDS = ("c-1", "a-1", "a-2", "z-1", "x-1")
BUYERS = ("b-1", "b-2", "Zoë, 2nd row")
BUYERS_TO_CANCEL: tuple[dict[str, str], ...] = ({}, {}, *({"buyer": buyer} for buyer in BUYERS))
QUANTITIES = (1, 2, 1, 3, 2, 4, 5, 7)
OTHER_PARTITIONS = (0, 1, 11)
STARTS = ("2027-03-01T19:30:00Z", "2027-03-01T19:30+01:00", "2027-03-01T19:30:00.123456789Z", "2027-03-01T19:30:00Z")
TIMES_MS = (1_795_341_600_000, 1_795_341_600_123, 1_795_341_599_999, 0, 253_402_300_799_999)

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
    *("cancel_purchase",) * 5,
    *("add_tickets",) * 2,
    *("create_event",) * 2,
    *("close_event",) * 2,
)


def command_members(kind: str, number: int) -> Members:
    """The members of one command of a kind: every choice is in the number."""
    choose = _Choices(number)
    command: Members = {"type": kind, "event_id": choose(EVENT_IDS)}
    match kind:
        case "purchase":
            command["request_id"] = choose((*PURCHASE_IDS, "x-1", "c-1"))
            command["quantity"] = choose(QUANTITIES)
            command["buyer"] = choose(BUYERS)
        case "cancel_purchase":
            command["request_id"] = choose((*CANCELLATION_IDS, "r-1"))
            command["purchase"] = choose((*PURCHASE_IDS, "x-1", "c-1"))
            command |= choose(BUYERS_TO_CANCEL)
        case "add_tickets":
            command["request_id"] = choose((*OTHER_IDS, "r-2"))
            command["count"] = choose(range(1, 7))
        case "create_event":
            command["request_id"] = choose((*OTHER_IDS, "r-0"))
            command |= {
                "name": choose(("Night at the Opera", "Øresund")),
                "venue": "Main Hall",
                "starts_at": "2027-03-01T19:30:00Z",
                "capacity": choose(range(1, 13)),
                "price": {"amount": choose((0, 4500)), "currency": "EUR"},
            }
            if choose((False, False, True)):
                command["max_per_order"] = 4
            command["starts_at"] = choose(STARTS)
        case "close_event":
            command["request_id"] = choose((*OTHER_IDS, "r-3"))
    return command


_NUMBERS = st.integers(0, 2**20)


def members(kinds: Sequence[str] = KINDS) -> st.SearchStrategy[Members]:
    """The members of a command of some kind; purchases are the most common."""
    return st.builds(command_members, st.sampled_from(kinds), _NUMBERS)


def with_nulls(command: Members) -> st.SearchStrategy[Members]:
    """The same members, and nulls for some that are left out, as a serializer writes them: its class may know more."""
    others = {"quantity", "buyer", "max_per_order", "purchase", "count", "note", "price", "starts_at"}
    nulls = st.sets(st.sampled_from(sorted(others - command.keys()))).map(dict.fromkeys)
    return nulls.map(lambda added: _price_with_null({**added, **command}))


def _price_with_null(command: Members) -> Members:
    return {**command, "price": {**command["price"], "tax": None}} if command.get("price") else command


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


_STEPS = st.tuples(st.sampled_from((*KINDS, *("again",) * 4, *("give back",) * 8)), _NUMBERS, st.integers(0, 959))


@st.composite
def arrivals(draw: st.DrawFn, min_size: int = 0, max_size: int = 60, *, opened: bool = True) -> list[Arrival]:
    """Commands as they arrive at home: offsets with gaps, times that may stand still or go back.

    With ``opened`` the first of them creates event 42. Commands are asked again, and purchases that
    were asked are cancelled. Some were forwarded; a forwarder's origins rise, and now and then begin
    again from an earlier one, as after a crash: those are second copies.
    """
    # Lists alone stay short on average, and an event takes some commands to sell out.
    size = draw(st.integers(min_size, max_size))
    limit: Members = draw(st.sampled_from([{}, {"max_per_order": 4}]))
    asked: list[Command] = [opening(capacity=draw(st.integers(1, 20)), **limit)] if opened else []
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
    """Any command; or one that was asked before, again; or the cancellation of a purchase that was asked."""
    choose = _Choices(number)
    if kind == "again" and asked:
        return choose(asked)
    bought = [command for command in asked if isinstance(command, Purchase)]
    if kind == "give back" and bought:
        sold = choose(bought)
        return CancelPurchase(
            type="cancel_purchase",
            request_id=choose(CANCELLATION_IDS),
            event_id=sold.event_id,
            purchase=sold.request_id,
            **choose(({}, {"buyer": sold.buyer}, {"buyer": choose(BUYERS)})),
        )
    return as_command(command_members(kind if kind in KINDS else "purchase", number))


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
            "seq": event.seq,
            "fence": event.fence,
            "issued": event.issued,
            "sold": event.sold,
            "closed": event.closed,
            "queue": event.tickets(tuple(event.queue)),
            "accepted": dict(event.accepted),
        }
        for event_id, event in inventory.events.items()
    }
    origins = {number: list(origins) for number, origins in inventory.origins.items()}
    return {"partition": inventory.partition, "events": events, "origins": origins}


def without_decider(fact: Fact) -> dict[str, Any]:
    """The members of a fact that never differ when it is published again."""
    return {member: value for member, value in fact.items() if member != "decided_by"}
