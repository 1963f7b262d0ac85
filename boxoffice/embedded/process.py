"""One server as a child process: start, wait, stop, and the ways a test makes it suffer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from boxoffice.embedded.errors import PortTakenError, ServerStartError
from boxoffice.embedded.folders import make_private
from boxoffice.embedded.ports import HOST, can_listen, free_port, keep_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO, Self

POLL_INTERVAL_S = 0.02
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0

_PORT_TRIES = 5
_LOG_TAIL_LINES = 15
_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_PORT_TAKEN_MARKS = ("Address already in use", "BindException")

# Becomes the command after it asked the kernel to be killed with its parent: this way nothing has to run
# between fork and exec of a program that may have threads. The signals are those which Python itself
# ignores, and a server would inherit.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != parent:
    sys.exit("the parent ended before its child began")
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    os.execvp(command[0], command)
except OSError as failure:
    print(f"{command[0]}: {failure.strerror}", file=sys.stderr)
    sys.exit(127)
"""


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command, such that the kernel kills it when this process ends in whatever way.

    Linux only: elsewhere a parent that is killed leaves its children running. The kernel watches the thread
    that starts the child, not the process; so a child started from a thread that is not the main one, and
    would end too early, goes without.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]


class ServerProcess(ABC):
    """A server that this process starts on loopback, with its own folder and log file.

    The server runs in its folder and is told relative paths only: whatever the folder's name holds, no list
    separator, no configuration file and no command line can misread it.

    It runs in a session of its own, so Ctrl-C in the terminal does not reach it before whoever owns it
    stops it in order. Whatever happens to it, ``start`` begins again on the same port and folder.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.log_file = self.folder / f"{self.name.lower()}.log"
        self._port = port
        self._port_fixed = port is not None
        if port is not None:
            keep_port(port)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    @property
    def port(self) -> int:
        """Where it listens, or will; it stays the same through restarts."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def address(self) -> str:
        """``HOST:PORT``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process is there, answering or not."""
        return self.pid is not None

    async def launch(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Prepare, start and wait until it serves; on another port if a port that was not given is taken."""
        await asyncio.to_thread(self.prepare)
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                await self._start_and_wait(deadline_s)
            except PortTakenError:
                if self._port_fixed or not tries_left:
                    raise
                self._port = None
            else:
                self._port_fixed = True
                return

    def prepare(self) -> None:
        """Whatever the first start needs beforehand; blocks, and may be repeated."""
        make_private(self.folder)

    def start(self) -> None:
        """Start the process, without waiting for it to serve."""
        if self.running:
            return
        self.prepare()
        if not can_listen(self.port):
            raise PortTakenError(self.name, self.port)
        with self._open_log() as log:
            self._process = subprocess.Popen(
                dying_with_parent(self._command()),
                cwd=self.folder,
                env={**os.environ, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait_ready(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Wait until it serves requests, and is this very process."""
        ends_at = time.monotonic() + deadline_s
        while not await self._serves():
            if not self.running:
                raise self._ended_early()
            if time.monotonic() > ends_at:
                raise self._failure(f"did not serve within {deadline_s:g} s")
            await asyncio.sleep(POLL_INTERVAL_S)

    async def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Ask it to end, and kill it if it has not after the deadline."""
        self._signal(signal.SIGCONT)  # a paused process could not act on the request
        self._signal(signal.SIGTERM)
        ends_at = time.monotonic() + deadline_s
        while self.running and time.monotonic() < ends_at:
            await asyncio.sleep(POLL_INTERVAL_S)
        self.kill()

    async def restart(self, deadline_s: float = START_DEADLINE_S) -> None:
        """For tests: stop it if it runs, and start it again on the same port and folder."""
        await self.stop()
        self.start()
        await self.wait_ready(deadline_s)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """For tests: stop it from running (SIGSTOP); it still accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """For tests: let it run on after ``pause``."""
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """The last lines it has logged since it was started."""
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start_bytes)
            lines = log.read(_LOG_LIMIT_BYTES).decode(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    async def __aenter__(self) -> Self:
        await self.launch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def _variables(self) -> Mapping[str, str]:
        """What its environment has beside this process' own."""
        return {}

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The program and its arguments."""

    @abstractmethod
    async def _serves(self) -> bool:
        """Whether this very process answers requests."""

    async def _start_and_wait(self, deadline_s: float) -> None:
        try:
            self.start()
            await self.wait_ready(deadline_s)
        except BaseException:
            self.kill()
            raise

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self.running:
            self._process.send_signal(number)

    def _open_log(self) -> BinaryIO:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_file.unlink()
        log = self.log_file.open("ab")
        self._log_start_bytes = log.tell()
        return log

    def _ended_early(self) -> PortTakenError | ServerStartError:
        if any(mark in self.log_tail() for mark in _PORT_TAKEN_MARKS):
            return PortTakenError(self.name, self.port)
        return self._failure("ended while it was starting")

    def _failure(self, happened: str) -> ServerStartError:
        return ServerStartError(self.name, happened, self.log_file, self.log_tail())
