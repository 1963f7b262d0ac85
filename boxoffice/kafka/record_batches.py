"""Record batches as a reader may take them: what anybody may write to a topic costs bounded memory, and stops nobody.

aiokafka unpacks a batch whole, whatever comes out: 5 KB of it became 200 MB, and the reader's end, and so the end of
each who read it next. It raises at a header whose name is no UTF-8, at what a broker's codec takes and its own does
not, and at some forms that are no records. Every reader of the partition would stop there for good, at the will of
anybody who may write to it.

Here no batch is unpacked beyond :data:`MAX_UNPACKED_BYTES`, no record has more than :data:`MAX_HEADERS` headers, names
are escaped, and what cannot be read comes as a record without key and value whose header says why: one at each of its
offsets, so that each command is accounted for. What comes depends on the batch's own bytes and on constants, so it is
the same for every reader. A batch whose checksum is wrong stays an error: the disk has damaged it, and nobody
can say what was in it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatch

from boxoffice.kafka.unpacking import MAX_UNPACKED_BYTES, unpack

MAX_HEADERS: Final = 1_100
"""Of a record: each takes a hundred bytes of a reader's memory, and two of the batch.

By their size 1,024 are let through, and the box office adds some to what it forwards or puts aside.
"""

UNREADABLE_HEADER: Final = "boxoffice-unreadable"
"""Says why a record came without key and value."""

NOT_UNPACKED: Final = b"its record batch unpacks to more than %d bytes, or not at all" % MAX_UNPACKED_BYTES
NO_RECORD: Final = b"its record batch holds something else than records"
TOO_MANY_HEADERS: Final = b"more than %d headers" % MAX_HEADERS
_REASONS: Final = frozenset({NOT_UNPACKED, NO_RECORD, TOO_MANY_HEADERS})

_FRAME: Final = struct.Struct(">qi")
"""What a batch begins with: its first offset, and how many bytes follow."""
_HEADER: Final = DefaultRecordBase.HEADER_STRUCT
_MAGIC_AT: Final = 16
_MAGIC: Final = 2
_LONG_BYTES: Final = 64 * 1024
"""A record that is not longer has few enough headers for them to be counted when they are there."""
_VARINT_BITS: Final = 63
_MORE: Final = 0x80
"""The bit of a number's byte that says that another one follows."""


