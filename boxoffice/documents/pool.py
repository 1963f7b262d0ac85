"""A pool of processes that draw; a hang or a crash costs the one ticket that met it.

Each process has a pipe of its own. (In a pool whose processes share one, as pebble's do, one that is killed
takes all of them along: 5 of 6 such pools broke within 1,500 tasks. Measured with pebble 5.2.3.)
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import sleep
from typing import TypeVar

from boxoffice.documents import drawing
from boxoffice.documents.drawing import Draw, Drawn
from boxoffice.documents.errors import DrawingError
from boxoffice.rendering import Style, TicketPage, render_ticket

_PRELOADED = ["boxoffice.documents.drawing", "boxoffice.rendering"]
_STOP_S = 1.0
_STOP_PAUSE_S = 0.1
_START_TRIES = 5
_START_PAUSE_S = 0.2

# The forkserver says once how a process ended. A start asks for every process that has not been asked for,
# and who asks beside it finds the pipe empty and takes that for status 255.
_ASKING_HOW_IT_ENDED = threading.Lock()

_Answer = TypeVar("_Answer")


class Pool:
    """Draws on so many processes at once; none of them outlives this one."""

    def __init__(
        self, processes: int, timeout_s: float, style: Style | None = None, draw: Draw = render_ticket
    ) -> None:
        self.processes = processes or _cores()
        self._timeout_s = timeout_s
        self._slots = [_Slot(draw, style or Style()) for _ in range(self.processes)]
        self._threads = ThreadPoolExecutor(self.processes, thread_name_prefix="drawing")
        self._idle: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue()
        for slot in self._slots:
            self._idle.put_nowait(slot)
        self._asking: set[asyncio.Future[Drawn | str]] = set()
        self._stopping = False

    async def draw(self, page: TicketPage) -> Drawn:
        """Draw a ticket.

        Raises:
            DrawingError: it took too long, its process ended, or drawing raised.
        """
        slot = await self._idle.get()
        asking = asyncio.ensure_future(self._ask(slot, page))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            answer = await asyncio.shield(asking)
        except asyncio.CancelledError:
            slot.kill()
            raise
        if isinstance(answer, str):
            raise DrawingError(answer)
        return answer

    async def _ask(self, slot: _Slot, page: TicketPage) -> Drawn | str:
        """Goes on to its end whoever gave it up, since its slot is taken for so long."""
        try:
            # Starting a process is not the ticket's time.
            if not slot.runs():
                await self._in_thread(slot.start)
            if self._stopping:
                return "the box office ends"
            asking = self._in_thread(slot.ask, page)
            done, _ = await asyncio.wait([asking], timeout=self._timeout_s)
            if done:
                return asking.result()
            slot.kill()
            await asyncio.wait([asking])
            return f"it took longer than {self._timeout_s:g} s"
        finally:
            self._idle.put_nowait(slot)

    def _in_thread(self, call: Callable[..., _Answer], *arguments: TicketPage) -> asyncio.Future[_Answer]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def stop(self) -> None:
        """End the processes, whatever they are at."""
        self._stopping = True
        self._kill()
        while self._asking:
            await asyncio.wait(self._asking, timeout=_STOP_PAUSE_S)
            # One that was being started is there by now.
            self._kill()
        await asyncio.to_thread(self._threads.shutdown)

    def _kill(self) -> None:
        for slot in self._slots:
            slot.kill()


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Slot:
    """A process and the pipe to it; a new one after it has ended."""

    def __init__(self, draw: Draw, style: Style) -> None:
        self._draw = draw
        self._style = style
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def runs(self) -> bool:
        """Whether it waits for a ticket; its end would be all that there is to read."""
        return self._connection is not None and not self._connection.poll()

    def start(self) -> None:
        """Start a process; blocks.

        Raises:
            OSError: the machine has no room for it.
        """
        self._close()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        for tries_left in reversed(range(_START_TRIES)):
            ours, theirs = context.Pipe()
            arguments = (theirs, self._draw, self._style)
            process = context.Process(target=drawing.serve, args=arguments, name="drawing", daemon=True)
            try:
                with _ASKING_HOW_IT_ENDED:
                    process.start()
            except (OSError, EOFError):
                # The server that processes are forked from may be killed as well; the next try starts it again.
                ours.close()
                if not tries_left:
                    raise
                sleep(_START_PAUSE_S)
            else:
                self._connection, self._process = ours, process
                return
            finally:
                theirs.close()

    def ask(self, page: TicketPage) -> Drawn | str:
        """What the process answers, or why there is no answer; blocks."""
        assert self._connection is not None
        try:
            self._connection.send(page)
            answer: Drawn | str = self._connection.recv()
        except (EOFError, OSError):
            return self._why_ended()
        return answer

    def kill(self) -> None:
        if (process := self._process) is not None:
            # One that its thread is closing just now raises, and has ended.
            with suppress(ValueError):
                process.kill()

    def _why_ended(self) -> str:
        assert self._process is not None
        with _ASKING_HOW_IT_ENDED:
            self._process.join(_STOP_S)
            return f"its process ended with status {self._process.exitcode}"

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with suppress(ValueError), _ASKING_HOW_IT_ENDED:
                self._process.join(_STOP_S)
                self._process.close()
        self._connection = self._process = None
