"""Renewals: an event was changed, so that its tickets' pages say something else, and these are drawn again.

A row of its own for each, beside the places (:mod:`models.places`): it lies there before the change counts as dealt
with, moves with the tickets that are done, and goes with the last one. So a crash costs what was done since it moved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from models.members import EVENT_ID_PATTERN

_KEY: Final = re.compile(rf"renewal-({EVENT_ID_PATTERN})-([1-9][0-9]{{0,18}})".encode())

Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is drawn again: the tickets that were bought before ``next_offset`` of the ledger are done.

    ``seq`` is that of the event's change, which lies at ``offset``.
    """

    event_id: str
    seq: int
    offset: int
    next_offset: int = 0


@dataclass(slots=True)
class _Row:
    offset: Offset
    next_offset: Offset


_ROW: Final = TypeAdapter(_Row)


def key_of(renewal: Renewal) -> bytes:
    """The key of a renewal's row. No other renewal has it: whoever comes late spoils no newer one."""
    return b"renewal-%b-%d" % (renewal.event_id.encode(), renewal.seq)


def row_of(renewal: Renewal) -> tuple[bytes, bytes]:
    """The row that stands for a renewal."""
    return key_of(renewal), _ROW.dump_json(_Row(renewal.offset, renewal.next_offset))


def renewals_in(rows: Mapping[bytes | None, bytes]) -> list[Renewal]:
    """The renewals among a partition's rows; what nobody of ours wrote is passed over."""
    return [found for key, value in rows.items() if key is not None and (found := _renewal(key, value)) is not None]


def _renewal(key: bytes, value: bytes) -> Renewal | None:
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        row = _ROW.validate_json(value, strict=True)
    except ValidationError:
        return None
    return Renewal(match[1].decode(), int(match[3]), row.offset, row.next_offset)
