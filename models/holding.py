"""Holding: what was held is paid for, or is not.

| command | fact | rule |
|---|---|---|
| ``confirm_purchase`` | ``purchase_confirmed`` | while the hold stands, whatever the time is |
| | ``purchase_confirmed``, late | when it has expired: other tickets of the same lines, if they are left |
| | ``payment_refused`` | else; remembered by the payment's id |
| ``expire_hold`` | ``hold_expired`` | if it is held, and due: here alone somebody looks at the deadline |
"""

from __future__ import annotations

from models.accepted import Accepted, Kind, Runs, State
from models.commands import ConfirmPurchase, ExpireHold
from models.decisions import (
    Request,
    decision,
    next_request,
    refused,
    request_in,
    require_same,
    returned_lines,
)
from models.event import Event, FoldError, Position, at_ms_of
from models.facts import at_text
from models.reasons import PaymentReason, Reason
from models.runs import count_of
from models.selling import is_over_buyer_limit, sold_lines
from models.shapes import DecisionFact, HoldExpired, PaymentRefused, PurchaseConfirmed

Origin = tuple[int, int] | None

# Paying


def decide_confirmation(event: Event, command: ConfirmPurchase, position: Position) -> DecisionFact:
    """The fact about a payment that is not known yet."""
    purchase = event.purchase(command.purchase)
    reason = _reason_against(event, command, purchase)
    if reason is not None or purchase is None:
        return _payment_refused(event, command, reason or PaymentReason.NO_SUCH_PURCHASE, position)
    late = purchase.state is State.EXPIRED
    runs = event.head(event.lines_now(purchase)) if late else purchase.runs
    paid_for = purchase.changed(command.request_id, State.CONFIRMED, runs, payment=command.payment)
    return paid(event, next_request(event, command, position), command.purchase, paid_for, runs, late=late)


def _reason_against(event: Event, command: ConfirmPurchase, purchase: Accepted | None) -> PaymentReason | None:
    if purchase is None:
        return PaymentReason.NO_SUCH_PURCHASE
    if purchase.state is State.CANCELLED:
        return PaymentReason.ALREADY_CANCELLED
    if purchase.state is State.CONFIRMED:
        return PaymentReason.ALREADY_PAID
    if (command.amount, command.currency) != (event.amount_of(purchase.runs, event.lines_of(purchase)), event.currency):
        return PaymentReason.AMOUNT_MISMATCH
    return _reason_against_late(event, purchase) if purchase.state is State.EXPIRED else None


def _reason_against_late(event: Event, purchase: Accepted) -> PaymentReason | None:
    """Other tickets are a new sale."""
    if event.cancelled:
        return PaymentReason.EVENT_CANCELLED
    if event.closed:
        return PaymentReason.EVENT_CLOSED
    if is_over_buyer_limit(event, purchase.buyer, count_of(purchase.runs)):
        return PaymentReason.OVER_BUYER_LIMIT
    return None if event.are_left(event.lines_now(purchase)) else PaymentReason.SOLD_OUT


def paid(
    event: Event, request: Request, purchase_id: str, purchase: Accepted, runs: Runs, *, late: bool
) -> PurchaseConfirmed:
    """The fact that a purchase was paid for, whose tickets are ``runs``."""
    event_id, seq, request_id, position, actor = request
    tickets, lines = event.tickets(runs), event.lines_of(purchase)
    fact: PurchaseConfirmed = {
        "type": "purchase_confirmed",
        "event_id": event_id,
        "seq": seq,
        "request_id": request_id,
        "purchase": purchase_id,
        "buyer": purchase.buyer,
        "quantity": len(tickets),
        "tickets": tickets,
        "lines": sold_lines(event, lines, runs),
        "amount": event.amount_of(runs, lines),
        "currency": event.currency,
        "payment": purchase.payment,
        "late": late,
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }
    if actor is not None:
        fact["actor"] = actor
    return fact


def _payment_refused(
    event: Event, command: ConfirmPurchase, reason: PaymentReason, position: Position
) -> PaymentRefused:
    fact: PaymentRefused = decision(
        "payment_refused",
        next_request(event, command, position),
        purchase=command.purchase,
        payment=command.payment,
        amount=command.amount,
        currency=command.currency,
        reason=reason.value,
    )
    return fact


