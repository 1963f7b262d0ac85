"""Facts as records of ``purchase-results``: written and read, one line of JSON each, and compared.

What stands in them is said in :mod:`models.shapes`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.complaints import in_words
from models.members import EventIdText, RequestId
from models.reasons import PaymentReason, Reason
from models.shapes import (
    MAX_OFFSET,
    MODELS,
    At,
    CategoryOfEvent,
    ChangedCategory,
    CommandUnreadable,
    Decider,
    EventChanged,
    EventCreated,
    Fact,
    PriceOfEvent,
    PurchaseConfirmed,
    Seq,
    Source,
)
from models.times import is_in_first_form
from models.values import claimed_ids

RULES_VERSION: Final = 2
"""The version of the rules that events are created under. All versions up to it are decided."""

SHAPES_VERSION: Final = 1
"""Of the facts' CloudEvents types: what a consumer reads in them has only grown."""

MAX_TIMESTAMP_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, where the calendar of RFC 3339 ends."""

# Of the strings in a fact only the members' names come again and again.
_FACTS: Final[TypeAdapter[Fact]] = TypeAdapter(
    Annotated[Fact, Field(discriminator="type")], config=ConfigDict(cache_strings="keys")
)
_validate = _FACTS.validator.validate_json


@with_config(ConfigDict(strict=True, extra="allow"))
class _Envelope(TypedDict):
    """What the facts of every release have."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    event_id: EventIdText | None
    seq: Seq
    request_id: RequestId | None
    source: Source
    at: At


_ENVELOPE: Final[TypeAdapter[Any]] = TypeAdapter(_Envelope)
_TYPES: Final = frozenset(get_args(get_type_hints(model)["type"])[0] for model in MODELS)
_REASONS: Final = {
    "purchase_rejected": frozenset(Reason),
    "command_rejected": frozenset(Reason),
    "payment_refused": frozenset(PaymentReason),
}
_EVENTS: Final = {
    "event_created": (frozenset(EventCreated.__annotations__), frozenset(CategoryOfEvent.__annotations__)),
    "event_changed": (frozenset(EventChanged.__annotations__), frozenset(ChangedCategory.__annotations__)),
}
"""The facts that tell what an event is: their members, and those of a category in them."""
_PRICE_MEMBERS: Final = frozenset(PriceOfEvent.__annotations__)
_STARTS_AT_FORM: Final[Literal["rfc_3339"]] = "rfc_3339"
_MAX_SHOWN: Final = 64


class UnreadableFactError(Exception):
    """A ledger record that is no fact."""


class NewerFactError(UnreadableFactError):
    """A fact that a newer release wrote: this one cannot know what follows from it.

    ``event_id`` and ``seq`` are the fact's own, as every release writes them.
    """

    def __init__(self, what: str, event_id: str | None, seq: int) -> None:
        super().__init__(f"written by a newer release: {what}")
        self.event_id = event_id
        self.seq = seq


def read_fact(value: bytes | None) -> Fact:
    """The fact in a ledger record's value.

    Raises:
        NewerFactError: it is well-formed, and has a type, a reason, a decider, a version of the rules or a member
            of the event that this release does not know.
        UnreadableFactError: it is no JSON or lacks what a fact of its type has.
    """
    try:
        fact: Fact = _validate(value or b"")
    except ValidationError as error:
        _raise_if_newer(value or b"")
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise UnreadableFactError(f"{where}: {in_words(detail)}".lstrip(": ")) from None
    if fact["type"] in _EVENTS:
        _check_event(fact)
    return fact


def _check_event(fact: Any) -> None:
    what = _unknown_of_event(fact)
    if what is not None:
        raise NewerFactError(what, fact["event_id"], fact["seq"])
    if {"capacity", "price", "categories"} & fact.keys() not in ({"capacity", "price"}, {"categories"}):
        raise UnreadableFactError(f"{fact['type']}: it has neither categories nor capacity and price, or both")


def _raise_if_newer(value: bytes) -> None:
    try:
        fact = _ENVELOPE.validate_json(value)
    except ValidationError:
        return
    what = _unknown(fact)
    if what is not None:
        raise NewerFactError(what, fact["event_id"], fact["seq"])


def _unknown(fact: Any) -> str | None:
    """What this release does not know of a well-formed fact, in words; None if there is nothing."""
    kind = fact["type"]
    if kind not in _TYPES:
        return f"it knows facts of the type {kind}"
    if isinstance(reason := fact.get("reason"), str) and reason not in _REASONS.get(kind, {reason}):
        return f"it knows the reason {reason[:_MAX_SHOWN]}"
    if isinstance(decider := fact.get("decided_by"), str) and decider not in set(Decider):
        return f"it knows the decider {decider[:_MAX_SHOWN]}"
    return _unknown_of_event(fact) if kind in _EVENTS else None


