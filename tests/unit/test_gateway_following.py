"""A ledger that is damaged where answers are awaited holds up nobody, and is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from boxoffice import metrics
from boxoffice.gateway.answers import Answers
from boxoffice.gateway.following import Follower

TP = TopicPartition("purchase-results", 0)
END = 7


class Consumer:
    """Knows where the ledger ends."""

    _client = None

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)


def damaged() -> bytes:
    """A record batch of which the disk has flipped a bit."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    builder.append(0, timestamp=0, key=b"42", value=b'{"type":"purchase_confirmed"}', headers=[])
    raw = bytearray(builder.build())
    raw[-5] ^= 1
    return bytes(raw)


async def test_what_is_damaged_is_passed_over_and_counted_as_a_strange_record_of_the_ledger() -> None:
    answers = cast(Answers, SimpleNamespace(is_watched={0}.__contains__))
    follower = Follower(cast(Any, Consumer()), [TP], answers)
    await follower.begin()
    strange = metrics.STRANGE_RECORDS.labels("purchase-results")
    before = strange._value.get()
    follower._read(TP, damaged(), END)
    assert strange._value.get() == before + 1
    [(at, _)] = follower.positions().values()
    assert at == END
