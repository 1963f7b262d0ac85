"""Changing an event: what is given of it, how many tickets there are, and whether it is sold at all.

| command | fact | rule |
|---|---|---|
| ``change_event`` | ``event_changed`` | the whole event as it is then; what was bought keeps its price |
| ``add_tickets`` | ``tickets_added`` | behind all others of their category |
| ``remove_tickets`` | ``tickets_removed`` | from the tail of what is left; all or none |
| ``close_event`` | ``event_closed`` | nothing is sold any more |
| ``cancel_event`` | ``event_cancelled`` | the same; its purchases are cancelled one by one |
"""

from __future__ import annotations

from typing import Any, Final

from models.commands import AddTickets, CancelEvent, ChangeEvent, CloseEvent, CreateEvent, RemoveTickets
from models.decisions import decision, next_request, refused
from models.event import REMEMBERS_REFUSALS, Event, FoldError, Position
from models.facts import RULES_VERSION, with_form_of_time
from models.members import GENERAL
from models.reasons import Reason
from models.shapes import (
    DecisionFact,
    EventCancelled,
    EventChanged,
    EventClosed,
    EventCreated,
    TicketsAdded,
    TicketsRemoved,
)

Origin = tuple[int, int] | None

_LIMITS: Final = ("max_per_order", "hold_s", "max_per_buyer")
"""What 0 takes away."""
_GIVEN: Final = ("name", "venue", "starts_at", "on_sale_at", "off_sale_at", *_LIMITS)
_LATER_TERMS: Final = ("categories", "on_sale_at", "off_sale_at", "hold_s", "max_per_buyer")
"""What no event of the first rules has."""


# Creating


def created(command: CreateEvent, position: Position) -> EventCreated:
    """The fact of a new event."""
    price, categories = command.price, command.categories
    fact: EventCreated = decision(
        "event_created",
        (command.event_id, 1, command.request_id, position, command.actor),
        name=command.name,
        venue=command.venue,
        starts_at=command.starts_at,
        capacity=command.capacity,
        price=price.model_dump() if price is not None else None,
        categories=[category.model_dump() for category in categories] if categories is not None else None,
        max_per_order=command.max_per_order,
        on_sale_at=command.on_sale_at,
        off_sale_at=command.off_sale_at,
        hold_s=command.hold_s,
        max_per_buyer=command.max_per_buyer,
        rules=RULES_VERSION,
    )
    return with_form_of_time(fact)


def creation_again(event: Event, command: CreateEvent, position: Position) -> EventCreated | None:
    """The fact of the event's creation; None where what is asked for differs."""
    again: EventCreated = {**created(command, position), "rules": event.created["rules"]}
    return again if again == {**event.created, "decided_by": "local"} else None


def check_creation(fact: EventCreated) -> None:
    """Let nobody create an event that could not be sold.

    Raises:
        FoldError: it has two categories alike, several currencies, or what its rules do not know.
    """
    event_id = fact["event_id"]
    categories: Any = fact.get("categories", ())
    if len({one["id"] for one in categories}) != len(categories):
        raise FoldError(f"event {event_id} has a category twice")
    if len({one["price"]["currency"] for one in categories}) > 1:
        raise FoldError(f"event {event_id} has prices of several currencies")
    if fact["rules"] < 1 or (fact["rules"] < REMEMBERS_REFUSALS and any(name in fact for name in _LATER_TERMS)):
        raise FoldError(f"event {event_id} has what the rules {fact['rules']} do not know")


def decide_creation(event: Event, command: CreateEvent, position: Position) -> DecisionFact:
    """The fact about a request to create an event that there is."""
    return refused(event, command, Reason.EVENT_EXISTS, position)


# Changing


def decide_change(event: Event, command: ChangeEvent, position: Position) -> DecisionFact:
    """The fact about a new request to change an event."""
    if event.cancelled:
        return refused(event, command, Reason.EVENT_CANCELLED, position)
    prices = {price.category: price.amount for price in command.prices or ()}
    if any(event.place_of(category) is None for category in prices):
        return refused(event, command, Reason.UNKNOWN_CATEGORY, position)
    given = {name: value for name in _GIVEN if (value := getattr(command, name)) is not None}
    fact: EventChanged = decision(
        "event_changed",
        next_request(event, command, position),
        **_terms(event, given),
        **_priced(event, prices),
        rules=max(event.rules, RULES_VERSION),
    )
    return with_form_of_time(fact)


def _terms(event: Event, given: dict[str, Any]) -> dict[str, Any]:
    terms = {name: given.get(name, event.now.get(name)) for name in _GIVEN}
    return {name: value or None if name in _LIMITS else value for name, value in terms.items()}


def _priced(event: Event, prices: dict[str, int]) -> dict[str, Any]:
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "capacity": category.issued - category.removed,
            "price": {"amount": prices.get(category.id, category.price), "currency": event.currency},
        }
        for category in event.categories
    ]
    if event.names_categories:
        return {"categories": categories}
    return {name: categories[0][name] for name in ("capacity", "price")}


