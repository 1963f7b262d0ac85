"""What is to last lies among the user's data, for that user alone; what is to be wiped never takes it along."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxoffice.embedded.errors import StrangersFolderError
from boxoffice.embedded.folders import make_private
from boxoffice.embedded.stack import EmbeddedStack
from tests.acceptance.test_cli_stack import Running
from tests.support.office import boxoffice_path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    folder = tmp_path / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.delenv("BOXOFFICE_DOCUMENTS_URL", raising=False)
    return folder


@pytest.fixture
def up() -> Iterator[list[Running]]:
    """What is up; it is ended after the test."""
    started: list[Running] = []
    yield started
    for running in started:
        running.kill()


def redis(tmp_path: Path, up: list[Running], *arguments: str) -> Running:
    running = Running(tmp_path, "up", "--only", "redis", *arguments)
    up.append(running)
    running.wait_for("All listens")
    return running


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_what_up_keeps_is_kept_among_the_user_s_data_and_wiping_leaves_it_alone(
    tmp_path: Path, data: Path, up: list[Running]
) -> None:
    umask = os.umask(0)
    try:
        running = redis(tmp_path, up)
    finally:
        os.umask(umask)
    kept = data / "boxoffice" / "stack" / "redis"
    assert str(kept.parent) in running.log_text()
    assert running.end(signal.SIGINT) == 0
    assert mode(kept) == 0o700
    lasting = kept / "lasting"
    lasting.touch()
    wiped = redis(tmp_path, up, "--wipe")
    assert wiped.end(signal.SIGINT) == 0
    assert lasting.exists()


def test_documents_lie_among_the_user_s_data_unless_somebody_says_otherwise(data: Path) -> None:
    done = subprocess.run([boxoffice_path(), "settings", "--json"], capture_output=True, text=True, check=True)
    [row] = [row for row in json.loads(done.stdout) if row["variable"] == "BOXOFFICE_DOCUMENTS_URL"]
    assert row["value"] == (data / "boxoffice" / "documents").as_uri()
    assert not data.exists()


def test_a_stack_s_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        make_private(tmp_path / "deep" / "stack")
    finally:
        os.umask(umask)
    assert mode(tmp_path / "deep" / "stack") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_a_stack_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    os.chown(folder, 4711, -1)
    with pytest.raises(StrangersFolderError, match=f"{folder} belongs to user 4711"):
        await EmbeddedStack(folder).__aenter__()
    assert list(folder.iterdir()) == []
