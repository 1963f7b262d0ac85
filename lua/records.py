"""Records: what an event's ``purchases`` hash holds of every accepted command, as one line of JSON.

``{"type":"purchase","seq":2,"offset":1234,"source":{"partition":3,"offset":1234},"at":"…","buyer":"b-77",
"tickets":["42-000001","42-000002"]}``; ``"cancelled_by":"x-1"`` comes last once it was cancelled. A cancellation
has ``purchase`` where a purchase has ``buyer`` and ``tickets``, an addition ``count``, and creation and
closing have neither.

Redis puts ``type`` and ``seq`` in front and ``tickets`` behind what :func:`members` gives, as
:func:`record` does here: so a record is the same, byte by byte, whichever way it got there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from models.accepted import Accepted, Kind
from models.facts import at_text
from models.shapes import Source

TYPES: Final = {kind: kind.name.lower() for kind in Kind}
"""The type of a record, also the word for a command or a fact of that kind in a script's argument."""


def members(offset: int, source: Source, at: str, detail: str = "") -> str:
    """The part of a record that the scripts take as it is, with a comma in front."""
    return (
        f',"offset":{offset},"source":{{"partition":{source["partition"]},"offset":{source["offset"]}}}'
        f',"at":"{at}"{detail}'
    )


def buyer_member(buyer: str) -> str:
    """The member that only a purchase has; a buyer may contain quotes."""
    return f',"buyer":{to_json(buyer).decode()}'


def purchase_member(purchase: str) -> str:
    """The member that only a cancellation has."""
    return f',"purchase":"{purchase}"'


def count_member(count: int) -> str:
    """The member that only an addition has."""
    return f',"count":{count}'


def record(accepted: Accepted, partition: int, tickets: Sequence[str]) -> str:
    """The record of a request accepted on ``partition``; ``tickets`` are a purchase's."""
    source = accepted.source or (partition, accepted.offset)
    middle = members(
        accepted.offset,
        {"partition": source[0], "offset": source[1]},
        at_text(accepted.at_ms),
        _detail(accepted),
    )
    head = f'{{"type":"{TYPES[accepted.kind]}","seq":{accepted.seq}{middle}'
    if accepted.kind != Kind.PURCHASE:
        return head + "}"
    named = '","'.join(tickets)
    cancelled = f',"cancelled_by":"{accepted.cancelled_by}"' if accepted.cancelled_by else ""
    return f'{head},"tickets":["{named}"]{cancelled}}}'


def _detail(accepted: Accepted) -> str:
    if accepted.kind == Kind.PURCHASE:
        return buyer_member(accepted.buyer)
    if accepted.kind == Kind.CANCELLATION:
        return purchase_member(accepted.purchase)
    if accepted.kind == Kind.ADDITION:
        return count_member(accepted.count)
    return ""
