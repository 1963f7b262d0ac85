"""What the scripts are asked and what they answer, in Python's terms.

A call takes one argument, a flat JSON array: of a nested one Redis reads less than half as much in the
same time. A reply is a flat array as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from lua import Code
from lua.effects import REJECTIONS, Effect, effect_of_sale, is_sale, sale_members, suffixes
from models.decisions import wanted_lines
from models.event import Event
from models.reasons import Reason
from models.shapes import DecisionFact

MAX_MOVED: Final = 10_000
"""More tickets than this are not added or removed by a script, which would hold Redis up; the event is rebuilt."""

Answer = tuple[Code, int, str]
"""The answer to one command: the code, the seq, and the tickets' names with commas between."""


class Applied(NamedTuple):
    """A fact, its command's offset at home, and what follows from it where that cannot be made out of the fact."""

    fact: DecisionFact
    offset: int
    effect: Effect | None = None


class Call(NamedTuple):
    """What purchase.lua is asked about one event: the categories whose queues it needs, and its argument."""

    categories: tuple[str, ...]
    argument: bytes


class DecideReply(NamedTuple):
    """What purchase.lua says: ``answers`` are empty unless ``code`` is DECIDED.

    ``seq`` is what Redis has reached; ``damage`` is Lua's complaint where the code is DAMAGED.
    """

    code: Code
    seq: int
    answers: list[Answer]
    damage: str = ""


_CODES: Final = {code.value: code for code in Code}
_SHORT: Final = frozenset({Reason.SOLD_OUT, Reason.ALL_HELD, Reason.NOT_ENOUGH_LEFT})
"""Why Redis refuses a purchase as well."""


def encode_call(event: Event, seq: int, backlog: Iterable[Applied], decided: Iterable[Applied] = ()) -> Call:
    """What purchase.lua is asked: to apply a backlog, and to decide what the table has decided behind it.

    ``seq`` is what the caller's table had reached before all of it.
    """
    queues = _Queues(event)
    words: list[Any] = []
    for fact, offset, effect in backlog:
        if fact["type"] in REJECTIONS:
            words += ("rejection", offset, "", "", "")
        else:
            told = effect if effect is not None else effect_of_sale(event, fact, offset)
            words += ("effect", offset, "", queues.effect(fact["seq"], told), "")
    for fact, offset, effect in decided:
        if effect is not None:
            words += ("effect", offset, "", queues.effect(fact["seq"], effect), "")
        elif is_sale(fact):
            kind = "hold" if fact["type"] == "purchase_held" else "sale"
            words += (kind, offset, fact["request_id"], queues.sold(fact), sale_members(event, fact, offset))
        elif (wanted := _refused_for_want(fact)) is not None:
            words += ("sale", offset, fact["request_id"], queues.wanted(wanted), "")
        else:
            words += ("rejection", offset, "", "", "")
    of_each = suffixes(event)
    return Call(
        tuple(event.categories[place].id for place in queues.places),
        to_json([seq, [of_each[place] for place in queues.places], *words]),
    )


def _refused_for_want(fact: DecisionFact) -> Any:
    if fact["type"] != "purchase_rejected" or fact["reason"] not in _SHORT:
        return None
    return wanted_lines(fact)


class _Queues:
    """The queues that a call needs, by numbers in the order in which it needs them first. Sales alone need few."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._numbers = {0: 1} if not event.names_categories else {}

    @property
    def places(self) -> list[int]:
        """Of the event's categories."""
        return list(self._numbers)

    def _number(self, place: int) -> int:
        return self._numbers.setdefault(place, len(self._numbers) + 1)

    def sold(self, fact: Any) -> int | list[int]:
        """What a purchase takes."""
        if not self._event.names_categories:
            return len(fact["tickets"])
        return self.wanted(fact["lines"])

    def wanted(self, lines: Any) -> int | list[int]:
        """What a purchase asks for."""
        if not self._event.names_categories:
            return int(lines[0]["quantity"])
        wanted = []
        for line in lines:
            place = self._event.place_of(line["category"])
            assert place is not None, "what is refused for want is of known categories"
            wanted += [self._number(place), line["quantity"]]
        return wanted

    def effect(self, seq: int, effect: Effect) -> dict[str, Any]:
        """What follows from a fact."""
        changes = [{"queue": self._number(place), **change} for place, change in effect.changes.items()]
        return {"seq": seq, "queues": changes, "records": effect.records, "meta": effect.meta}


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


def expected_answer(fact: Any) -> Answer:
    """What purchase.lua answers where it decides as the fact says."""
    if is_sale(fact):
        return Code.SOLD, fact["seq"], ",".join(fact["tickets"])
    if _refused_for_want(fact) is not None:
        return Code.SHORT, fact["seq"], ""
    return Code.COUNTED if fact["type"] in REJECTIONS else Code.APPLIED, fact["seq"], ""


def agrees(fact: DecisionFact, answer: Answer) -> bool:
    """Whether Redis decided as the table did; what it decided before and no longer knows agrees."""
    return answer[0] == Code.DECIDED_BEFORE or answer == expected_answer(fact)


def moves_many(fact: DecisionFact) -> bool:
    """Whether a fact adds or removes more tickets than a script may."""
    return fact["type"] in ("tickets_added", "tickets_removed") and fact["count"] > MAX_MOVED
