"""What the scripts are asked and what they answer, in Python's terms.

A call takes one argument, a flat JSON array: of a nested one Redis reads less than half as much in the
same time. A reply is a flat array as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from lua import Code
from lua.records import TYPES, buyer_member, count_member, members, purchase_member
from models.accepted import Kind
from models.commands import AddTickets, CancelPurchase, CloseEvent, Command, CreateEvent, Purchase
from models.event import Position
from models.facts import at_text
from models.shapes import DecisionFact

MAX_ADDED: Final = 10_000
"""More tickets than this are not added by a script, which would hold Redis up; the event is rebuilt."""

Answer = tuple[Code, int, str]
"""The answer to one command: the code, the seq, and the tickets' names with commas between."""


class DecideReply(NamedTuple):
    """What purchase.lua says: ``answers`` are empty unless ``code`` is DECIDED.

    ``seq`` is what Redis has reached; ``damage`` is Lua's complaint where the code is DAMAGED.
    """

    code: Code
    seq: int
    answers: list[Answer]
    damage: str = ""


class SettleReply(NamedTuple):
    """What settle.lua says; ``seq`` is what Redis has reached."""

    code: Code
    seq: int
    damage: str = ""


_CODES: Final = {code.value: code for code in Code}

_PURCHASE: Final = TYPES[Kind.PURCHASE]
_CANCELLATION: Final = TYPES[Kind.CANCELLATION]
_ADDITION: Final = TYPES[Kind.ADDITION]
_CLOSING: Final = TYPES[Kind.CLOSING]
_CREATION: Final = TYPES[Kind.CREATION]
_REJECTION: Final = "rejection"


def encode_commands(event_id: str, seq: int, commands: Iterable[tuple[Command, Position]]) -> bytes:
    """The argument of purchase.lua; ``seq`` is what the caller's table has reached before the commands."""
    words: list[str | int] = [seq, event_id]
    for command, position in commands:
        words += _command_words(command, position)
    return to_json(words)


_Words = tuple[str, int, str, int | str, str]


def _words(kind: Kind, command: Command, position: Position, operand: int | str, detail: str) -> _Words:
    offset, timestamp_ms, source = position
    return TYPES[kind], offset, command.request_id, operand, members(offset, source, at_text(timestamp_ms), detail)


def _command_words(command: Command, position: Position) -> _Words:
    match command:
        case Purchase(buyer=buyer, quantity=quantity):
            return _words(Kind.PURCHASE, command, position, quantity, buyer_member(buyer))
        case CancelPurchase(purchase=purchase, buyer=buyer):
            # One value for both, since a further one would be sent with every command.
            operand = purchase if buyer is None else f"{purchase} {buyer}"
            return _words(Kind.CANCELLATION, command, position, operand, purchase_member(purchase))
        case AddTickets(count=count):
            return _words(Kind.ADDITION, command, position, count, count_member(count))
        case CloseEvent():
            return _words(Kind.CLOSING, command, position, "", "")
        case CreateEvent():
            return _words(Kind.CREATION, command, position, "", "")


def decode_decisions(reply: Sequence[Any]) -> DecideReply:
    """What purchase.lua replied."""
    code, seq = _CODES[reply[0]], reply[1]
    if code == Code.DAMAGED:
        return DecideReply(code, seq, [], reply[2].decode(errors="replace"))
    answers = zip(reply[2::3], reply[3::3], reply[4::3], strict=True)
    # What somebody else put into the queue agrees with nothing, and may be any bytes.
    return DecideReply(
        code, seq, [(_CODES[of_one], at, tickets.decode(errors="replace")) for of_one, at, tickets in answers]
    )


def encode_facts(facts: Iterable[tuple[DecisionFact, int]]) -> bytes:
    """The argument of settle.lua: facts in order, each with its command's offset at home."""
    words: list[str | int] = []
    for fact, offset in facts:
        words += _fact_words(fact, offset)
    return to_json(words)


def _fact_words(fact: DecisionFact, offset: int) -> tuple[str | int, ...]:
    seq, request_id = fact["seq"], fact["request_id"]
    match fact["type"]:
        case "purchase_confirmed":
            tickets = fact["tickets"]
            text = members(offset, fact["source"], fact["at"], buyer_member(fact["buyer"]))
            return _PURCHASE, seq, offset, request_id, len(tickets), ",".join(tickets), text
        case "purchase_cancelled":
            purchase = fact["purchase"]
            text = members(offset, fact["source"], fact["at"], purchase_member(purchase))
            return _CANCELLATION, seq, offset, request_id, purchase, ",".join(fact["tickets"]), text
        case "tickets_added":
            text = members(offset, fact["source"], fact["at"], count_member(fact["count"]))
            return _ADDITION, seq, offset, request_id, fact["count"], "", text
        case "event_closed":
            return _CLOSING, seq, offset, request_id, "", "", members(offset, fact["source"], fact["at"])
        case "event_created":
            return _CREATION, seq, offset, request_id, "", "", ""
        case "purchase_rejected" | "command_rejected":
            return _REJECTION, seq, offset, request_id, "", "", ""


def decode_settled(reply: Sequence[Any]) -> SettleReply:
    """What settle.lua replied."""
    return SettleReply(_CODES[reply[0]], reply[1], b"".join(reply[2:]).decode(errors="replace"))


_ACCEPTED: Final = {
    "event_created": Code.CREATED,
    "purchase_confirmed": Code.CONFIRMED,
    "purchase_cancelled": Code.CANCELLED,
    "tickets_added": Code.ADDED,
    "event_closed": Code.CLOSED,
}


def expected_answer(fact: DecisionFact) -> Answer:
    """What purchase.lua answers where it decides as the fact says."""
    match fact["type"]:
        case "purchase_confirmed" | "purchase_cancelled":
            return _ACCEPTED[fact["type"]], fact["seq"], ",".join(fact["tickets"])
        case "purchase_rejected" | "command_rejected":
            return Code[fact["reason"].upper()], fact["seq"], ""
    return _ACCEPTED[fact["type"]], fact["seq"], ""


def agrees(fact: DecisionFact, answer: Answer) -> bool:
    """Whether Redis decided as the table did; what it decided before and no longer knows agrees."""
    return answer[0] == Code.DECIDED_BEFORE or answer == expected_answer(fact)
