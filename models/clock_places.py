"""Where a clock begins to read a ledger partition: a row for each on a compacted topic.

Any clock may write a row at any time, also one that was replaced: a hold that has ended has ended for ever, so a place
that was right once stays right, and an older one only means more to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from models.members import EventIdText, RequestId
from models.places import UnreadablePlaceError
from models.shapes import Due, Fact, Offset, PartitionNumber

VERSION: Final = 1
"""Of the rows: those of another version are made anew from the ledger."""


@dataclass(frozen=True, slots=True)
class ClockPlace:
    """No hold that lies before ``offset`` waits any more.

    The fact at that offset is about the event and answers the request: elsewhere it is another ledger. ``due`` says,
    for whoever looks whether holds end, when the first of those is due that wait; None while none does.
    """

    partition: PartitionNumber
    offset: Offset
    event_id: EventIdText | None
    request_id: RequestId | None
    due: Due | None = None
    version: Literal[1] = VERSION

    def is_at(self, fact: Fact) -> bool:
        """Whether a fact is the one that it knows at its offset."""
        return (fact["event_id"], fact["request_id"]) == (self.event_id, self.request_id)


_PLACE: Final = TypeAdapter(ClockPlace)


def row_of(place: ClockPlace) -> tuple[bytes, bytes]:
    """Key and value of its row."""
    return _key(place.partition), _PLACE.dump_json(place)


def place_in(number: int, rows: Mapping[bytes | None, bytes]) -> ClockPlace | None:
    """The place of a partition; None where none was kept yet.

    Raises:
        UnreadablePlaceError: nobody of ours wrote its row.
    """
    row = rows.get(_key(number))
    if row is None:
        return None
    try:
        place = _PLACE.validate_json(row, strict=True)
    except ValidationError as error:
        raise UnreadablePlaceError(str(error)) from None
    if place.partition != number:
        raise UnreadablePlaceError(f"the row is that of partition {place.partition}")
    return place


def _key(number: int) -> bytes:
    return b"partition-%d" % number
