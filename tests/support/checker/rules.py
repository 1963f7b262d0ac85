"""How a request is decided that is new to its event, as the table of rules says it, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.checker.events import LIMITS, TERMS, Event, Purchase
from tests.support.checker.homes import LAST_MS, at
from tests.support.checker.reading import FIRST_SHAPE, GENERAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.checker.events import Wanted
    from tests.support.checker.records import Members

PRESENT_RULES = 2
TOLD_TO_ALL = ("event_id", "seq", "request_id", "source", "at", "actor")


def begun(command: Members, seq: int, source: Members, at_ms: int) -> Members:
    """What every fact says of the command that it answers."""
    fact = {"event_id": command["event_id"], "seq": seq, "request_id": command["request_id"], "source": source}
    return fact | {"at": at(at_ms)} | ({} if command["actor"] is None else {"actor": command["actor"]})


def create(command: Members, fact: Members, rules: int) -> Event:
    """A new event; its fact is complete then."""
    event = Event(command, rules)
    shown = (*TERMS, "capacity", "price", "categories")
    fact |= {name: command[name] for name in shown if command[name] is not None}
    fact |= {"type": "event_created", "rules": rules, **_form_of(command["starts_at"])}
    event.answers[command["request_id"]] = (command, fact)
    return event


def _form_of(starts_at: str) -> Members:
    return {} if FIRST_SHAPE.fullmatch(starts_at) else {"starts_at_form": "rfc_3339"}


def rejection(command: Members, reason: str, fact: Members) -> Members:
    """The fact of a command that was refused."""
    fact |= {"reason": reason}
    if command["type"] != "purchase":
        return fact | {"type": "command_rejected", "command": command["type"]}
    wanted: Wanted = command["wanted"]
    quantity = sum(count for _, count in wanted)
    fact |= {"type": "purchase_rejected", "buyer": command["buyer"], "quantity": quantity}
    if wanted == [(GENERAL, quantity)]:
        return fact
    return fact | {"lines": [{"category": category, "quantity": count} for category, count in wanted]}


def decide(event: Event, command: Members, fact: Members, at_ms: int) -> Members:
    """The fact about a new request; it has had its effect. ``fact`` is what every fact says."""
    return _ROWS[command["type"]](event, command, fact, at_ms)


def _remember(event: Event, command: Members, fact: Members) -> Members:
    event.answers[command["request_id"]] = (command, fact)
    return fact


def _change_purchase(event: Event, command: Members, fact: Members) -> Members:
    """From now on the purchase is answered by what has become of it."""
    event.answers[command["purchase"]] = (event.answers[command["purchase"]][0], fact)
    return _remember(event, command, fact)


# purchase


def _purchase(event: Event, command: Members, fact: Members, at_ms: int) -> Members:
    reason = _against_purchase(event, command, at_ms)
    if reason is not None:
        refused = rejection(command, reason, fact)
        return _remember(event, command, refused) if event.rules >= PRESENT_RULES else refused
    wanted: Wanted = command["wanted"]
    prices = {category: event.categories[category].price for category, _ in wanted}
    is_held = bool(event.terms["hold_s"]) and any(prices.values())
    state = "held" if is_held else "confirmed"
    sold = Purchase(command["request_id"], command["buyer"], wanted, prices, event.take(wanted, state), state)
    event.purchases[sold.request_id] = sold
    event.tickets_of[sold.buyer] += len(sold.tickets)
    fact |= {"type": "purchase_held" if is_held else "purchase_confirmed", **_bought(event, sold)}
    if is_held:
        sold.due_ms = min(at_ms + event.terms["hold_s"] * 1000, LAST_MS)
        fact["due"] = at(sold.due_ms)
    return _remember(event, command, fact)


def _against_purchase(event: Event, command: Members, at_ms: int) -> str | None:
    """The first reason against it, in the order of the rules."""
    wanted: Wanted = command["wanted"]
    quantity = sum(count for _, count in wanted)
    opens_us, ends_us = event.opens_at_us(), event.ends_at_us()
    reasons = (
        ("event_cancelled", event.cancelled),
        ("event_closed", event.closed),
        ("not_on_sale_yet", opens_us is not None and at_ms * 1000 < opens_us),
        ("sale_ended", ends_us is not None and at_ms * 1000 >= ends_us),
        ("unknown_category", any(category not in event.categories for category, _ in wanted)),
        ("over_order_limit", _is_over(event.terms["max_per_order"], quantity)),
        ("over_buyer_limit", _has_too_many(event, command["buyer"], quantity)),
    )
    return next((reason for reason, holds in reasons if holds), _why_not_enough(event, wanted))


def _is_over(limit: int | None, quantity: int) -> bool:
    return bool(limit) and quantity > (limit or 0)


def _has_too_many(event: Event, buyer: str, more: int) -> bool:
    return _is_over(event.terms["max_per_buyer"], event.tickets_of[buyer] + more)


def _why_not_enough(event: Event, wanted: Wanted) -> str | None:
    """Of several lines the one of which there is least hope says why."""
    known = [(event.categories[category], quantity) for category, quantity in wanted if category in event.categories]
    reasons = set()
    for category, quantity in known:
        if len(category.queue) < quantity:
            gone = "all_held" if category.held else "sold_out"
            reasons.add("not_enough_left" if category.queue else gone)
    return next((reason for reason in ("sold_out", "all_held", "not_enough_left") if reason in reasons), None)


def _bought(event: Event, sold: Purchase) -> Members:
    told: Members = {"buyer": sold.buyer, "quantity": len(sold.tickets), "tickets": list(sold.tickets)}
    if event.rules < PRESENT_RULES:
        return told
    return told | {
        "purchase": sold.request_id,
        "lines": _lines(event, sold, sold.tickets, with_tickets=True),
        "amount": event.cost(sold, sold.tickets),
        "currency": event.currency,
    }


def _lines(event: Event, sold: Purchase, tickets: Iterable[str], *, with_tickets: bool = False) -> list[Members]:
    """Some tickets of a purchase, by category, in the order in which it asked for them."""
    of_each: dict[str, list[str]] = {category: [] for category, _ in sold.wanted}
    for ticket in tickets:
        of_each[event.category_of(ticket)].append(ticket)
    return [
        {"category": category, "quantity": len(own), "price": sold.prices[category]}
        | ({"tickets": own} if with_tickets else {})
        for category, own in of_each.items()
        if own
    ]


# confirm_purchase, expire_hold


def _confirm_purchase(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    """It does not look at the time: while the hold stands, who pays gets the tickets."""
    paid = {name: command[name] for name in ("purchase", "payment")}
    sold = event.purchases.get(command["purchase"])
    reason = _against_payment(event, command, sold)
    if reason is not None or sold is None:
        fact |= {"type": "payment_refused", **paid, "reason": reason}
        fact |= {"amount": command["amount"], "currency": command["currency"]}
        event.payments[command["payment"]] = fact
        return _remember(event, command, fact)
    late = sold.state == "expired"
    if late:
        sold.tickets = event.take(event.wanted_now(sold), "confirmed")
        event.tickets_of[sold.buyer] += len(sold.tickets)
    else:
        event.count(sold.tickets, "held", -1)
        event.count(sold.tickets, "confirmed", 1)
    sold.state, sold.payment = "confirmed", command["payment"]
    fact |= {"type": "purchase_confirmed", **_bought(event, sold), **paid, "late": late}
    event.payments[command["payment"]] = fact
    return _change_purchase(event, command, fact)


def _against_payment(event: Event, command: Members, sold: Purchase | None) -> str | None:
    if sold is None:
        return "no_such_purchase"
    if sold.state in ("cancelled", "confirmed"):
        return {"cancelled": "already_cancelled", "confirmed": "already_paid"}[sold.state]
    if (command["amount"], command["currency"]) != (event.cost(sold, sold.tickets), event.currency):
        return "amount_mismatch"
    if sold.state == "held":
        return None
    if event.cancelled or event.closed:
        return "event_cancelled" if event.cancelled else "event_closed"
    if _has_too_many(event, sold.buyer, len(sold.tickets)):
        return "over_buyer_limit"
    return None if event.are_left(event.wanted_now(sold)) else "sold_out"


def _expire_hold(event: Event, command: Members, fact: Members, at_ms: int) -> Members:
    """The only place that looks at the deadline."""
    sold = event.purchases.get(command["purchase"])
    if sold is None:
        return rejection(command, "no_such_purchase", fact)
    if sold.state != "held":
        return rejection(command, "not_held", fact)
    if at_ms < sold.due_ms:
        return rejection(command, "not_due", fact)
    event.give_back(sold.tickets, "held")
    event.tickets_of[sold.buyer] -= len(sold.tickets)
    sold.state = "expired"
    fact |= {"type": "hold_expired", "purchase": sold.request_id, "buyer": sold.buyer, "tickets": list(sold.tickets)}
    return _change_purchase(event, command, fact | {"lines": _lines(event, sold, sold.tickets)})


# cancel_purchase


def _cancel_purchase(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    """All of its tickets, or some; of a held one too."""
    sold = event.purchases.get(command["purchase"])
    if sold is None or command["buyer"] not in (None, sold.buyer):
        return rejection(command, "no_such_purchase", fact)
    if sold.state in ("cancelled", "expired"):
        return rejection(command, {"cancelled": "already_cancelled", "expired": "not_held"}[sold.state], fact)
    named = set(command["tickets"] or sold.tickets)
    if named - set(sold.tickets):
        return rejection(command, "no_such_ticket", fact)
    tickets = [ticket for ticket in sold.tickets if ticket in named]
    remaining = [ticket for ticket in sold.tickets if ticket not in named]
    if remaining and event.rules < PRESENT_RULES:
        return rejection(command, "earlier_rules", fact)
    fact |= {"type": "purchase_cancelled", "purchase": sold.request_id, "buyer": sold.buyer, "tickets": tickets}
    fact |= _what_it_costs(event, sold, tickets, remaining)
    event.give_back(tickets, sold.state)
    event.tickets_of[sold.buyer] -= len(tickets)
    if remaining:
        sold.tickets = remaining
    else:
        sold.state = "cancelled"
    return _change_purchase(event, command, fact)


def _what_it_costs(event: Event, sold: Purchase, tickets: list[str], remaining: list[str]) -> Members:
    if event.rules < PRESENT_RULES:
        return {}
    told: Members = {"lines": _lines(event, sold, tickets), "remaining": remaining, "currency": event.currency}
    if sold.state == "held":
        return told | {"held": True, "refund": 0}
    return told | {"refund": event.cost(sold, tickets)} | ({"payment": sold.payment} if sold.payment else {})


# change_event, and how many tickets there are


def _create_event(_event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    return rejection(command, "event_exists", fact)


def _change_event(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    """Holds and purchases keep their amounts."""
    if event.cancelled:
        return rejection(command, "event_cancelled", fact)
    prices = {price["category"]: price["amount"] for price in command["prices"] or ()}
    if prices.keys() - event.categories.keys():
        return rejection(command, "unknown_category", fact)
    for name in TERMS:
        if command[name] is not None:
            event.terms[name] = None if name in LIMITS and command[name] == 0 else command[name]
    for category, amount in prices.items():
        event.categories[category].price = amount
    event.rules = max(event.rules, PRESENT_RULES)
    fact |= {name: value for name, value in event.terms.items() if value is not None}
    fact |= {"type": "event_changed", "rules": event.rules, **_form_of(event.terms["starts_at"]), **_priced(event)}
    return _remember(event, command, fact)


def _priced(event: Event) -> Members:
    shown = [
        {
            "id": category.id,
            "name": category.name,
            "capacity": category.issued - category.removed,
            "price": {"amount": category.price, "currency": event.currency},
        }
        for category in event.categories.values()
    ]
    return {"categories": shown} if event.names_categories else {name: shown[0][name] for name in ("capacity", "price")}


def _add_tickets(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    reason = _ended(event) or _unknown(event, command)
    if reason is not None:
        return rejection(command, reason, fact)
    event.issue(command["category"], command["count"])
    fact |= {"type": "tickets_added", "count": command["count"]}
    if event.rules >= PRESENT_RULES:
        fact["category"] = command["category"]
    return _remember(event, command, fact)


def _remove_tickets(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    """From the tail of what is left; all or none."""
    category, count = command["category"], command["count"]
    reason = _ended(event) or _unknown(event, command) or _why_not_enough(event, [(category, count)])
    if reason is not None:
        return rejection(command, reason, fact)
    event.remove(category, count)
    return _remember(event, command, fact | {"type": "tickets_removed", "category": category, "count": count})


def _ended(event: Event) -> str | None:
    if event.cancelled:
        return "event_cancelled"
    return "event_closed" if event.closed else None


def _unknown(event: Event, command: Members) -> str | None:
    return None if command["category"] in event.categories else "unknown_category"


# The end of an event


def _close_event(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    reason = _ended(event)
    if reason is not None:
        return rejection(command, reason, fact)
    event.closed = True
    return _remember(event, command, fact | {"type": "event_closed"})


def _cancel_event(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    if event.cancelled:
        return rejection(command, "event_cancelled", fact)
    event.cancelled = True
    return _remember(event, command, fact | {"type": "event_cancelled"})


def _archive_event(event: Event, command: Members, fact: Members, _at_ms: int) -> Members:
    """Whoever keeps the events forgets it then."""
    is_over = event.closed or event.cancelled
    if not is_over or any(category.held for category in event.categories.values()):
        return rejection(command, "event_open", fact)
    return fact | {"type": "event_archived"}


_ROWS: dict[str, Callable[[Event, Members, Members, int], Members]] = {
    "purchase": _purchase,
    "confirm_purchase": _confirm_purchase,
    "expire_hold": _expire_hold,
    "cancel_purchase": _cancel_purchase,
    "create_event": _create_event,
    "change_event": _change_event,
    "add_tickets": _add_tickets,
    "remove_tickets": _remove_tickets,
    "close_event": _close_event,
    "cancel_event": _cancel_event,
    "archive_event": _archive_event,
}
