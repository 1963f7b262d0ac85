"""The rules: what one partition's events are, how a command is decided, how a fact is folded.

Everything here depends on the commands before and on nothing else: no clock, no randomness, no setting.
So every owner of a partition reaches the same decision about the same command, and a ledger folds to
the same state wherever it is read. :func:`decide` changes nothing; :func:`fold` changes the state in
place, since copying a million tickets for each fact would serve nobody, and leaves it untouched where
it refuses a fact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from models.accepted import Accepted, Kind, Run, pack, pack_purchase, unpack
from models.commands import AddTickets, CancelPurchase, CloseEvent, Command, CreateEvent, Purchase
from models.facts import (
    RULES_VERSION,
    CommandRejected,
    DecisionFact,
    EventClosed,
    EventCreated,
    Fact,
    PurchaseCancelled,
    PurchaseConfirmed,
    PurchaseRejected,
    Reason,
    Source,
    TicketsAdded,
    at_ms,
    at_text,
    with_form_of_time,
)
from models.origins import Origins
from models.tickets import LEAST_DIGITS


class Position(NamedTuple):
    """Where a command lies at home, when the broker took it there, and where it was produced."""

    offset: int
    timestamp_ms: int
    source: Source


class FoldError(Exception):
    """A fact that cannot follow the state: a seq is missing, or its tickets are not the queue's head."""


class Event:
    """One event: its tickets that are left, in order, and the requests that it accepted."""

    __slots__ = ("_named", "accepted", "closed", "created", "fence", "issued", "prefix", "queue", "seq", "sold")

    def __init__(self, created: EventCreated, fence: int) -> None:
        self.created = created
        self.prefix = f"{created['event_id']}-"
        self.seq = 1
        self.fence = fence
        self.issued = created["capacity"]
        self.sold = 0
        self.closed = False
        self.queue: deque[Run] = deque([(1, self.issued)])
        self.accepted: dict[str, bytes] = {}
        # A sale names its tickets when it is decided and once more when it is folded.
        self._named: tuple[tuple[Run, ...], list[str]] = ((), [])

    @property
    def event_id(self) -> str:
        """The event's id."""
        return self.created["event_id"]

    @property
    def left(self) -> int:
        """How many tickets can still be sold."""
        return self.issued - self.sold

    def tickets(self, runs: tuple[Run, ...]) -> list[str]:
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

    def head(self, quantity: int) -> tuple[Run, ...]:
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

    def take(self, runs: tuple[Run, ...]) -> None:
        """Remove the queue's head, as :meth:`head` gave it."""
        for _, last in runs:
            first_left, last_left = self.queue[0]
            if last == last_left:
                self.queue.popleft()
            else:
                self.queue[0] = (last + 1, last_left)
            self.sold += last - first_left + 1

    def give_back(self, runs: tuple[Run, ...]) -> None:
        """Tickets of a cancelled purchase join the queue's tail."""
        self.queue.extend(runs)
        self.sold -= sum(last - first + 1 for first, last in runs)


@dataclass(slots=True)
class Inventory:
    """The events whose home is ``partition``, and the forwarded commands that were answered, by their source partition.

    ``ends`` is where the partitions of commands end, as far as known: a source that is true lies before them for ever.
    What an earlier release believed of sources beyond them is not remembered; of a partition without an end all is.
    """

    partition: int
    events: dict[str, Event] = field(default_factory=dict)
    origins: dict[int, Origins] = field(default_factory=dict)
    ends: Mapping[int, int] | None = None


def is_second_copy(inventory: Inventory, origin: Source, command: Command) -> bool:
    """Whether a command forwarded from ``origin`` was answered already: a forward was repeated."""
    origins = inventory.origins.get(origin["partition"])
    return origins is not None and (origin["offset"], command.event_id, command.request_id) in origins


# Deciding


def decide(inventory: Inventory, command: Command, position: Position) -> DecisionFact:
    """The fact that answers ``command``; the same one again for a request that was accepted before.

    The fact's ``decided_by`` is ``local``; the caller puts ``redis`` where Redis reached the same.
    """
    event = inventory.events.get(command.event_id)
    if event is None:
        if isinstance(command, CreateEvent):
            return _created(command, position)
        return _rejected(command, Reason.UNKNOWN_EVENT, 0, position)
    packed = event.accepted.get(command.request_id)
    if packed is not None:
        answer = _answer_again(inventory.partition, event, command, unpack(packed))
        return answer or _rejected(command, Reason.REQUEST_ID_REUSED, event.seq + 1, position)
    reason = _reason_against(event, command)
    if reason is not None:
        return _rejected(command, reason, event.seq + 1, position)
    return _ACCEPT[type(command)](event, command, position)


