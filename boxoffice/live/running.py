"""The live process: ready when it has read the events' figures, and ended when its streams are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, TypeVar

import structlog

from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.running import following_callers
from boxoffice.live.application import Live
from boxoffice.live.files import Files
from boxoffice.live.hub import Hub
from boxoffice.live.overview import Overview
from boxoffice.live.serving import BESIDE_STREAMS, Listener, serving, streams_among
from boxoffice.live.shop import Shop
from boxoffice.live.streams import Places, Streams
from boxoffice.process.health import Health
from boxoffice.process.open_files import allow_connections_of
from boxoffice.process.stopping import Stopping
from boxoffice.process.worker import collect_garbage_rarely, end_process, wait_for_topics
from boxoffice.redis.presence import Presence
from boxoffice.settings import Settings
from boxoffice.statistics.following import following
from boxoffice.statistics.states import EventStates
from boxoffice.tasks import end_tasks, in_background
from topics import api_keys, event_stats

log = structlog.get_logger(__name__)

PROCESS: Final = "live"
_LOOK_S: Final = 0.05
_END_WITHIN_S: Final = 3.0
"""So long those are waited for whose streams end; who does not take the end is cut off."""

_Result = TypeVar("_Result")


class _ToldToStopError(Exception):
    """The process was told to stop before it had begun."""


async def run(settings: Settings) -> None:
    """Show events until told to stop.

    Raises:
        TopicsError: the topics cannot be used.
        SettingsError: nothing can listen on the port.
        UnreachableError: Kafka went away while the process began.
    """
    stopping = Stopping(settings.process.stop_timeout_ms / 1000)
    health = Health(settings.process, PROCESS, Presence(settings.redis, PROCESS, settings.process.presence_interval_s))
    await health.start()
    try:
        async with AsyncExitStack() as owned:
            await _show(settings, health, stopping.told, owned)
    except _ToldToStopError:
        pass
    finally:
        await health.stop()


async def _show(settings: Settings, health: Health, told: asyncio.Event, owned: AsyncExitStack) -> None:
    also, aligned = (api_keys.TOPIC,), (event_stats.TOPIC,)
    await _unless(told, wait_for_topics(settings.kafka, *also, aligned=aligned))
    live = settings.live
    states = EventStates(settings.statistics.most_events)
    hub = Hub(states, live.interval_ms / 1000, live.most_buffered_bytes)
    follower = await owned.enter_async_context(following(settings.kafka, states, end_process, hub.wake))
    callers = await _unless(told, owned.enter_async_context(following_callers(settings.kafka)))
    connections = allow_connections_of(live.most_streams + BESIDE_STREAMS)
    places = Places(streams_among(connections, live.most_streams), live.most_streams_of_one)
    streams = Streams(states, hub, places)
    overview = Overview(settings, states, callers)
    owned.push_async_callback(overview.aclose)
    shop, files = Shop(live, callers), Files.of_package(live.gateway_url)
    application = Live(states, streams, files, shop, overview, Addresses(live.networks))
    await owned.enter_async_context(in_background(hub.run(), end_process))
    health.watch(lambda: follower, lambda: False, dict)
    await _unless(told, follower.whole())
    collect_garbage_rarely()
    listener = await owned.enter_async_context(serving(application.handle, live, connections))
    health.watch(
        lambda: follower,
        lambda: states.is_whole and not streams.draining,
        lambda: _details(states, places, listener),
    )
    log.info("the live process listens", host=live.host, port=live.port)
    await told.wait()
    streams.draining = True
    await hub.end()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_WITHIN_S):
            while places.taken:
                await asyncio.sleep(_LOOK_S)


def _details(states: EventStates, places: Places, listener: Listener) -> Mapping[str, Any]:
    return {
        "events": {"shown": len(states), "left_out": states.left_out},
        "streams": {"open": places.taken},
        "connections": {"open": len(listener)},
    }


async def _unless(told: asyncio.Event, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What comes of the work, unless the process is told to stop before.

    Raises:
        _ToldToStopError: it was.
    """
    working, stopping = asyncio.create_task(work), asyncio.create_task(told.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _ToldToStopError
        return working.result()
    finally:
        await end_tasks([working, stopping])
