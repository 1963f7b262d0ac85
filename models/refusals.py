"""The purchases of one event that were refused: each is refused for ever, so that nobody is told two things.

In a hot sale they are most of all requests. So each takes a few dozen bytes: its own in one array, and its place in
another one, which is a hash table with open addressing. Nothing is ever taken out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from models.shapes import Reason


class Refused(NamedTuple):
    """A purchase that was refused. ``source`` is None where it is the position at home.

    ``content`` is a checksum of what it asked for: who asks for something else by the same id is told so.
    """

    seq: int
    offset: int
    at_ms: int
    source: tuple[int, int] | None
    reason: Reason
    content: int


_REASONS: Final = tuple(Reason)
_NUMBERS: Final = {reason: number for number, reason in enumerate(_REASONS)}
_ENTRY: Final = Struct("<BBQQQI")
"""Length of the request id, reason (the highest bit set where it was forwarded), seq, offset, time, content."""
_SOURCE: Final = Struct("<IQ")
_FORWARDED: Final = 0x80
_EMPTY: Final = 0
_FIRST_PLACES: Final = 16


def checksum(content: str) -> int:
    """Of what a purchase asks for."""
    return crc32(content.encode())


class Refusals:
    """Refused purchases by their request ids. An entry's place is its offset in the array, plus one."""

    __slots__ = ("_entries", "_places", "count")

    def __init__(self) -> None:
        self.count = 0
        self._entries = bytearray()
        self._places = array("I", bytes(4 * _FIRST_PLACES))

    def __len__(self) -> int:
        return self.count

    def __contains__(self, request_id: str) -> bool:
        return self._places[self._place_of(request_id)] != _EMPTY

    def get(self, request_id: str) -> Refused | None:
        """What was refused; None where nothing was."""
        at = self._places[self._place_of(request_id)]
        if at == _EMPTY:
            return None
        length, reason, seq, offset, at_ms, content = _ENTRY.unpack_from(self._entries, at - 1)
        source = None
        if reason & _FORWARDED:
            source = _SOURCE.unpack_from(self._entries, at - 1 + _ENTRY.size + length)
        return Refused(seq, offset, at_ms, source, _REASONS[reason & ~_FORWARDED], content)

    def items(self) -> Iterator[tuple[str, Refused]]:
        """Each request id that was refused, in the order of the refusals, with what was refused."""
        at = 0
        while at < len(self._entries):
            begin = at + _ENTRY.size
            end = begin + self._entries[at]
            request_id = self._entries[begin:end].decode()
            refused = self.get(request_id)
            assert refused is not None, "every entry has its place"
            yield request_id, refused
            at = end + (_SOURCE.size if refused.source is not None else 0)

    def add(self, request_id: str, refused: Refused) -> None:
        """Remember one that is not known yet."""
        if 3 * self.count >= 2 * len(self._places):
            self._grow()
        self._places[self._place_of(request_id)] = len(self._entries) + 1
        key, source = request_id.encode(), refused.source
        reason = _NUMBERS[refused.reason] | (_FORWARDED if source is not None else 0)
        self._entries += _ENTRY.pack(len(key), reason, refused.seq, refused.offset, refused.at_ms, refused.content)
        self._entries += key
        if source is not None:
            self._entries += _SOURCE.pack(*source)
        self.count += 1

    def _place_of(self, request_id: str) -> int:
        """The place of the entry, or the empty one where it would be."""
        places, entries = self._places, self._entries
        key, mask = request_id.encode(), len(places) - 1
        place = hash(request_id) & mask
        while (at := places[place]) != _EMPTY:
            begin = at - 1 + _ENTRY.size
            if entries[at - 1] == len(key) and entries[begin : begin + len(key)] == key:
                break
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        entries, at = self._entries, 0
        places = self._places = array("I", bytes(8 * len(self._places)))
        mask = len(places) - 1
        while at < len(entries):
            begin = at + _ENTRY.size
            end = begin + entries[at]
            place = hash(entries[begin:end].decode()) & mask
            while places[place] != _EMPTY:
                place = (place + 1) & mask
            places[place] = at + 1
            at = end + (_SOURCE.size if entries[at + 1] & _FORWARDED else 0)