def why_unreadable(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """Why a record came without key and value; None where it came as it was."""
    if value is not None or len(headers) != 1:
        return None
    name, reason = headers[0]
    return reason.decode() if reason in _REASONS and name == UNREADABLE_HEADER else None


class ReadRecord(NamedTuple):
    """A record, as aiokafka's fetcher takes it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class TolerantRecords:
    """The batches that a broker sent of a partition."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self._begin = 0
        self.opened_bytes = 0
        """How large those batches are, unpacked, whose records were asked for."""

    def size_in_bytes(self) -> int:
        """Of all batches."""
        return len(self._raw)

    def has_next(self) -> bool:
        """Whether a whole batch follows."""
        rest = len(self._raw) - self._begin - _FRAME.size
        return rest >= 0 and _FRAME.unpack_from(self._raw, self._begin)[1] <= rest

    def next_batch(self) -> TolerantBatch:
        """The next batch.

        Raises:
            CorruptRecordException: it is none, or of a form that no broker has written since Kafka 0.11.
        """
        begin = self._begin
        _, size_bytes = _FRAME.unpack_from(self._raw, begin)
        batch = self._raw[begin : begin + _FRAME.size + size_bytes] if size_bytes >= 0 else self._raw[:0]
        if len(batch) < _HEADER.size or batch[_MAGIC_AT] != _MAGIC:
            raise CorruptRecordException("No record batch of version 2.")
        self._begin += len(batch)
        return TolerantBatch(batch, self._opened)

    def _opened(self, size_bytes: int) -> None:
        self.opened_bytes += size_bytes


class BatchHeader(NamedTuple):
    """What stands before a batch's records, and is never packed."""

    base_offset: int
    size_bytes: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def codec(self) -> int:
        """What the records are packed with; 0, with nothing."""
        return self.attributes & DefaultRecordBase.CODEC_MASK

    @property
    def is_stamped(self) -> bool:
        """Whether the broker has set the time."""
        return bool(self.attributes & DefaultRecordBase.TIMESTAMP_TYPE_MASK)

    @property
    def next_offset(self) -> int:
        """Behind all of its records."""
        return self.base_offset + self.last_offset_delta + 1

    def timestamp(self, delta: int = 0) -> int:
        """Of a record that was made so much after the batch's first, in milliseconds."""
        return self.max_timestamp if self.is_stamped else self.first_timestamp + delta


class TolerantBatch:
    """A batch of aiokafka's; what aiokafka cannot read of it is read by other means, or said to be unreadable."""

    def __init__(self, raw: memoryview, opened: Callable[[int], None]) -> None:
        self._raw = raw
        self._opened = opened
        self._batch: Any = DefaultRecordBatch(cast(Any, raw))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(iter(self))

    def __iter__(self) -> Iterator[Any]:
        header = BatchHeader._make(_HEADER.unpack_from(self._raw))
        if not header.codec:
            self._opened(len(self._raw))
            return _read(header, lambda: self._batch, partial(_records, header, self._raw[_HEADER.size :]))
        plain = header._replace(attributes=header.attributes & ~DefaultRecordBase.CODEC_MASK)
        unpacked = unpack(header.codec, self._raw[_HEADER.size :], _HEADER.pack(*plain))
        if unpacked is None:
            return _unreadable(header, header.base_offset, NOT_UNPACKED)
        self._opened(len(unpacked))
        body = memoryview(unpacked)[_HEADER.size :]
        by_ourselves = partial(_records, header, body)
        if _has_long_record(unpacked, _HEADER.size):
            # Headers by the million are packed in few bytes: they are counted before they are made.
            return _read(header, by_ourselves)
        return _read(header, lambda: DefaultRecordBatch(unpacked), by_ourselves)


def _read(header: BatchHeader, *readers: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """The records; each reader goes on with the one at which the reader before it failed."""
    read, behind = 0, header.base_offset
    for reader in readers:
        with suppress(CorruptRecordException, ValueError, IndexError):
            for record in islice(reader(), read, None):
                read, behind = read + 1, record.offset + 1
                if len(record.headers) <= MAX_HEADERS:
                    yield record
                else:
                    yield _said_unreadable(header, record.offset, TOO_MANY_HEADERS)
            return
    yield from _unreadable(header, behind, NO_RECORD)


def _unreadable(header: BatchHeader, first: int, reason: bytes) -> Iterator[ReadRecord]:
    """One at each offset of the batch from the first on."""
    return (_said_unreadable(header, offset, reason) for offset in range(first, header.next_offset))


def _said_unreadable(header: BatchHeader, offset: int, reason: bytes) -> ReadRecord:
    return ReadRecord(offset, header.timestamp(), int(header.is_stamped), None, None, [(UNREADABLE_HEADER, reason)])


# Our own reader: slower than aiokafka's, and content with any bytes


def _records(header: BatchHeader, body: memoryview) -> Iterator[ReadRecord]:
    """The records of an unpacked batch; of one that has too many headers, one more than it may have.

    Raises:
        ValueError: the bytes are no record.
        IndexError: they end too early.
    """
    at = 0
    for _ in range(header.records):
        size_bytes, at = _varint(body, at)
        end = _end(body, at, size_bytes)
        yield _record(header, body[at:end])
        at = end
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes behind the records")


def _record(header: BatchHeader, body: memoryview) -> ReadRecord:
    delta_ms, at = _varint(body, 1)  # behind its attributes, which mean nothing
    offset_delta, at = _varint(body, at)
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    count, at = _varint(body, at)
    if count < 0:
        raise ValueError(f"{count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(min(count, MAX_HEADERS + 1)):
        name, at = _bytes(body, at)
        if name is None:
            raise ValueError("a header without a name")
        of_name, at = _bytes(body, at)
        headers.append((name.decode(errors="backslashreplace"), of_name))
    if at != len(body) and count <= MAX_HEADERS:
        raise ValueError(f"{len(body) - at} bytes behind a record")
    offset = header.base_offset + offset_delta
    return ReadRecord(offset, header.timestamp(delta_ms), int(header.is_stamped), key, value, headers)


def _bytes(body: memoryview, at: int) -> tuple[bytes | None, int]:
    size_bytes, at = _varint(body, at)
    if size_bytes == -1:
        return None, at
    end = _end(body, at, size_bytes)
    return bytes(body[at:end]), end


def _end(body: memoryview, at: int, size_bytes: int) -> int:
    if not 0 <= size_bytes <= len(body) - at:
        raise ValueError(f"{size_bytes} bytes, where {len(body) - at} are left")
    return at + size_bytes


def _varint(body: memoryview, at: int) -> tuple[int, int]:
    """The number that stands there, and where it ends."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & ~_MORE) << shift
        if byte < _MORE:
            return value >> 1 ^ -(value & 1), at
        shift += 7
        if shift > _VARINT_BITS:
            raise ValueError("a number of more than 64 bits")


def _has_long_record(body: bytes, at: int) -> bool:
    """Whether a record has more than :data:`_LONG_BYTES`, or nobody can say; by the records' sizes alone."""
    end = len(body)
    if end - at <= _LONG_BYTES:
        return False
    try:
        while at < end:
            # Nearly all sizes take two bytes: a call for each would cost as much as reading the record.
            low, high = body[at], body[at + 1]
            if low >= _MORE > high and not low & 1:
                size_bytes, at = (low & ~_MORE | high << 7) >> 1, at + 2
            else:
                size_bytes, at = _varint(memoryview(body), at)
                if not 0 <= size_bytes <= _LONG_BYTES:
                    return True
            at += size_bytes
    except (ValueError, IndexError):
        return True
    return False
