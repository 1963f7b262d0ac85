"""Selling: who gets tickets at once, who gets them to be paid for, and who gets none.

| command | fact | rule |
|---|---|---|
| ``purchase`` | ``purchase_confirmed`` | all lines or none, from the heads of the queues |
| | ``purchase_held`` | the same, where the event holds and the purchase costs something |
| | ``purchase_rejected`` | the first reason against it; remembered for ever |
"""

from __future__ import annotations

from typing import Any, cast

from models.accepted import Accepted, Kind, PricedLine, Runs, State, pack_purchase
from models.commands import Purchase
from models.decisions import (
    Request,
    lines_shown,
    refused,
    rejected,
    request_in,
    require_same,
    source_of,
    wanted,
    wanted_lines,
)
from models.event import Event, FoldError, Position, at_ms_of
from models.facts import at_ms, at_text
from models.members import GENERAL
from models.reasons import Reason
from models.refusals import Refused, checksum
from models.shapes import DecisionFact, PurchaseConfirmed, PurchaseHeld, PurchaseRejected, SoldLine

Lines = tuple[PricedLine, ...]
Origin = tuple[int, int] | None
Sold = PurchaseConfirmed | PurchaseHeld


def decide_purchase(event: Event, command: Purchase, position: Position) -> DecisionFact:
    """The fact about a new request to buy."""
    lines = _lines(event, command)
    if event.has_conditions and (reason := _reason_of_conditions(event, command, lines, position)) is not None:
        return refused(event, command, reason, position)
    if lines is None:
        return refused(event, command, Reason.UNKNOWN_CATEGORY, position)
    place, quantity, _ = lines[0]
    category = event.categories[place]
    if sum_of(lines) > event.max_per_order:
        return refused(event, command, Reason.OVER_ORDER_LIMIT, position)
    if len(lines) == 1 and category.left >= quantity:
        runs = category.head(quantity)
    elif (reason := _reason_of_what_is_left(event, lines)) is not None:
        return refused(event, command, reason, position)
    else:
        runs = event.head(lines)
    request = event.event_id, event.seq + 1, command.request_id, position, command.actor
    fact = _sold(event, request, command.buyer, lines, runs)
    event.draft = fact, lines, runs, position
    return fact


def _sold(event: Event, request: Request, buyer: str, lines: Lines, runs: Runs) -> Sold:
    """What costs something is held where the event holds; everything else is confirmed at once."""
    if event.hold_s and _amount(lines):
        return held(event, request, buyer, lines, runs, request[3].at_ms + event.hold_s * 1000)
    return confirmed(event, request, buyer, lines, runs)


def _lines(event: Event, command: Purchase) -> Lines | None:
    """What is asked for, at what it costs now; None if a category is not known."""
    if command.lines is None:
        place = event.places.get(command.category or GENERAL)
        return None if place is None else ((place, command.quantity, event.categories[place].price),)
    lines = []
    for line in command.lines:
        place = event.place_of(line.category)
        if place is None:
            return None
        lines.append((place, line.quantity, event.categories[place].price))
    return tuple(lines)


def _reason_of_conditions(event: Event, command: Purchase, lines: Lines | None, position: Position) -> Reason | None:
    """The first reason against it that is not what is left, in the order of the rules."""
    if event.cancelled:
        return Reason.EVENT_CANCELLED
    if event.closed:
        return Reason.EVENT_CLOSED
    if event.on_sale_ms is not None and position.at_ms < event.on_sale_ms:
        return Reason.NOT_ON_SALE_YET
    if event.off_sale_ms is not None and position.at_ms >= event.off_sale_ms:
        return Reason.SALE_ENDED
    if lines is None:
        return Reason.UNKNOWN_CATEGORY
    quantity = sum_of(lines)
    if quantity > event.max_per_order:
        return Reason.OVER_ORDER_LIMIT
    return Reason.OVER_BUYER_LIMIT if is_over_buyer_limit(event, command.buyer, quantity) else None


def sum_of(lines: Lines) -> int:
    """How many tickets are asked for."""
    return lines[0][1] if len(lines) == 1 else sum(quantity for _, quantity, _ in lines)


def is_over_buyer_limit(event: Event, buyer: str, quantity: int) -> bool:
    """Whether a buyer would have too many tickets, those that are held for him among them."""
    if event.bought is None:
        return False
    return event.bought.get(buyer, 0) + quantity > event.now.get("max_per_buyer", quantity)


