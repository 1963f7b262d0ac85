"""The desk: takes a command, and tells what has become of it. Everything that it knows can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from faust.types import TP
from pydantic_core import from_json

from boxoffice.gateway.answers import Answers
from boxoffice.gateway.following import Follower
from boxoffice.gateway.lanes import Headers, Lanes
from boxoffice.gateway.sending import Sender
from boxoffice.gateway.waiters import SWEEP_S, Outcome, Result, Waiter, Waiters
from boxoffice.kafka.clients import home_partition, producer, reader, topic_partitions
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks
from models.facts import ce_type
from topics import purchase_requests, purchase_results

ACKNOWLEDGED_WITHIN_S: Final = 10.0
"""How long a command's acknowledgement is waited for, beyond the wait for its answer."""

FORWARDED: Final = ce_type("command_forwarded")


class Listener(Protocol):
    """Wants to know what becomes of a command, longer than its sender waits."""

    waiter: Waiter | None
    """Of its newest command."""

    def hear(self, result: Result) -> None:
        """What has become of the command by now; it may be told more than once."""


class Order(NamedTuple):
    """A command as it is published."""

    event_id: str
    request_id: str
    value: bytes
    headers: Headers


class Reply(NamedTuple):
    """What has become of a command, and where and when it landed first; None, and 0, where nobody knows."""

    result: Result
    partition: int
    offset: int | None
    landed_ns: int = 0


class Asking(Waiter):
    """Waits for what becomes of a command, wherever its home is by now."""

    __slots__ = ("_desk", "listener", "order", "until_s")

    def __init__(self, desk: Desk, order: Order, listener: Listener, until_s: float) -> None:
        super().__init__(desk.home(order.event_id), order.request_id, listener.hear)
        listener.waiter = self
        self._desk = desk
        self.order = order
        self.listener = listener
        self.until_s = until_s

    def end(self, result: Result) -> None:
        """Tell whoever waits, or ask once more where it was forwarded to."""
        if result.kind == FORWARDED and self.waits:
            self.listener.hear(result)
            self._desk.follow(self, result.fact)
        else:
            super().end(result)

    def end_as(self, second: Waiter) -> None:
        """It was asked once more; what is not answered there lies there all the same."""
        result = second.result
        if result is None or result.outcome is not Outcome.ANSWERED or result.kind == FORWARDED:
            result = Result(Outcome.ACCEPTED)
        self.tell(result)

    def reply(self) -> Reply | None:
        """What has become of it, once that is known; None to whoever has gone away before."""
        return None if self.result is None else Reply(self.result, self.partition, self.landed, self.landed_ns)


class Desk:
    """Publishes commands at their homes, and follows the ledger for their answers."""

    def __init__(self, partitions: int, waiters: Waiters, answers: Answers, lanes: Lanes, follower: Follower) -> None:
        self._partitions = partitions
        self._follower = follower
        self._waiters = waiters
        self._answers = answers
        self._lanes = lanes
        self.loop = asyncio.get_running_loop()

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

    def home(self, event_id: str) -> int:
        """The partition of an event."""
        return home_partition(event_id, self._partitions)

    def waiting_s(self, event_id: str) -> float:
        """How long the oldest command of an event's partition has waited for the broker."""
        return self._lanes.waiting_s(self.home(event_id))

    def put(
        self, order: Order, wait_s: float, listener: Listener | None = None, partition: int | None = None
    ) -> Waiter:
        """Publish a command; its sender waits so long for the fact, and in any case for the acknowledgement.

        It goes home, or to the ``partition`` that is named. A listener is told each result, also a fact that comes
        when the sender does not wait any more.
        """
        home = self.home(order.event_id) if partition is None else partition
        hear = listener.hear if listener is not None else None
        waiter = Waiter(home, order.request_id, hear)
        if listener is not None:
            listener.waiter = waiter
        self._publish(waiter, order, wait_s)
        return waiter

    def _publish(self, waiter: Waiter, order: Order, wait_s: float) -> None:
        waiter.overdue = wait_s <= 0
        self._waiters.add(waiter, self.loop.time() + (ACKNOWLEDGED_WITHIN_S if waiter.overdue else wait_s))
        self._lanes.put(waiter, order.event_id.encode(), order.value, order.headers)

    def ask(self, order: Order, wait_s: float, listener: Listener) -> Asking:
        """Publish a command, whose sender is told what becomes of it, also where its home has moved."""
        waiter = Asking(self, order, listener, self.loop.time() + wait_s)
        self._publish(waiter, order, wait_s)
        return waiter

    def follow(self, asking: Asking, forwarded: bytes) -> None:
        """Ask for the answer to a command that was forwarded, since its home is another one now.

        It lies there by now, at an offset that only its owner knows. So it is published there once more, behind that:
        what was decided on the first of the two is the answer to both. A refusal that is not remembered may turn out
        otherwise the second time; then that is what holds.
        """
        home = _home_in(forwarded)
        wait_s = asking.until_s - self.loop.time()
        if home in range(self._partitions) and wait_s > 0:
            second = self.put(asking.order, wait_s, asking.listener, home)
            second.when_over(partial(asking.end_as, second))
        else:
            asking.tell(Result(Outcome.ACCEPTED))

    def gave_up(self, waiter: Waiter) -> None:
        """Nobody wants to know any more what becomes of a command."""
        self._answers.gave_up(waiter)

    async def sweep(self) -> None:
        """Look for those whose time is over, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._answers.sweep(self.loop.time())

    def end(self) -> None:
        """Send nothing any more, and tell everybody how far his command has come."""
        self._lanes.close()
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
        waiters = Waiters(loop.time())
        answers = Answers(partitions, waiters, ACKNOWLEDGED_WITHIN_S)
        follower = Follower(consumer, ledger, answers)
        await follower.begin()
        lanes = Lanes(Sender(sender, requests), partitions, answers, on_failure)
        desk = Desk(partitions, waiters, answers, lanes, follower)
        tasks = [_watched(follower.follow(), on_failure), _watched(desk.sweep(), on_failure)]
        try:
            yield desk
        finally:
            desk.end()
            await end_tasks(tasks)
            await follower.stop()


def _home_in(forwarded: bytes) -> Any:
    """The partition that a fact names as the home of its command; None where somebody else wrote that fact."""
    try:
        members = from_json(forwarded)
    except ValueError:
        return None
    return members.get("home") if isinstance(members, dict) else None


def _watched(coroutine: Coroutine[Any, Any, None], on_failure: Callable[[BaseException], None]) -> asyncio.Task[None]:
    task = asyncio.create_task(coroutine)

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            on_failure(error)

    task.add_done_callback(ended)
    return task
