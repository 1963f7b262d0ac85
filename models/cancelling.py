"""Cancelling: a buyer gives tickets back.

| command | fact | rule |
|---|---|---|
| ``cancel_purchase`` | ``purchase_cancelled`` | all, or some; bought or held. They join the tails of their queues |
"""

from __future__ import annotations

from typing import Any

from models.accepted import Accepted, Kind, Runs, State
from models.commands import CancelPurchase
from models.decisions import Request, decision, next_request, refused, request_in, require_same, returned_lines
from models.event import Event, FoldError, Position, at_ms_of, has_tickets
from models.reasons import Reason
from models.runs import count_of, without
from models.shapes import DecisionFact, PurchaseCancelled

Origin = tuple[int, int] | None


def decide_cancellation(event: Event, command: CancelPurchase, position: Position) -> DecisionFact:
    """The fact about a new request to give tickets back."""
    purchase = event.purchase(command.purchase)
    if purchase is None or not may_cancel(command, purchase.buyer):
        return refused(event, command, Reason.NO_SUCH_PURCHASE, position)
    if purchase.state is State.CANCELLED:
        return refused(event, command, Reason.ALREADY_CANCELLED, position)
    if purchase.state is State.EXPIRED:
        return refused(event, command, Reason.NOT_HELD, position)
    runs = purchase.runs if command.tickets is None else event.runs_of(command.tickets, purchase.runs)
    if runs is None:
        return refused(event, command, Reason.NO_SUCH_TICKET, position)
    remaining = without(purchase.runs, runs) if command.tickets is not None else ()
    request = next_request(event, command, position)
    if remaining and not event.by_present_rules(request[1]):
        # An earlier release would take the fact for damage: it knows purchases that are cancelled whole.
        return refused(event, command, Reason.EARLIER_RULES, position)
    return cancelled(event, request, command.purchase, purchase, runs, remaining, held=purchase.state is State.HELD)


def may_cancel(command: CancelPurchase, buyer: str) -> bool:
    """Whoever names another buyer is told no more than of a purchase that is not there."""
    return command.buyer is None or command.buyer == buyer


def cancelled(
    event: Event, request: Request, purchase_id: str, purchase: Accepted, runs: Runs, remaining: Runs, *, held: bool
) -> PurchaseCancelled:
    """The fact that tickets of a purchase were given back, ``held`` ones or bought ones."""
    lines = event.lines_of(purchase)
    tickets = list(event.tickets(runs))
    costs: dict[str, Any] = {}
    if event.by_present_rules(request[1]):
        costs = {
            "lines": returned_lines(event, purchase, runs),
            "remaining": list(event.tickets(remaining)),
            "held": held or None,
            # What is left of a hold may be paid for later.
            "payment": None if held else purchase.payment or None,
            "refund": 0 if held else event.amount_of(runs, lines),
            "currency": event.currency,
        }
    fact: PurchaseCancelled = decision(
        "purchase_cancelled", request, purchase=purchase_id, buyer=purchase.buyer, tickets=tickets, **costs
    )
    return fact


def fold_cancellation(event: Event, fact: PurchaseCancelled, offset: int, origin: Origin) -> None:
    """Take a cancellation into the event."""
    timestamp_ms, request_id, purchase_id = at_ms_of(fact), event.new_request(fact), fact["purchase"]
    purchase = event.purchase(purchase_id)
    if purchase is None or not has_tickets(purchase):
        raise FoldError(f"event {event.event_id} has no live purchase {purchase_id} to cancel")
    is_part = bool(fact.get("remaining"))
    runs = event.runs_of(fact["tickets"], purchase.runs) if is_part else purchase.runs
    if runs is None:
        raise FoldError(f"purchase {purchase_id} of event {event.event_id} has other tickets")
    remaining, held = without(purchase.runs, runs) if is_part else (), purchase.state is State.HELD
    if event.fresh is not fact:
        expected = cancelled(event, request_in(fact, offset), purchase_id, purchase, runs, remaining, held=held)
        require_same(fact, expected, f"purchase {purchase_id} of event {event.event_id}")
    event.give_back(runs, held=held)
    event.count_for(purchase.buyer, -count_of(runs))
    if remaining:
        changed = purchase.changed(request_id, purchase.state, remaining, event.lines_of(purchase))
    else:
        changed = purchase.changed(request_id, State.CANCELLED, purchase.runs)
    event.accept(purchase_id, changed)
    event.accept(
        request_id,
        Accepted(
            Kind.CANCELLATION,
            fact["seq"],
            offset,
            timestamp_ms,
            origin,
            runs=runs,
            remaining=remaining,
            purchase=purchase_id,
            flag=held,
            actor=fact.get("actor", ""),
        ),
    )
