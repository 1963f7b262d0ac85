"""The key ring's file: whoever dies, and however many change it at once, it is whole, secret, and has lost no key."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from filelock import FileLock

from boxoffice.cli.up import Up
from boxoffice.door import ring_file
from boxoffice.door.errors import KeyRingError, NoKeysError
from boxoffice.door.ring_file import create, create_if_missing, discard, load, revoke, rotate

AT_ONCE = 6
ROTATES = """
import sys
from pathlib import Path
from boxoffice.door.ring_file import rotate
for _ in range(5):
    rotate(Path(sys.argv[1]), 0)
"""


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A ring with one key, in a folder of its own."""
    path = tmp_path / "keys" / "ring.json"
    create(path)
    return path


def beside(ring: Path) -> set[str]:
    """What else lies there, but the lock."""
    return {path.name for path in ring.parent.iterdir()} - {ring.name, f"{ring.name}.lock"}


def test_whatever_the_umask_only_its_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create(tmp_path / "ring.json")
        rotate(tmp_path / "ring.json", 0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "ring.json").stat().st_mode) == 0o600


def test_many_that_rotate_at_once_lose_no_key(ring: Path) -> None:
    command = [sys.executable, "-c", ROTATES, str(ring)]
    running = [subprocess.Popen(command) for _ in range(AT_ONCE)]
    assert [one.wait(timeout=90) for one in running] == [0] * AT_ONCE
    keys = load(ring).keys
    assert [key.id for key in keys] == list(range(1, 5 * AT_ONCE + 2))
    assert len({key.public for key in keys}) == len(keys)
    assert all(key.signs for key in keys)
    assert beside(ring) == set()


def test_who_dies_while_it_writes_leaves_the_ring_as_it_was(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ring.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyRingError, match=r"cannot be written: No space left on device"):
        rotate(ring, 0)
    assert ring.read_bytes() == before
    assert beside(ring) == set()


def test_a_ring_behind_a_link_is_changed_where_it_lies(ring: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(ring)
    rotate(link, 0)
    assert link.is_symlink()
    assert len(load(ring).keys) == 2


def test_who_waits_in_vain_for_another_is_told(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_file, "_LOCK_TIMEOUT_S", 0.1)
    with (
        FileLock(ring.with_name(f"{ring.name}.lock")),
        pytest.raises(KeyRingError, match="Somebody else has been changing the keys"),
    ):
        rotate(ring, 0)


def test_where_no_ring_can_be_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(KeyRingError, match="cannot be written: "):
        create(tmp_path / "file" / "ring.json")
    for folder in (tmp_path, Path()):
        with pytest.raises(KeyRingError, match=r"cannot be (read|written): "):
            create(folder)
    with pytest.raises(NoKeysError):
        rotate(tmp_path / "nowhere" / "ring.json", 0)
    with pytest.raises(NoKeysError):
        revoke(tmp_path / "nowhere" / "ring.json", 1)
    assert not (tmp_path / "nowhere").exists()


def test_a_ring_that_is_there_is_left_alone_and_one_that_was_discarded_leaves_nothing(ring: Path) -> None:
    before = ring.read_bytes()
    create_if_missing(ring)
    assert ring.read_bytes() == before
    discard(ring)
    discard(ring)
    assert list(ring.parent.iterdir()) == []


@pytest.mark.parametrize("keep", [True, False])
async def test_up_makes_a_ring_in_its_folder_and_wipes_it_with_the_rest(tmp_path: Path, *, keep: bool) -> None:
    up = Up(frozenset({"documents"}), ["documents"], lambda *_: [], folder=tmp_path / "stack", keep=keep)
    rings = []
    for _ in range(2):
        async with AsyncExitStack() as owned:
            ring = up._key_ring(owned)
            assert stat.S_IMODE(ring.stat().st_mode) == 0o600
            rings.append(load(ring))
        assert ring.exists() is keep
    assert (rings[0] == rings[1]) is keep
    assert keep or list((tmp_path / "stack").iterdir()) == []
