"""Runs worker processes side by side: shows their logs, starts them again, stops them in order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boxoffice.embedded.process import dying_with_parent
from boxoffice.showing.printing import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Self

_COLOR = re.compile(r"(\x1b\[[0-9;]*m)")
_COLORS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
# Their lines are read as this, whatever the locale says.
_ENCODED = {"PYTHONIOENCODING": "utf-8"}
_CHUNK_BYTES = 64 * 1024
_COMMAND_NOT_FOUND = 127
# A worker's own children may hold its output open after it has ended.
_LAST_LINES_DEADLINE_S = 1.0


@dataclass(frozen=True)
class Worker:
    """A process to run: its name in the logs, its command, and what its environment has in addition."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerEnd:
    """A worker that ended and is not started again; the status is negative for a signal."""

    name: str
    status: int


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a worker is started again: twice as long each time, until it has lived a while."""

    first_s: float = 0.5
    longest_s: float = 30.0
    steady_after_s: float = 60.0

    def after(self, previous_s: float, lived_s: float) -> float:
        """The wait that follows one of ``previous_s`` (0 if there was none)."""
        if lived_s >= self.steady_after_s or not previous_s:
            return self.first_s
        return min(2 * previous_s, self.longest_s)


class Supervisor:
    """Keeps named workers running until it is stopped.

    A worker whose exit status is among ``restart_statuses`` is started again; any other end is final and
    reported by ``ended``, and the rest go on. Lines go to ``write``, standard output unless given, each behind
    its worker's name, in ``color`` if that is wanted.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        restart_statuses: Collection[int] = (),
        backoff: Backoff | None = None,
        stop_deadline_s: float = 10.0,
        write: Callable[[str], object] | None = None,
        color: bool = False,
    ) -> None:
        self._ends: asyncio.Queue[WorkerEnd] = asyncio.Queue()
        self._restart_statuses = frozenset(restart_statuses)
        self._backoff = backoff or Backoff()
        self._stop_deadline_s = stop_deadline_s
        self._write = write or _write_to_standard_output
        prefixes = _prefixes(workers, color=color)
        self._children = {worker.name: _Child(worker, self._line_writer(prefixes[worker.name])) for worker in workers}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Start every worker, in the order given."""
        for name, child in self._children.items():
            self._tasks[name] = asyncio.create_task(self._keep_running(child), name=f"supervise {name}")

    def pid(self, name: str) -> int | None:
        """The worker's process id, while it runs."""
        return self._children[name].pid

    async def ended(self) -> WorkerEnd:
        """Wait for the next worker that ends for good."""
        return await self._ends.get()

    async def stop(self) -> None:
        """Stop the workers one after another, the last one first; whoever passes the deadline is killed."""
        for name, task in reversed(self._tasks.items()):
            if await self._children[name].stop(self._stop_deadline_s):
                await asyncio.wait([task], timeout=2 * _LAST_LINES_DEADLINE_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tasks.clear()

    def kill(self) -> None:
        """End every worker at once."""
        for child in self._children.values():
            child.kill()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _keep_running(self, child: _Child) -> None:
        wait_s = 0.0
        while True:
            started_at = time.monotonic()
            status = await child.run()
            if child.stopping or status not in self._restart_statuses:
                break
            wait_s = self._backoff.after(wait_s, time.monotonic() - started_at)
            child.say(f"ended with status {status}, starts again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
        child.say(f"ended with status {status}")
        self._ends.put_nowait(WorkerEnd(child.worker.name, status))

    def _line_writer(self, prefix: str) -> Callable[[str], None]:
        def write_line(line: str) -> None:
            self._write(f"{prefix}{line}\n")

        return write_line


class _Child:
    """The one process of a worker that is there, or the last one that was."""

    def __init__(self, worker: Worker, say: Callable[[str], None]) -> None:
        self.worker = worker
        self.say = say
        self.stopping = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> int:
        """Start it, pass its lines on, and return its exit status."""
        try:
            process = self._process = await self._spawn()
        except OSError as failure:
            self.say(f"cannot be started: {failure}")
            return _COMMAND_NOT_FOUND
        lines = asyncio.create_task(self._pass_lines_on(process))
        try:
            status = await process.wait()
            await asyncio.wait([lines], timeout=_LAST_LINES_DEADLINE_S)
        finally:
            self._end_stragglers(process.pid)
            lines.cancel()
        return status

    async def stop(self, deadline_s: float) -> bool:
        """SIGTERM, and SIGKILL after the deadline; whether there was anything to stop."""
        self.stopping = True
        process = self._process
        if not process or process.returncode is not None:
            return False
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            async with asyncio.timeout(deadline_s):
                await process.wait()
        except TimeoutError:
            self.say(f"did not stop within {deadline_s:g} s and is killed")
            self.kill()
            await process.wait()
        return True

    def kill(self) -> None:
        self.stopping = True
        if self.pid:
            self._end_stragglers(self.pid)

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *dying_with_parent(self.worker.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**_UNBUFFERED, **os.environ, **_ENCODED, **self.worker.env},
            start_new_session=True,
        )

    async def _pass_lines_on(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        rest = b""
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _CHUNK_BYTES:  # a line without end is shown in pieces, not gathered for ever
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.say(_shown(line.rstrip(b"\r")))
        if rest:
            self.say(_shown(rest))

    @staticmethod
    def _end_stragglers(group: int) -> None:
        """Kill the process and what is left of its group: a worker's own children are not to outlive it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _prefixes(workers: Sequence[Worker], *, color: bool) -> dict[str, str]:
    width = max((len(worker.name) for worker in workers), default=0)
    plain = {worker.name: f"{worker.name:<{width}} | " for worker in workers}
    if not color:
        return plain
    codes = {worker.name: _COLORS[number % len(_COLORS)] for number, worker in enumerate(workers)}
    return {name: f"\x1b[{codes[name]}m{prefix}\x1b[0m" for name, prefix in plain.items()}


def _shown(line: bytes) -> str:
    """What a worker wrote, as a terminal may be given it: of what a terminal obeys, its colours."""
    parts = _COLOR.split(line.decode("utf-8", errors="surrogateescape"))
    return "".join(part if number % 2 else printable(part) for number, part in enumerate(parts))


def _write_to_standard_output(line: str) -> None:
    """What cannot be written is dropped: a worker must not wait for whoever reads its lines."""
    with suppress(Exception):
        sys.stdout.write(line)
        sys.stdout.flush()