def _reason_against(event: Event, command: Command) -> Reason | None:
    """The first reason against a new request, in the order of the rules."""
    match command:
        case Purchase():
            return _reason_against_purchase(event, command.quantity)
        case CancelPurchase():
            return _reason_against_cancellation(event, command)
        case AddTickets() | CloseEvent():
            return Reason.EVENT_CLOSED if event.closed else None
        case CreateEvent():
            return Reason.EVENT_EXISTS


def _reason_against_purchase(event: Event, quantity: int) -> Reason | None:
    limit = event.created.get("max_per_order")
    if event.closed:
        return Reason.EVENT_CLOSED
    if limit is not None and quantity > limit:
        return Reason.OVER_ORDER_LIMIT
    if quantity > event.left:
        return Reason.NOT_ENOUGH_LEFT if event.left else Reason.SOLD_OUT
    return None


def _reason_against_cancellation(event: Event, command: CancelPurchase) -> Reason | None:
    packed = event.accepted.get(command.purchase)
    accepted = unpack(packed) if packed is not None else None
    if accepted is None or accepted.kind != Kind.PURCHASE or not _may_cancel(command, accepted.buyer):
        return Reason.NO_SUCH_PURCHASE
    return Reason.ALREADY_CANCELLED if accepted.cancelled_by else None


def _may_cancel(command: CancelPurchase, buyer: str) -> bool:
    """Whoever names another buyer is told no more than of a purchase that is not there."""
    return command.buyer is None or command.buyer == buyer


def _answer_again(partition: int, event: Event, command: Command, accepted: Accepted) -> DecisionFact | None:
    """The fact of an accepted request, asked again; None where type or content differ."""
    source = _source_of(accepted, partition)
    position = Position(accepted.offset, accepted.at_ms, source)
    match command, accepted.kind:
        case Purchase(), Kind.PURCHASE:
            quantity = sum(last - first + 1 for first, last in accepted.runs)
            if (command.buyer, command.quantity) != (accepted.buyer, quantity):
                return None
            if accepted.cancelled_by:
                cancellation = unpack(event.accepted[accepted.cancelled_by])
                return _cancelled(
                    event,
                    accepted.cancelled_by,
                    command.request_id,
                    cancellation.seq,
                    Position(cancellation.offset, cancellation.at_ms, _source_of(cancellation, partition)),
                )
            return _confirmed(event, command, accepted.runs, accepted.seq, position)
        case CancelPurchase(), Kind.CANCELLATION if command.purchase == accepted.purchase:
            cancelled = _cancelled(event, command.request_id, accepted.purchase, accepted.seq, position)
            return cancelled if _may_cancel(command, cancelled["buyer"]) else None
        case AddTickets(), Kind.ADDITION if command.count == accepted.count:
            return _added(event, command, accepted.seq, position)
        case CloseEvent(), Kind.CLOSING:
            return _closed(event, command, accepted.seq, position)
        case CreateEvent(), Kind.CREATION:
            created: EventCreated = {**_created(command, position), "rules": event.created["rules"]}
            return created if created == {**event.created, "decided_by": "local"} else None
    return None


def _source_of(accepted: Accepted, partition: int) -> Source:
    if accepted.source is None:
        return {"partition": partition, "offset": accepted.offset}
    return {"partition": accepted.source[0], "offset": accepted.source[1]}


def _created(command: CreateEvent, position: Position) -> EventCreated:
    fact: EventCreated = {
        "type": "event_created",
        "event_id": command.event_id,
        "seq": 1,
        "request_id": command.request_id,
        "name": command.name,
        "venue": command.venue,
        "starts_at": command.starts_at,
        "capacity": command.capacity,
        "price": {"amount": command.price.amount, "currency": command.price.currency},
        "rules": RULES_VERSION,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }
    if command.max_per_order is not None:
        fact["max_per_order"] = command.max_per_order
    return with_form_of_time(fact)


