"""``boxoffice profile`` looks into living processes, and says in a sentence where it may not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.operating import profiling
from boxoffice.operating.profiling import (
    NoSuchProcessError,
    NotAllowedError,
    ProfilerError,
    ProfilingExtraError,
    SeveralProcessesError,
    process_id,
    runs,
)
from tests.support.office import ROOT

BUSY = """
import time

def sell_tickets():
    total = 0
    for number in range(100_000):
        total += number

print("ready", flush=True)
while True:
    sell_tickets()
    time.sleep(0.01)
"""
NAME = "profiled"
"""What no other process of the machine runs."""


@contextmanager
def running(folder: Path, name: str = NAME) -> Iterator[int]:
    """A process whose command is that of a box office's; its id."""
    program = folder / "boxoffice"
    program.write_text(BUSY)
    command = ["nice", sys.executable, str(program), "run", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield child.pid
        finally:
            child.kill()


def boxoffice(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "boxoffice.cli", *arguments]
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def test_a_flame_graph_shows_where_a_living_process_spends_its_time(tmp_path: Path) -> None:
    with running(tmp_path) as pid:
        assert process_id(NAME) == pid
        picture = tmp_path / "flames.svg"
        done = boxoffice("profile", str(pid), "--seconds", "1", "--output", str(picture))
        assert (done.returncode, done.stdout) == (0, f"{picture}\n"), done.stderr
        assert os.kill(pid, 0) is None  # type: ignore[func-returns-value]
    titles = [text for text in ElementTree.parse(picture).getroot().itertext() if "sell_tickets" in text]  # noqa: S314
    assert titles, picture.read_text()[:2_000]


def test_a_picture_is_called_by_its_process_and_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path) as pid:
        done = boxoffice("profile", str(pid), "--seconds", "1", "--no-pause")
    assert done.returncode == 0, done.stderr
    [picture] = tmp_path.glob("*.svg")
    assert done.stdout == f"{picture.name}\n"
    assert picture.name.startswith(f"{pid}-")


def test_the_stacks_of_a_living_process_are_printed(tmp_path: Path) -> None:
    with running(tmp_path) as pid:
        done = boxoffice("profile", str(pid), "--dump")
    assert done.returncode == 0, done.stderr
    assert f"Process {pid}" in done.stdout
    assert "<module> (boxoffice:" in done.stdout


def test_of_several_processes_one_has_to_be_named_by_its_id(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as other:
        with pytest.raises(SeveralProcessesError) as error:
            process_id(NAME)
        assert all(f"{pid} (" in str(error.value) for pid in (one, other))
    with pytest.raises(NoSuchProcessError, match="boxoffice run profiled"):
        process_id(NAME)


def test_what_is_no_process_of_a_box_office_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = boxoffice("profile", "nobody")
    assert done.returncode == ExitStatus.USAGE
    assert "must be one of purchases" in " ".join(done.stderr.split())
    for words in (("profile", "4194304", "--dump"), ("profile", "9999999999", "--seconds", "1")):
        done = boxoffice(*words, cwd=tmp_path)
        assert done.returncode == ExitStatus.REJECTED, done.stderr
        assert "py-spy could not look into process" in done.stderr
        assert "backtrace" not in done.stderr.lower()
    assert list(tmp_path.iterdir()) == []
    done = boxoffice("profile", "1", "--output", str(tmp_path / "nowhere" / "x.svg"))
    assert (done.returncode, "nowhere/x.svg cannot be used" in done.stderr) == (ExitStatus.USAGE, True), done.stderr
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeping:
        try:
            with pytest.raises(ProfilerError, match="python version"):
                profiling.dump(sleeping.pid)
        finally:
            sleeping.kill()


@pytest.mark.parametrize(
    "said",
    [
        "Permission Denied: Try running again with elevated permissions by going 'sudo env \"PATH=$PATH\" !!'",
        "Error: Failed to get process executable name.\n\nCaused by:\n    0: Permission denied (os error 13)",
        "Error: Operation not permitted (os error 1)",
    ],
)
def test_where_the_right_is_missing_it_is_said_which(said: str) -> None:
    error = profiling._error(17, said)
    assert isinstance(error, NotAllowedError)
    assert "SYS_PTRACE" in str(error)
    assert "ptrace_scope" in str(error)


def test_another_user_s_process_is_not_looked_into(tmp_path: Path) -> None:
    """As py-spy itself says it."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else for a moment")
    program = profiling.profiler()
    assert program is not None
    with running(tmp_path) as pid:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "dump", "--pid", str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert isinstance(profiling._error(pid, done.stderr), NotAllowedError)


def test_a_missing_profiler_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(profiling, "profiler", lambda: None)
        with pytest.raises(ProfilingExtraError, match=r"pip install 'boxoffice\[profiling\]'"):
            profiling.dump(1)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ProfilingExtraError, match="psutil"):
        process_id(NAME)


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        ("/venv/bin/python3.11 /venv/bin/boxoffice run purchases", True),
        ("/usr/bin/python -m boxoffice.cli run purchases", True),
        ("/venv/bin/python -u -m boxoffice.cli run purchases", True),
        ("/venv/bin/python /venv/bin/boxoffice run stats", False),
        ("/venv/bin/python /venv/bin/boxoffice profile purchases", False),
        ("/sbin/tini -- boxoffice run purchases", False),
        ("/bin/sh -c boxoffice run purchases", False),
        ("nice /venv/bin/python /venv/bin/boxoffice run purchases", False),
        ("/venv/bin/python -c x parent /venv/bin/python -m other run purchases", False),
        ("", False),
    ],
)
def test_a_process_is_known_by_its_command(command: str, is_one: bool) -> None:
    assert runs(command.split(), "purchases") == is_one
