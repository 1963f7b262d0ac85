"""The supervisor: lines with names, another start where that helps, and an orderly end."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from boxoffice.embedded import Supervisor, Worker, WorkerEnd
from boxoffice.embedded.supervisor import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEADLINE_S = 20.0
QUICK = Backoff(first_s=0.05, longest_s=0.1)


def python(name: str, *lines: str, **env: str) -> Worker:
    return Worker(name, [sys.executable, "-c", "\n".join(lines)], env)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_lines_stand_behind_the_name_of_their_worker() -> None:
    """Standard output and error alike, and the last line without an end too."""
    lines: list[str] = []
    workers = [
        python("purchases", "import os", "print(os.environ['WORD'])", WORD="sold"),
        python("stats", "import sys", "sys.stderr.write('counted')"),
    ]
    async with Supervisor(workers, write=lines.append, color=False) as supervisor:
        ends = {(await supervisor.ended()).name, (await supervisor.ended()).name}
    assert ends == {"purchases", "stats"}
    assert "purchases | sold\n" in lines
    assert "stats     | counted\n" in lines


async def test_on_a_terminal_each_name_has_its_color() -> None:
    """The line itself keeps its own."""
    lines: list[str] = []
    workers = [python("purchases", "print('sold')"), python("stats", "print('counted')")]
    async with Supervisor(workers, write=lines.append, color=True) as supervisor:
        await supervisor.ended()
        await supervisor.ended()
    assert "\x1b[36mpurchases | \x1b[0msold\n" in lines
    assert "\x1b[32mstats     | \x1b[0mcounted\n" in lines


async def test_a_restartable_end_is_followed_by_another_start(tmp_path: Path) -> None:
    """Until the worker ends in another way, which is reported."""
    once = tmp_path / "once"
    worker = python(
        "purchases",
        "import pathlib, sys",
        f"once = pathlib.Path({str(once)!r})",
        "starts = len(once.read_text()) if once.exists() else 0",
        "once.write_text('x' * (starts + 1))",
        "sys.exit(71 if starts < 2 else 6)",
    )
    async with Supervisor([worker], restart_statuses={71}, backoff=QUICK, write=lambda _: None) as supervisor:
        assert await supervisor.ended() == WorkerEnd("purchases", 6)
    assert once.read_text() == "xxx"


def test_the_wait_doubles_up_to_a_limit_and_begins_anew_after_a_steady_life() -> None:
    """0.5 s to 30 s; a minute alive forgives what was before."""
    backoff = Backoff()
    waits = [0.0]
    for _ in range(8):
        waits.append(backoff.after(waits[-1], lived_s=1))
    assert waits[1:] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(30, lived_s=60) == 0.5


async def test_workers_are_stopped_one_after_another_the_last_one_first() -> None:
    """Each has ended, and its last words are shown, before the next is asked."""
    lines: list[str] = []
    polite = (
        "import signal, sys, time",
        "def end(*_): print('bye'); sys.exit(0)",
        "signal.signal(signal.SIGTERM, end)",
        "print('ready')",
        "time.sleep(60)",
    )
    supervisor = Supervisor([python("one", *polite), python("two", *polite)], write=lines.append, color=False)
    supervisor.start()
    await until(lambda: sum("ready" in line for line in lines) == 2)
    await supervisor.stop()
    assert lines[-4:] == ["two | bye\n", "two | ended with status 0\n", "one | bye\n", "one | ended with status 0\n"]


async def test_a_worker_that_will_not_stop_is_killed_with_its_children() -> None:
    """Nothing of it is left after the deadline."""
    lines: list[str] = []
    stubborn = python(
        "stubborn",
        "import signal, subprocess, sys, time",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "print('child', child.pid)",
        "time.sleep(60)",
    )
    supervisor = Supervisor([stubborn], stop_deadline_s=0.3, write=lines.append, color=False)
    supervisor.start()
    await until(lambda: lines)
    child = psutil.Process(int(lines[0].split()[-1]))
    await supervisor.stop()
    assert lines[-1] == "stubborn | ended with status -9\n"
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_a_worker_waiting_to_be_started_again_is_not_waited_for() -> None:
    """Stopping cuts the backoff short."""
    lines: list[str] = []
    backoff = Backoff(first_s=60)
    supervisor = Supervisor(
        [python("purchases", "raise SystemExit(71)")], restart_statuses={71}, backoff=backoff, write=lines.append
    )
    supervisor.start()
    await until(lambda: any("starts again in 60 s" in line for line in lines))
    async with asyncio.timeout(DEADLINE_S):
        await supervisor.stop()


async def test_a_command_that_does_not_exist_is_an_end_with_a_line() -> None:
    """It is reported like any other end."""
    lines: list[str] = []
    async with Supervisor([Worker("nobody", ["/no/such/program"])], write=lines.append, color=False) as supervisor:
        assert await supervisor.ended() == WorkerEnd("nobody", 127)
    assert "No such file" in lines[0]


async def test_an_output_that_cannot_be_written_holds_no_worker_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are read all the same, more of them than a pipe holds."""

    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    talkative = python("talkative", "for _ in range(5_000): print('x' * 100)")
    async with Supervisor([talkative]) as supervisor, asyncio.timeout(DEADLINE_S):
        assert await supervisor.ended() == WorkerEnd("talkative", 0)