def is_same_change(command: ChangeEvent, fact: EventChanged) -> bool:
    """Whether a request asks for what has led to an event's change: all that it gives stands there."""
    shown: Any = fact
    for name in _GIVEN:
        value = getattr(command, name)
        if value is not None and shown.get(name, 0 if name in _LIMITS else None) != value:
            return False
    amounts = _amounts(fact)
    return all(amounts.get(price.category) == price.amount for price in command.prices or ())


def fold_change(event: Event, fact: EventChanged, offset: int, origin: Origin) -> None:
    """Take a change into the event."""
    event.new_request(fact)
    given: Any = {name: value for name, value in fact.items() if name in ("categories", "capacity", "price")}
    if given != _priced(event, _amounts(fact)):
        raise FoldError(f"event {event.event_id} has other categories than the fact, more tickets or fewer")
    if fact["rules"] < max(event.rules, REMEMBERS_REFUSALS):
        raise FoldError(f"event {event.event_id} is not changed to earlier rules")
    event.keep(fact, offset, origin)
    event.change(fact)


def _amounts(changed: EventChanged) -> dict[str, int]:
    """What a ticket costs then, by category."""
    categories: Any = changed.get("categories")
    if categories is None:
        return {GENERAL: changed["price"]["amount"]} if "price" in changed else {}
    return {category["id"]: category["price"]["amount"] for category in categories}


# How many tickets there are


def decide_addition(event: Event, command: AddTickets, position: Position) -> DecisionFact:
    """The fact about a new request to add tickets."""
    reason = _reason_against(event)
    place = event.place_of(command.category)
    if reason is None and place is None:
        reason = Reason.UNKNOWN_CATEGORY
    if reason is not None or place is None:
        return refused(event, command, reason or Reason.UNKNOWN_CATEGORY, position)
    category = event.categories[place].id if event.by_present_rules(event.seq + 1) else None
    fact: TicketsAdded = decision(
        "tickets_added",
        next_request(event, command, position),
        category=category,
        count=command.count,
    )
    return fact


def fold_addition(event: Event, fact: TicketsAdded, offset: int, origin: Origin) -> None:
    """Take added tickets into the event."""
    event.new_request(fact)
    place = event.place_of(fact.get("category"))
    if place is None:
        raise FoldError(f"event {event.event_id} has no category {fact.get('category', GENERAL)}")
    event.keep(fact, offset, origin)
    event.add(place, fact["count"])


def decide_removal(event: Event, command: RemoveTickets, position: Position) -> DecisionFact:
    """The fact about a new request to remove tickets."""
    reason = _reason_against(event)
    place = event.place_of(command.category)
    if reason is None:
        reason = Reason.UNKNOWN_CATEGORY if place is None else _reason_against_removal(event, place, command.count)
    if reason is not None or place is None:
        return refused(event, command, reason or Reason.UNKNOWN_CATEGORY, position)
    fact: TicketsRemoved = decision(
        "tickets_removed",
        next_request(event, command, position),
        category=event.categories[place].id,
        count=command.count,
    )
    return fact


def _reason_against_removal(event: Event, place: int, count: int) -> Reason | None:
    category = event.categories[place]
    if count <= category.left:
        return None
    if category.left:
        return Reason.NOT_ENOUGH_LEFT
    return Reason.ALL_HELD if category.held else Reason.SOLD_OUT


def fold_removal(event: Event, fact: TicketsRemoved, offset: int, origin: Origin) -> None:
    """Take tickets that were removed from the event."""
    event.new_request(fact)
    place = event.place_of(fact["category"])
    if place is None or event.categories[place].left < fact["count"]:
        raise FoldError(f"event {event.event_id} has no {fact['count']} tickets of {fact['category']} left to remove")
    event.keep(fact, offset, origin)
    event.categories[place].remove(fact["count"])


# Ending the sale


def decide_closing(event: Event, command: CloseEvent, position: Position) -> DecisionFact:
    """The fact about a new request to end the sale."""
    reason = _reason_against(event)
    if reason is not None:
        return refused(event, command, reason, position)
    fact: EventClosed = decision("event_closed", next_request(event, command, position))
    return fact


def fold_closing(event: Event, fact: EventClosed, offset: int, origin: Origin) -> None:
    """Nothing is sold any more."""
    event.new_request(fact)
    event.keep(fact, offset, origin)
    event.end_sale()


def decide_calling_off(event: Event, command: CancelEvent, position: Position) -> DecisionFact:
    """The fact about a new request to call an event off."""
    if event.cancelled:
        return refused(event, command, Reason.EVENT_CANCELLED, position)
    fact: EventCancelled = decision("event_cancelled", next_request(event, command, position))
    return fact


def fold_calling_off(event: Event, fact: EventCancelled, offset: int, origin: Origin) -> None:
    """The event will not take place."""
    event.new_request(fact)
    event.keep(fact, offset, origin)
    event.end_sale(cancelled=True)


def _reason_against(event: Event) -> Reason | None:
    if event.cancelled:
        return Reason.EVENT_CANCELLED
    return Reason.EVENT_CLOSED if event.closed else None
