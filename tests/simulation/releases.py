"""Two releases side by side: workers of the first rules, and those of the present ones.

The code of an earlier release is not there any more. What it does otherwise is little: it creates events by the first
rules, and stops at the first fact that it does not know. So a worker of an earlier release runs the same code, in a
context of its own in which these two are so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import boxoffice.selling.publishing as publishing_module
import models.inventory as inventory_module
import models.ledger as ledger_module
from models.changing import created
from models.commands import CreateEvent
from models.event import Position
from models.facts import RULES_VERSION, NewerFactError, read_fact
from models.shapes import EventCreated, Fact

FIRST_RULES: Final = 1

_rules: ContextVar[int] = ContextVar("rules", default=RULES_VERSION)

_TYPES: Final = frozenset(
    {
        *("event_created", "purchase_confirmed", "purchase_rejected", "purchase_cancelled", "tickets_added"),
        *("event_closed", "command_rejected", "command_forwarded", "command_unreadable", "offsets_passed"),
    }
)
_REASONS: Final = frozenset(
    {
        *("unknown_event", "event_closed", "sold_out", "not_enough_left", "over_order_limit", "request_id_reused"),
        *("event_exists", "no_such_purchase", "already_cancelled"),
    }
)
NEW_MEMBERS: Final = frozenset({"categories", "on_sale_at", "off_sale_at", "hold_s", "max_per_buyer", "actor"})
"""What an event has that only the present release knows."""


@contextmanager
def by_rules(rules: int) -> Iterator[None]:
    """Whatever is begun here is done by a release of that version of the rules."""
    token = _rules.set(rules)
    try:
        yield
    finally:
        _rules.reset(token)


@contextmanager
def side_by_side() -> Iterator[None]:
    """Let the product's code ask which release it is of."""
    seams = (
        (inventory_module, "created", _created),
        (ledger_module, "read_fact", _read_fact),
        (publishing_module, "read_fact", _read_fact),
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in seams]
    for module, name, seam in seams:
        setattr(module, name, seam)
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def _created(command: CreateEvent, position: Position) -> EventCreated:
    fact = created(command, position)
    fact["rules"] = _rules.get()
    return fact


def _read_fact(value: bytes | None) -> Fact:
    fact = read_fact(value)
    if _rules.get() == FIRST_RULES and is_unknown_to_first_rules(fact):
        raise NewerFactError("it sells by the rules 2", fact["event_id"], fact["seq"])
    return fact


def is_unknown_to_first_rules(fact: Any) -> bool:
    """Whether a release that knows only the first rules stops at a fact."""
    if fact["type"] not in _TYPES:
        return True
    if fact["type"] == "event_created":
        return bool(fact["rules"] > FIRST_RULES or fact.keys() & NEW_MEMBERS)
    return "reason" in fact and fact["type"].endswith("_rejected") and fact["reason"] not in _REASONS
