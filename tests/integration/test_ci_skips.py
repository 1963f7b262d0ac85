"""With CI=true nothing is left out silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

EXAMPLE = """
import pytest

def test_that_skips():
    pytest.skip("not today")

@pytest.mark.docker
def test_that_may_skip():
    pytest.skip("no Docker")

@pytest.mark.xfail(strict=True)
def test_that_is_expected_to_fail():
    assert False
"""


def outcome(folder: Path, source: str, **env: str) -> str:
    (folder / "test_example.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = docker\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.ci_skips", "-p", "no:cacheprovider", "-ra", str(folder)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_skip_fails_in_ci_unless_its_marker_allows_it(tmp_path: Path) -> None:
    """The reason is shown with the failure."""
    shown = outcome(tmp_path, EXAMPLE, CI="true")
    assert "1 failed, 1 skipped, 1 xfailed" in shown
    assert "not today" in shown


def test_a_skip_is_a_skip_on_a_laptop(tmp_path: Path) -> None:
    """Whatever its marker."""
    assert "2 skipped, 1 xfailed" in outcome(tmp_path, EXAMPLE, CI="")


@pytest.mark.parametrize("source", ["import pytest\npytest.importorskip('no_such_module')\n"])
def test_a_file_that_skips_itself_fails_in_ci(tmp_path: Path, source: str) -> None:
    """A missing package must not hide a whole file."""
    assert "1 error" in outcome(tmp_path, source, CI="true")
