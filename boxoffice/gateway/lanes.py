"""Commands on their way to Kafka: for each partition one record batch in flight, in the order of arrival.

What comes while a batch is on its way goes into the next one, so the slower the broker, the more goes out at once, and
nothing has to linger. All partitions' batches leave together. A partition without a leader holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from boxoffice.gateway.answers import Answers
from boxoffice.gateway.waiters import Outcome, Waiter

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
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partitions: int,
        answers: Answers,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._answers = answers
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._gathered: list[list[_Batch]] = [[] for _ in range(partitions)]
        """Batches that have not left, by partition; all but the last are full."""
        self._flying: dict[int, _Batch] = {}
        self._leaving: asyncio.Task[None] | None = None
        self._ready: set[int] = set()

    def put(self, waiter: Waiter, key: bytes, value: bytes, headers: Headers) -> None:
        """Take a command in; it leaves with the next batch of its partition."""
        batches = self._gathered[waiter.partition]
        if not batches or not self._append(batches[-1], key, value, headers):
            batches.append(_Batch(self._producer.create_batch(), self._loop.time()))
            taken = self._append(batches[-1], key, value, headers)
            assert taken, "a command that is bounded fits into an empty batch"
        batches[-1].waiters.append(waiter)
        if waiter.partition not in self._flying:
            self._leave(waiter.partition)

    def waiting_s(self, partition: int) -> float:
        """How long the oldest command of the partition has waited for the broker."""
        oldest = self._flying.get(partition) or next(iter(self._gathered[partition]), None)
        return self._loop.time() - oldest.since_s if oldest is not None else 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._flying and not any(self._gathered)

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
                batch = self._flying[partition] = self._gathered[partition].pop(0)
                self._answers.sends(partition)
                # Nothing of this partition is in the producer, so this waits for nothing.
                acknowledged = await self._producer.send_batch(batch.builder, self._topic, partition=partition)
                acknowledged.add_done_callback(lambda done, of=partition: self._acknowledged(of, done))
        except BaseException as error:
            self._on_failure(error)
            raise
        finally:
            self._leaving = None

    def _acknowledged(self, partition: int, done: asyncio.Future[Any]) -> None:
        batch = self._flying.pop(partition)
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            outcome = Outcome.REFUSED if isinstance(error, NOT_TAKEN) else Outcome.UNKNOWN
            self._answers.lost(partition, batch.waiters, outcome)
            self._failed(partition, error)
        else:
            self._answers.landed(partition, done.result().offset, batch.waiters)
        if self._gathered[partition]:
            self._leave(partition)

    def _failed(self, partition: int, error: BaseException | None) -> None:
        log.error("commands were not acknowledged", partition=partition, reason=type(error).__name__)
        if error is not None and not isinstance(error, KafkaError):
            self._on_failure(error)
