"""What a record batch was packed with is undone here, up to a bound: whatever is packed, no more memory is taken."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping
from typing import Final, cast

import cramjam

MAX_UNPACKED_BYTES: Final = 4 * 1024 * 1024
"""Of a record batch. A rule, not a setting: a command in a larger one is unreadable, to every worker alike.

Four times what the topic takes packed: commands shrink to a third or a fourth, since their ids are random.
"""

_XERIAL: Final = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
"""What Java's clients put before snappy's blocks: a name, and 1 for each of two versions."""
_BLOCK_SIZE: Final = struct.Struct(">i")

_own = threading.local()


def unpack(codec: int, packed: memoryview, header: bytes) -> bytes | None:
    """The header, and what was packed; None if that is more than may be, or nothing that the codec made.

    No size that the sender declares is believed: each codec writes into room of a fixed size, and stops at its end.
    """
    unpack_into = _CODECS.get(codec)
    if unpack_into is None:
        return None
    begin = len(header)
    room = _room(begin + MAX_UNPACKED_BYTES)
    room[:begin] = header
    try:
        size_bytes = unpack_into(packed, room[begin:])
    except (cramjam.DecompressionError, ValueError, struct.error):
        return None
    return bytes(room[: begin + size_bytes])


def _room(size_bytes: int) -> memoryview:
    """One for each thread: the codecs let other threads run."""
    room = getattr(_own, "room", None)
    if room is None or len(room) != size_bytes:
        room = _own.room = memoryview(bytearray(size_bytes))
    return cast(memoryview, room)


def _snappy(packed: memoryview, room: memoryview) -> int:
    if bytes(packed[: len(_XERIAL)]) != _XERIAL:
        return int(cramjam.snappy.decompress_raw_into(packed, room))
    at, filled = len(_XERIAL), 0
    while at < len(packed):
        (size_bytes,) = _BLOCK_SIZE.unpack_from(packed, at)
        at += _BLOCK_SIZE.size
        if not 0 < size_bytes <= len(packed) - at:
            raise ValueError(f"a block of {size_bytes} bytes")
        filled += cramjam.snappy.decompress_raw_into(packed[at : at + size_bytes], room[filled:])
        at += size_bytes
    return filled


_CODECS: Final[Mapping[int, Callable[[memoryview, memoryview], int]]] = {
    1: cramjam.gzip.decompress_into,
    2: _snappy,
    3: cramjam.lz4.decompress_into,
    4: cramjam.zstd.decompress_into,
}
"""By the number that a batch's attributes have for them."""