def _confirmed(
    event: Event, command: Purchase, runs: tuple[Run, ...], seq: int, position: Position
) -> PurchaseConfirmed:
    return {
        "type": "purchase_confirmed",
        "event_id": command.event_id,
        "seq": seq,
        "request_id": command.request_id,
        "buyer": command.buyer,
        "quantity": command.quantity,
        "tickets": event.tickets(runs),
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }


def _cancelled(event: Event, request_id: str, purchase: str, seq: int, position: Position) -> PurchaseCancelled:
    accepted = unpack(event.accepted[purchase])
    return {
        "type": "purchase_cancelled",
        "event_id": event.event_id,
        "seq": seq,
        "request_id": request_id,
        "purchase": purchase,
        "buyer": accepted.buyer,
        "tickets": event.tickets(accepted.runs),
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }


def _added(event: Event, command: AddTickets, seq: int, position: Position) -> TicketsAdded:
    return {
        "type": "tickets_added",
        "event_id": event.event_id,
        "seq": seq,
        "request_id": command.request_id,
        "count": command.count,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }


def _closed(event: Event, command: CloseEvent, seq: int, position: Position) -> EventClosed:
    return {
        "type": "event_closed",
        "event_id": event.event_id,
        "seq": seq,
        "request_id": command.request_id,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }


def _rejected(command: Command, reason: Reason, seq: int, position: Position) -> PurchaseRejected | CommandRejected:
    if isinstance(command, Purchase):
        return {
            "type": "purchase_rejected",
            "event_id": command.event_id,
            "seq": seq,
            "request_id": command.request_id,
            "reason": reason,
            "buyer": command.buyer,
            "quantity": command.quantity,
            "source": position.source,
            "at": at_text(position.timestamp_ms),
            "decided_by": "local",
        }
    return {
        "type": "command_rejected",
        "event_id": command.event_id,
        "seq": seq,
        "request_id": command.request_id,
        "command": command.type,
        "reason": reason,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }


def _accept_purchase(event: Event, command: Command, position: Position) -> DecisionFact:
    purchase = cast(Purchase, command)
    return _confirmed(event, purchase, event.head(purchase.quantity), event.seq + 1, position)


def _accept_cancellation(event: Event, command: Command, position: Position) -> DecisionFact:
    purchase = cast(CancelPurchase, command).purchase
    return _cancelled(event, command.request_id, purchase, event.seq + 1, position)


def _accept_addition(event: Event, command: Command, position: Position) -> DecisionFact:
    return _added(event, cast(AddTickets, command), event.seq + 1, position)


def _accept_closing(event: Event, command: Command, position: Position) -> DecisionFact:
    return _closed(event, cast(CloseEvent, command), event.seq + 1, position)


_ACCEPT: Final = {
    Purchase: _accept_purchase,
    CancelPurchase: _accept_cancellation,
    AddTickets: _accept_addition,
    CloseEvent: _accept_closing,
}


# Folding

_LEAVES_NOTHING: Final = frozenset(
    {"purchase_rejected", "command_rejected", "command_forwarded", "command_unreadable", "offsets_passed"}
)
"""The facts that may have seq 0."""


def fold(inventory: Inventory, fact: Fact, offset: int) -> bool:
    """Take a fact into the state; ``offset`` is, at home, that of the command it answers.

    Returns False for a repeat, and for a fact that leaves no state behind.

    Raises:
        FoldError: the fact cannot follow; the state is as it was.
    """
    seq, source = fact["seq"], fact["source"]
    if not seq:
        if fact["type"] not in _LEAVES_NOTHING:
            raise FoldError(f"a fact of type {fact['type']} counts, and has seq 0")
        _remember_origin(inventory, fact)
        return False
    event = inventory.events.get(fact["event_id"])  # type: ignore[arg-type]  # None with seq 0 alone
    if event is None:
        if fact["type"] != "event_created" or seq != 1:
            raise FoldError(f"event {fact['event_id']} does not exist at seq {seq}")
        _fold_creation(inventory, fact, offset)
        return True
    if seq <= event.seq:
        return False
    if seq > event.seq + 1:
        raise FoldError(f"event {event.event_id} is at seq {event.seq}, the fact at {seq}")
    origin = _origin(inventory, source)
    if fact["type"] == "purchase_confirmed":  # nearly all that changes a table
        _fold_purchase(event, fact, offset, origin)
    elif fact["type"] not in _LEAVES_NOTHING:
        _fold_into(event, cast(DecisionFact, fact), offset, origin)
    event.seq = seq
    event.fence = offset
    if origin is not None:
        _remember_origin(inventory, fact)
    return True


