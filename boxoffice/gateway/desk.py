"""The desk: takes a command, and tells what has become of it. Everything that it knows can be lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from faust.types import TP

from boxoffice.gateway.answers import Answers
from boxoffice.gateway.following import Follower
from boxoffice.gateway.lanes import Headers, Lanes
from boxoffice.gateway.waiters import SWEEP_S, Result, Waiter, Waiters
from boxoffice.kafka.clients import home_partition, producer, reader, topic_partitions
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks
from topics import purchase_requests, purchase_results

ACKNOWLEDGED_WITHIN_S: Final = 10.0
"""How long a command's acknowledgement is waited for, beyond the wait for its answer."""


class Desk:
    """Publishes commands at their homes, and follows the ledger for their answers."""

    def __init__(self, partitions: int, waiters: Waiters, answers: Answers, lanes: Lanes, follower: Follower) -> None:
        self._partitions = partitions
        self._follower = follower
        self._waiters = waiters
        self._answers = answers
        self._lanes = lanes
        self._loop = asyncio.get_running_loop()

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Of each ledger partition: how far it was read, and its end."""
        return self._follower.positions()

    @property
    def withheld(self) -> frozenset[TP]:
        """All partitions are read."""
        return frozenset()

    @property
    def is_cut_off(self) -> bool:
        """Whether no broker can be reached."""
        return self._follower.is_cut_off

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiters)

    def waiting_s(self, event_id: str) -> float:
        """How long the oldest command of an event's partition has waited for the broker."""
        return self._lanes.waiting_s(home_partition(event_id, self._partitions))

    def put(self, event_id: str, command: bytes, headers: Headers, wait_s: float) -> Waiter:
        """Publish a command; its sender waits so long for the fact, and in any case for the acknowledgement."""
        waiter = Waiter(home_partition(event_id, self._partitions), self._loop.create_future())
        waiter.overdue = wait_s <= 0
        self._waiters.add(waiter, self._loop.time() + (ACKNOWLEDGED_WITHIN_S if waiter.overdue else wait_s))
        self._lanes.put(waiter, event_id.encode(), command, headers)
        return waiter

    async def ask(self, event_id: str, command: bytes, headers: Headers, wait_s: float) -> Result:
        """Publish a command, and wait for what becomes of it."""
        return await self.put(event_id, command, headers, wait_s).done

    def gave_up(self, waiter: Waiter) -> None:
        """A sender has gone away."""
        self._answers.gave_up(waiter)

    async def sweep(self) -> None:
        """Look for those whose time is over, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._answers.sweep(self._loop.time())

    def end(self) -> None:
        """Tell everybody how far his command has come."""
        self._answers.end_all()


@asynccontextmanager
async def open_desk(settings: KafkaSettings, on_failure: Callable[[BaseException], None]) -> AsyncIterator[Desk]:
    """A desk that is ready: it knows where each partition of the ledger ends.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topics cannot be used.
    """
    loop = asyncio.get_running_loop()
    partitions = await check_topics(settings)
    ledger = topic_partitions(purchase_results.TOPIC.full_name(settings.topic_prefix), partitions)
    requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)
    async with reader(settings, ledger) as consumer, producer(settings) as sender:
        _never_give_up(sender)
        waiters = Waiters(loop.time())
        answers = Answers(partitions, waiters, ACKNOWLEDGED_WITHIN_S)
        follower = Follower(consumer, ledger, answers)
        await follower.begin()
        desk = Desk(partitions, waiters, answers, Lanes(sender, requests, partitions, answers, on_failure), follower)
        tasks = [_watched(follower.follow(), on_failure), _watched(desk.sweep(), on_failure)]
        try:
            yield desk
        finally:
            desk.end()
            await end_tasks(tasks)


def _never_give_up(sender: AIOKafkaProducer) -> None:
    """A batch that the client gives up takes its sequence numbers along: what is sent after it would be refused."""
    client: Any = sender
    client._message_accumulator._batch_ttl = math.inf


def _watched(coroutine: Coroutine[Any, Any, None], on_failure: Callable[[BaseException], None]) -> asyncio.Task[None]:
    task = asyncio.create_task(coroutine)

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            on_failure(error)

    task.add_done_callback(ended)
    return task
