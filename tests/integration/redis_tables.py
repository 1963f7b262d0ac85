"""An owner's table and what it sends to Redis, as a worker does, for the tests of the scripts and the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from boxoffice.redis.connection import connect
from boxoffice.redis.store import (
    Code,
    DecideCall,
    DecideReply,
    EventCopy,
    RedisStore,
    Snapshot,
    differences,
    expected_copy,
)
from boxoffice.settings import load_settings
from lua.calls import Applied
from lua.effects import effect_of
from models.commands import (
    AddTickets,
    ArchiveEvent,
    CancelEvent,
    CancelPurchase,
    ChangeEvent,
    CloseEvent,
    Command,
    ConfirmPurchase,
    CreateEvent,
    ExpireHold,
    Purchase,
    RemoveTickets,
)
from models.event import Event, Position
from models.inventory import Inventory, decide, fold
from models.shapes import DecisionFact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = 3
BEGINS_MS = 1_795_341_600_000
PATIENT_MS = 20_000
"""A timeout for tests that are not about it, on a machine that has other things to do."""

Log = list[tuple[Command, Position]]


# Commands


def creation(event_id: str = "42", request_id: str = "c-1", **members: Any) -> CreateEvent:
    """Ten tickets at one price, or what the members say."""
    event: dict[str, Any] = {
        "type": "create_event",
        "request_id": request_id,
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Große Halle",
        "starts_at": "2027-03-01T19:30:00Z",
    }
    if "categories" not in members:
        event |= {"capacity": 10, "price": {"amount": 4500, "currency": "EUR"}}
    return CreateEvent.model_validate(event | members)


def categories(amount: int = 4500, **capacities: int) -> list[dict[str, Any]]:
    """Categories of so many tickets each, at one price."""
    price = {"amount": amount, "currency": "EUR"}
    return [{"id": id_, "name": id_.title(), "capacity": count, "price": price} for id_, count in capacities.items()]


def purchase(request_id: str, quantity: int = 1, event_id: str = "42", buyer: str = "b-1", **members: Any) -> Purchase:
    return Purchase(request_id=request_id, event_id=event_id, buyer=buyer, quantity=quantity, **members)


def order(request_id: str, event_id: str = "42", buyer: str = "b-1", **quantities: int) -> Purchase:
    """A purchase of several categories."""
    lines = [{"category": category, "quantity": quantity} for category, quantity in quantities.items()]
    return Purchase.model_validate({"request_id": request_id, "event_id": event_id, "buyer": buyer, "lines": lines})


def payment(request_id: str, of: str, amount: int = 4500, event_id: str = "42", by: str = "") -> ConfirmPurchase:
    return ConfirmPurchase(
        type="confirm_purchase",
        request_id=request_id,
        event_id=event_id,
        purchase=of,
        payment=by or f"pay:{request_id}",
        amount=amount,
        currency="EUR",
    )


def expiry(request_id: str, of: str, event_id: str = "42") -> ExpireHold:
    return ExpireHold(type="expire_hold", request_id=request_id, event_id=event_id, purchase=of)


def cancellation(request_id: str, of: str, event_id: str = "42", **members: Any) -> CancelPurchase:
    return CancelPurchase(type="cancel_purchase", request_id=request_id, event_id=event_id, purchase=of, **members)


def change(request_id: str, event_id: str = "42", **members: Any) -> ChangeEvent:
    given = {"type": "change_event", "request_id": request_id, "event_id": event_id}
    return ChangeEvent.model_validate(given | members)


def addition(request_id: str, count: int, event_id: str = "42", **members: Any) -> AddTickets:
    return AddTickets(type="add_tickets", request_id=request_id, event_id=event_id, count=count, **members)


def removal(request_id: str, count: int, event_id: str = "42", **members: Any) -> RemoveTickets:
    return RemoveTickets(type="remove_tickets", request_id=request_id, event_id=event_id, count=count, **members)


def closing(request_id: str, event_id: str = "42") -> CloseEvent:
    return CloseEvent(type="close_event", request_id=request_id, event_id=event_id)


def calling_off(request_id: str, event_id: str = "42") -> CancelEvent:
    return CancelEvent(type="cancel_event", request_id=request_id, event_id=event_id)


def archiving(request_id: str, event_id: str = "42") -> ArchiveEvent:
    return ArchiveEvent(type="archive_event", request_id=request_id, event_id=event_id)


def at_home(commands: Iterable[Command], offset: int = 0, at_ms: int = BEGINS_MS) -> Log:
    """The commands at offsets one after the other, a millisecond apart."""
    return [
        (command, Position(place, at_ms + place, {"partition": HOME, "offset": place}))
        for place, command in enumerate(commands, offset)
    ]


class Table:
    """One owner's table. It folds what it decides at once.

    Events of ``first_rules`` were created by a worker of an earlier release, under the rules of then.
    """

    def __init__(self, first_rules: Collection[str] = ()) -> None:
        self.inventory = Inventory(HOME)
        self.history: dict[str, list[Applied]] = {}
        """Every fact that took a seq behind its event's creation: fact number n stands at n - 2."""
        self._first_rules = first_rules

    def take(self, log: Log) -> dict[str, DecideCall]:
        """Decide commands, in order: the call for each event. What is repeated or archived is not for Redis."""
        seqs = {event_id: event.seq for event_id, event in self.inventory.events.items()}
        events = dict(self.inventory.events)
        decided: dict[str, list[Applied]] = {}
        for command, position in log:
            event_id = command.event_id
            before = self.inventory.events.get(event_id)
            fact = self._fact(command, position)
            if not fold(self.inventory, fact, position.offset):
                continue
            if before is None:
                seqs[event_id] = self.inventory.seq_of(event_id)
                if event_id in self.inventory.events:
                    events[event_id] = self.inventory.events[event_id]
                continue
            applied = Applied(fact, position.offset, effect_of(before, fact, HOME))
            self.history.setdefault(event_id, []).append(applied)
            decided.setdefault(event_id, []).append(applied)
        return {
            event_id: DecideCall(events[event_id], seqs[event_id], of_event)
            for event_id, of_event in decided.items()
            if event_id in self.inventory.events
        }

    def _fact(self, command: Command, position: Position) -> DecisionFact:
        fact = decide(self.inventory, command, position)
        if fact["type"] == "event_created" and command.event_id in self._first_rules:
            fact["rules"] = 1
        return fact

    def event(self, event_id: str = "42") -> Event:
        return self.inventory.events[event_id]

    def facts(self, event_id: str = "42") -> list[DecisionFact]:
        return [applied.fact for applied in self.history.get(event_id, [])]

    def snapshot(self, event_id: str = "42") -> Snapshot:
        return Snapshot.of(self.event(event_id), HOME)

    def copy(self, event_id: str = "42") -> EventCopy:
        return expected_copy(self.snapshot(event_id))


