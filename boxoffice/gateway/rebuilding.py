"""Rebuild events in Redis, as ``boxoffice rebuild`` does: by that command, in a process of its own.

It folds the ledger to see which events there are. Here that would keep buyers waiting for as long as it takes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import from_json

from boxoffice.errors import ExitStatus
from boxoffice.gateway.messages import Problem, again_in
from boxoffice.tasks import end_tasks

WITHIN_S: Final = 120
"""So long events may take to be rebuilt."""
_MOST_TOLD: Final = 500
_PROGRAM: Final = (sys.executable, "-m", "boxoffice.cli")
_FAILED: Final[dict[int, str]] = {ExitStatus.REJECTED: "unknown-event"}
_AGAIN_S: Final = 5.0


class Rebuilding:
    """One rebuild at a time; whoever asks meanwhile for the same waits for the same."""

    def __init__(self, program: Sequence[str] = _PROGRAM) -> None:
        self._program = program
        self._events: frozenset[str] = frozenset()
        self._running: asyncio.Task[dict[str, Any]] | None = None

    async def aclose(self) -> None:
        """End what is under way."""
        if self._running is not None:
            await end_tasks([self._running])

    async def rebuild(self, events: frozenset[str], wait_s: float) -> dict[str, Any] | None:
        """How far each event then is in Redis; all if none is named. None: it goes on, and is not done yet.

        Raises:
            Problem: it was not done, or another rebuild is under way.
        """
        if self._running is None or self._running.done():
            self._events, self._running = events, asyncio.create_task(self._run(events))
            # Nobody may be there any more to hear why it failed.
            self._running.add_done_callback(lambda done: done.cancelled() or done.exception())
        elif self._events != events:
            raise Problem("too-many-waiting", "Other events are being rebuilt.", headers=[again_in(_AGAIN_S)])
        done, _ = await asyncio.wait([self._running], timeout=wait_s)
        return self._running.result() if done else None

    async def _run(self, events: frozenset[str]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *self._program,
            "rebuild",
            *(sorted(events) or ["--all"]),
            *("--json", "--timeout", str(WITHIN_S)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            written, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise _problem(process.returncode, complaint)
        return dict(from_json(written))


def _problem(status: int, complaint: bytes) -> Problem:
    """The sentence that the command line ends with, which is meant for people and has no secret in it."""
    lines = complaint.decode(errors="replace").strip().splitlines() or ["The command did not say why."]
    return Problem(_FAILED.get(status, "unavailable"), lines[-1][:_MOST_TOLD], headers=[again_in(_AGAIN_S)])
