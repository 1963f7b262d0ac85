"""What an operator asks the running workers: decide without Redis for a while, rebuild events; and how they are.

Workers see what is asked for in Redis, each time that they look whether it serves. A Redis that is down
needs no drill; one that came back empty has forgotten it, which ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from boxoffice.audit.event_view import event_in, fold_partition
from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka.clients import home_partition
from boxoffice.kafka.topics import check_topics
from boxoffice.redis.clients import redis_client, unhurried
from boxoffice.redis.presence import ProcessState, read_presences
from boxoffice.redis.store import EventPosition, RedisStore
from boxoffice.settings import KafkaSettings, RedisSettings, Settings
from models.event import Event

_POLL_INTERVAL_S: Final = 0.2


class NotRebuiltError(BoxOfficeError):
    """No worker rebuilt it in time."""

    exit_status = ExitStatus.NO_ANSWER
    remedy = "See with `boxoffice fallback status` whether its owner runs and may use Redis, and ask again."


@dataclass(frozen=True)
class FallbackStatus:
    """Whether workers decide without Redis; ``drill_ends_in_s`` is None where there is no drill."""

    drill_ends_in_s: float | None
    to_rebuild: Sequence[str]
    workers: Sequence[ProcessState]

    @property
    def is_active(self) -> bool:
        """Whether any worker decides without Redis, or is about to."""
        return self.drill_ends_in_s is not None or any(worker.using_fallback for worker in self.workers)


async def read_status(settings: RedisSettings) -> FallbackStatus:
    """How the workers that say in Redis that they run decide.

    Raises:
        UnreachableError: Redis did not answer: then all of them decide without it.
    """
    async with redis_client(settings) as client:
        store = RedisStore(client, unhurried(settings))
        processes = await read_presences(client, settings.key_prefix)
        workers = [state for state in processes.states if state.using_fallback is not None]
        return FallbackStatus(await store.drill_ends_in_s(), sorted(await store.to_rebuild()), workers)


async def begin_drill(settings: RedisSettings, duration_s: int) -> None:
    """Let workers decide without Redis for so long.

    Raises:
        UnreachableError: Redis did not answer.
    """
    async with _store(settings) as store:
        await store.begin_drill(duration_s)


async def end_drill(settings: RedisSettings) -> bool:
    """Let Redis decide again; returns whether there was a drill.

    Raises:
        UnreachableError: Redis did not answer.
    """
    async with _store(settings) as store:
        return await store.end_drill()


async def rebuild(settings: Settings, event_ids: Collection[str], timeout_s: float) -> dict[str, EventPosition]:
    """Let the owners load events anew into Redis while they sell; all events if none is given.

    Returns how far each then is in Redis.

    Raises:
        UnknownEventError: the ledger has no such event.
        ArchivedEventError: one was archived, and nothing of it belongs into Redis.
        NotRebuiltError: no worker did it in time; what is left is not asked for any more.
        UnreachableError: Kafka or Redis did not answer.
        TopicsError: the topics cannot be used.
    """
    events = await _known_events(settings.kafka, event_ids)
    wanted = [event.event_id for event in events]
    async with _store(settings.redis) as store:
        try:
            await store.ask_for_rebuild(wanted)
            await _wait_until_rebuilt(store, wanted, timeout_s)
        finally:
            await store.rebuild_done(wanted)
        found = await store.positions(events)
    return {event_id: position for event_id, position in found.items() if position is not None}


async def _known_events(settings: KafkaSettings, event_ids: Collection[str]) -> list[Event]:
    """The given events, or all that there are, without what they remember of requests; each is in the ledger."""
    partitions = await check_topics(settings)
    homes = {home_partition(event_id, partitions) for event_id in event_ids} if event_ids else set(range(partitions))
    known: list[Event] = []
    for number in sorted(homes):
        inventory = (await fold_partition(settings, number)).inventory
        own = (event_id for event_id in event_ids if home_partition(event_id, partitions) == number)
        for event in [event_in(inventory, one) for one in own] if event_ids else inventory.events.values():
            event.accepted.clear()
            known.append(event)
    return known


async def _wait_until_rebuilt(store: RedisStore, event_ids: Collection[str], timeout_s: float) -> None:
    deadline_s = monotonic() + timeout_s
    while left := (await store.to_rebuild()).intersection(event_ids):
        if monotonic() > deadline_s:
            raise NotRebuiltError(
                f"{len(left)} of {len(event_ids)} events were not rebuilt within {timeout_s:g} s, event {min(left)} "
                "among them: their owner does it while it runs and may use Redis; "
                "see 'boxoffice fallback status', 'boxoffice doctor' and its log."
            )
        await asyncio.sleep(_POLL_INTERVAL_S)


@asynccontextmanager
async def _store(settings: RedisSettings) -> AsyncIterator[RedisStore]:
    async with redis_client(settings) as client:
        yield RedisStore(client, unhurried(settings))
