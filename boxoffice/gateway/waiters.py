"""Who waits for an answer, and until when: one sweep looks after all of them.

A timer of its own for each request would cost as much as the parsing of its HTTP. So requests that are due within
the same tenth of a second share a bucket, and a sweep takes the buckets that are due.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

SWEEP_S: Final = 0.1


class Outcome(Enum):
    """What has become of a command while its sender waited."""

    ANSWERED = "answered"
    """The ledger holds its fact."""
    ACCEPTED = "accepted"
    """The log holds the command: it will be decided."""
    UNKNOWN = "unknown"
    """Kafka has not acknowledged the command: it may be in the log."""
    REFUSED = "refused"
    """Kafka has refused the command: it is not in the log."""


class Result(NamedTuple):
    """The end of a wait."""

    outcome: Outcome
    fact: bytes = b""
    """As it lies in the ledger, where the outcome is :attr:`Outcome.ANSWERED`."""
    kind: str = ""
    """The fact's type."""


class Waiter:
    """One request: it waits for the acknowledgement of its command, and then for the fact that answers it.

    It is no future: that would tell its sender through the loop, at a twentieth of what a purchase costs here.
    """

    __slots__ = (
        "_tell",
        "bucket",
        "claim",
        "hear",
        "is_followed",
        "is_gone",
        "landed",
        "landed_ns",
        "overdue",
        "partition",
        "result",
    )

    def __init__(
        self,
        partition: int,
        request_id: str,
        hear: Callable[[Result], None] | None = None,
    ) -> None:
        self.partition = partition
        self.result: Result | None = None
        """What its sender is told; None while he waits."""
        self.is_gone = False
        """Whether he has gone away before."""
        self._tell: Callable[[], None] | None = None
        self.claim = b'"%b"' % request_id.encode()
        """The command's request id, as it stands in every fact that answers it: its characters need no escape."""
        self.hear = hear
        """Told each result too, also the fact that comes when the sender does not wait any more."""
        self.is_followed = False
        """Whether its sender was told that the log holds its command, and its fact is still looked out for."""
        self.landed: int | None = None
        """The offset of its command, once the broker has acknowledged it."""
        self.landed_ns = 0
        """When that was, by the wall clock; 0 until then."""
        self.overdue = False
        """Whether its answer is not waited for any more: only until the broker has the command."""
        self.bucket = 0

    @property
    def is_over(self) -> bool:
        """Whether nobody wants to hear of it any more. Whoever has gone away may ask later."""
        return self.hear is None if self.is_gone else self.result is not None

    def end(self, result: Result) -> None:
        """Tell whoever wants to hear of it."""
        if self.hear is not None:
            self.hear(result)
        self.tell(result)

    def tell(self, result: Result) -> None:
        """Tell its sender, if he waits."""
        if self.waits:
            self.result = result
            if self._tell is not None:
                self._tell()

    @property
    def waits(self) -> bool:
        """Whether its sender does."""
        return self.result is None and not self.is_gone

    def when_over(self, tell: Callable[[], None]) -> None:
        """Tell its sender once when there is a result, or when he has gone away; at once if that is so already."""
        if self.waits:
            self._tell = tell
        else:
            tell()

    def go(self) -> None:
        """Its sender goes away."""
        if self.waits:
            self.is_gone = True
            if self._tell is not None:
                self._tell()


class Waiters:
    """All that wait, by the time at which they do so no longer."""

    def __init__(self, now_s: float) -> None:
        self._swept = self._bucket_of(now_s)
        self._buckets: defaultdict[int, set[Waiter]] = defaultdict(set)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def swept_s(self) -> float:
        """The time of the last sweep, about."""
        return self._swept * SWEEP_S

    def add(self, waiter: Waiter, until_s: float) -> None:
        """It waits until then, by the same clock as the sweeps."""
        waiter.bucket = max(self._bucket_of(until_s), self._swept + 1)
        self._buckets[waiter.bucket].add(waiter)
        self._count += 1

    def remove(self, waiter: Waiter) -> None:
        """It waits no longer: answered, or its sender has gone away."""
        bucket = self._buckets.get(waiter.bucket)
        if bucket is not None and waiter in bucket:
            bucket.remove(waiter)
            self._count -= 1
            if not bucket:
                del self._buckets[waiter.bucket]

    def due(self, now_s: float) -> list[Waiter]:
        """Those who have waited for as long as they wanted to; they are removed."""
        last = self._bucket_of(now_s)
        due: list[Waiter] = []
        for number in range(self._swept + 1, last + 1):
            due.extend(self._buckets.pop(number, ()))
        self._swept = max(self._swept, last)
        self._count -= len(due)
        return due

    def all(self) -> list[Waiter]:
        """Everybody; they are removed."""
        everybody = [waiter for bucket in self._buckets.values() for waiter in bucket]
        self._buckets.clear()
        self._count = 0
        return everybody

    def _bucket_of(self, time_s: float) -> int:
        return int(time_s / SWEEP_S)
