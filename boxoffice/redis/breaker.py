"""A circuit breaker for Redis: a dead server costs one timeout, not one a batch."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from boxoffice import metrics
from boxoffice.tasks import end_tasks

log = structlog.get_logger(__name__)


class DrillError(RedisError):
    """Redis may serve, but an operator wants to see that sales go on without it."""


_SERVER_ERRORS = (
    DrillError,
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    # Of which the client takes the code away.
    NoPermissionError,
    # A cluster that lacks slots, or moves some: of what lies on one that moves, nothing can be decided meanwhile.
    ClusterError,
    AskError,
    TryAgainError,
    TimeoutError,
    OSError,
)
UNSERVED = (RedisError, TimeoutError, OSError)
"""What a call to Redis raises that was not served, or not as it should be."""
_SERVER_ERROR_CODES = ("OOM", "READONLY", "LOADING", "MISCONF", "BUSY", "MASTERDOWN", "NOREPLICAS")


def is_server_error(error: BaseException) -> bool:
    """Whether an error says that the server cannot serve, not that one event's keys are wrong."""
    if isinstance(error, _SERVER_ERRORS):
        return True
    return isinstance(error, RedisError) and _code(error) in _SERVER_ERROR_CODES


def tell_unexpected(error: Exception) -> None:
    """Say with its trace what nobody expects of Redis' client; sales go on without Redis all the same."""
    if not isinstance(error, UNSERVED):
        log.error("Redis' client failed in an unknown way", exc_info=error)


def _code(error: RedisError) -> str:
    """With which a reply begins that is an error, ``BUSY`` say."""
    return str(error).removeprefix("-").partition(" ")[0]


class Breaker:
    """Closed while Redis serves; open from a failure on until a probe succeeds.

    The delay doubles from probe to probe, and goes on doubling unless Redis has served for as long as the
    longest: one that fails now and then, say a call in a hundred by its timeout, is left alone for most of
    the time instead of costing a timeout each time.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        on_closed: Callable[[], None],
        first_delay_s: float,
        longest_delay_s: float,
    ) -> None:
        self._probe = probe
        self._on_closed = on_closed
        self._first_delay_s = self._delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._closed_at_s = -math.inf
        self.reason: str | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether Redis is left alone."""
        return self._probing is not None

    def failed(self, error: BaseException) -> None:
        """Redis did not serve: leave it alone, and probe. ``reason`` says why, until it serves again."""
        self.reason = _reason(error)
        self._count(error, self.reason)
        if self._probing is None:
            if asyncio.get_running_loop().time() - self._closed_at_s > self._longest_delay_s:
                self._delay_s = self._first_delay_s
            self._tell_open(error)
            self._probing = asyncio.create_task(self._probe_until_closed())

    def _count(self, error: BaseException, reason: str) -> None:
        """A failure, as whoever decides with Redis counts it."""
        if not isinstance(error, DrillError):
            metrics.REDIS_ERRORS.labels(reason).inc()

    def _tell_open(self, error: BaseException) -> None:
        metrics.FALLBACKS.inc()
        metrics.FALLBACK_ACTIVE.set(1)
        if isinstance(error, DrillError):
            log.warning("a drill: Redis is left alone, deciding locally")
        else:
            log.warning("Redis is down, deciding locally", error=f"{type(error).__name__}: {error}"[:200])

    def _tell_closed(self) -> None:
        metrics.FALLBACK_ACTIVE.set(0)
        log.warning("Redis answers again")

    async def _probe_until_closed(self) -> None:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        while True:
            # A probe that is not answered takes its timeout: the next one comes no later for it.
            await asyncio.sleep(asked_s + self._delay_s - loop.time())
            asked_s = loop.time()
            self._delay_s = min(self._delay_s * 2, self._longest_delay_s)
            try:
                await self._probe()
            except Exception as error:  # noqa: BLE001  # whatever a client raises: who probes no more never closes
                self.reason = _reason(error)
                tell_unexpected(error)
                log.debug("Redis is still down", error=type(error).__name__)
            else:
                break
        self._probing = self.reason = None
        self._closed_at_s = loop.time()
        self._tell_closed()
        self._on_closed()

    async def stop(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            await end_tasks([self._probing])


class ReadersBreaker(Breaker):
    """The same for a process that only reads from Redis: nothing is decided there, and no fallback begins."""

    def __init__(self, probe: Callable[[], Awaitable[None]], first_delay_s: float, longest_delay_s: float) -> None:
        super().__init__(probe, lambda: None, first_delay_s, longest_delay_s)

    def _count(self, error: BaseException, reason: str) -> None:
        pass

    def _tell_open(self, error: BaseException) -> None:
        log.warning("Redis is down, nothing is read from it", error=f"{type(error).__name__}: {error}"[:200])

    def _tell_closed(self) -> None:
        log.warning("Redis answers again")


def _reason(error: BaseException) -> str:
    """``drill``, the error's class, or Redis' own code where the client has no class for it."""
    if isinstance(error, DrillError):
        return "drill"
    if type(error) is ResponseError and is_server_error(error):
        return _code(error)
    return type(error).__name__
