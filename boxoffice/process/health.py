"""A process' own small web server: metrics, and whether it is alive, ready and well.

* ``/metrics`` for Prometheus; of a process that knows the sales' figures these as JSON, for who asks for JSON.
* ``/health/live``: 200 while the process gets on: where records wait, some were dealt with lately, or it waits
  for an outside server, which a new start would not help.
* ``/health/ready``: 200 once its partitions are taken over and no rebalance is going on.
* ``/health``: the whole picture as JSON.

How the process is it also says in Redis (:mod:`boxoffice.redis.presence`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from faust.types import TP
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from boxoffice import metrics
from boxoffice.errors import BoxOfficeError
from boxoffice.process.listening import PortInUseError, listening
from boxoffice.redis.presence import Presence, ProcessState
from boxoffice.settings import ProcessSettings
from boxoffice.tasks import end_tasks
from models.facts import at_text

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S: Final = 1.0
_JSON: Final = "application/json"
_KAFKA: Final = "Kafka"
_MOMENT_S: Final = 2.0
"""A client that has just lost its connection has another one by then, if there is a broker."""


class Reading(Protocol):
    """What reads partitions, and can be watched: a consumer of Faust's, or a reader of the ledger."""

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Of each partition: the offset behind what was dealt with, and the partition's end."""

    @property
    def withheld(self) -> frozenset[TP]:
        """The partitions that are not read."""

    @property
    def is_cut_off(self) -> bool:
        """Whether no broker can be reached."""


Details = Callable[[], Mapping[str, Any]]
"""What a process itself knows. Two members are understood here: ``waits_for``, the names of outside servers
without which it cannot get on now, and ``fallback``: whether that is ``active``, its ``reason``, and
``backlog_facts``."""

Figures = Callable[[], Awaitable[Mapping[str, Any]]]
"""What was sold, what the processes do and how many documents there are, by the names of the design."""


@dataclass
class Progress:
    """How far each partition is, and since when it has not moved although records wait."""

    lag: dict[TP, int] = field(default_factory=dict)
    position: dict[TP, int] = field(default_factory=dict)
    stuck_since_s: dict[TP, float] = field(default_factory=dict)

    def observe(self, tp: TP, position: int, end: int, now_s: float, *, withheld: bool = False) -> None:
        """Note a partition's next offset and its end; one that is withheld has a good reason to stand still."""
        self.lag[tp] = max(0, end - position)
        if withheld or not self.lag[tp] or self.position.get(tp) != position:
            self.stuck_since_s.pop(tp, None)
        else:
            self.stuck_since_s.setdefault(tp, now_s)
        self.position[tp] = position

    def excuse(self, now_s: float) -> None:
        """What stands still has a good reason: count from now on."""
        self.stuck_since_s = dict.fromkeys(self.stuck_since_s, now_s)

    def forget(self, kept: set[TP]) -> None:
        """Drop partitions that are not assigned any more."""
        for tp in set(self.lag) - kept:
            self.lag.pop(tp, None)
            self.position.pop(tp, None)
            self.stuck_since_s.pop(tp, None)
            metrics.LAG.remove(str(tp.partition))

    def longest_stuck_s(self, now_s: float) -> float:
        """How long the slowest partition has stood still with records waiting."""
        return max((now_s - since_s for since_s in self.stuck_since_s.values()), default=0.0)


@dataclass
class Outages:
    """The outside servers that a process waits for, and since when."""

    since_s: dict[str, float] = field(default_factory=dict)
    _told_since_s: float | None = None

    def observe(self, servers: Iterable[str], now_s: float) -> None:
        """Note which do not serve now."""
        self.since_s = {server: self.since_s.get(server, now_s) for server in servers}

    def tell_of_kafka(self, now_s: float) -> None:
        """Log once that Kafka is away, and once that it is back: its clients would say so each second."""
        since_s = self.since_s.get(_KAFKA)
        if since_s is not None and self._told_since_s is None and now_s - since_s > _MOMENT_S:
            self._told_since_s = since_s
            log.warning("waiting for Kafka")
        elif since_s is None and self._told_since_s is not None:
            log.warning("Kafka is back", seconds=round(now_s - self._told_since_s, 1))
            self._told_since_s = None


