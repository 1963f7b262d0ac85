"""Where a command is decided, and when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.checker.records import Position, Record

LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


def home_of(event_id: str, partitions: int) -> int:
    """The partition that Java's default partitioner gives to this key."""
    return (murmur2(event_id.encode()) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Kafka's murmur2, as a number of 32 bits."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if tail := key[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def origin_of(record: Record, partitions: int) -> Position | None:
    """Where a command was found before it was forwarded; None where it was not."""
    match = re.fullmatch(rb"(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", record.header("boxoffice-origin") or b"")
    if match is None:
        return None
    partition, offset = int(match[1]), int(match[2])
    return (partition, offset) if partition < partitions and partition != record.partition and offset < 2**63 else None


def clamped_ms(timestamp_ms: int) -> int:
    """A record's time within the calendar."""
    return min(max(timestamp_ms, 0), LAST_MS)


def at(timestamp_ms: int) -> str:
    """A record's time as facts show it."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=clamped_ms(timestamp_ms))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
