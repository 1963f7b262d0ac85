"""The fact that answers a request, made again out of what Redis keeps of it.

It is the fact that the same request sent again is answered with: of a purchase that was cancelled since, its
cancellation. What Redis does not keep is who decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from lua.records import TYPES
from models.accepted import Kind
from models.facts import UnreadableFactError, read_fact, with_form_of_time, write_fact
from models.shapes import Decider, DecisionFact, EventCreated

_DECIDER: Final = Decider.REDIS.value


class UnreadableRecordError(Exception):
    """What lies there is no record: somebody else wrote it, or a part of it is gone."""


class Kept(NamedTuple):
    """What Redis keeps of an accepted request, each as it lies there."""

    record: bytes
    other: bytes | None = None
    """The record of the request that this one names: a purchase's cancellation, or a cancellation's purchase."""
    meta: Mapping[str, str] | None = None
    """The event's, for the request that created it."""


def other_request(record: bytes) -> str | None:
    """The request that a record names.

    Raises:
        UnreadableRecordError: it is none.
    """
    members = _members(record)
    other = members.get("cancelled_by", members.get("purchase"))
    return str(other) if other is not None else None


def creates(record: bytes) -> bool:
    """Whether it is the record of an event's creation.

    Raises:
        UnreadableRecordError: it is none.
    """
    return _members(record).get("type") == TYPES[Kind.CREATION]


def fact_of(event_id: str, request_id: str, kept: Kept) -> DecisionFact:
    """The fact that the request is answered with.

    Raises:
        UnreadableRecordError: what is kept makes none.
    """
    try:
        made = _fact_of(event_id, request_id, kept)
        # Whatever somebody else put there, what leaves here is a fact.
        fact = read_fact(write_fact(made))
    except (KeyError, TypeError, ValueError, UnreadableFactError) as error:
        raise UnreadableRecordError(f"{type(error).__name__}: {error}"[:200]) from None
    return fact  # type: ignore[return-value]  # of the types that are made here


def _fact_of(event_id: str, request_id: str, kept: Kept) -> Any:
    record = _members(kept.record)
    other = _members(kept.other) if kept.other is not None else {}
    match record["type"]:
        case "purchase" if "cancelled_by" in record:
            return _cancelled(event_id, record["cancelled_by"], request_id, record, other)
        case "purchase":
            return _decided("purchase_confirmed", event_id, request_id, record) | {
                "buyer": record["buyer"],
                "quantity": len(record["tickets"]),
                "tickets": record["tickets"],
            }
        case "cancellation":
            return _cancelled(event_id, request_id, record["purchase"], other, record)
        case "addition":
            return _decided("tickets_added", event_id, request_id, record) | {"count": record["count"]}
        case "closing":
            return _decided("event_closed", event_id, request_id, record)
        case "creation":
            return _created(_decided("event_created", event_id, request_id, record), kept.meta or {})
    raise ValueError("a record of no known type")


def _decided(kind: str, event_id: str, request_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "event_id": event_id,
        "seq": record["seq"],
        "request_id": request_id,
        "source": record["source"],
        "at": record["at"],
        "decided_by": _DECIDER,
    }


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
    return with_form_of_time(created)


def _members(record: bytes) -> dict[str, Any]:
    try:
        members = from_json(record)
    except ValueError as error:
        raise UnreadableRecordError(f"no JSON: {error}"[:200]) from None
    if not isinstance(members, dict):
        raise UnreadableRecordError("JSON, but no object")
    return members
