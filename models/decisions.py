"""How a decision's fact is written, and that of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.accepted import Accepted, Runs
from models.commands import Command, Purchase
from models.event import Event, FoldError, Position, at_ms_of
from models.facts import at_text
from models.members import GENERAL
from models.reasons import Reason
from models.shapes import CommandRejected, DecisionFact, PurchaseRejected, ReturnedLine, Source, WantedLine

Request = tuple[str, int, str, Position, str | None]
"""What a fact says of the command that it answers, whatever that was: event, seq, request id, position, actor."""


def next_request(event: Event, command: Command, position: Position) -> Request:
    """A command that the event's next fact answers."""
    return event.event_id, event.seq + 1, command.request_id, position, command.actor


def request_of(event: Event, request_id: str, accepted: Accepted, partition: int) -> Request:
    """A request that was accepted before; ``partition`` is the event's home."""
    position = position_of(accepted, partition)
    return event.event_id, accepted.seq, request_id, position, accepted.actor or None


def request_in(fact: DecisionFact, offset: int) -> Request:
    """The request that a fact answers, as the fact tells of it.

    Raises:
        FoldError: it tells a time at which no command can have come.
    """
    position = Position(offset, at_ms_of(fact), fact["source"])
    return fact["event_id"], fact["seq"], fact["request_id"], position, fact.get("actor")


def require_same(fact: DecisionFact, expected: DecisionFact, of: str) -> None:
    """Let a fact say what is known, and no more: as it is folded it will be repeated.

    Raises:
        FoldError: it says something else.
    """
    # Not by a copy of both, since a take-over compares a million sales.
    expected["decided_by"] = fact["decided_by"]
    if fact != expected:
        raise FoldError(f"{of} is not as the fact says")


def decision(kind: str, request: Request, **members: Any) -> Any:
    """A fact of that type; members that are None are left out."""
    event_id, seq, request_id, position, actor = request
    fact: dict[str, Any] = {"type": kind, "event_id": event_id, "seq": seq, "request_id": request_id}
    fact.update((name, value) for name, value in members.items() if value is not None)
    if actor:
        fact["actor"] = actor
    fact["source"] = position.source
    fact["at"] = at_text(position.timestamp_ms)
    fact["decided_by"] = "local"
    return fact


def position_of(accepted: Accepted, partition: int) -> Position:
    """Where an accepted request came from; ``partition`` is the event's home."""
    return Position(accepted.offset, accepted.at_ms, source_of(accepted.source, accepted.offset, partition))


def source_of(source: tuple[int, int] | None, offset: int, partition: int) -> Source:
    """Where a command was produced, that is remembered as None where it was at home."""
    if source is None:
        return {"partition": partition, "offset": offset}
    return {"partition": source[0], "offset": source[1]}


def returned_lines(event: Event, purchase: Accepted, runs: Runs) -> list[ReturnedLine]:
    """Some tickets of a purchase, that come back, by category."""
    return [
        {"category": event.categories[place].id, "quantity": quantity, "price": price}
        for place, quantity, price in event.lines_among(purchase, runs)
    ]


def rejected(command: Command, reason: Reason, seq: int, position: Position) -> PurchaseRejected | CommandRejected:
    """The fact that refuses a command."""
    if not isinstance(command, Purchase):
        request = command.event_id, seq, command.request_id, position, command.actor
        refusal: CommandRejected = decision("command_rejected", request, command=command.type, reason=reason)
        return refusal
    asked = wanted(command)
    lines = lines_shown(asked)
    fact: PurchaseRejected = {
        "type": "purchase_rejected",
        "event_id": command.event_id,
        "seq": seq,
        "request_id": command.request_id,
        "reason": reason,
        "buyer": command.buyer,
        "quantity": asked[0][1] if lines is None else sum(quantity for _, quantity in asked),
        "source": position.source,
        "at": at_text(position.timestamp_ms),
        "decided_by": "local",
    }
    if lines is not None:
        fact["lines"] = lines
    if command.actor is not None:
        fact["actor"] = command.actor
    return fact


def refused(event: Event, command: Command, reason: Reason, position: Position) -> PurchaseRejected | CommandRejected:
    """The same, as the event's next fact."""
    return rejected(command, reason, event.seq + 1, position)


def wanted(command: Purchase) -> Sequence[tuple[str, int]]:
    """What a purchase asks for: categories, and how many tickets of each."""
    if command.lines is None:
        return ((command.category or GENERAL, command.quantity),)
    return tuple((line.category, line.quantity) for line in command.lines)


def lines_shown(asked: Sequence[tuple[str, int]]) -> list[WantedLine] | None:
    """How a refusal says what was asked for; None where the quantity alone says it."""
    if len(asked) == 1 and asked[0][0] == GENERAL:
        return None
    return [{"category": category, "quantity": quantity} for category, quantity in asked]


def wanted_lines(fact: PurchaseRejected) -> list[WantedLine]:
    """What a refused purchase asked for."""
    return fact.get("lines") or [{"category": GENERAL, "quantity": fact["quantity"]}]
