"""A place: how far a ledger partition was dealt with, as rows under the keys of a compacted topic.

Of each event there is a row with the seq of its last fact before the place, and of the partition one with the
place itself. It is written last, and says how many facts all events' rows hold together: rows that do not add up
to it are of different moments, and no place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from models.members import EVENT_ID_PATTERN
from models.shapes import PartitionNumber

Counted = Annotated[int, Field(ge=0, le=2**53)]

VERSION: Final = 1
"""Of the rows: those of another version are made anew from the ledger."""

_PARTITION_KEY: Final = b"partition-"
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN.encode())


class UnreadablePlaceError(Exception):
    """Rows that are no place, or one of another version."""


@dataclass(frozen=True, slots=True)
class Place:
    """All before ``offset`` was dealt with: ``facts`` of them, up to which seq of which event.

    One that is written names only the events that have changed since the last one, unless it is written ``anew``:
    then what lies there may be of any moment. An event with seq 0 has no row.
    """

    offset: int
    facts: int = 0
    seqs: Mapping[str, int] = field(default_factory=dict)
    anew: bool = False


@dataclass(slots=True)
class _Row:
    partition: PartitionNumber
    offset: Counted
    facts: Counted
    version: Literal[1] = VERSION


@dataclass(slots=True)
class _EventRow:
    seq: Annotated[int, Field(ge=1, le=2**53)]


_PARTITION: Final = TypeAdapter(_Row)
_EVENT: Final = TypeAdapter(_EventRow)


def rows_of(number: int, place: Place) -> list[tuple[bytes, bytes | None]]:
    """The rows to be written for a partition, in their order; None removes one.

    Wherever a crash cuts them short, they are no place, or the one before.
    """
    own = _partition_key(number)
    return [
        *([(own, None)] if place.anew else ()),
        *(
            (event_id.encode(), _EVENT.dump_json(_EventRow(seq)) if seq else None)
            for event_id, seq in place.seqs.items()
        ),
        (own, _PARTITION.dump_json(_Row(number, place.offset, place.facts))),
    ]


def _event_row(seq: int) -> bytes | None:
    return _EVENT.dump_json(_EventRow(seq)) if seq else None


def place_from(number: int, rows: Mapping[bytes | None, bytes]) -> Place | None:
    """The place that a partition's rows stand for; None where nothing was kept yet.

    Raises:
        UnreadablePlaceError: the rows are not all there, or nobody of ours wrote them.
    """
    own = rows.get(_partition_key(number))
    events = events_in(rows)
    if own is None:
        if events:
            raise UnreadablePlaceError("the row of the partition is missing")
        return None
    try:
        row = _PARTITION.validate_json(own, strict=True)
        seqs = {event_id: _EVENT.validate_json(value, strict=True).seq for event_id, value in events.items()}
    except ValidationError as error:
        raise UnreadablePlaceError(str(error)) from None
    if row.partition != number:
        raise UnreadablePlaceError(f"the row is that of partition {row.partition}")
    if sum(seqs.values()) != row.facts:
        raise UnreadablePlaceError("the rows are of different moments")
    return Place(row.offset, row.facts, seqs)


def events_in(rows: Mapping[bytes | None, bytes]) -> dict[str, bytes]:
    """The rows under events' keys; others are nobody's, and passed over."""
    return {key.decode(): value for key, value in rows.items() if key is not None and _EVENT_ID.fullmatch(key)}


def _partition_key(number: int) -> bytes:
    return b"%b%d" % (_PARTITION_KEY, number)
