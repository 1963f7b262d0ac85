"""What consumers fetch: how much they take of it at once, and that it ends with them.

They take a bounded part of what was fetched of a partition, whatever was packed in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher

from boxoffice.kafka.record_batches import TolerantRecords
from boxoffice.tasks import end_tasks

MOST_RECORDS: Final = 5_000
MOST_BYTES: Final = 2 * 1024 * 1024
"""The batch that goes beyond it is the last, and may be as large as a batch may be; so may the one it began in."""
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
        batches: TolerantRecords = self._partition_records._records
        most_bytes = batches.opened_bytes + MOST_BYTES
        most = MOST_RECORDS if max_records is None else min(max_records, MOST_RECORDS)
        taken: list[ConsumerRecord[bytes, bytes]] = []
        headers = 0
        for record in self._partition_records:
            taken.append(record)
            headers += len(record.headers)
            if len(taken) >= most or batches.opened_bytes + headers * HEADER_BYTES >= most_bytes:
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken


_close: Callable[[Any], Awaitable[None]] = fetcher.Fetcher.close


async def _close_whole(self: Any) -> None:
    """Aiokafka lets out the cancellation of a fetch that it ends, and leaves all that it would have closed next."""
    await end_tasks([self._fetch_task])
    await end_tasks(self._pending_tasks)
    self._pending_tasks.clear()
    await _close(self)


def install() -> None:
    """For every consumer of this process, Faust's too: aiokafka has no other seam for it."""
    fetcher.Fetcher.close = _close_whole  # type: ignore[method-assign]
    fetcher.MemoryRecords = TolerantRecords  # type: ignore[attr-defined,assignment]
    fetcher.FetchResult = PartOfFetch  # type: ignore[misc]
