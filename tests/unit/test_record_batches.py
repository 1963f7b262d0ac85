"""Whatever bytes lie in a record batch, they take bounded memory and stop no reader; honest ones are read as before."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from boxoffice.kafka.fetching import MOST_RECORDS, PartOfFetch
from boxoffice.kafka.record_batches import (
    MAX_HEADERS,
    NO_RECORD,
    NOT_UNPACKED,
    TOO_MANY_HEADERS,
    UNREADABLE_HEADER,
    TolerantRecords,
    why_unreadable,
)
from boxoffice.kafka.unpacking import MAX_UNPACKED_BYTES
from tests.support.odd_headers import OddName
from tests.support.packed import (
    AT_MS,
    CODECS,
    GZIP,
    LZ4,
    PACK,
    SNAPPY,
    ZSTD,
    batch,
    java_snappy,
    number,
    packed_batch,
    record,
)

MEMBERS = ("offset", "timestamp", "timestamp_type", "key", "value", "headers")
ZSTD_BLOCK, ZSTD_LAST = (((131_072 << 3) | (1 << 1) | last).to_bytes(3, "little") + b"\0" for last in (0, 1))
"""Four bytes that unpack to 128 KiB of zeros."""


def record_headers(n: int) -> bytes:
    """None, one or two: ``x``, and ``ü`` without a value."""
    return (b"\x02x\x04ab" + b"\x04\xc3\xbc\x01")[: (0, 5, 9)[n % 3]]


def lz4_declaring(size_bytes: int) -> bytes:
    """A frame that says it unpacks to so many bytes, and to 50 million."""
    frame = bytes(PACK[LZ4](bytes(50_000_000)))
    described = bytes([frame[4] | 0x08, frame[5]]) + struct.pack("<Q", size_bytes)
    return frame[:4] + described + bytes([xxhash32(described) >> 8 & 0xFF]) + frame[7:]


def xxhash32(body: bytes) -> int:
    """Of less than 16 bytes."""
    mask, at, found = 0xFFFFFFFF, 0, 0x165667B1 + len(body)
    for at in range(0, len(body) - 3, 4):
        found = found + int.from_bytes(body[at : at + 4], "little") * 0xC2B2AE3D & mask
        found = (found << 17 | found >> 15) * 0x27D4EB2F & mask
    for byte in body[len(body) // 4 * 4 :]:
        found = found + byte * 0x165667B1 & mask
        found = (found << 11 | found >> 21) * 0x9E3779B1 & mask
    found = (found ^ found >> 15) * 0x85EBCA77 & mask
    found = (found ^ found >> 13) * 0xC2B2AE3D & mask
    return found ^ found >> 16


@dataclass
class Peak:
    """How much more memory the process had in a block than before it."""

    grown_bytes: int = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """By Linux, which sees what the codecs take too; elsewhere nothing is seen."""
    peak, status = Peak(), Path("/proc/self/status")
    if not status.exists():
        yield peak
        return
    Path("/proc/self/clear_refs").write_text("5")  # the highest is the present from here on
    before = _highest_bytes(status)
    yield peak
    peak.grown_bytes = _highest_bytes(status) - before


def _highest_bytes(status: Path) -> int:
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024


def named(codec: int, *names: str) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for offset, name in enumerate(names):
        builder.append(offset, 1, b"k", b"\xa9 value", [(name, b"v"), ("whole", b"")])
    return bytes(builder.build())


@pytest.mark.parametrize("codec", [0, GZIP, ZSTD])
def test_a_name_that_is_no_utf_8_is_escaped_and_all_else_is_as_it_was(codec: int) -> None:
    records = TolerantRecords(named(codec, "a", OddName(b"\xff\xc3\xa9"), "ü") + named(codec, "b"))
    found = []
    while records.has_next():
        read = records.next_batch()
        assert read.validate_crc()
        found += [(record.offset, record.key, record.value, record.headers) for record in read]
    assert [headers[0] for *_, headers in found] == [("a", b"v"), ("\\xffé", b"v"), ("ü", b"v"), ("b", b"v")]
    assert all(headers[1] == ("whole", b"") for *_, headers in found)
    assert {(key, value) for _, key, value, _ in found} == {(b"k", b"\xa9 value")}
    assert all(type(part) is bytes for _, key, value, _ in found for part in (key, value))
    assert [offset for offset, *_ in found] == [0, 1, 2, 0]


# What is packed


def read(raw: bytes) -> list[Any]:
    """All records, with the time that the broker set."""
    records, found = TolerantRecords(raw), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += list(one)
    assert {record.timestamp for record in found} <= {AT_MS}
    return found


def reasons(raw: bytes) -> list[tuple[int, str | None]]:
    """Of all records, the offset and why it is unreadable."""
    found = read(raw)
    assert all(record.key is None for record in found if why_unreadable(record.value, record.headers))
    return [(record.offset, why_unreadable(record.value, record.headers)) for record in found]


@pytest.mark.parametrize("codec", CODECS)
def test_an_honest_batch_is_read_as_aiokafka_reads_it(codec: int) -> None:
    raw = batch([record(n, b"v%d" % n * (n % 99), record_headers(n), n % 3, b"k") for n in range(2_000)], codec, 7)
    by_aiokafka: Any = MemoryRecords(raw).next_batch()
    assert [tuple(getattr(one, name) for name in MEMBERS) for one in read(raw)] == [
        tuple(getattr(one, name) for name in MEMBERS) for one in by_aiokafka
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_may_unpack_to_the_bound_and_no_further(codec: int) -> None:
    fits = batch([record(0, b"\0" * (MAX_UNPACKED_BYTES - len(record(0, b"\0" * 3_000_000)) + 3_000_000))], codec)
    assert reasons(fits) == [(0, None)]
    beyond = batch([record(0, b"\0" * MAX_UNPACKED_BYTES)], codec, 5)
    assert reasons(beyond) == [(5, NOT_UNPACKED.decode())]


@pytest.mark.parametrize("codec", CODECS)
def test_no_more_memory_is_taken_than_the_bound_whatever_is_packed(codec: int) -> None:
    """A hundred mebibytes in each."""
    raw = batch([record(n, b"\0" * 1_000_000) for n in range(100)], codec, 40)
    reasons(batch([record(0)], codec))  # so that the room is there
    with peak_memory() as peak:
        told = reasons(raw)
    assert told == [(40 + n, NOT_UNPACKED.decode()) for n in range(100)]
    assert peak.grown_bytes < 12_000_000


@pytest.mark.parametrize("codec", CODECS)
def test_what_no_codec_has_made_is_unreadable_at_each_offset(codec: int) -> None:
    packed = PACK[codec](record(0) * 10)
    for broken in (b"", b"\0" * 20, packed[:-5], packed + b"junk", packed[: len(packed) // 2]):
        told = reasons(packed_batch(broken, 3, codec, 9))
        assert [offset for offset, reason in told if reason is not None] == [9, 10, 11]
    assert reasons(packed_batch(packed, 2, 5)) == [(n, NOT_UNPACKED.decode()) for n in range(2)]


LIES = {
    "snappy that declares 4 GB": (SNAPPY, b"\xff\xff\xff\xff\x0f\0a"),
    "snappy that declares one byte": (SNAPPY, b"\x01" + bytes(cramjam.snappy.compress_raw(bytes(100_000)))[3:]),
    "a block of Java's snappy of less than no bytes": (SNAPPY, java_snappy(b"")[:16] + struct.pack(">i", -4) * 3),
    "a block of Java's snappy of 2 GB": (SNAPPY, java_snappy(b"")[:16] + struct.pack(">i", 2**31 - 1) + b"abc"),
    "zstd that declares one byte": (ZSTD, b"\x28\xb5\x2f\xfd\x20\x01" + ZSTD_BLOCK * 40 + ZSTD_LAST),
    "zstd that declares 16 EB": (ZSTD, b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + ZSTD_BLOCK * 40 + ZSTD_LAST),
    "zstd with a window of 128 MiB": (ZSTD, b"\x28\xb5\x2f\xfd\x00\x88" + ZSTD_BLOCK * 2_000 + ZSTD_LAST),
    "gzip that declares one byte": (GZIP, gzip.compress(bytes(50_000_000))[:-4] + struct.pack("<I", 1)),
    "lz4 that declares one byte": (LZ4, lz4_declaring(1)),
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.replace(" ", "-").replace("'", ""))
def test_no_size_that_is_declared_is_believed(lie: str) -> None:
    codec, body = LIES[lie]
    with peak_memory() as peak:
        assert reasons(packed_batch(body, 2, codec)) == [(0, NOT_UNPACKED.decode()), (1, NOT_UNPACKED.decode())]
    assert peak.grown_bytes < 12_000_000


# What is no record


def test_records_before_the_first_that_is_none_are_read() -> None:
    for codec in (0, *CODECS):
        raw = packed_batch(PACK[codec](record(0, b"a") + record(1, b"b") + number(3) + b"\xff" * 3), 4, codec, 10)
        assert reasons(raw) == [(10, None), (11, None), (12, NO_RECORD.decode()), (13, NO_RECORD.decode())]


@pytest.mark.parametrize("codec", [0, *CODECS])
@pytest.mark.parametrize("header", [b"\0\0", b"\x02\xff\0", b"\x02x\x01"], ids=["empty", "odd", "null"])
def test_headers_by_the_million_are_not_made(codec: int, header: bytes) -> None:
    """Without being packed they are as many as a broker takes bytes for."""
    count = 300_000 if codec == 0 else 1_300_000
    raw = batch([record(0, b"before"), record(1, b"x", header * count, count), record(2, b"behind")], codec)
    reasons(batch([record(0)], codec))
    begun_s = process_time()
    with peak_memory() as peak:
        assert reasons(raw) == [(0, None), (1, TOO_MANY_HEADERS.decode()), (2, None)]
    assert peak.grown_bytes < 40_000_000
    assert process_time() - begun_s < 2


def test_as_many_headers_as_a_record_may_have_come_all() -> None:
    for header, name in ((b"\x02x\0", "x"), (b"\x02\xff\0", "\\xff")):
        found = read(batch([record(0, b"v", header * MAX_HEADERS, MAX_HEADERS)]))
        assert found[0].headers == [(name, b"")] * MAX_HEADERS
        raw = batch([record(0, b"v", header * (MAX_HEADERS + 1), MAX_HEADERS + 1)])
        assert reasons(raw) == [(0, TOO_MANY_HEADERS.decode())]


def test_a_stranger_who_says_so_makes_only_an_empty_command_unreadable() -> None:
    headers = [(UNREADABLE_HEADER, NO_RECORD)]
    assert why_unreadable(b"a command", headers) is None
    assert why_unreadable(None, [(UNREADABLE_HEADER, b"anything")]) is None
    assert why_unreadable(None, [*headers, *headers]) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_borne(data: st.DataObject) -> None:
    codec = data.draw(st.integers(0, 7))
    body = bytearray(PACK.get(codec, bytes)(b"".join(record(n, b"v" * n, b"\x02x\0", 1) for n in range(5))))
    for at, byte in data.draw(st.dictionaries(st.integers(0, len(body) - 1), st.integers(0, 255), max_size=4)).items():
        body[at] = byte
    raw = bytearray(packed_batch(bytes(body) + data.draw(st.binary(max_size=3)), data.draw(st.integers(1, 8)), codec))
    for at, byte in data.draw(st.dictionaries(st.integers(0, len(raw) - 1), st.integers(0, 255), max_size=2)).items():
        raw[at] = byte
    records = TolerantRecords(bytes(raw))
    try:
        while records.has_next():
            one = records.next_batch()
            if one.validate_crc():
                assert all(isinstance(found.offset, int) for found in islice(one, 100))
    except CorruptRecordException:
        pass


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_what_is_no_batch_is_said_to_be_none(raw: bytes) -> None:
    records = TolerantRecords(raw)
    try:
        while records.has_next():
            records.next_batch()
    except CorruptRecordException:
        pass


# What is taken at once


def test_of_a_fetch_no_more_is_taken_at_once_than_a_part_and_all_comes_in_order() -> None:
    """Each of the first batches has some bytes, and unpacks to a million."""
    raw = b"".join(batch([record(0, b"\0" * 1_000_000)], ZSTD, n) for n in range(20))
    raw += batch([record(n) for n in range(12_000)], ZSTD, 20)
    with peak_memory() as peak:
        parts = list(parts_of(raw))
    assert [offset for part in parts for offset in part] == list(range(12_020))
    assert max(len(part) for part in parts) == MOST_RECORDS
    assert all(len(part) <= 3 for part in parts[:7])
    assert peak.grown_bytes < 20_000_000


def test_no_more_is_taken_than_was_asked_for() -> None:
    raw = batch([record(n) for n in range(10)])
    assert [len(part) for part in parts_of(raw, 3)] == [3, 3, 3, 1]


def parts_of(raw: bytes, most: int | None = None) -> Iterator[list[int]]:
    """The offsets of what is taken each time."""
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    tp = TopicPartition("t", 0)
    records = PartitionRecords(tp, TolerantRecords(raw), [], 0, None, None, True, 1)
    result = PartOfFetch(tp, assignment=assignment, partition_records=records, backoff=0)
    while result.has_more():
        if taken := result.getall(most):
            yield [one.offset for one in taken]
