"""An owner's table and what it sends to Redis, as a worker does, for the tests of the scripts and the store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from boxoffice.redis.connection import connect
from boxoffice.redis.store import DecideCall, DecideReply, EventCopy, RedisStore, Snapshot, expected_copy
from boxoffice.settings import load_settings
from models.commands import (
    AddTickets,
    CancelPurchase,
    CloseEvent,
    Command,
    CreateEvent,
    Price,
    Purchase,
)
from models.event import Position
from models.inventory import Inventory, decide, fold
from models.shapes import DecisionFact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = 3
PATIENT_MS = 20_000
"""A timeout for tests that are not about it, on a machine that has other things to do."""

Log = list[tuple[Command, Position]]


def creation(event_id: str = "42", request_id: str = "c-1", **members: Any) -> CreateEvent:
    event = {
        "type": "create_event",
        "request_id": request_id,
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Große Halle",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10,
        "price": Price(amount=4500, currency="EUR"),
    }
    return CreateEvent.model_validate(event | members)


def purchase(request_id: str, quantity: int = 1, event_id: str = "42", buyer: str = "b-1") -> Purchase:
    return Purchase(request_id=request_id, event_id=event_id, buyer=buyer, quantity=quantity)


def cancellation(request_id: str, of: str, event_id: str = "42", **buyer: str) -> CancelPurchase:
    return CancelPurchase(type="cancel_purchase", request_id=request_id, event_id=event_id, purchase=of, **buyer)


def addition(request_id: str, count: int, event_id: str = "42") -> AddTickets:
    return AddTickets(type="add_tickets", request_id=request_id, event_id=event_id, count=count)


def closing(request_id: str, event_id: str = "42") -> CloseEvent:
    return CloseEvent(type="close_event", request_id=request_id, event_id=event_id)


def at_home(commands: Iterable[Command], offset: int = 0) -> Log:
    """The commands at offsets one after the other."""
    return [
        (command, Position(place, 1_795_341_600_000 + place, {"partition": HOME, "offset": place}))
        for place, command in enumerate(commands, offset)
    ]


@dataclass
class Decided:
    """What a table made of a batch: the call for each event it knew, with the facts that Redis should agree to."""

    calls: dict[str, DecideCall] = field(default_factory=dict)
    facts: dict[str, list[tuple[DecisionFact, int]]] = field(default_factory=dict)

    def expected_of(self, call: DecideCall) -> list[DecisionFact]:
        return [fact for fact, _ in self.facts[call.event_id]]


class Table:
    """One owner's table. It folds what it decides at once."""

    def __init__(self) -> None:
        self.inventory = Inventory(HOME)
        self.history: dict[str, list[tuple[DecisionFact, int]]] = {}
        """Every fact that took a seq, with its offset at home: fact number n stands at n - 1."""

    def take(self, log: Log) -> Decided:
        """Decide commands, in order; repeats and commands for events that are not known are not for Redis."""
        decided = Decided()
        seqs = {event_id: event.seq for event_id, event in self.inventory.events.items()}
        commands: dict[str, Log] = {}
        for command, position in log:
            event_id = command.event_id
            fact = decide(self.inventory, command, position)
            if not fold(self.inventory, fact, position.offset):
                continue
            self.history.setdefault(event_id, []).append((fact, position.offset))
            if fact["type"] == "event_created":
                seqs[event_id] = 1
            else:
                commands.setdefault(event_id, []).append((command, position))
                decided.facts.setdefault(event_id, []).append((fact, position.offset))
        decided.calls = {
            event_id: DecideCall(event_id, seqs[event_id], commands) for event_id, commands in commands.items()
        }
        return decided

    def snapshot(self, event_id: str = "42") -> Snapshot:
        return Snapshot.of(self.inventory.events[event_id], HOME)

    def copy(self, event_id: str = "42") -> EventCopy:
        return expected_copy(self.snapshot(event_id))


@asynccontextmanager
async def open_store(url: str, prefix: str, **settings: Any) -> AsyncIterator[RedisStore]:
    chosen = load_settings(redis_url=url, topic_prefix=prefix, **{"redis_timeout_ms": PATIENT_MS, **settings}).redis
    store = RedisStore(connect(chosen), chosen)
    try:
        yield store
    finally:
        await store.aclose()


async def decide_in(store: RedisStore, *calls: DecideCall) -> list[DecideReply]:
    """The replies, which must not be errors."""
    replies = []
    for reply in await store.decide(calls):
        assert isinstance(reply, DecideReply), reply
        replies.append(reply)
    return replies


async def ask(client: Redis, *words: str | int | bytes) -> Any:
    """A command for which redis-py has no method, or whose method hides what is sent."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]
