"""Processes that are measured: how they are started and stopped, and what they have used."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from boxoffice.embedded.process import dying_with_parent

ROOT: Final = Path(__file__).parents[1]

STOP_DEADLINE_S: Final = 30.0
_LOG_TAIL_CHARACTERS: Final = 2_000


class BenchmarkError(Exception):
    """A benchmark that did not come to its end, in a sentence."""


@dataclass(frozen=True)
class Program:
    """Something to run: its name in the figures, and the arguments that Python runs it by."""

    name: str
    arguments: Sequence[str]


PURCHASES: Final = Program("product", ("-m", "boxoffice.cli", "run", "purchases"))
STATISTICS: Final = Program("product", ("-m", "boxoffice.cli", "run", "stats"))
CLOCK: Final = Program("clock", ("-m", "boxoffice.cli", "run", "clock"))
DOCUMENTS: Final = Program("documents", ("-m", "boxoffice.cli", "run", "documents"))


class Process:
    """A program at work, with settings in its environment and its output in a file."""

    def __init__(self, program: Program, environment: Mapping[str, str], log_path: Path) -> None:
        self.name = program.name
        self._log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            self._child = subprocess.Popen(
                dying_with_parent([sys.executable, *program.arguments]),
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def check(self) -> None:
        """See that it is alive.

        Raises:
            BenchmarkError: it ended.
        """
        if (status := self._child.poll()) is not None:
            raise BenchmarkError(f"{self.name} ended with status {status}: {self.log_text()[-_LOG_TAIL_CHARACTERS:]}")

    def log_text(self) -> str:
        """All that it wrote."""
        return self._log_path.read_text(errors="replace")

    def last_said(self, message: str) -> dict[str, Any] | None:
        """The members of the last log line with this message."""
        lines = [line for line in self.log_text().splitlines() if f'"{message}"' in line and line.endswith("}")]
        return dict(json.loads(lines[-1])) if lines else None

    def pause(self) -> None:
        """Stop it from running."""
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self._child.send_signal(signal.SIGCONT)

    async def ended(self) -> None:
        """Wait until it ends by itself.

        Raises:
            BenchmarkError: it failed.
        """
        if await asyncio.to_thread(self._child.wait):
            self.check()

    async def stop(self) -> None:
        """Ask it to end, and wait until it has; kill it after a deadline."""
        self._child.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._child.wait, STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, its own and the system's for it."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def memory_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(psutil.Process(pid).memory_info().rss)
