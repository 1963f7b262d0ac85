"""The gateway's process: ready when it can answer, and ended when all who waited were told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import structlog

from boxoffice import metrics
from boxoffice.gateway.assembly import opened_gateway
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.connections import Connections
from boxoffice.gateway.desk import Desk, open_desk
from boxoffice.gateway.service import Gateway
from boxoffice.gateway.serving import serving
from boxoffice.kafka.clients import read_all, reader
from boxoffice.kafka.topics import partitions_of
from boxoffice.process.health import Figures, Health
from boxoffice.process.partitions import watch_partitions
from boxoffice.process.stopping import Stopping
from boxoffice.process.worker import collect_garbage_rarely, end_process, ending_on_failure, wait_for_topics
from boxoffice.redis.presence import Presence
from boxoffice.settings import KafkaSettings, Settings
from boxoffice.statistics.following import following
from boxoffice.statistics.states import EventStates
from boxoffice.tasks import end_tasks
from topics import api_keys

log = structlog.get_logger(__name__)

PROCESS: Final = "gateway"
MOST_LEAVING_S: Final = 5.0
"""So long before it would be ended, those who still wait are told how far their commands have come."""
_LOOK_S: Final = 0.05
_FOLLOW_MS: Final = 200


async def run(settings: Settings, figures: Figures | None = None) -> None:
    """Answer requests until told to stop; ``figures`` are what ``/metrics`` says as JSON.

    Raises:
        TopicsError: the topics cannot be used.
        UnreachableError: Kafka went away while the process began.
        SettingsError: nothing can listen where the settings say.
    """
    health = Health(settings.process, PROCESS, Presence(settings.redis, PROCESS, settings.process.presence_interval_s))
    if figures is not None:
        health.tell_figures(figures)
    await health.start()
    try:
        async with AsyncExitStack() as owned:
            topics = await wait_for_topics(settings.kafka, api_keys.TOPIC)
            watching = asyncio.create_task(watch_partitions(settings.kafka, topics.partitions, ending_on_failure))
            owned.push_async_callback(end_tasks, [watching])
            callers = await owned.enter_async_context(following_callers(settings.kafka))
            desk = await owned.enter_async_context(open_desk(settings.kafka, end_process))
            states = EventStates(settings.statistics.most_events)
            await owned.enter_async_context(following(settings.kafka, states, _sells_on))
            gateway = await owned.enter_async_context(opened_gateway(settings, desk, callers, states))
            collect_garbage_rarely()
            # Until now nothing was taken, and whoever was told to stop has ended at once.
            stopping = Stopping(settings.process.stop_timeout_ms / 1000)
            connections = await owned.enter_async_context(serving(gateway, settings.gateway))
            health.watch(lambda: desk, lambda: not gateway.draining, lambda: _details(gateway, callers))
            log.info("the gateway listens", host=settings.gateway.host, port=settings.gateway.port)
            await stopping.told.wait()
            gateway.drain()
            await _drain(connections, gateway, desk, settings.process.stop_timeout_ms)
    finally:
        await health.stop()


async def _drain(connections: Connections, gateway: Gateway, desk: Desk, stop_timeout_ms: int) -> None:
    """Wait until everybody was answered; but tell those who still wait how far it has come while there is time to."""
    loop = asyncio.get_running_loop()
    stop_s = stop_timeout_ms / 1000
    until_s = loop.time() + max(stop_s - MOST_LEAVING_S, stop_s / 2)
    while (gateway.busy or connections.is_busy) and loop.time() < until_s:
        await asyncio.sleep(_LOOK_S)
    desk.end()
    while gateway.busy or connections.is_busy:
        await asyncio.sleep(_LOOK_S)


def _sells_on(error: BaseException) -> None:
    """The figures of events are not followed any more, which is no reason to take no orders."""
    log.error("the figures of events are not read any more: they stay as they are", exc_info=error)


def _details(gateway: Gateway, callers: Callers) -> Mapping[str, Any]:
    gateway.tell_metrics()
    metrics.CALLERS.set(len(callers))
    return {"requests": {"waiting": gateway.waiting, "reading": gateway.reading}, "api_keys": len(callers)}


@asynccontextmanager
async def following_callers(settings: KafkaSettings) -> AsyncIterator[Callers]:
    """All callers, as the topic has them now and from now on.

    Raises:
        UnreachableError: no broker answered.
    """
    partitions = await partitions_of(settings, api_keys.TOPIC)
    callers = Callers()
    async with reader(settings, partitions) as consumer:
        async for records in read_all(consumer, partitions):
            for record in records:
                callers.take(record.key, record.value)
        consumer.resume(*partitions)
        following = asyncio.create_task(_follow(consumer, callers))
        try:
            yield callers
        finally:
            await end_tasks([following])


async def _follow(consumer: Any, callers: Callers) -> None:
    with ending_on_failure():
        while True:
            for records in (await consumer.getmany(timeout_ms=_FOLLOW_MS)).values():
                for record in records:
                    callers.take(record.key, record.value)