class Health:
    """Watches a process' progress and serves it, also to Redis.

    It begins before the process has anything to watch: until it is told what, the process waits for Kafka.
    """

    def __init__(self, settings: ProcessSettings, process: str, presence: Presence) -> None:
        self._settings = settings
        self._process = process
        self._consumer: Callable[[], Reading] | None = None
        self._is_ready: Callable[[], bool] = lambda: False
        self._details: Details = dict
        self._started_s = monotonic()
        self._started_at = at_text(int(time() * 1000))
        self._progress = Progress()
        self._outages = Outages()
        self._known_servers = {_KAFKA}
        self._withheld: frozenset[TP] = frozenset()
        self._presence = presence
        self._figures: Figures | None = None
        self._runner: web.AppRunner | None = None
        self._running: list[asyncio.Task[None]] = []
        self.port = 0

    def watch(self, consumer: Callable[[], Reading], is_ready: Callable[[], bool], details: Details) -> None:
        """Kafka was there, and the process begins."""
        self._consumer, self._is_ready, self._details = consumer, is_ready, details

    def tell_figures(self, figures: Figures) -> None:
        """Serve these as JSON beside the metrics."""
        self._figures = figures

    async def start(self) -> None:
        """Listen on the port of the settings, or on a free one where it is taken.

        Raises:
            SettingsError: nothing can listen there.
        """
        routes = {
            "/metrics": self._metrics,
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/health": self._health,
        }
        app = web.Application()
        app.add_routes([web.get(path, handler) for path, handler in routes.items()])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await self._listen(self._settings.health_port)
        self._running = [asyncio.create_task(self._watch()), asyncio.create_task(self._say())]
        log.info("health and metrics", host=self._settings.health_host, port=self.port)

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        try:
            with listening(self._settings, port):
                await web.TCPSite(self._runner, self._settings.health_host, port).start()
        except PortInUseError:
            log.warning("the health port is taken, using a free one", port=port)
            await self._listen(0)
            return
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, and be there no more."""
        await end_tasks(self._running)
        await self._presence.take_back()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _watch(self) -> None:
        while True:
            with _telling_failures():
                self.observe()
                if self._consumer is not None:
                    self._outages.tell_of_kafka(monotonic())
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _say(self) -> None:
        while True:
            with _telling_failures():
                await self._presence.say(self.state())
            await asyncio.sleep(self._settings.presence_interval_s)

    def observe(self) -> None:
        """Look how far the partitions are, and what the process waits for."""
        now_s = monotonic()
        consumer = self._consumer() if self._consumer is not None else None
        positions = consumer.positions() if consumer is not None else {}
        self._withheld = consumer.withheld if consumer is not None else frozenset()
        self._progress.forget(set(positions))
        for tp, (position, end) in positions.items():
            self._progress.observe(tp, position, end, now_s, withheld=tp in self._withheld)
            metrics.LAG.labels(str(tp.partition)).set(self._progress.lag[tp])
        without_kafka = consumer is None or consumer.is_cut_off
        self._outages.observe([*self._details().get("waits_for", ()), *([_KAFKA] if without_kafka else [])], now_s)
        if self._outages.since_s:
            self._progress.excuse(now_s)
        self._measure()

    def _measure(self) -> None:
        metrics.IS_LIVE.set(self.is_live)
        metrics.IS_READY.set(self._is_ready())
        self._known_servers.update(self._outages.since_s)
        for server in self._known_servers:
            metrics.WAITS_FOR.labels(server).set(server in self._outages.since_s)

    @property
    def is_live(self) -> bool:
        """Whether it gets on, or would but for an outside server."""
        return self._progress.longest_stuck_s(monotonic()) < self._settings.health_stuck_after_s

    def state(self) -> ProcessState:
        """How the process is now."""
        self.observe()
        fallback = self._details().get("fallback")
        return ProcessState(
            process=self._process,
            host=socket.gethostname(),
            pid=os.getpid(),
            health=f"{self._settings.health_host}:{self.port}",
            started_at=self._started_at,
            uptime_s=round(monotonic() - self._started_s, 1),
            memory_bytes=_memory_bytes(),
            cpu_s=_cpu_s(),
            live=self.is_live,
            ready=self._is_ready(),
            waits_for=list(self._outages.since_s),
            using_fallback=fallback["active"] if fallback is not None else None,
            fallback_reason=fallback["reason"] if fallback is not None else None,
            backlog_facts=fallback["backlog_facts"] if fallback is not None else None,
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        if self._figures is not None and _JSON in request.headers.get("Accept", ""):
            return await _as_json(self._figures)
        self.observe()
        text = await asyncio.to_thread(generate_latest, metrics.REGISTRIES[self._process])
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _live(self, _: web.Request) -> web.Response:
        self.observe()
        return _answer("live", self.is_live)

    async def _ready(self, _: web.Request) -> web.Response:
        return _answer("ready", self._is_ready())

    async def _health(self, _: web.Request) -> web.Response:
        state = self.state()
        well = state.live and state.ready and not state.waits_for and not self._withheld
        now_s = monotonic()
        return web.json_response(
            {
                "process": state.process,
                "status": "ok" if well else "unwell",
                "live": state.live,
                "ready": state.ready,
                "uptime_s": state.uptime_s,
                "lag": {str(tp.partition): lag for tp, lag in sorted(self._progress.lag.items())},
                "stuck_s": round(self._progress.longest_stuck_s(now_s), 1),
                "resources": {"memory_bytes": state.memory_bytes, "cpu_s": state.cpu_s},
                **self._details(),
                "waits_for": [
                    {"server": server, "for_s": round(now_s - since_s, 1)}
                    for server, since_s in self._outages.since_s.items()
                ],
            },
            status=200 if well else 503,
        )


@contextmanager
def _telling_failures() -> Iterator[None]:
    """Whoever watches a process goes on watching it, whatever is in the way once."""
    try:
        yield
    except Exception as error:  # it is told, and nothing of a sale depends on it
        log.error("could not see how the process is", exc_info=error)


async def _as_json(figures: Figures) -> web.Response:
    try:
        return web.json_response(await figures())
    except BoxOfficeError as error:
        return web.json_response({"error": str(error)}, status=503)


def _answer(name: str, holds: bool) -> web.Response:
    return web.json_response({name: holds}, status=200 if holds else 503)


def _cpu_s() -> float:
    times = os.times()
    return round(times.user + times.system, 2)


def _memory_bytes() -> int:
    """What the process holds now where the system tells, else its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # read at once, each time
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
