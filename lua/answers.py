"""The fact that answers a request, made again out of what Redis keeps of it.

It is the fact that the same request sent again is answered with: a purchase by what has become of it. What Redis does
not keep is who decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from lua.records import NAMES
from models.facts import UnreadableFactError, read_fact, with_form_of_time, write_fact
from models.members import GENERAL
from models.shapes import Decider, DecisionFact, EventCreated

_DECIDER: Final = Decider.REDIS.value
_FACTS: Final = {name: kind for kind, name in NAMES.items()}


class UnreadableRecordError(Exception):
    """What lies there is no record: somebody else wrote it, or a part of it is gone."""


class Kept(NamedTuple):
    """What Redis keeps of an accepted request, each as it lies there."""

    record: bytes
    meta: Mapping[str, str]
    """The event's."""
    other: bytes | None = None
    """The record of the request that this one names: what has changed a purchase, or a cancellation's purchase."""


def other_request(record: bytes) -> str | None:
    """The request whose record tells the rest.

    Raises:
        UnreadableRecordError: it is none.
    """
    members = _members(record)
    other = members.get("by", members.get("cancelled_by"))
    if other is None and members.get("type") == "cancellation":
        other = members.get("purchase")
    return str(other) if other is not None else None


def fact_of(event_id: str, request_id: str, kept: Kept) -> DecisionFact:
    """The fact that the request is answered with.

    Raises:
        UnreadableRecordError: what is kept makes none.
    """
    try:
        made = _fact_of(event_id, request_id, kept)
        # Whatever somebody else put there, what leaves here is a fact.
        fact = read_fact(write_fact(made))
    except (KeyError, TypeError, ValueError, StopIteration, UnreadableFactError) as error:
        raise UnreadableRecordError(f"{type(error).__name__}: {error}"[:200]) from None
    return fact  # type: ignore[return-value]  # of the types that are made here


def _fact_of(event_id: str, request_id: str, kept: Kept) -> Any:
    record = _members(kept.record)
    other = _members(kept.other) if kept.other is not None else {}
    match record["type"]:
        case "purchase" if (by := record.get("by", record.get("cancelled_by"))) is not None:
            if other["type"] == "cancellation":
                return _cancelled(event_id, by, request_id, record, other)
            return _as_it_was(event_id, by, other)
        case "purchase":
            return _sold(event_id, request_id, record, kept.meta)
        case "cancellation":
            return _cancelled(event_id, request_id, record["purchase"], other, record)
        case "creation":
            return _created(_decided("event_created", event_id, request_id, record), kept.meta)
    return _as_it_was(event_id, request_id, record)


_OF_RECORD: Final = frozenset({"type", "seq", "offset", "source", "at"})


def _as_it_was(event_id: str, request_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
    kind = record["type"]
    own = {name: value for name, value in record.items() if name not in _OF_RECORD}
    return _decided(_FACTS.get(kind, kind), event_id, request_id, record) | own


def _decided(kind: str, event_id: str, request_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
    decided = {
        "type": kind,
        "event_id": event_id,
        "seq": record["seq"],
        "request_id": request_id,
        "source": record["source"],
        "at": record["at"],
        "decided_by": _DECIDER,
    }
    return decided | {"actor": record["actor"]} if "actor" in record else decided


def _sold(event_id: str, request_id: str, record: Mapping[str, Any], meta: Mapping[str, str]) -> dict[str, Any]:
    tickets, due = record["tickets"], record.get("due")
    kind = "purchase_confirmed" if due is None else "purchase_held"
    fact = _decided(kind, event_id, request_id, record)
    fact |= {"buyer": record["buyer"], "quantity": len(tickets), "tickets": tickets}
    if not 0 < int(meta.get("rules_since", 0)) <= record["seq"]:
        return fact
    rest = iter(tickets)
    lines = [
        {"category": category, "quantity": quantity, "price": price, "tickets": [next(rest) for _ in range(quantity)]}
        for category, quantity, price in record.get("lines") or [(GENERAL, len(tickets), int(meta["first_price"]))]
    ]
    fact |= {
        "purchase": request_id,
        "lines": lines,
        "amount": sum(line["quantity"] * line["price"] for line in lines),
        "currency": meta["price_currency"],
    }
    return fact if due is None else fact | {"due": due}


def _cancelled(
    event_id: str, request_id: str, purchase: str, sale: Mapping[str, Any], cancellation: Mapping[str, Any]
) -> dict[str, Any]:
    return _decided("purchase_cancelled", event_id, request_id, cancellation) | {
        "purchase": purchase,
        "buyer": sale["buyer"],
        "tickets": sale["tickets"],
    }


def _created(decided: dict[str, Any], meta: Mapping[str, str]) -> EventCreated:
    created: Any = decided | {
        "name": meta["name"],
        "venue": meta["venue"],
        "starts_at": meta["starts_at"],
        "capacity": int(meta["capacity"]),
        "price": {"amount": int(meta["price_amount"]), "currency": meta["price_currency"]},
        "rules": int(meta["rules"]),
    }
    if meta["max_per_order"]:
        created["max_per_order"] = int(meta["max_per_order"])
    whole: EventCreated = with_form_of_time(created)
    return whole


def _members(record: bytes) -> dict[str, Any]:
    try:
        members = from_json(record)
    except ValueError as error:
        raise UnreadableRecordError(f"no JSON: {error}"[:200]) from None
    if not isinstance(members, dict):
        raise UnreadableRecordError("JSON, but no object")
    return members
