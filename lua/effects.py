"""What follows from a fact in Redis: tickets that leave queues or come back, records, members of ``meta``.

Lua is told it, and looks no further than whether it can be: at the next seq, with those tickets at the queue's head.
Of sales and rejections it can be made at any time, from the fact alone; of everything else only as soon as the fact
was folded, since it tells what has become of a purchase by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from lua.records import members, record, record_of, record_of_purchase, sale_detail
from models.accepted import Accepted
from models.event import Event
from models.facts import is_payment
from models.shapes import DecisionFact
from models.tickets import ticket_number

_Change = dict[str, Any]
REJECTIONS: Final = frozenset({"purchase_rejected", "command_rejected"})
_CHANGE_PURCHASES: Final = frozenset({"purchase_confirmed", "hold_expired", "purchase_cancelled"})
_TOLD_LATER: Final = REJECTIONS | {"event_archived"}


class Effect(NamedTuple):
    """What a fact does to an event's copy. ``changes`` are by the places of the categories."""

    changes: dict[int, _Change]
    records: tuple[str, ...]
    """Request ids and their records in turn."""
    meta: tuple[str, ...] = ()
    """Fields and values in turn."""


def is_sale(fact: DecisionFact) -> bool:
    """Whether a fact takes tickets from the queues for a purchase that comes first."""
    return fact["type"] == "purchase_held" or (fact["type"] == "purchase_confirmed" and not is_payment(fact))


def effect_of(event: Event, fact: DecisionFact, partition: int) -> Effect | None:
    """What follows from a fact that was just folded; None where it can be made later, or the event is forgotten."""
    kind, request_id = fact["type"], fact["request_id"]
    if kind in _TOLD_LATER or is_sale(fact):
        return None
    changed: Any = None
    if kind in _CHANGE_PURCHASES:
        changed = fact.get("purchase")
    elif kind == "event_changed" and event.rules_since == fact["seq"]:
        # By the rules before, the rest of its creation stood in meta.
        changed = event.created["request_id"]
    own = record_of(fact, event.fence)
    if kind == "purchase_cancelled" and not event.by_present_rules(fact["seq"]):
        own = record(event, request_id, _accepted(event, request_id), partition)
    records = [request_id, own]
    if changed is not None:
        records += (changed, record(event, changed, _accepted(event, changed), partition))
    return Effect(_changes(event, fact), tuple(records), _meta(event, fact))


def _accepted(event: Event, request_id: str) -> Accepted:
    accepted = event.request(request_id)
    assert accepted is not None, "the fact was folded"
    return accepted


def effect_of_sale(event: Event, fact: Any, offset: int) -> Effect:
    """What follows from a purchase."""
    figure = "held" if fact["type"] == "purchase_held" else "sold"
    changes = {
        place: {figure: len(tickets), "count": len(tickets), "take": ",".join(tickets)}
        for place, tickets in _by_category(event, fact["tickets"]).items()
    }
    record = record_of_purchase(fact["seq"], sale_members(event, fact, offset), fact["tickets"])
    return Effect(changes, (fact["request_id"], record))


def sale_members(event: Event, fact: Any, offset: int) -> str:
    """The part of a purchase's record that Redis takes as it is."""
    return members(offset, fact["source"], fact["at"], _sale_detail(event, fact))


def _sale_detail(event: Event, fact: Any) -> str:
    buyer, lines, actor = fact["buyer"], fact.get("lines"), fact.get("actor", "")
    # As nearly all are: the event says what they cost.
    if not event.names_categories and "due" not in fact and (not lines or lines[0]["price"] == event.first_price):
        return sale_detail(buyer, actor=actor)
    named = [(line["category"], line["quantity"], line["price"]) for line in lines or ()]
    return sale_detail(buyer, named, fact.get("due", ""), actor)