def _reason_of_what_is_left(event: Event, lines: Lines) -> Reason | None:
    """Of several lines the one of which there is least hope says why."""
    short = [event.categories[place] for place, quantity, _ in lines if event.categories[place].left < quantity]
    if not short:
        return None
    gone = [category for category in short if not category.left]
    if not gone:
        return Reason.NOT_ENOUGH_LEFT
    return Reason.ALL_HELD if all(category.held for category in gone) else Reason.SOLD_OUT


def _amount(lines: Lines) -> int:
    if len(lines) == 1:
        return lines[0][1] * lines[0][2]
    return sum(quantity * price for _, quantity, price in lines)


# Facts


def confirmed(event: Event, request: Request, buyer: str, lines: Lines, runs: Runs) -> PurchaseConfirmed:
    """The fact of a purchase that is confirmed at once."""
    event_id, seq, request_id, position, actor = request
    tickets = event.tickets(runs)
    fact: PurchaseConfirmed
    if 0 < event.rules_since <= seq:
        fact = {
            "type": "purchase_confirmed",
            "event_id": event_id,
            "seq": seq,
            "request_id": request_id,
            "purchase": request_id,
            "buyer": buyer,
            "quantity": len(tickets),
            "tickets": tickets,
            "lines": sold_lines(event, lines, runs),
            "amount": _amount(lines),
            "currency": event.currency,
            "source": position.source,
            "at": at_text(position.timestamp_ms),
            "decided_by": "local",
        }
    else:
        fact = {
            "type": "purchase_confirmed",
            "event_id": event_id,
            "seq": seq,
            "request_id": request_id,
            "buyer": buyer,
            "quantity": len(tickets),
            "tickets": tickets,
            "source": position.source,
            "at": at_text(position.timestamp_ms),
            "decided_by": "local",
        }
    if actor is not None:
        fact["actor"] = actor
    return fact


def held(event: Event, request: Request, buyer: str, lines: Lines, runs: Runs, due_ms: int) -> PurchaseHeld:
    """The fact of a purchase that has to be paid for."""
    event_id, seq, request_id, position, actor = request
    tickets = event.tickets(runs)
    fact: PurchaseHeld = {
        "type": "purchase_held",
        "event_id": event_id,
        "seq": seq,
        "request_id": request_id,
        "purchase": request_id,
        "buyer": buyer,
        "quantity": len(tickets),
        "tickets": tickets,
        "lines": sold_lines(event, lines, runs),
        "amount": _amount(lines),
        "currency": event.currency,
        "due": at_text(due_ms),
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }
    if actor is not None:
        fact["actor"] = actor
    return fact


def sold_lines(event: Event, lines: Lines, runs: Runs) -> list[SoldLine]:
    """The lines as facts show them: tickets by their categories, as many as are still the purchase's."""
    if len(lines) == 1:
        place, _, price = lines[0]
        tickets = event.tickets(runs)
        return [
            {
                "category": event.categories[place].id,
                "quantity": len(tickets),
                "price": price,
                "tickets": tickets,
            }
        ]
    own = event.by_category(runs)
    shown: list[SoldLine] = []
    for place, _, price in lines:
        if place in own:
            tickets = list(event.tickets(tuple(own[place])))
            shown.append(
                {
                    "category": event.categories[place].id,
                    "quantity": len(tickets),
                    "price": price,
                    "tickets": tickets,
                }
            )
    return shown


# Answering again


def is_same_purchase(event: Event, command: Purchase, accepted: Accepted) -> bool:
    """Whether a request asks for what an accepted one has asked for."""
    asked = [(event.place_of(category), quantity) for category, quantity in wanted(command)]
    accepted_lines = [(place, quantity) for place, quantity, _ in event.lines_of(accepted)]
    return (command.buyer, asked, command.actor or "") == (accepted.buyer, accepted_lines, accepted.actor)


def first_fact(event: Event, request: Request, accepted: Accepted) -> DecisionFact:
    """What a purchase was answered with first, which nothing has changed since."""
    lines, runs = event.lines_of(accepted), accepted.runs
    if accepted.state is State.HELD:
        return held(event, request, accepted.buyer, lines, runs, accepted.due_ms)
    return confirmed(event, request, accepted.buyer, lines, runs)


def refusal_again(command: Purchase, refusal: Refused, partition: int) -> DecisionFact | None:
    """The fact that refused a purchase; None where what is asked for differs."""
    if refusal.content != checksum(_content(command.buyer, wanted(command), command.actor)):
        return None
    position = Position(refusal.offset, refusal.at_ms, source_of(refusal.source, refusal.offset, partition))
    return rejected(command, refusal.reason, refusal.seq, position)