def _origin(inventory: Inventory, source: Source) -> tuple[int, int] | None:
    if source["partition"] == inventory.partition:
        return None
    return source["partition"], source["offset"]


def _remember_origin(inventory: Inventory, fact: Fact) -> None:
    partition, offset = fact["source"]["partition"], fact["source"]["offset"]
    if partition == inventory.partition:
        return
    if inventory.ends is None or offset < inventory.ends.get(partition, offset + 1):
        answered = offset, fact["event_id"] or "", fact["request_id"] or ""
        inventory.origins.setdefault(partition, Origins()).add(answered)


def _fold_creation(inventory: Inventory, fact: EventCreated, offset: int) -> None:
    event = Event(fact, offset)
    accepted = Accepted(Kind.CREATION, 1, offset, _timestamp_ms(fact), _origin(inventory, fact["source"]))
    event.accepted[fact["request_id"]] = pack(accepted)
    inventory.events[event.event_id] = event
    _remember_origin(inventory, fact)


def _fold_purchase(event: Event, fact: PurchaseConfirmed, offset: int, origin: tuple[int, int] | None) -> None:
    timestamp_ms, request_id = _timestamp_ms(fact), _new_request(event, fact)
    tickets, quantity = fact["tickets"], fact["quantity"]
    if not 0 < len(tickets) == quantity <= event.issued - event.sold:
        raise FoldError(f"event {event.event_id} has {event.left} tickets left, the fact sells {len(tickets)}")
    runs = event.head(quantity)
    if event.tickets(runs) != tickets:
        raise FoldError(f"event {event.event_id} has {event.tickets(runs)} next, the fact sells {tickets}")
    event.take(runs)
    event.accepted[request_id] = pack_purchase(fact["seq"], offset, timestamp_ms, origin, runs, fact["buyer"])


def _fold_into(event: Event, fact: DecisionFact, offset: int, origin: tuple[int, int] | None) -> None:
    seq, timestamp_ms, request_id = fact["seq"], _timestamp_ms(fact), _new_request(event, fact)
    match fact["type"]:
        case "purchase_cancelled":
            purchase = _live_purchase(event, fact)
            event.accepted[fact["purchase"]] = pack(purchase._replace(cancelled_by=request_id))
            event.accepted[request_id] = pack(
                Accepted(Kind.CANCELLATION, seq, offset, timestamp_ms, origin, purchase=fact["purchase"])
            )
            event.give_back(purchase.runs)
        case "tickets_added":
            event.queue.append((event.issued + 1, event.issued + fact["count"]))
            event.issued += fact["count"]
            event.accepted[request_id] = pack(
                Accepted(Kind.ADDITION, seq, offset, timestamp_ms, origin, count=fact["count"])
            )
        case "event_closed":
            event.closed = True
            event.accepted[request_id] = pack(Accepted(Kind.CLOSING, seq, offset, timestamp_ms, origin))
        case _:
            raise FoldError(f"event {event.event_id} is created again at seq {seq}")


def _new_request(event: Event, fact: DecisionFact) -> str:
    if fact["request_id"] in event.accepted:
        raise FoldError(f"event {event.event_id} accepted request {fact['request_id']} before")
    return fact["request_id"]


def _timestamp_ms(fact: DecisionFact) -> int:
    try:
        timestamp_ms = at_ms(fact["at"])
    except ValueError:
        timestamp_ms = -1
    if timestamp_ms < 0:
        raise FoldError(f"{fact['at']} is no time at which a command can have come")
    return timestamp_ms


def _live_purchase(event: Event, fact: PurchaseCancelled) -> Accepted:
    purchase = fact["purchase"]
    packed = event.accepted.get(purchase)
    accepted = unpack(packed) if packed is not None else None
    if accepted is None or accepted.kind != Kind.PURCHASE or accepted.cancelled_by:
        raise FoldError(f"event {event.event_id} has no live purchase {purchase} to cancel")
    if (event.tickets(accepted.runs), accepted.buyer) != (fact["tickets"], fact["buyer"]):
        raise FoldError(f"purchase {purchase} of event {event.event_id} holds other tickets")
    return accepted
