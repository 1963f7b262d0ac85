"""Time that leaps to the next timer, and processes that can be stopped, continued and killed at any await."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import BaseEventLoop, Handle, Task, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, Final, TypeVar

T = TypeVar("T")

NOBODY: Final = Context()
"""What runs in this context belongs to no process: the network, the servers, the schedule itself."""


class State(Enum):
    """How a process is."""

    RUNNING = auto()
    STOPPED = auto()
    DEAD = auto()


class Process:
    """Whatever was begun by :meth:`spawn`, and by what that began, and so on.

    As with SIGSTOP, nothing of a stopped process runs until it goes on; as with SIGKILL, nothing of a dead one
    ever runs again, not even what stands in a ``finally``.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.state = State.RUNNING
        self.held: list[Handle] = []

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]:
        """Begin something in this process."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        return self.loop.create_task(coroutine, context=context)

    def stop(self) -> None:
        """SIGSTOP."""
        if self.state is State.RUNNING:
            self.held = self.loop.take_handles(self)
            self.state = State.STOPPED

    def go_on(self) -> None:
        """SIGCONT."""
        if self.state is State.STOPPED:
            self.state = State.RUNNING
            self.loop.put_handles(self.held)

    def kill(self) -> None:
        """SIGKILL."""
        if self.state is not State.DEAD:
            self.loop.take_handles(self)
            self.state = State.DEAD
            self.held = []


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def running_process() -> Process | None:
    """The process that runs now, if it is one."""
    return _PROCESS.get()


def current_process() -> Process:
    """The process that runs now."""
    process = _PROCESS.get()
    assert process is not None
    return process


class SimulatedLoop(BaseEventLoop):
    """Waits for nothing: when all is done that can be done now, it is later.

    ``lag_s`` may make it later still, as on a machine that is too slow: then several timers are late at once.
    """

    _ready: deque[Handle]
    _scheduled: list[TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        self._selector = self
        self._is_over = False
        self.lag_s: Callable[[], float] = float
        self.failures: list[BaseException] = []
        self._begun: list[Coroutine[Any, Any, Any]] = []
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._now_s

    def select(self, timeout_s: float | None) -> list[object]:
        """What an event loop asks of its selector: wait so long for events."""
        if timeout_s is None:
            raise RuntimeError("Nobody will ever do anything any more.")
        if timeout_s:
            self._now_s += timeout_s + self.lag_s()
        return []

    def _process_events(self, events: Iterable[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody wakes it from another thread."""

    # Processes

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if self._is_over or (process is not None and process.state is not State.RUNNING):
            handle = Handle(callback, args, self, context)
            if process is not None and process.state is State.STOPPED:
                process.held.append(handle)
            return handle
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> TimerHandle:
        if self._is_over:
            return TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None) -> Task[Any]:
        self._begun.append(coro)
        task: Any = super().create_task(coro, name=name, context=context)
        # What a process was at when it was killed is never done.
        task._log_destroy_pending = False
        task.process = _PROCESS.get() if context is None else context.get(_PROCESS)
        return task  # type: ignore[no-any-return]

    def take_handles(self, process: Process) -> list[Handle]:
        """Take away all that a process would do, now and later."""
        taken: list[Handle] = []
        for place, handle in enumerate(self._ready):
            if _owner(handle) is process:
                taken.append(handle)
                self._ready[place] = _nothing(self)
        timers = [timer for timer in self._scheduled if _owner(timer) is process]
        if timers:
            self._scheduled = [timer for timer in self._scheduled if _owner(timer) is not process]
            heapq.heapify(self._scheduled)
        for timer in timers:
            timer._scheduled = False  # type: ignore[attr-defined]
            if timer.cancelled():
                self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
        return taken + [timer for timer in timers if not timer.cancelled()]

    def put_handles(self, handles: Iterable[Handle]) -> None:
        """Give back what was taken away: timers that have run out meanwhile are due at once."""
        for handle in handles:
            if isinstance(handle, TimerHandle) and handle.when() > self._now_s:
                heapq.heappush(self._scheduled, handle)
                handle._scheduled = True  # type: ignore[attr-defined]
            else:
                self._ready.append(handle)

    # Ending

    def _asyncgen_finalizer_hook(self, _generator: object) -> None:
        """A reader of a process that was killed is not closed."""

    def end(self) -> None:
        """Let nothing run any more: what waits is thrown away with its coroutines."""
        self._is_over = True
        for coroutine in self._begun:
            if getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _note_failure(self, _loop: object, context: dict[str, Any]) -> None:
        process = getattr(context.get("future") or context.get("task"), "process", None)
        # What fails while its process is being killed has nobody left who would look at it.
        if not self._is_over and (process is None or process.state is not State.DEAD):
            self.failures.append(context.get("exception") or RuntimeError(context["message"]))


def _owner(handle: Handle) -> Process | None:
    return handle._context.get(_PROCESS)  # type: ignore[attr-defined,no-any-return]


def _nothing(loop: SimulatedLoop) -> Handle:
    handle = Handle(print, (), loop, NOBODY)
    handle.cancel()
    return handle


def simulate(main: Coroutine[Any, Any, T], loop: SimulatedLoop) -> T:
    """Run ``main`` to its end."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.end()