async def on_sale(store: RedisStore, *more: Command, table: Table | None = None, **members: Any) -> Table:
    """Event 42 in a table and in Redis, after it was created as the members say, and more commands."""
    table = table or Table()
    table.take(at_home([creation(**members), *more]))
    assert await store.rebuild(table.snapshot()) == Code.REPLACED
    return table


def taken(table: Table, *commands: Command, later_s: int = 0) -> DecideCall:
    """The call for these commands for event 42, which come next."""
    return table.take(at_home(commands, table.event().fence + 1, BEGINS_MS + 1000 * later_s))["42"]


def behind(backlog: Sequence[Applied], call: DecideCall) -> DecideCall:
    """A call, with facts in front that Redis may have missed: those just before it."""
    seq = backlog[0].fact["seq"] - 1 if backlog else call.seq
    return DecideCall(call.event, seq, call.decided, backlog)


async def differing(store: RedisStore, table: Table) -> list[str]:
    """How event 42 in Redis differs from the table."""
    found = await store.read_event("42")
    assert found is not None
    return differences(found, table.copy())


async def dumped(client: Redis, keys: Iterable[str]) -> list[Any]:
    """All that lies under some keys. DUMP would not do: of a larger hash it says the fields in any order."""
    return [await _dumped(client, key) for key in keys]


async def _dumped(client: Redis, key: str) -> Any:
    match await client.type(key):
        case b"hash":
            return await ask(client, "HGETALL", key)
        case b"list":
            return await ask(client, "LRANGE", key, 0, -1)
    return await client.dump(key)


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
