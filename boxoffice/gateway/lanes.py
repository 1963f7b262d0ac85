"""Commands on their way to Kafka: for each partition one record batch in flight, in the order of arrival.

What comes while a batch is on its way goes into the next one, so the slower the broker, the more goes out at once, and
nothing has to linger. All partitions' batches leave together. A partition without a leader holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import time_ns
from typing import Any, Final

import structlog
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from boxoffice.gateway.answers import Answers
from boxoffice.gateway.sending import Sender, Sent
from boxoffice.gateway.waiters import Outcome, Result, Waiter
from boxoffice.tasks import failure_of

log = structlog.get_logger(__name__)

NOT_TAKEN: Final = (
    TopicAuthorizationFailedError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTopicError,
)
"""With these a broker says that it has written nothing."""

Headers = list[tuple[str, bytes]]


class _Batch:
    """Commands of a partition that go out as one record batch."""

    __slots__ = ("builder", "since_s", "waiters")

    def __init__(self, builder: Any, now_s: float) -> None:
        self.builder = builder
        self.waiters: list[Waiter] = []
        self.since_s = now_s
        """When its first command came."""


class Lanes:
    """Hands commands to the producer, one batch a partition at a time."""

    def __init__(
        self, sender: Sender, partitions: int, answers: Answers, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._sender = sender
        self._answers = answers
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._gathered: list[list[_Batch]] = [[] for _ in range(partitions)]
        """Batches that have not left, by partition; all but the last are full."""
        self._flying: dict[int, _Batch] = {}
        self._leaving: asyncio.Task[None] | None = None
        self._ready: set[int] = set()
        self._failing: set[int] = set()
        """Partitions whose last batch was not acknowledged: it is said once."""
        self._closed = False

    def put(self, waiter: Waiter, key: bytes, value: bytes, headers: Headers) -> None:
        """Take a command in; it leaves with the next batch of its partition."""
        if self._closed:
            waiter.end(Result(Outcome.REFUSED))
            return
        batches = self._gathered[waiter.partition]
        if not batches or not self._append(batches[-1], key, value, headers):
            batches.append(_Batch(self._sender.create_batch(), self._loop.time()))
            taken = self._append(batches[-1], key, value, headers)
            assert taken, "a command that is bounded fits into an empty batch"
        batches[-1].waiters.append(waiter)
        if waiter.partition not in self._flying:
            self._leave(waiter.partition)

    def waiting_s(self, partition: int) -> float:
        """How long the oldest command of the partition has waited for the broker."""
        oldest = self._flying.get(partition) or next(iter(self._gathered[partition]), None)
        return self._loop.time() - oldest.since_s if oldest is not None else 0.0

    def close(self) -> None:
        """Let nothing leave any more. Who has a command that has not left is told that it was not taken."""
        self._closed = True
        if self._leaving is not None:
            self._leaving.cancel()
        for batches in self._gathered:
            for batch in batches:
                self._answers.stayed(batch.waiters)
            batches.clear()

    @staticmethod
    def _append(batch: _Batch, key: bytes, value: bytes, headers: Headers) -> bool:
        return batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is not None

    def _leave(self, partition: int) -> None:
        """It is sent once this turn of the loop is over, with all others that are ready by then."""
        self._ready.add(partition)
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._ready:
                partition = self._ready.pop()
                if self._gathered[partition]:
                    await self._hand_over(partition, self._gathered[partition].pop(0))
        except Exception as error:
            self._on_failure(error)
            raise
        finally:
            self._leaving = None

    async def _hand_over(self, partition: int, batch: _Batch) -> None:
        self._flying[partition] = batch
        self._answers.sends(partition)
        try:
            # Nothing of this partition is in the producer, so this waits for nothing but the names of its brokers.
            sent = await self._sender.send(batch.builder, partition)
        except KafkaError as error:
            self._end(partition, error, Outcome.REFUSED)
            if not error.retriable and not isinstance(error, NOT_TAKEN):
                raise
        else:
            sent.acknowledged.add_done_callback(partial(self._acknowledged, partition, sent))

    def _acknowledged(self, partition: int, sent: Sent, done: asyncio.Future[Any]) -> None:
        error = failure_of(done)
        if error is None:
            self._failing.discard(partition)
            waiters, landed_ns = self._flying.pop(partition).waiters, time_ns()
            for waiter in waiters:
                waiter.landed_ns = landed_ns
            self._answers.landed(partition, done.result().offset, waiters)
            self._go_on(partition)
            return
        refused = isinstance(error, NOT_TAKEN) and not sent.was_repeated
        self._sender.begin_anew()
        self._end(partition, error, Outcome.REFUSED if refused else Outcome.UNKNOWN)
        if not isinstance(error, KafkaError | asyncio.CancelledError):
            self._on_failure(error)

    def _end(self, partition: int, error: BaseException, outcome: Outcome) -> None:
        if partition not in self._failing:
            log.error("commands were not acknowledged", partition=partition, reason=type(error).__name__)
            self._failing.add(partition)
        self._answers.lost(partition, self._flying.pop(partition).waiters, outcome)
        self._go_on(partition)

    def _go_on(self, partition: int) -> None:
        if self._gathered[partition]:
            self._leave(partition)
