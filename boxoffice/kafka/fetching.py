"""How much of a partition a reader takes at once of what was fetched: a bounded part, whatever was packed in it."""

from __future__ import annotations

from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher

from boxoffice.kafka.record_batches import TolerantRecords

MOST_RECORDS: Final = 5_000
MOST_BYTES: Final = 1024 * 1024
"""Of keys, values and headers; the record that goes beyond it is the last."""
HEADER_BYTES: Final = 100
"""What a header takes in memory beside its name and value."""


_FetchResult: Any = fetcher.FetchResult


class PartOfFetch(_FetchResult):  # type: ignore[misc]  # its methods have no types
    """What was fetched of a partition. It is unpacked batch by batch, as it is taken, and the rest stays packed."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord[bytes, bytes]]:
        """The next records, at most so many, and no more than a part."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        most = MOST_RECORDS if max_records is None else min(max_records, MOST_RECORDS)
        taken: list[ConsumerRecord[bytes, bytes]] = []
        size_bytes = 0
        for record in self._partition_records:
            taken.append(record)
            size_bytes += record.serialized_key_size + record.serialized_value_size
            if record.headers:
                size_bytes += _headers_bytes(record)
            if size_bytes >= MOST_BYTES or len(taken) >= most:
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken


def _headers_bytes(record: ConsumerRecord[bytes, bytes]) -> int:
    return sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)


def install() -> None:
    """For every consumer of this process, Faust's too: aiokafka has no other seam for it."""
    fetcher.MemoryRecords = TolerantRecords  # type: ignore[attr-defined,assignment]
    fetcher.FetchResult = PartOfFetch  # type: ignore[misc]
