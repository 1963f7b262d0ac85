"""A dead Redis is asked once, then left alone until a probe succeeds; probes come ever more rarely."""

from __future__ import annotations

from redis.exceptions import ConnectionError as RedisConnectionError

from boxoffice.breaker import Breaker
from tests.simulation.processes import SimulatedLoop, simulate

FIRST_S, LONGEST_S = 0.2, 1.0


class Server:
    """Notes when it is probed, and answers from some time on."""

    def __init__(self, loop: SimulatedLoop, answers_from_s: float) -> None:
        self.loop = loop
        self.answers_from_s = answers_from_s
        self.probed_at_s: list[float] = []
        self.closed = 0

    async def probe(self) -> None:
        self.probed_at_s.append(round(self.loop.time(), 3))
        if self.loop.time() < self.answers_from_s:
            raise RedisConnectionError

    def on_closed(self) -> None:
        self.closed += 1


def run(answers_from_s: float, until_s: float, *, failures: int = 1) -> tuple[Server, Breaker]:
    loop = SimulatedLoop()
    server = Server(loop, answers_from_s)
    breaker = Breaker(server.probe, server.on_closed, FIRST_S, LONGEST_S)

    async def fail() -> None:
        assert not breaker.is_open
        for _ in range(failures):
            breaker.failed(RedisConnectionError())
            assert breaker.is_open
        await _sleep(loop, until_s)

    simulate(fail(), loop)
    return server, breaker


async def _sleep(loop: SimulatedLoop, until_s: float) -> None:
    future = loop.create_future()
    loop.call_at(until_s, future.set_result, None)
    await future


def test_it_stays_open_while_redis_is_down_and_probes_ever_more_rarely() -> None:
    server, breaker = run(answers_from_s=100, until_s=5)
    assert breaker.is_open
    assert server.probed_at_s == [0.2, 0.6, 1.4, 2.4, 3.4, 4.4]


def test_it_closes_when_redis_answers_and_says_so_once() -> None:
    server, breaker = run(answers_from_s=0.5, until_s=5)
    assert not breaker.is_open
    assert (server.probed_at_s, server.closed) == ([0.2, 0.6], 1)


def test_further_failures_do_not_begin_further_probes() -> None:
    server, _ = run(answers_from_s=0, until_s=5, failures=3)
    assert (server.probed_at_s, server.closed) == ([0.2], 1)
