"""What lies between a process and its servers. A request that was sent arrives, whatever becomes of who sent it."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.simulation.processes import NOBODY, Process, SimulatedLoop, current_process

T = TypeVar("T")


@dataclass
class Faults:
    """What goes wrong by itself on the way, as chances. All are 0 once faults have ended."""

    slow: float = 0.0
    """A request or a reply takes up to ``slowest_s``."""
    slowest_s: float = 0.0
    killed_at_an_exchange: float = 0.0
    """Who asked dies just before the reply."""
    stopped_at_an_exchange: float = 0.0
    redis_request_lost: float = 0.0
    redis_reply_lost: float = 0.0
    redis_cut_off: float = 0.0
    """A connection breaks in the middle of a pipeline."""
    publish_refused: float = 0.0
    publish_reply_lost: float = 0.0
    """It was written, and nobody hears of it."""
    delivery_dropped: float = 0.0
    """A record is not given to who reads."""
    reader_unreachable: float = 0.0
    letters_refused: float = 0.0
    """Dead letters are not taken, or they are and nobody hears of it."""


@dataclass
class Network:
    """Delays, and losses."""

    loop: SimulatedLoop
    random: Random
    faults: Faults = field(default_factory=Faults)
    on_killed: Callable[[Process], None] = Process.kill
    on_stopped: Callable[[Process], None] = Process.stop

    def happens(self, chance: float) -> bool:
        """Whether a fault of that chance happens now."""
        return chance > 0 and self.random.random() < chance

    def delay_s(self) -> float:
        """How long something is on its way."""
        if self.happens(self.faults.slow):
            return self.random.uniform(0, self.faults.slowest_s)
        return self.random.choice((0.0, 0.0002, 0.001, self.random.uniform(0, 0.01)))

    def later(self, delay_s: float, act: Callable[..., object], *arguments: object) -> None:
        """Let something happen that no process does."""
        self.loop.call_later(delay_s, act, *arguments, context=NOBODY)

    def future(self) -> Future[Any]:
        """Something to wait for."""
        return self.loop.create_future()

    async def exchange(self, arrive: Callable[[], T]) -> T:
        """Send a request, which does ``arrive`` at the server, and wait for the reply."""
        reply = self.future()
        self.later(self.delay_s(), self._arrive, arrive, reply, current_process())
        return await reply  # type: ignore[no-any-return]

    def _arrive(self, arrive: Callable[[], object], reply: Future[object], asker: Process) -> None:
        try:
            answer: object = arrive()
        except Exception as error:  # noqa: BLE001  # it goes to who asked
            self.answer(reply, error, asker)
        else:
            self.answer(reply, answer, asker)

    def answer(self, reply: Future[object], answer: object, asker: Process) -> None:
        """Send a reply on its way; who asked may die of it."""
        if self.happens(self.faults.killed_at_an_exchange):
            self.on_killed(asker)
        elif self.happens(self.faults.stopped_at_an_exchange):
            self.on_stopped(asker)
        self.later(self.delay_s(), deliver, reply, answer)


def deliver(reply: Future[Any], answer: object) -> None:
    """Give a reply to who still waits for it."""
    if reply.done():
        return
    if isinstance(answer, Exception):
        reply.set_exception(answer)
        # Who asked may be dead.
        reply.exception()
    else:
        reply.set_result(answer)
