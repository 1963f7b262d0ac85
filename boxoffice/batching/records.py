"""What travels on the batch path: runs of records, batches of runs, and what stands in their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import ConsumerRecord
from faust.types import TP

if TYPE_CHECKING:
    from boxoffice.batching.stream import BatchStream

Record = ConsumerRecord[bytes, bytes]
Outgoing = tuple[bytes | None, bytes, list[tuple[str, bytes]]]
"""Key, value and headers of a record to publish; aiokafka takes headers in a list alone."""

Removal = tuple[bytes, None, list[tuple[str, bytes]]]
"""A record that removes its key from a compacted topic."""

RUN_SIZE = 1_000
"""Records of one run, at most: a batch is made of whole runs."""

RECORD_BYTES = 600
"""What a record takes in memory beside its key, its value and its headers."""
HEADER_BYTES = 100
"""What a header takes beside its name and value."""


@dataclass(frozen=True)
class BatchOptions:
    """What an app asks of its batch path."""

    buffer_size: int = 20_000
    """Records that wait for a partition before its fetching pauses."""
    fetch_min_bytes: int = 1
    """The broker answers a fetch when it has so much, or after ``FETCH_MAX_WAIT_MS``."""
    max_batch_bytes: int = 900_000
    """Of one record batch that is published: below the 1 MiB that a broker accepts by default."""
    buffer_bytes: int = 32 * 1024 * 1024
    """Memory that the records of all partitions take, until they are acknowledged, before all fetching pauses."""


def has_gaps(records: list[Record], first: int) -> bool:
    """Whether records that end where they end leave out offsets from ``first`` on."""
    return records[-1].offset - first + 1 != len(records)


class Run(NamedTuple):
    """Consecutive records of one partition. ``first`` is the offset that was expected next.

    ``size_bytes`` is what they take in memory.
    """

    tp: TP
    generation: int
    first: int
    next: int
    records: list[Record]
    size_bytes: int = 0

    @property
    def has_gaps(self) -> bool:
        """Whether its records leave out offsets from ``first`` on."""
        return has_gaps(self.records, self.first)


def size_in_memory(records: Sequence[Record]) -> int:
    """About how many bytes records take in memory."""
    size_bytes = RECORD_BYTES * len(records)
    for record in records:
        size_bytes += record.serialized_key_size + record.serialized_value_size
        for name, value in record.headers:
            size_bytes += HEADER_BYTES + len(name) + len(value or b"")
    return size_bytes


class Obstacle(NamedTuple):
    """Damage in a partition: the readable records before it, and the offset behind it if it is to be passed."""

    before: list[Record]
    go_on_at: int | None


LookAtDamage = Callable[[dict[TP, int]], Awaitable[dict[TP, Obstacle]]]
"""Says which of the partitions, given with the next offset of each, are damaged there."""


class Batch:
    """Runs of several partitions, taken together; acknowledged once, in the order of taking."""

    def __init__(self, runs: list[Run], stream: BatchStream) -> None:
        self.runs = runs
        self.acked = False
        self.refcount = 1
        self._stream = stream

    def __len__(self) -> int:
        return sum(len(run.records) for run in self.runs)

    @property
    def size_bytes(self) -> int:
        """What its records take in memory."""
        return sum(run.size_bytes for run in self.runs)

    def drop(self, tp: TP) -> int:
        """Lose the runs of a partition that is withdrawn; returns what they take in memory."""
        dropped_bytes = sum(run.size_bytes for run in self.runs if run.tp == tp)
        # A new list: whoever goes through the runs has them to the end.
        self.runs = [run for run in self.runs if run.tp != tp]
        return dropped_bytes

    def ack(self) -> None:
        """Let the offsets behind the batch be committed."""
        self._stream.settle(self)

    def hand_over(self) -> None:
        """Take the batch out of this path's care, instead of acknowledging it.

        Nobody waits for it then, and it does not wait for those before it: how far each of its partitions
        is done is for whoever took it to say, by :meth:`BatchConsumer.done_until`.
        """
        self._stream.let_go(self)
