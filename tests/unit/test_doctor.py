"""What doctor says of a document store that is a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boxoffice.operating import documents
from boxoffice.operating.documents import _examine_folder
from boxoffice.operating.findings import State


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing wrong: the tests' own are below one that is wiped."""
    monkeypatch.setattr(documents, "_wiped_folders", lambda: {tmp_path / "wiped"})
    made = tmp_path / "documents"
    made.mkdir(mode=0o700)
    return made


def test_a_folder_of_one_s_own_that_lasts_is_no_finding(folder: Path) -> None:
    assert _examine_folder(folder) == []


def test_a_folder_that_a_reboot_wipes_is_a_warning_whatever_leads_there(folder: Path, tmp_path: Path) -> None:
    wiped = tmp_path / "wiped" / "documents"
    wiped.mkdir(mode=0o700, parents=True)
    link = folder / "link"
    link.symlink_to(wiped)
    for path in (wiped, link):
        [found] = _examine_folder(path)
        assert (found.state, str(path) in found.sentence) == (State.WARNING, True)
        assert "BOXOFFICE_DOCUMENTS_URL" in found.advice


def test_the_folders_that_are_wiped_are_those_of_this_machine() -> None:
    assert {Path("/tmp").resolve(), Path("/var/tmp").resolve()} <= documents._wiped_folders()  # noqa: S108


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o710, 0o707])
def test_a_folder_that_others_can_get_into_is_a_warning_with_its_mode(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    [found] = _examine_folder(folder)
    assert (found.state, f"(mode {mode:o})" in found.sentence) == (State.WARNING, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_a_problem(folder: Path) -> None:
    os.chown(folder, 4711, -1)
    [found] = _examine_folder(folder)
    assert (found.state, "belongs to user 4711" in found.sentence) == (State.PROBLEM, True)


def test_a_folder_that_cannot_be_written_is_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    [found] = _examine_folder(folder)
    assert (found.state, "cannot be written" in found.sentence) == (State.PROBLEM, True)
