"""Answering again: a request that was answered for good gets the same fact, whatever was sold since.

A purchase is answered by what it is now: held, confirmed, expired, cancelled.
"""

from __future__ import annotations

from typing import Any, Final, cast

from pydantic_core import from_json

from models.accepted import Accepted, Kind, unpack
from models.cancelling import cancelled, may_cancel
from models.changing import creation_again, is_same_change
from models.commands import (
    AddTickets,
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
from models.decisions import position_of, request_of
from models.event import Event
from models.holding import expired, paid
from models.members import GENERAL
from models.selling import first_fact, is_same_purchase
from models.shapes import DecisionFact, PurchaseConfirmed


def answer_again(event: Event, command: Command, packed: bytes, partition: int) -> DecisionFact | None:
    """The fact that a known request id is answered with; None where it stands for something else."""
    accepted = unpack(packed)
    if isinstance(command, CreateEvent):
        if accepted.kind is not Kind.CREATION:
            return None
        return creation_again(event, command, position_of(accepted, partition))
    if accepted.kind is Kind.PURCHASE:
        if not isinstance(command, Purchase) or not is_same_purchase(event, command, accepted):
            return None
        return fact_of(event, command.request_id, accepted, partition)
    if accepted.kind is Kind.CREATION:
        return None
    fact = fact_of(event, command.request_id, accepted, partition)
    return fact if _is_same(command, accepted, fact) else None


def payment_again(event: Event, command: ConfirmPurchase, partition: int) -> DecisionFact | None:
    """The fact that a known payment is answered with; None where it has paid for something else."""
    request_id = event.payments[command.payment]
    fact = fact_of(event, request_id, unpack(event.accepted[request_id]), partition)
    if fact["type"] == "payment_refused":
        return fact
    paid_for = cast(PurchaseConfirmed, fact)
    said = paid_for["purchase"], paid_for["amount"], paid_for["currency"]
    return fact if (command.purchase, command.amount, command.currency) == said else None


def _is_same(command: Command, accepted: Accepted, fact: DecisionFact) -> bool:
    """Whether a command asks for what a request has led to that is neither a purchase nor a creation."""
    if command.actor != fact.get("actor") or fact["type"] not in _LEADS_TO.get(type(command), ()):
        return False
    said: Any = fact
    match command:
        case CancelPurchase():
            return _is_same_cancellation(command, accepted, said)
        case ChangeEvent():
            return is_same_change(command, said)
        case AddTickets() | RemoveTickets():
            return (command.category or GENERAL, command.count) == (said.get("category", GENERAL), said["count"])
    asked: Any = command
    return all(getattr(asked, name) == said[name] for name in _CONTENT if hasattr(asked, name))


_LEADS_TO: Final[dict[type[Command], tuple[str, ...]]] = {
    ConfirmPurchase: ("purchase_confirmed", "payment_refused"),
    ExpireHold: ("hold_expired",),
    CancelPurchase: ("purchase_cancelled",),
    ChangeEvent: ("event_changed",),
    AddTickets: ("tickets_added",),
    RemoveTickets: ("tickets_removed",),
    CloseEvent: ("event_closed",),
    CancelEvent: ("event_cancelled",),
}
_CONTENT: Final = ("purchase", "payment", "amount", "currency")


def _is_same_cancellation(command: CancelPurchase, accepted: Accepted, said: Any) -> bool:
    if command.purchase != said["purchase"] or not may_cancel(command, said["buyer"]):
        return False
    if command.tickets is None:
        return not accepted.remaining
    return set(command.tickets) == set(said["tickets"])


def fact_of(event: Event, request_id: str, accepted: Accepted, partition: int) -> DecisionFact:
    """The fact that an accepted request is answered with now; its decider is ``local``."""
    request = request_of(event, request_id, accepted, partition)
    match accepted.kind:
        case Kind.CREATION:
            return {**event.created, "decided_by": "local"}
        case Kind.FACT:
            return cast(DecisionFact, from_json(accepted.fact) | {"decided_by": "local"})
        case Kind.PURCHASE:
            if accepted.by:
                return fact_of(event, accepted.by, unpack(event.accepted[accepted.by]), partition)
            return first_fact(event, request, accepted)
    purchase_id = accepted.purchase
    purchase = unpack(event.accepted[purchase_id])
    runs = accepted.runs
    match accepted.kind:
        case Kind.CONFIRMATION:
            return paid(event, request, purchase_id, purchase, runs, late=accepted.flag)
        case Kind.EXPIRY:
            return expired(event, request, purchase_id, purchase, runs)
        case _:
            return cancelled(event, request, purchase_id, purchase, runs, accepted.remaining, held=accepted.flag)