def _content(buyer: str, lines: Any, actor: str | None) -> str:
    """What a purchase asks for, as one text; no member of it has a control character."""
    asked = "\x01".join(f"{category}\x02{quantity}" for category, quantity in lines)
    return f"{buyer}\x00{asked}\x00{actor or ''}"


# Folding


def fold_sale(event: Event, fact: Sold, offset: int, origin: Origin) -> None:
    """Take a purchase into the event that is confirmed at once, or held."""
    draft, event.draft = event.draft, None
    if draft is not None and draft[0] is fact:
        _, lines, runs, position = draft
        timestamp_ms = position.at_ms
    else:
        timestamp_ms, _ = at_ms_of(fact), event.new_request(fact)
        lines, runs = _checked(event, fact, offset)
    buyer, is_held = fact["buyer"], fact["type"] == "purchase_held"
    if len(lines) > 1:
        (event.hold if is_held else event.sell)(runs)
    else:
        category = event.categories[lines[0][0]]
        taken = category.take(runs)
        if is_held:
            category.held += taken
        else:
            category.sold += taken
    if event.bought is not None:
        event.count_for(buyer, fact["quantity"])
    if not is_held and "actor" not in fact and is_usual(event, lines):
        event.accepted[fact["request_id"]] = pack_purchase(fact["seq"], offset, timestamp_ms, origin, runs, buyer)
        return
    kept = lines if is_held or not is_usual(event, lines) else ()
    state = State.HELD if is_held else State.CONFIRMED
    due_ms = at_ms(cast(PurchaseHeld, fact)["due"]) if is_held else 0
    accepted = Accepted(
        Kind.PURCHASE,
        fact["seq"],
        offset,
        timestamp_ms,
        origin,
        runs,
        buyer,
        state=state,
        lines=kept,
        due_ms=due_ms,
        actor=fact.get("actor", ""),
    )
    event.accept(fact["request_id"], accepted)


def is_usual(event: Event, lines: Lines) -> bool:
    """Whether what a purchase asked for need not be remembered: the event says it."""
    return not event.names_categories and lines[0][2] == event.first_price


def _checked(event: Event, fact: Sold, offset: int) -> tuple[Lines, Runs]:
    """What a fact sells, which must be the heads of the queues at what they cost."""
    lines = _lines_of_fact(event, fact)
    if not fact["tickets"] or not event.are_left(lines):
        raise FoldError(f"event {event.event_id} has {event.left} tickets left, the fact sells {len(fact['tickets'])}")
    runs = event.head(lines)
    if event.tickets(runs) != fact["tickets"]:
        raise FoldError(f"event {event.event_id} has {event.tickets(runs)} next, the fact sells {fact['tickets']}")
    expected = _sold(event, request_in(fact, offset), fact["buyer"], lines, runs)
    require_same(fact, expected, f"purchase {fact['request_id']} of event {event.event_id}")
    return lines, runs


def _lines_of_fact(event: Event, fact: Sold) -> Lines:
    if "lines" not in fact:
        place = event.place_of(GENERAL)
        named = [(place, len(fact["tickets"]))]
    else:
        named = [(event.place_of(line["category"]), line["quantity"]) for line in fact["lines"]]
    lines = [(place, quantity, event.categories[place].price) for place, quantity in named if place is not None]
    if len({place for place, _, _ in lines}) != len(named):
        raise FoldError(f"event {event.event_id} has no such categories as the fact sells")
    return tuple(lines)


def fold_refusal(event: Event, fact: PurchaseRejected, offset: int, origin: Origin) -> None:
    """Remember that a purchase was refused, unless its id stands for something else."""
    if not event.by_present_rules(fact["seq"]) or fact["reason"] == Reason.REQUEST_ID_REUSED:
        return
    if event.knows(fact["request_id"]):
        raise FoldError(f"event {event.event_id} answered request {fact['request_id']} before")
    asked = [(line["category"], line["quantity"]) for line in wanted_lines(fact)]
    if (fact["quantity"], fact.get("lines")) != (sum(quantity for _, quantity in asked), lines_shown(asked)):
        raise FoldError(f"event {event.event_id} refused another quantity than the fact says")
    content = checksum(_content(fact["buyer"], asked, fact.get("actor")))
    event.refusals.add(
        fact["request_id"],
        Refused(fact["seq"], offset, at_ms_of(fact), origin, Reason(fact["reason"]), content),
    )
