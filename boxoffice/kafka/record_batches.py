"""Record batches as aiokafka reads them, but for headers whose name is no UTF-8.

At such a name aiokafka raises, and every reader of the partition would stop there for good: at the will of
anybody who may write to it with a client that takes a name as bytes, as librdkafka does. Here its bytes are
escaped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_FRAME: Final = struct.Struct(">qi")
"""What a batch begins with: its first offset, and how many bytes follow."""


class TolerantRecords:
    """The batches that a broker sent of a partition."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self._records = MemoryRecords(raw)
        self._begin = 0

    def size_in_bytes(self) -> int:
        """Of all batches."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether a whole batch follows."""
        return bool(self._records.has_next())

    def next_batch(self) -> TolerantBatch:
        """The next batch."""
        begin = self._begin
        _, size_bytes = _FRAME.unpack_from(self._raw, begin)
        self._begin += _FRAME.size + size_bytes
        return TolerantBatch(self._records.next_batch(), self._raw[begin : self._begin])


class TolerantBatch:
    """A batch of aiokafka's; it is read again, by other means, where aiokafka cannot."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(_EscapingBatch(self._raw), read, None)


class _EscapingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # it is said to be final
    """aiokafka's own reader in Python, on bytes that are decoded in another way."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: Any = _EscapingBytes(self._buffer)


class _EscapingBytes(bytes):
    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _EscapingBytes(found) if isinstance(place, slice) else found

    def decode(self, _encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(errors="backslashreplace")
