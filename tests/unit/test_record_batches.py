"""Headers whose names are no UTF-8, as librdkafka sends them, stop no reader."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from boxoffice.kafka.record_batches import TolerantRecords
from tests.support.odd_headers import OddName

NONE, GZIP, ZSTD = 0, 1, 4


def batch(codec: int, *names: str) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for offset, name in enumerate(names):
        builder.append(offset, 1, b"k", b"\xa9 value", [(name, b"v"), ("whole", b"")])
    return bytes(builder.build())


@pytest.mark.parametrize("codec", [NONE, GZIP, ZSTD])
def test_a_name_that_is_no_utf_8_is_escaped_and_all_else_is_as_it_was(codec: int) -> None:
    records = TolerantRecords(batch(codec, "a", OddName(b"\xff\xc3\xa9"), "ü") + batch(codec, "b"))
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
