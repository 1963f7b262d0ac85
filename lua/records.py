"""Records: what an event's ``purchases`` hash holds of every accepted command, as one line of JSON.

``{"type":"purchase","seq":2,"offset":1234,"source":{"partition":3,"offset":1234},"at":"…","buyer":"b-77",
"tickets":["42-000001","42-000002"]}``. ``lines`` come before ``tickets`` if the event names categories, or the purchase
is held or costs something else than the event began with; behind them ``due`` and ``actor``, where there is one. The
tickets are those that it has, or had last; ``"by"`` comes behind them, or ``"cancelled_by"`` if they are all given
back: the newest request that has changed it.

Whatever else was accepted has the members of its fact. Their types are those of facts, but for a few that have older
names: ``creation`` (the rest stands in ``meta``), ``cancellation``, ``addition`` and ``closing``.

Redis puts ``type`` and ``seq`` in front and ``tickets`` behind what :func:`members` gives, as
:func:`record` does here: so a record is the same, byte by byte, whichever way it got there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring
from typing import Any, Final

from pydantic_core import to_json

from models.accepted import Accepted, Kind, PricedLine, State
from models.again import fact_of
from models.decisions import source_of
from models.event import Event
from models.facts import at_text
from models.shapes import DecisionFact, Source

NAMES: Final = {"tickets_added": "addition", "event_closed": "closing"}
"""Facts whose records have a name of their own."""
_OF_EVERY_FACT: Final = frozenset({"type", "event_id", "seq", "request_id", "source", "at", "decided_by"})


def members(offset: int, source: Source, at: str, detail: str = "") -> str:
    """The part of a record that the scripts take as it is, with a comma in front."""
    return (
        f',"offset":{offset},"source":{{"partition":{source["partition"]},"offset":{source["offset"]}}}'
        f',"at":"{at}"{detail}'
    )


def sale_detail(buyer: str, lines: Sequence[tuple[str, int, int]] = (), due: str = "", actor: str = "") -> str:
    """The members that only a purchase has. A buyer may contain quotes; lines are category, quantity and price."""
    detail = f',"buyer":{encode_basestring(buyer)}'
    if lines:
        detail += f',"lines":{to_json(lines).decode()}'
    if due:
        detail += f',"due":"{due}"'
    if actor:
        detail += f',"actor":{to_json(actor).decode()}'
    return detail


def named_lines(event: Event, lines: Iterable[PricedLine]) -> list[tuple[str, int, int]]:
    """What a purchase asked for, by the categories' ids."""
    return [(event.categories[place].id, quantity, price) for place, quantity, price in lines]


def record(event: Event, request_id: str, accepted: Accepted, partition: int) -> str:
    """The record of a request accepted on ``partition``."""
    if accepted.kind is Kind.PURCHASE:
        return _purchase(event, accepted, partition)
    source = source_of(accepted.source, accepted.offset, partition)
    head = members(accepted.offset, source, at_text(accepted.at_ms))
    by_present_rules = event.by_present_rules(accepted.seq)
    if accepted.kind is Kind.CREATION and not event.rules_since:
        return f'{{"type":"creation","seq":{accepted.seq}{head}}}'
    if accepted.kind is Kind.CANCELLATION and not (by_present_rules or accepted.actor):
        return f'{{"type":"cancellation","seq":{accepted.seq}{head},"purchase":"{accepted.purchase}"}}'
    return record_of(fact_of(event, request_id, accepted, partition), accepted.offset)


def record_of(fact: DecisionFact, offset: int) -> str:
    """A record that has the members of its fact, in one order however that was read."""
    kind: str = fact["type"]
    members_of: dict[str, Any] = fact  # type: ignore[assignment]
    own = {name: members_of[name] for name in sorted(fact.keys() - _OF_EVERY_FACT)}
    head = members(offset, fact["source"], fact["at"], f",{to_json(own).decode()[1:-1]}" if own else "")
    return f'{{"type":"{NAMES.get(kind, kind)}","seq":{fact["seq"]}{head}}}'


def _purchase(event: Event, accepted: Accepted, partition: int) -> str:
    source = source_of(accepted.source, accepted.offset, partition)
    lines = named_lines(event, accepted.lines)
    due = at_text(accepted.due_ms) if accepted.due_ms else ""
    detail = sale_detail(accepted.buyer, lines, due, accepted.actor)
    head = members(accepted.offset, source, at_text(accepted.at_ms), detail)
    changed = "cancelled_by" if accepted.state is State.CANCELLED else "by"
    by = f',"{changed}":"{accepted.by}"' if accepted.by else ""
    return record_of_purchase(accepted.seq, head, event.tickets(accepted.runs), by)


def record_of_purchase(seq: int, head: str, tickets: Iterable[str], by: str = "") -> str:
    """A purchase's record as the scripts write it. ``head`` is what :func:`members` gives."""
    named = '","'.join(tickets)
    return f'{{"type":"purchase","seq":{seq}{head},"tickets":["{named}"]{by}}}'
