"""Load while things die: commands at a steady rate, and the facts that answer them, as a consumer takes them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from itertools import islice, pairwise
from time import monotonic
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from boxoffice.kafka import clients
from tests.faults.whole_sale import WholeSale, whole_creations
from tests.support.office import POLL_S, Office
from tests.support.workload import Sent

PORTION_S = 0.05


class Taken(NamedTuple):
    """A decision that a consumer took: exactly the next seq of its event."""

    fact: dict[str, Any]
    published_ms: int

    @property
    def event_id(self) -> str:
        """Its event."""
        return str(self.fact["event_id"])

    @property
    def decided_by(self) -> str:
        """Who decided it: ``redis`` or ``local``."""
        return str(self.fact["decided_by"])


class Load:
    """Sends commands for events of its own until it is left, and takes their facts from the ledger."""

    def __init__(
        self, office: Office, event_ids: list[str], seed: int, per_second: int = 400, capacity: int = 1_000
    ) -> None:
        self.event_ids = event_ids
        self.taken: list[Taken] = []
        self.records = 0
        self.sent = 0
        self._office = office
        self._sale = WholeSale(seed, event_ids)
        self._commands = self._sale.commands()
        self._capacity = capacity
        self._portion = round(per_second * PORTION_S)
        self._seqs = dict.fromkeys(event_ids, 0)
        self._opened = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        settings = self._office.settings
        partitions = clients.topic_partitions(self._office.ledger, settings.kafka.partitions)
        self._reader = await self._opened.enter_async_context(clients.reader(settings.kafka, partitions))
        await self._reader.seek_to_end(*partitions)
        for tp in partitions:
            await self._reader.position(tp)
        self._reader.resume(*partitions)
        self._producer = await self._opened.enter_async_context(clients.producer(settings.kafka))
        await self.send(whole_creations(self.event_ids, self._capacity))
        self._tasks = [asyncio.create_task(self._follow(self._reader)), asyncio.create_task(self._send_steadily())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_sending()
        await self._end(self._tasks)
        await self._opened.aclose()

    async def stop_sending(self) -> None:
        """Send no more, and wait until all is answered."""
        *_, sending = self._tasks
        await self._end([sending])
        await self._producer.flush()
        await self._office.answered()

    async def _end(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def send(self, records: Iterable[Sent]) -> None:
        """Publish, and wait for the broker's acknowledgement."""
        await _send(self._producer, self._office.requests, records)

    async def _send_steadily(self) -> None:
        due_s = monotonic()
        while True:
            portion = list(islice(self._commands, self._portion))
            await self.send(portion)
            self.sent += len(portion)
            due_s += PORTION_S
            await asyncio.sleep(due_s - monotonic())

    async def _follow(self, reader: AIOKafkaConsumer) -> None:
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for record in records:
                    self.records += 1
                    self._take(json.loads(record.value or b"{}"), record.timestamp)
            await asyncio.sleep(0)

    def _take(self, fact: dict[str, Any], published_ms: int) -> None:
        event_id = fact["event_id"]
        if event_id in self._seqs and fact["seq"] == self._seqs[event_id] + 1:
            self._seqs[event_id] += 1
            self.taken.append(Taken(fact, published_ms))
            self._sale.saw(fact)

    async def decided(self, count: int, by: str | None = None, timeout_s: float = 30) -> None:
        """Wait for so many further decisions, by anybody or by one of the two."""
        begin = len(self.taken)
        deadline_s = monotonic() + timeout_s
        while sum(by in (None, one.decided_by) for one in islice(self.taken, begin, None)) < count:
            assert monotonic() < deadline_s, f"{len(self.taken) - begin} decided within {timeout_s} s, {count} by {by}"
            self._check_tasks()
            await asyncio.sleep(POLL_S)

    async def each_decided_by_redis(self, timeout_s: float = 30) -> None:
        """Wait until Redis has decided for every event again."""
        begin = len(self.taken)
        deadline_s = monotonic() + timeout_s
        while missing := set(self.event_ids) - set(events_of(self.taken[begin:], "redis")):
            assert monotonic() < deadline_s, f"Redis does not decide for {missing} after {timeout_s} s"
            self._check_tasks()
            await asyncio.sleep(POLL_S)

    def _check_tasks(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()


def events_of(taken: Iterable[Taken], decider: str) -> Iterator[str]:
    """The events for which one of the two decided."""
    return (one.event_id for one in taken if one.decided_by == decider)


def returned_to_redis(taken: Iterable[Taken]) -> set[str]:
    """Events for which Redis decided after the table had decided for them."""
    was_local: set[str] = set()
    returned: set[str] = set()
    for one in taken:
        if one.decided_by == "local":
            was_local.add(one.event_id)
        elif one.event_id in was_local:
            returned.add(one.event_id)
    return returned


def shares(taken: Iterable[Taken]) -> Counter[str]:
    """How many decisions each of the two has made."""
    return Counter(one.decided_by for one in taken)


def longest_gap_s(taken: Iterable[Taken]) -> float:
    """The longest time in which nothing was published."""
    times_ms = sorted(one.published_ms for one in taken)
    return max((after - before for before, after in pairwise(times_ms)), default=0) / 1000


async def _send(producer: AIOKafkaProducer, topic: str, records: Iterable[Sent]) -> None:
    sent = [await producer.send(topic, record.value, key=record.key) for record in records]
    await asyncio.gather(*sent)
