"""The README's five minutes, and the operators' commands, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from boxoffice.embedded.ports import free_port
from tests.support.office import ROOT

README = (ROOT / "README.md").read_text()
TOUR = README.split("## Five minutes")[1].split("\n## ")[0]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
START, FIRST, *REST = _BLOCK.findall(TOUR)
# Growing wants no worker to run: tests/integration/test_growing.py.
OPERATIONS = [
    block for block in _BLOCK.findall((ROOT / "docs" / "operations.md").read_text()) if "topics grow" not in block
]
READY_DEADLINE_S = 60
BASH = shutil.which("bash") or "/bin/bash"


class Tour:
    """A shell with a box office up beside it."""

    def __init__(self, folder: Path) -> None:
        self._own_places = {
            "19092": str(free_port()),
            "16379": str(free_port()),
            "18080": str(free_port()),
            # Where the README has its data.
            "~/boxoffice-data": str(folder / "stack"),
            "$HOME/boxoffice-data": str(folder / "stack"),
        }
        self._folder = folder
        self._exports = "\n".join(line for line in FIRST.splitlines() if line.startswith("export"))
        bin_folder = Path(sys.executable).parent
        self._environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}

    def start(self) -> subprocess.Popen[str]:
        """The README's first block, on ports and in a folder of the test's own."""
        script = self._own(START).replace("boxoffice up", "exec boxoffice up --wipe")
        with (self._folder / "up.log").open("w") as log:
            return subprocess.Popen([BASH, "-ec", script], env=self._environment, stdout=log, stderr=log, text=True)

    def run(self, block: str) -> str:
        """A block of the README, in bash; it must succeed."""
        script = self._own(f"{self._exports}\n{block}")
        done = subprocess.run(
            [BASH, "-ec", "set -o pipefail\n" + script],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}{(self._folder / 'up.log').read_text()}"
        return done.stdout

    def _own(self, script: str) -> str:
        for place, own in self._own_places.items():
            script = script.replace(place, own)
        return "\n".join(line for line in script.splitlines() if not line.startswith("source"))


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    started = Tour(tmp_path)
    up = started.start()
    log_path = tmp_path / "up.log"
    deadline_s = monotonic() + READY_DEADLINE_S
    while "partitions ready" not in log_path.read_text():
        assert up.poll() is None, log_path.read_text()
        assert monotonic() < deadline_s, log_path.read_text()
        sleep(0.1)
    yield started
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=30) == 0, log_path.read_text()


def test_the_five_minutes_work_as_they_are_written(tour: Tour) -> None:
    told = tour.run(FIRST)
    assert told.count("42-000001") == told.count("42-000002") == 2, told
    for block in REST:
        if "kcat" not in block or shutil.which("kcat"):
            told = tour.run(block)
            assert "curl" not in block or '"type":"purchase_confirmed"' in told, told
    assert "all agree" in told.splitlines()[-1]


def test_operators_commands_work_as_they_are_written(tour: Tour) -> None:
    tour.run(FIRST)
    for block in OPERATIONS:
        tour.run(block)


@pytest.mark.kcat
@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_buys_a_ticket(tour: Tour) -> None:
    tour.run(FIRST)
    [block] = [block for block in REST if "kcat" in block]
    deadline_s = monotonic() + 10
    told = tour.run(block)
    while "42-000003" not in told:
        assert monotonic() < deadline_s, told
        told = tour.run("boxoffice results --event 42 --from-beginning")
