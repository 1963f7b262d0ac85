"""The circuit breaker: a dead Redis costs one failure, one that comes and goes costs few."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from boxoffice import metrics
from boxoffice.redis.breaker import Breaker, DrillError, ReadersBreaker, is_server_error
from tests.simulation.processes import SimulatedLoop, simulate

FIRST_S, LONGEST_S = 0.2, 1.0
DOWN = RedisConnectionError("refused")
DRILL = DrillError()


class Server:
    """Notes when it is probed, and answers from some time on."""

    def __init__(self, loop: SimulatedLoop, answers_from_s: float) -> None:
        self.loop = loop
        self.fails_after_s = 0.0
        self.answers_from_s = answers_from_s
        self.probed_at_s: list[float] = []
        self.closed = 0
        self.breaker = Breaker(self.probe, self.on_closed, FIRST_S, LONGEST_S)

    async def probe(self) -> None:
        self.probed_at_s.append(round(self.loop.time(), 3))
        if self.loop.time() < self.answers_from_s:
            await self.until(self.loop.time() + self.fails_after_s)
            raise DOWN

    def on_closed(self) -> None:
        self.closed += 1

    async def until(self, time_s: float) -> None:
        """Let it be later."""
        future = self.loop.create_future()
        self.loop.call_at(time_s, future.set_result, None)
        await future


def run(answers_from_s: float, happens: Callable[[Server], Awaitable[None]]) -> Server:
    loop = SimulatedLoop()
    server = Server(loop, answers_from_s)

    async def main() -> None:
        await happens(server)

    simulate(main(), loop)
    return server


async def _fails_once(server: Server) -> None:
    server.breaker.failed(DOWN)
    assert server.breaker.is_open
    await server.until(5)


def test_it_stays_open_while_redis_is_down_and_probes_ever_more_rarely() -> None:
    server = run(100, _fails_once)
    assert server.breaker.is_open
    assert server.probed_at_s == [0.2, 0.6, 1.4, 2.4, 3.4, 4.4]


async def _hangs(server: Server) -> None:
    server.fails_after_s = 0.25
    await _fails_once(server)


def test_probes_of_a_redis_that_hangs_come_no_more_rarely() -> None:
    assert run(100, _hangs).probed_at_s == [0.2, 0.6, 1.4, 2.4, 3.4, 4.4]


def test_it_closes_when_redis_answers_and_says_so_once() -> None:
    server = run(0.5, _fails_once)
    assert not server.breaker.is_open
    assert (server.probed_at_s, server.closed) == ([0.2, 0.6], 1)


def test_further_failures_begin_no_further_probes_and_are_not_warned_of() -> None:
    async def fails_thrice(server: Server) -> None:
        for _ in range(3):
            server.breaker.failed(DOWN)
        await server.until(5)

    with capture_logs() as logs:
        server = run(0, fails_thrice)
    assert (server.probed_at_s, server.closed) == ([0.2], 1)
    warned = [log["event"] for log in logs if log["log_level"] == "warning"]
    assert warned == ["Redis is down, deciding locally", "Redis answers again"]


def test_a_redis_that_answers_probes_and_fails_again_is_left_alone_for_longer_each_time() -> None:
    async def fails_as_soon_as_it_is_asked(server: Server) -> None:
        server.breaker.failed(DOWN)
        for time_s in (0.25, 0.75, 1.75, 2.9):
            await server.until(time_s)
            server.breaker.failed(DOWN)
        await server.until(5)

    assert run(0, fails_as_soon_as_it_is_asked).probed_at_s == [0.2, 0.65, 1.55, 2.75, 3.9]


def test_a_redis_that_has_served_for_long_is_asked_again_soon() -> None:
    async def fails_twice(server: Server) -> None:
        server.breaker.failed(DOWN)
        await server.until(5)
        server.breaker.failed(DOWN)
        await server.until(6)

    assert run(0.5, fails_twice).probed_at_s == [0.2, 0.6, 5.2]


def test_a_drill_is_called_one_and_a_redis_that_dies_in_it_is_what_it_waits_for_next() -> None:
    reasons: list[str | None] = []

    async def is_drilled(server: Server) -> None:
        server.breaker.failed(DRILL)
        reasons.append(server.breaker.reason)
        await server.until(0.3)
        reasons.append(server.breaker.reason)
        await server.until(5)
        reasons.append(server.breaker.reason)

    with capture_logs() as logs:
        run(0.5, is_drilled)
    assert reasons == ["drill", "ConnectionError", None]
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "a drill: Redis is left alone, deciding locally",
        "Redis answers again",
    ]


def test_a_process_that_only_reads_leaves_redis_alone_too_and_begins_no_fallback() -> None:
    async def fails_and_heals(server: Server) -> None:
        reading = ReadersBreaker(server.probe, FIRST_S, LONGEST_S)
        before = metrics.FALLBACKS._value.get()
        reading.failed(DOWN)
        assert reading.is_open
        assert (metrics.FALLBACKS._value.get(), metrics.FALLBACK_ACTIVE._value.get()) == (before, 0)
        await server.until(5)
        assert not reading.is_open

    with capture_logs() as logs:
        server = run(0.5, fails_and_heals)
    assert server.probed_at_s == [0.2, 0.6]
    warned = [log["event"] for log in logs if log["log_level"] == "warning"]
    assert warned == ["Redis is down, nothing is read from it", "Redis answers again"]


# What is the server's fault


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("TTL exhausted."),
        ClusterDownError("CLUSTERDOWN Hash slot not served"),
        TryAgainError("Multiple keys request during rehashing of slot"),
        AskError("7 127.0.0.1:7000"),
        MovedError("7 127.0.0.1:7000"),
        NoPermissionError("this user has no permissions to run the 'evalsha' command"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_cluster_that_moves_or_lacks_slots_and_a_user_without_rights_are_no_fault_of_an_event(
    error: RedisError,
) -> None:
    """It would be rebuilt three times, in vain, and given up for good."""
    assert is_server_error(error)


def test_what_lies_under_an_events_keys_is_one() -> None:
    assert not is_server_error(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))


@pytest.mark.parametrize(
    "told",
    [
        *("OOM", "READONLY", "LOADING", "MISCONF", "BUSY", "MASTERDOWN", "NOREPLICAS", "NOAUTH", "NOPERM", "WRONGPASS"),
        *("CLUSTERDOWN", "TRYAGAIN"),
    ],
)
def test_what_redis_says_of_itself_is_known_as_the_client_makes_an_error_of_it(told: str) -> None:
    """It takes the code away from what it has a class for, and of some codes it has none."""
    parser: Any = BaseParser
    assert is_server_error(parser.parse_error(f"{told} because of something"))
