"""A process' own small web server: metrics, and whether it is alive, ready and well.

* ``/metrics`` for Prometheus.
* ``/health/live``: 200 while the process gets on: where commands wait, some were dealt with lately.
* ``/health/ready``: 200 once its partitions are taken over and no rebalance is going on.
* ``/health``: the whole picture as JSON.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import structlog
from aiohttp import web
from faust.types import TP
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from boxoffice import metrics
from boxoffice.batches import BatchConsumer
from boxoffice.settings import Settings

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S: Final = 1.0


@dataclass
class Progress:
    """How far each partition is, and since when it has not moved although records wait."""

    lag: dict[TP, int] = field(default_factory=dict)
    position: dict[TP, int] = field(default_factory=dict)
    stuck_since_s: dict[TP, float] = field(default_factory=dict)

    def observe(self, tp: TP, position: int, end: int, now_s: float) -> None:
        """Note a partition's next offset and its end."""
        self.lag[tp] = max(0, end - position)
        if not self.lag[tp] or self.position.get(tp) != position:
            self.stuck_since_s.pop(tp, None)
        else:
            self.stuck_since_s.setdefault(tp, now_s)
        self.position[tp] = position

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


class Health:
    """Watches a process' progress and serves it. ``details`` are what the process itself knows."""

    def __init__(
        self,
        settings: Settings,
        process: str,
        consumer: Callable[[], BatchConsumer],
        is_ready: Callable[[], bool],
        details: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._settings = settings
        self._process = process
        self._consumer = consumer
        self._is_ready = is_ready
        self._details = details
        self._started_s = monotonic()
        self._progress = Progress()
        self._runner: web.AppRunner | None = None
        self._watching: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on the port of the settings, or on a free one where it is taken."""
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
        self._watching = asyncio.create_task(self._watch())
        log.info("health and metrics", host=self._settings.health_host, port=self.port)

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        try:
            await web.TCPSite(self._runner, self._settings.health_host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == 0:
                raise
            log.warning("the health port is taken, using a free one", port=port)
            await self._listen(0)
            return
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _watch(self) -> None:
        while True:
            self.observe()
            await asyncio.sleep(WATCH_INTERVAL_S)

    def observe(self) -> None:
        """Look how far the partitions are."""
        positions = self._consumer().positions()
        self._progress.forget(set(positions))
        for tp, (position, end) in positions.items():
            self._progress.observe(tp, position, end, monotonic())
            metrics.LAG.labels(str(tp.partition)).set(self._progress.lag[tp])

    async def _metrics(self, _: web.Request) -> web.Response:
        self.observe()
        text = await asyncio.to_thread(generate_latest, metrics.REGISTRY)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @property
    def is_live(self) -> bool:
        """Whether it gets on."""
        return self._progress.longest_stuck_s(monotonic()) < self._settings.health_stuck_after_s

    async def _live(self, _: web.Request) -> web.Response:
        self.observe()
        return _state("live", self.is_live)

    async def _ready(self, _: web.Request) -> web.Response:
        return _state("ready", self._is_ready())

    async def _health(self, _: web.Request) -> web.Response:
        self.observe()
        well = self.is_live and self._is_ready()
        return web.json_response(
            {
                "process": self._process,
                "status": "ok" if well else "unwell",
                "live": self.is_live,
                "ready": self._is_ready(),
                "uptime_s": round(monotonic() - self._started_s, 1),
                "lag": {str(tp.partition): lag for tp, lag in sorted(self._progress.lag.items())},
                "stuck_s": round(self._progress.longest_stuck_s(monotonic()), 1),
                "resources": _resources(),
                **self._details(),
            },
            status=200 if well else 503,
        )


def _state(name: str, holds: bool) -> web.Response:
    return web.json_response({name: holds}, status=200 if holds else 503)


def _resources() -> dict[str, float]:
    """What the process has used: memory now where the system tells, else its peak; CPU seconds."""
    times = os.times()
    return {"memory_bytes": _memory_bytes(), "cpu_s": round(times.user + times.system, 2)}


def _memory_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # read at once, each time
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
