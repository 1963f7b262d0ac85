"""Facts in words, for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from boxoffice.cli.reasons import OF_PAYMENTS, REASONS
from boxoffice.cli.terms import all_terms, of_a_purchase, tickets_of
from models.words import number_of, time_of

if TYPE_CHECKING:
    from boxoffice.redis.terms import Terms
    from models.shapes import Fact


def sentence(fact: Fact, terms: Terms | None = None) -> str:
    """A fact in words; of tickets with the event's terms, where they are known."""
    what = _WORDS[fact["type"]](fact, terms)
    return f"{what} ({_which(fact)})."


NEED_TERMS = frozenset({"purchase_confirmed", "purchase_held", "tickets_added"})
"""Types of facts of which more is said where the event's terms are known."""


def _confirmed(fact: Any, terms: Terms | None) -> str:
    # It takes its time to import, and help is there at once.
    from models.facts import is_payment

    bought = of_a_purchase(fact, terms)
    if not is_payment(fact):
        return f"Sold {bought}"
    late = ", after its hold had expired" if fact.get("late") else ""
    return f"Purchase {fact['purchase']} is paid for by {fact['payment']}{late}: {bought}"


def _held(fact: Any, terms: Terms | None) -> str:
    owed = _amount(fact["amount"], fact)
    return f"Held {of_a_purchase(fact, terms)}: {owed} must be paid by {time_of(fact['due'])}"


def _rejected(fact: Any, _: Terms | None) -> str:
    return f"Not sold, {fact['reason']}: {REASONS[fact['reason']]}"


def _payment_refused(fact: Any, _: Terms | None) -> str:
    why = f"{fact['reason']}: {OF_PAYMENTS[fact['reason']]}"
    return f"Payment {fact['payment']} is refused, {why}; give the {_amount(fact['amount'], fact)} back"


def _expired(fact: Any, _: Terms | None) -> str:
    return f"The hold of purchase {fact['purchase']} has expired: {_names(fact)} on sale again"


def _cancelled(fact: Any, _: Terms | None) -> str:
    back = f", {_amount(fact['refund'], fact)} to be paid back" if fact.get("refund") else ""
    if remaining := fact.get("remaining"):
        kept = f"; it keeps {', '.join(remaining)}"
        return f"Purchase {fact['purchase']} is cancelled in part: {_names(fact)} on sale again{back}{kept}"
    return f"Purchase {fact['purchase']} is cancelled: {_names(fact)} on sale again{back}"


def _created(fact: Any, _: Terms | None) -> str:
    return f"Event {fact['event_id']} is on sale: {tickets_of(fact)}"


def _changed(fact: Any, _: Terms | None) -> str:
    return f"Event {fact['event_id']} is changed: {tickets_of(fact)}"


def _added(fact: Any, terms: Terms | None) -> str:
    category = _of_category(fact)
    what = f"Event {fact['event_id']} has {number_of(fact['count'], 'more ticket')}{category}"
    return f"{what} {all_terms(terms, fact.get('category'))}" if terms is not None else what


def _removed(fact: Any, _: Terms | None) -> str:
    return f"Event {fact['event_id']} has {number_of(fact['count'], 'ticket')}{_of_category(fact)} fewer"


def _of_category(fact: Any) -> str:
    from models.members import GENERAL

    category = fact.get("category", GENERAL)
    return f" of {category}" if category != GENERAL else ""


def _refused(fact: Any, _: Terms | None) -> str:
    return f"Refused, {fact['reason']}: {REASONS[fact['reason']]}"


_WORDS: dict[str, Callable[[Any, Any], str]] = {
    "purchase_confirmed": _confirmed,
    "purchase_held": _held,
    "purchase_rejected": _rejected,
    "payment_refused": _payment_refused,
    "hold_expired": _expired,
    "purchase_cancelled": _cancelled,
    "event_created": _created,
    "event_changed": _changed,
    "tickets_added": _added,
    "tickets_removed": _removed,
    "event_closed": lambda fact, _: f"Event {fact['event_id']} is closed",
    "event_cancelled": lambda fact, _: f"Event {fact['event_id']} is called off",
    "event_archived": lambda fact, _: f"Event {fact['event_id']} is archived",
    "command_rejected": _refused,
    "command_forwarded": lambda fact, _: f"Forwarded to partition {fact['home']}",
    "command_unreadable": lambda fact, _: f"Unreadable, {fact['reason']}",
    "offsets_passed": lambda *_: "Nothing to answer",
}


def _which(fact: Any) -> str:
    if fact["type"] in {"command_unreadable", "offsets_passed"}:
        claimed = f"request {request_id}, " if (request_id := fact.get("claimed_request_id")) is not None else ""
        return f"{claimed}position {fact['source']['partition']}:{fact['source']['offset']}"
    actor = f", by {fact['actor']}" if "actor" in fact else ""
    decider = f", decided by {fact['decided_by']}" if fact["type"] != "command_forwarded" else ""
    return f"request {fact['request_id']}{actor}, seq {fact['seq']}{decider}"


def _amount(amount: int, fact: Any) -> str:
    from models.money import amount_text

    return amount_text(amount, fact["currency"])


def _names(fact: Any) -> str:
    return ", ".join(fact["tickets"])
