"""Which command a fact answers: what has to be asked again, elsewhere, for the same to be decided there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

from models.accepted import Kind, unpack
from models.commands import Command, UnreadableCommandError, read_command
from models.event import Event, Position
from models.facts import at_ms, same_decision
from models.inventory import Inventory, decide
from models.shapes import DecisionFact, Fact

_NO_PURCHASE = "none"


def command_for(inventory: Inventory, fact: DecisionFact, offset: int) -> Command | None:
    """A command that the rules answer with ``fact``, by the state before it; None if there is none.

    Of a refused command other than a purchase the ledger does not hold the content: one that is refused alike takes
    its place.
    """
    position = Position(offset, at_ms(fact["at"]), fact["source"])
    for members in _members(inventory.events.get(fact["event_id"]), fact):
        try:
            command = read_command(to_json(members))
        except UnreadableCommandError:
            continue
        if same_decision(decide(inventory, command, position), fact):
            return command
    return None


def _members(event: Event | None, fact: Fact) -> Iterator[Mapping[str, Any]]:
    common = {"event_id": fact["event_id"], "request_id": fact["request_id"]}
    match fact["type"]:
        case "event_created":
            yield _creation(fact) | common
        case "purchase_confirmed" | "purchase_rejected":
            yield {"type": "purchase", **common, "buyer": fact["buyer"], "quantity": fact["quantity"]}
        case "purchase_cancelled":  # whether it named the buyer, nobody needs to know any more
            yield {"type": "cancel_purchase", **common, "purchase": fact["purchase"]}
        case "tickets_added":
            yield {"type": "add_tickets", **common, "count": fact["count"]}
        case "event_closed":
            yield {"type": "close_event", **common}
        case "command_rejected" if event is not None:
            for content in _refused(event, fact["command"]):
                yield {"type": fact["command"], **common, **content}


def _creation(fact: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "venue", "starts_at", "capacity", "max_per_order", "price")
    return {"type": "create_event", **{name: fact[name] for name in names if name in fact}}


def _refused(event: Event, command: str) -> Iterator[Mapping[str, Any]]:
    """Contents of a command, of which one is refused for whatever reason there may be."""
    match command:
        case "create_event":
            # The same request id with the event's own content is the creation itself, and is answered again.
            yield {**_creation(event.created), "name": "refused"}
            yield {**_creation(event.created), "name": "Refused"}
        case "add_tickets":
            yield {"count": 1}
            yield {"count": 2}
        case "close_event":
            yield {}
        case "cancel_purchase":
            yield {"purchase": _NO_PURCHASE}
            yield {"purchase": f"{_NO_PURCHASE}-other"}
            for request_id, packed in event.accepted.items():
                accepted = unpack(packed)
                if accepted.kind == Kind.PURCHASE and accepted.cancelled_by:
                    yield {"purchase": request_id}
                    return
