"""Where a living process spends its time, by py-spy: it looks from outside, and the process goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from boxoffice.errors import BoxOfficeError, ExitStatus

_PROGRAM: Final = "py-spy"
_PYTHON: Final = re.compile(r"python[0-9.]*(\.exe)?", re.IGNORECASE)
_RUN: Final = "run"
_DENIED: Final = ("permission denied", "operation not permitted", "access is denied")
_MOST_LISTED: Final = 8
_MOST_SAID: Final = 300


class ProfilingExtraError(BoxOfficeError):
    """A package of the extra ``profiling`` is missing."""

    exit_status = ExitStatus.USAGE
    remedy = "Install the extra with `pip install 'boxoffice[profiling]'`."

    def __init__(self, package: str) -> None:
        super().__init__(
            f"To look into a process takes the package {package}, which is not installed: "
            "pip install 'boxoffice[profiling]'"
        )


class NoSuchProcessError(BoxOfficeError):
    """No process of that name or id runs on this machine."""

    exit_status = ExitStatus.REJECTED
    remedy = "Ask on the machine, or in the container, on which it runs: `boxoffice stats` shows which that is."


class SeveralProcessesError(BoxOfficeError):
    """Several processes of that name run on this machine."""

    exit_status = ExitStatus.REJECTED
    remedy = "Name one by its process id."

    def __init__(self, name: str, found: Sequence[Found]) -> None:
        listed = "; ".join(map(str, found[:_MOST_LISTED])) + ("; …" if len(found) > _MOST_LISTED else "")
        super().__init__(f"{len(found)} processes here run {name}: {listed}. Name one by its process id.")


class NotAllowedError(BoxOfficeError):
    """This user may not look into that process."""

    exit_status = ExitStatus.USAGE
    remedy = (
        "Be root or the process' user; in a container it takes the capability SYS_PTRACE: docs/tracing.md says how."
    )

    def __init__(self, pid: int) -> None:
        super().__init__(
            f"The system does not let you look into process {pid} (ptrace): be root, or the user whose process it is "
            "where kernel.yama.ptrace_scope is 0; in a container it takes the capability SYS_PTRACE (docs/tracing.md)."
        )


class ProfilerError(BoxOfficeError):
    """py-spy could not look into a process."""

    exit_status = ExitStatus.REJECTED
    remedy = "Read what py-spy says: the process may have ended, or be no Python of a version that it knows."

    def __init__(self, pid: int, said: str) -> None:
        super().__init__(f"py-spy could not look into process {pid}: {said}")


@dataclass(frozen=True)
class Found:
    """A process of the box office: its id, and what tells it from another one."""

    pid: int
    user: str
    started: datetime

    def __str__(self) -> str:
        return f"{self.pid} ({self.user}, since {self.started:%Y-%m-%d %H:%M:%S})"


def process_id(name: str) -> int:
    """The process of this machine that runs ``name``.

    It is looked for among the system's processes, not in Redis: whoever hangs says nothing there.

    Raises:
        NoSuchProcessError, SeveralProcessesError: there is none, or more than one.
        ProfilingExtraError: psutil is not installed.
    """
    found = sorted(_running(name), key=lambda one: one.pid)
    if not found:
        raise NoSuchProcessError(f"No process on this machine runs {name}: 'boxoffice run {name}' is looked for.")
    if len(found) > 1:
        raise SeveralProcessesError(name, found)
    return found[0].pid


def runs(command: Sequence[str], name: str) -> bool:
    """Whether a command is a Python that runs a process of the box office; what only starts one is not."""
    if not command or not _PYTHON.fullmatch(Path(command[0]).name):
        return False
    program, module = ["boxoffice", _RUN, name], ["-m", "boxoffice.cli", _RUN, name]
    words = [Path(word).stem if at else word for at, word in enumerate(command)]
    return any(words[at : at + 3] == program for at in range(1, 3)) or any(
        list(command[at : at + 4]) == module for at in range(1, len(command))
    )


def _running(name: str) -> Iterable[Found]:
    try:
        import psutil
    except ImportError as missing:
        raise ProfilingExtraError("psutil") from missing
    for process in psutil.process_iter():
        # It may end meanwhile, and others' may not be looked at.
        with suppress(psutil.Error):
            if runs(process.cmdline(), name):
                yield Found(process.pid, process.username(), datetime.fromtimestamp(process.create_time()).astimezone())


def record(pid: int, path: Path, seconds: int, rate: int, *, pausing: bool = True) -> None:
    """Draw where a process, and its children, spend so many seconds: a flame graph, as SVG.

    Raises:
        NotAllowedError, ProfilerError, ProfilingExtraError: it cannot be looked into.
    """
    wanted = ["--duration", str(seconds), "--rate", str(rate), "--output", str(path), "--format", "flamegraph"]
    _spy(["record", "--pid", str(pid), *wanted, "--subprocesses", *([] if pausing else ["--nonblocking"])], pid)
    if not path.exists() or not path.stat().st_size:
        raise ProfilerError(pid, "it ended before anything was seen.")


def dump(pid: int) -> str:
    """What each thread of a process is at now.

    Raises:
        NotAllowedError, ProfilerError, ProfilingExtraError: it cannot be looked into.
    """
    return _spy(["dump", "--pid", str(pid)], pid)


def _spy(arguments: Sequence[str], pid: int) -> str:
    program = profiler()
    if program is None:
        raise ProfilingExtraError(_PROGRAM)
    quiet = {**os.environ, "RUST_BACKTRACE": "0"}
    with subprocess.Popen(
        [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet
    ) as child:
        try:
            told, said = child.communicate()
        except KeyboardInterrupt:
            # It was interrupted too, and writes what it has seen.
            told, said = child.communicate()
    if child.returncode:
        raise _error(pid, said.decode(errors="replace"))
    return told.decode(errors="replace")


def profiler() -> str | None:
    """Where py-spy is: beside this Python's other programs, or on the path."""
    folders = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    return shutil.which(_PROGRAM, path=folders)


def _error(pid: int, said: str) -> BoxOfficeError:
    if any(sign in said.lower() for sign in _DENIED):
        return NotAllowedError(pid)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = lines[0].removeprefix("Error: ") if lines else "it says nothing."
    return ProfilerError(pid, first[:_MOST_SAID])
