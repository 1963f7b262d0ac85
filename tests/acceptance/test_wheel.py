"""The wheel carries everything: installed by the locks into an empty environment, it works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]
PACKAGES = ("agents", "topics", "models", "lua", "boxoffice")
DEMO_DEADLINE_S = 300


@dataclass(frozen=True)
class Installation:
    """A wheel, and an environment that has it and what it needs."""

    wheel: Path
    program: Path
    elsewhere: Path

    def boxoffice(self, *arguments: str, deadline_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the command from a folder that has nothing to do with the project."""
        return run(str(self.program), *arguments, folder=self.elsewhere, deadline_s=deadline_s)


def run(*command: str, folder: Path, deadline_s: float) -> subprocess.CompletedProcess[str]:
    foreign = ("BOXOFFICE_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        command, cwd=folder, env=environment, timeout=deadline_s, capture_output=True, text=True, check=False
    )


def succeed(*command: str, folder: Path) -> None:
    done = run(*command, folder=folder, deadline_s=500)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="boxoffice-wheel-") as name:
        folder = Path(name)
        succeed(
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", str(folder / "dist"), str(PROJECT)),
            folder=folder,
        )
        (wheel,) = (folder / "dist").glob("*.whl")
        succeed(sys.executable, "-m", "venv", str(folder / "venv"), folder=folder)
        python = str(folder / "venv" / "bin" / "python")
        locked = str(PROJECT / "requirements" / "run.txt")
        succeed(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", locked, folder=folder)
        succeed(python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel), folder=folder)
        succeed(python, "-m", "pip", "check", folder=folder)
        (folder / "elsewhere").mkdir()
        yield Installation(wheel, folder / "venv" / "bin" / "boxoffice", folder / "elsewhere")


def test_the_wheel_has_every_file_of_every_package(installation: Installation) -> None:
    """Scripts, locks and the marker of types too, and nothing else."""
    wanted = {
        str(path.relative_to(PROJECT))
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(installation.wheel) as wheel:
        carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert carried == wanted
    assert {"lua/purchase.lua", "boxoffice/py.typed", "boxoffice/embedded/kafka-jars.lock"} <= carried


def test_the_installed_command_shows_its_help(installation: Installation) -> None:
    """From a folder that has nothing to do with the project."""
    shown = installation.boxoffice("--help")
    assert shown.returncode == 0, shown.stderr
    assert "demo" in shown.stdout


def test_the_installed_demo_sells_and_its_audit_agrees(installation: Installation) -> None:
    """The scripts, the servers and the processes are found where they were installed."""
    shown = installation.boxoffice("demo", deadline_s=DEMO_DEADLINE_S)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert not list(installation.elsewhere.iterdir())