def _unknown_of_event(fact: Any) -> str | None:
    rules = fact.get("rules")
    if isinstance(rules, int) and rules > RULES_VERSION:
        return f"it sells by the rules {rules}"
    if isinstance(form := fact.get("starts_at_form"), str) and form != _STARTS_AT_FORM:
        return f"it knows times of the form {form[:_MAX_SHOWN]}"
    of_event, of_category = _EVENTS[fact["type"]]
    unknown = sorted(fact.keys() - of_event) + _unknown_of_price(fact, "")
    categories = fact.get("categories")
    for category in categories if isinstance(categories, list) else ():
        if isinstance(category, dict):
            unknown += [f"categories.{name}" for name in sorted(category.keys() - of_category)]
            unknown += _unknown_of_price(category, "categories.")
    return f"it knows the event's member {unknown[0][:_MAX_SHOWN]}" if unknown else None


def _unknown_of_price(priced: Any, where: str) -> list[str]:
    price = priced.get("price")
    return [f"{where}price.{name}" for name in sorted(price.keys() - _PRICE_MEMBERS)] if isinstance(price, dict) else []


_Terms = TypeVar("_Terms", EventCreated, EventChanged)


def with_form_of_time(fact: _Terms) -> _Terms:
    """An event that says so if earlier releases do not read its time: so they refuse the partition.

    Without that they would take the fact for damage, and decide the command again: as unreadable.
    """
    if not is_in_first_form(fact["starts_at"]):
        fact["starts_at_form"] = _STARTS_AT_FORM
    return fact


def write_fact(fact: Fact) -> bytes:
    """The fact as one line of JSON, members in the order of the documentation."""
    return to_json(fact)


def unreadable(value: bytes | None, reason: str, source: Source, at: str) -> CommandUnreadable:
    """The fact about a record that could not be read, with the ids that its value claims."""
    fact: CommandUnreadable = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "reason": reason,
        "source": source,
        "at": at,
    }
    claimed = claimed_ids(value)
    if "event_id" in claimed:
        fact["claimed_event_id"] = claimed["event_id"]
    if "request_id" in claimed:
        fact["claimed_request_id"] = claimed["request_id"]
    return fact


def same_decision(one: Fact, other: Fact) -> bool:
    """Whether two facts differ in nothing but who decided, or in what a reader says of what it could not read.

    Of offsets that were passed the time says nothing either.
    """
    ignored: dict[str, None] = {"decided_by": None}
    if one["type"] == "command_unreadable":
        ignored |= dict.fromkeys(("reason", "claimed_event_id", "claimed_request_id"))
    if one["type"] == "offsets_passed":
        ignored["at"] = None
    return {**one, **ignored} == {**other, **ignored}


def decided_alike(decided: Fact, fact: Fact) -> bool:
    """Whether a fact says what this release decides, or an earlier one has: events keep the rules they began under."""
    if fact["type"] == decided["type"] == "event_created" and 1 <= fact["rules"] < decided["rules"]:
        decided = {**decided, "rules": fact["rules"]}
    return same_decision(decided, fact)


def purchase_of(confirmed: PurchaseConfirmed) -> str:
    """The request id of the purchase whose tickets a fact makes its buyer's."""
    return confirmed.get("purchase", confirmed["request_id"])


def is_payment(confirmed: PurchaseConfirmed) -> bool:
    """Whether a fact that confirms a purchase answers a payment: the tickets had been held."""
    return purchase_of(confirmed) != confirmed["request_id"]


def clamped_ms(timestamp_ms: int) -> int:
    """A record's timestamp within the calendar."""
    return min(max(timestamp_ms, 0), MAX_TIMESTAMP_MS)


@lru_cache(maxsize=4096)
def at_text(timestamp_ms: int) -> str:
    """A record's timestamp as facts show it: RFC 3339, UTC, milliseconds, clamped to the calendar."""
    seconds, milliseconds = divmod(clamped_ms(timestamp_ms), 1000)
    # Half the time of a format's.
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03d}Z"


@lru_cache(maxsize=4096)
def at_ms(text: str) -> int:
    """The inverse of :func:`at_text`, in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def ce_type(fact_type: str) -> str:
    """The CloudEvents type of a fact."""
    return f"boxoffice.{fact_type}.v{SHAPES_VERSION}"


def ce_id(fact: Fact) -> str:
    """EVENT-SEQ, or PARTITION-OFFSET of the source with seq 0: the same in every repeat."""
    if fact["seq"]:
        return f"{fact['event_id']}-{fact['seq']}"
    return f"{fact['source']['partition']}-{fact['source']['offset']}"


def ce_source(fact: Fact) -> str:
    """What ``ce_id`` is unique within: the events; for seq 0 the facts of one type, one for a position."""
    return "boxoffice/events" if fact["seq"] else f"boxoffice/{fact['type']}"


_RANGE = re.compile(r"(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})")


def read_range(header: bytes | None) -> tuple[int, int] | None:
    """FROM and TO of a ledger record's ``boxoffice-read`` header; None where it is missing or damaged."""
    match = _RANGE.fullmatch((header or b"").decode("ascii", "replace"))
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return (first, last) if first <= last <= MAX_OFFSET else None


def schema() -> dict[str, Any]:
    """The JSON Schema of every fact."""
    return _FACTS.json_schema()