def _by_category(event: Event, tickets: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for ticket in tickets:
        found.setdefault(event.category_of(ticket_number(ticket)), []).append(ticket)
    return found


def _changes(event: Event, fact: Any) -> dict[int, _Change]:
    """What becomes of the queues, and of how many tickets there are of each kind."""
    match fact["type"]:
        case "purchase_confirmed":
            return {event.places[line["category"]]: _paid(line["tickets"], late=fact["late"]) for line in fact["lines"]}
        case "hold_expired":
            return _given_back(event, fact["tickets"], "held")
        case "purchase_cancelled":
            was_held = _accepted(event, fact["request_id"]).flag
            return _given_back(event, fact["tickets"], "held" if was_held else "sold")
        case "tickets_added":
            place, count = event.place_of(fact.get("category")), fact["count"]
            assert place is not None, "the fact was folded"
            last = event.issued
            return {place: {"issued": count, "add": (event.prefix, last - count + 1, last)}}
        case "tickets_removed":
            place, count = event.place_of(fact["category"]), fact["count"]
            assert place is not None, "the fact was folded"
            return {place: {"removed": count, "drop": count}}
        case "event_changed" if event.rules_since == fact["seq"]:
            return {place: {"tell": True} for place in range(len(event.categories))}
    return {}


def _paid(tickets: list[str], *, late: bool) -> _Change:
    if late:
        return {"sold": len(tickets), "count": len(tickets), "take": ",".join(tickets)}
    return {"sold": len(tickets), "held": -len(tickets)}


def _given_back(event: Event, tickets: Iterable[str], figure: str) -> dict[int, _Change]:
    return {place: {figure: -len(own), "join": ",".join(own)} for place, own in _by_category(event, tickets).items()}


def _meta(event: Event, fact: DecisionFact) -> tuple[str, ...]:
    """What has changed of what the sale is for."""
    match fact["type"]:
        case "event_closed":
            return "closed", "1"
        case "event_cancelled":
            return "cancelled", "1"
        case "event_changed":
            return tuple(word for field in terms_fields(event).items() for word in field)
    return ()


# Fields of meta


def terms_fields(event: Event) -> dict[str, str]:
    """What the sale is for, and on what terms."""
    now = event.now
    fields = {
        "name": now["name"],
        "venue": now["venue"],
        "starts_at": now["starts_at"],
        "max_per_order": str(now.get("max_per_order", "")),
        "price_currency": event.currency,
        "rules": str(event.rules),
    }
    if event.names_categories:
        categories = [{"id": one.id, "name": one.name, "price": one.price} for one in event.categories]
        fields["categories"] = to_json(categories).decode()
    else:
        fields["capacity"] = str(event.created["capacity"])
        fields["price_amount"] = str(event.categories[0].price)
    if event.page_since > 1:
        fields["page_since"] = str(event.page_since)
    if event.rules_since:
        fields["rules_since"] = str(event.rules_since)
        fields["cancelled"] = "1" if event.cancelled else "0"
        for name in ("on_sale_at", "off_sale_at", "hold_s", "max_per_buyer"):
            fields[name] = str(now.get(name, ""))
        if not event.names_categories:
            fields["first_price"] = str(event.first_price)
    elif event.cancelled:
        fields["cancelled"] = "1"
    return fields


def figures_fields(event: Event) -> dict[str, str]:
    """How many tickets there are of each kind; what is neither held nor removed stands in none of them."""
    fields = {}
    for suffix, category in zip(suffixes(event), event.categories, strict=True):
        fields[f"issued{suffix}"] = str(category.issued)
        fields[f"sold{suffix}"] = str(category.sold)
        if event.rules_since:
            fields[f"held{suffix}"] = str(category.held)
        if event.rules_since or category.removed:
            fields[f"removed{suffix}"] = str(category.removed)
    return fields


def suffixes(event: Event) -> list[str]:
    """What stands behind the names of figures, of each category."""
    return [f":{category.id}" for category in event.categories] if event.names_categories else [""]