def fold_confirmation(event: Event, fact: PurchaseConfirmed, offset: int, origin: Origin) -> None:
    """Take a payment for a purchase into the event."""
    timestamp_ms, request_id, purchase_id = at_ms_of(fact), event.new_request(fact), fact["purchase"]
    purchase, late = event.purchase(purchase_id), bool(fact.get("late"))
    if purchase is None or purchase.state is not (State.EXPIRED if late else State.HELD):
        raise FoldError(f"event {event.event_id} has no purchase {purchase_id} to be paid for")
    runs = purchase.runs
    if late:
        lines = event.lines_now(purchase)
        if not event.are_left(lines):
            sold = len(fact["tickets"])
            raise FoldError(f"event {event.event_id} has {event.left} tickets left, the fact sells {sold}")
        runs = event.head(lines)
    payment = fact.get("payment", "")
    purchase = purchase.changed(request_id, State.CONFIRMED, runs, payment=payment)
    if event.fresh is not fact:
        expected = paid(event, request_in(fact, offset), purchase_id, purchase, runs, late=late)
        require_same(fact, expected, f"purchase {purchase_id} of event {event.event_id}")
    if not payment or payment in event.payments:
        raise FoldError(f"event {event.event_id} knows payment {payment}, or none is named")
    if late:
        event.sell(runs)
        event.count_for(purchase.buyer, count_of(runs))
    else:
        event.pay(runs)
    event.payments[payment] = request_id
    event.accept(purchase_id, purchase)
    event.accept(
        request_id,
        Accepted(
            Kind.CONFIRMATION,
            fact["seq"],
            offset,
            timestamp_ms,
            origin,
            runs=runs,
            purchase=purchase_id,
            flag=late,
            actor=fact.get("actor", ""),
        ),
    )


def fold_payment_refusal(event: Event, fact: PaymentRefused, offset: int, origin: Origin) -> None:
    """Remember that a payment was refused."""
    request_id, payment = event.new_request(fact), fact["payment"]
    if payment in event.payments:
        raise FoldError(f"event {event.event_id} knows payment {payment}")
    event.keep(fact, offset, origin)
    event.payments[payment] = request_id


# Not paying


def decide_expiry(event: Event, command: ExpireHold, position: Position) -> DecisionFact:
    """The fact about a new request to look whether a hold is due."""
    purchase = event.purchase(command.purchase)
    if purchase is None:
        return refused(event, command, Reason.NO_SUCH_PURCHASE, position)
    if purchase.state is not State.HELD:
        return refused(event, command, Reason.NOT_HELD, position)
    if position.at_ms < purchase.due_ms:
        return refused(event, command, Reason.NOT_DUE, position)
    return expired(event, next_request(event, command, position), command.purchase, purchase, purchase.runs)


def expired(event: Event, request: Request, purchase_id: str, purchase: Accepted, runs: Runs) -> HoldExpired:
    """The fact that a hold has ended, of these tickets."""
    fact: HoldExpired = decision(
        "hold_expired",
        request,
        purchase=purchase_id,
        buyer=purchase.buyer,
        tickets=event.tickets(runs),
        lines=returned_lines(event, purchase, runs),
    )
    return fact


def fold_expiry(event: Event, fact: HoldExpired, offset: int, origin: Origin) -> None:
    """Give the tickets of a hold back that has ended."""
    timestamp_ms, request_id, purchase_id = at_ms_of(fact), event.new_request(fact), fact["purchase"]
    purchase = event.purchase(purchase_id)
    if purchase is None or purchase.state is not State.HELD:
        raise FoldError(f"event {event.event_id} has no hold {purchase_id} to end")
    if event.fresh is not fact:
        expected = expired(event, request_in(fact, offset), purchase_id, purchase, purchase.runs)
        require_same(fact, expected, f"purchase {purchase_id} of event {event.event_id}")
    event.give_back(purchase.runs, held=True)
    event.count_for(purchase.buyer, -count_of(purchase.runs))
    event.accept(purchase_id, purchase.changed(request_id, State.EXPIRED, purchase.runs))
    event.accept(
        request_id,
        Accepted(
            Kind.EXPIRY,
            fact["seq"],
            offset,
            timestamp_ms,
            origin,
            runs=purchase.runs,
            purchase=purchase_id,
            actor=fact.get("actor", ""),
        ),
    )
