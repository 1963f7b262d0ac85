"""The purchases of one event that were refused: each is refused for ever, so that nobody is told two things.

In a hot sale they are most of all requests. So each takes a few dozen bytes: its own in one array, and its place in
another one, which is a hash table with open addressing. Nothing is ever taken out. A table that is full is split in
two: to make one larger that holds a million would keep the sale waiting for a second.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from models.reasons import Reason


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
_MOST_OF_A_TABLE: Final = 2_000
_BITS_OF_TABLES: Final = 24
"""Of a hash; the next ones say the place within a table."""


def checksum(content: str) -> int:
    """Of what a purchase asks for."""
    return crc32(content.encode())


class Refusals:
    """Refused purchases by their request ids.

    Tables are found by the lowest bits of an id's hash; one that is split is found by one bit more, and of the others
    the list has several mentions.
    """

    __slots__ = ("_tables", "count")

    def __init__(self) -> None:
        self.count = 0
        self._tables = [_Table(0)]

    def __len__(self) -> int:
        return self.count

    def __contains__(self, request_id: str) -> bool:
        return self.get(request_id) is not None

    def get(self, request_id: str) -> Refused | None:
        """What was refused; None where nothing was."""
        return self._table_of(request_id).get(request_id)

    def items(self) -> Iterator[tuple[str, Refused]]:
        """Each request id that was refused, in the order of the refusals, with what was refused."""
        found = [(key, _read(entry, 0)) for table in dict.fromkeys(self._tables) for key, entry in table]
        yield from sorted(found, key=lambda one: one[1].seq)

    def add(self, request_id: str, refused: Refused) -> None:
        """Remember one that is not known yet."""
        table = self._table_of(request_id)
        if table.count == _MOST_OF_A_TABLE:
            self._split(table, hash(request_id))
            table = self._table_of(request_id)
        table.add(request_id, _entry(request_id, refused))
        self.count += 1

    def _table_of(self, request_id: str) -> _Table:
        return self._tables[hash(request_id) & len(self._tables) - 1]

    def _split(self, full: _Table, hash_: int) -> None:
        if full.bits == (len(self._tables) - 1).bit_length():
            self._tables += self._tables
        halves = _Table(full.bits + 1), _Table(full.bits + 1)
        step = 1 << full.bits
        for place in range(hash_ & step - 1, len(self._tables), step):
            self._tables[place] = halves[place >> full.bits & 1]
        for request_id, entry in full:
            self._table_of(request_id).add(request_id, entry)


class _Table:
    """Those whose ids' hashes end in the same ``bits``. An entry's place is its offset among the entries, plus one."""

    __slots__ = ("_entries", "_places", "bits", "count")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.count = 0
        self._entries = bytearray()
        self._places = array("I", bytes(4 * _FIRST_PLACES))

    def __iter__(self) -> Iterator[tuple[str, bytes | bytearray]]:
        entries, at = self._entries, 0
        while at < len(entries):
            begin = at + _ENTRY.size
            end = begin + entries[at]
            after = end + (_SOURCE.size if entries[at + 1] & _FORWARDED else 0)
            yield entries[begin:end].decode(), entries[at:after]
            at = after

    def get(self, request_id: str) -> Refused | None:
        at = self._places[self._place_of(request_id)]
        return None if at == _EMPTY else _read(self._entries, at - 1)

    def add(self, request_id: str, entry: bytes | bytearray) -> None:
        if 3 * self.count >= 2 * len(self._places):
            self._grow()
        self._places[self._place_of(request_id)] = len(self._entries) + 1
        self._entries += entry
        self.count += 1

    def _place_of(self, request_id: str) -> int:
        """The place of the entry, or the empty one where it would be."""
        places, entries = self._places, self._entries
        key, mask = request_id.encode(), len(places) - 1
        place = hash(request_id) >> _BITS_OF_TABLES & mask
        while (at := places[place]) != _EMPTY:
            begin = at - 1 + _ENTRY.size
            if entries[at - 1] == len(key) and entries[begin : begin + len(key)] == key:
                break
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        self._places, at = array("I", bytes(8 * len(self._places))), 0
        for request_id, entry in self:
            self._places[self._place_of(request_id)] = at + 1
            at += len(entry)


def _entry(request_id: str, refused: Refused) -> bytes:
    key, source = request_id.encode(), refused.source
    reason = _NUMBERS[refused.reason] | (_FORWARDED if source is not None else 0)
    head = _ENTRY.pack(len(key), reason, refused.seq, refused.offset, refused.at_ms, refused.content)
    return head + key + (_SOURCE.pack(*source) if source is not None else b"")


def _read(entries: bytes | bytearray, at: int) -> Refused:
    length, reason, seq, offset, at_ms, content = _ENTRY.unpack_from(entries, at)
    source = None
    if reason & _FORWARDED:
        source = _SOURCE.unpack_from(entries, at + _ENTRY.size + length)
    return Refused(seq, offset, at_ms, source, _REASONS[reason & ~_FORWARDED], content)
