"""The figures of a sale."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.checker.events import Event
    from tests.support.checker.ledger import Ledger
    from tests.support.checker.records import Members
    from tests.support.checker.sale import Sale

_NAMES = {
    "created": "event_created",
    "confirmed": "purchase_confirmed",
    "held": "purchase_held",
    "expired": "hold_expired",
    "cancelled": "purchase_cancelled",
    "changed": "event_changed",
    "added": "tickets_added",
    "removed": "tickets_removed",
    "closed": "event_closed",
    "called_off": "event_cancelled",
    "archived": "event_archived",
    "payments_refused": "payment_refused",
}


def summary_of(sale: Sale, ledger: Ledger) -> Members:
    """How many of what there were, and what each event is in the end. Refusals are of purchases and other commands."""
    copies = sum(len(records) for records in sale.copies.values())
    facts = [entry.fact for chain in ledger.chains for entry in chain]
    new = [fact for taken in ledger.new.values() for fact in taken]
    unknown = [fact for fact in facts if fact.get("reason") == "unknown_event" and fact.get("seq") == 0]
    types = Counter(fact["type"] for fact in new)
    refused = [fact for fact in [*new, *unknown] if "reason" in fact and fact["type"] != "payment_refused"]
    return {
        "commands": len(sale.records) - copies,
        "readable": len(sale.records) - copies - len(sale.unreadable),
        "unreadable": len(sale.unreadable),
        "forwarded": len(sale.forwarded),
        "second_copies": len(sale.second_copies),
        **{name: types[type_] for name, type_ in _NAMES.items()},
        "rejected": _counted(fact["reason"] for fact in refused),
        "reasons_of_payments": _counted(fact["reason"] for fact in new if fact["type"] == "payment_refused"),
        "repeats": ledger.repeats,
        "decided_by": dict(sorted(ledger.deciders.items())),
        "ledger": {
            "records": ledger.records,
            "chain": len(facts),
            "ignored": len(ledger.ignored),
            "damaged": ledger.damaged,
        },
        "events": {
            event_id: {"partition": partition.number, **_event(event)}
            for partition in sale.partitions
            for event_id, event in partition.events.items()
        },
        "archives": {event_id: seq for partition in sale.partitions for event_id, seq in partition.archived.items()},
    }


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items()))


def _event(event: Event) -> Members:
    categories = event.categories.values()
    return {
        "seq": event.seq,
        "rules": event.rules,
        "closed": event.closed,
        "cancelled": event.cancelled,
        "sold": sum(category.sold for category in categories),
        "held": sum(category.held for category in categories),
        "left": sum(len(category.queue) for category in categories),
        "removed": sum(category.removed for category in categories),
        "queue": [ticket for category in categories for ticket in category.queue],
        "owners": event.owners,
        "categories": {
            category.id: {
                "price": category.price,
                "issued": category.issued,
                "removed": category.removed,
                "sold": category.sold,
                "held": category.held,
                "queue": list(category.queue),
            }
            for category in categories
        },
    }
