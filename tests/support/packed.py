"""Record batches as a stranger may make them: packed, lying, and full of what no client sends."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import cramjam
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import RecordMetadata

GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
CODECS: Final = (GZIP, SNAPPY, LZ4, ZSTD)
AT_MS: Final = 1_795_341_600_123
_STAMPED: Final = 0x08
_CRC: Final = slice(DefaultRecordBase.CRC_OFFSET, DefaultRecordBase.CRC_OFFSET + 4)
_XERIAL: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)


class Made(NamedTuple):
    """A batch to be: the records, packed, and how many they are said to be."""

    body: bytes
    records: int
    codec: int = 0


def made(records: Iterable[bytes], codec: int = 0) -> Made:
    """A batch of these records."""
    listed = list(records)
    return Made(PACK[codec](b"".join(listed)), len(listed), codec)


def batch(records: Iterable[bytes], codec: int = 0, first: int = 0) -> bytes:
    """A batch of these records, as a broker hands it out."""
    return packed_batch(*made(records, codec), first)


def packed_batch(body: bytes, count: int, codec: int, first: int = 0, stamped: int = _STAMPED) -> bytes:
    """A batch that says it holds so many records, whatever its body is; ``stamped`` by a broker."""
    rest = DefaultRecordBase.HEADER_STRUCT.size - DefaultRecordBase.AFTER_LEN_OFFSET
    header = (first, rest + len(body), 0, 2, 0, codec | stamped, count - 1, AT_MS, AT_MS, -1, -1, -1, count)
    raw = bytearray(DefaultRecordBase.HEADER_STRUCT.pack(*header) + body)
    raw[_CRC] = struct.pack(">I", calc_crc32c(bytes(raw[DefaultRecordBase.ATTRIBUTES_OFFSET :])))
    return bytes(raw)


async def send(producer: AIOKafkaProducer, topic: str, partition: int, batch: Made) -> RecordMetadata:
    """Have a producer send a batch as it was made; the producer must not be idempotent, and number nothing itself."""
    builder = producer.create_batch()
    builder._buffer = bytearray(packed_batch(*batch, stamped=0))
    builder._relative_offset, builder._closed = batch.records, True
    metadata: RecordMetadata = await (await producer.send_batch(builder, topic, partition=partition))
    return metadata


def record(
    offset_delta: int, value: bytes | None = b"", headers: bytes = b"", count: int = 0, key: bytes | None = None
) -> bytes:
    """A record; of its headers, what they hold and how many they are said to be."""
    body = b"\0" + number(0) + number(offset_delta) + of_any_size(key) + of_any_size(value) + number(count) + headers
    return number(len(body)) + body


def of_any_size(part: bytes | None) -> bytes:
    """Bytes behind their size."""
    return number(-1) if part is None else number(len(part)) + part


def number(value: int) -> bytes:
    """A number as records hold it: zigzag, seven bits a byte."""
    left, written = value << 1 ^ value >> 63, b""
    while left >= 0x80:
        written += bytes([left & 0x7F | 0x80])
        left >>= 7
    return written + bytes([left])


def java_snappy(body: bytes) -> bytes:
    """In blocks, as Java's clients pack."""
    blocks = [bytes(cramjam.snappy.compress_raw(body[at : at + 32_768])) for at in range(0, len(body), 32_768)]
    return _XERIAL + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


def _lz4(body: bytes) -> bytes:
    compressor = cramjam.lz4.Compressor(level=9, content_checksum=False, block_linked=False)
    compressor.compress(body)
    return bytes(compressor.finish())


PACK: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    GZIP: gzip.compress,
    SNAPPY: java_snappy,
    LZ4: _lz4,
    ZSTD: lambda body: bytes(cramjam.zstd.compress(body)),
}
