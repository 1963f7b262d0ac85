"""The key ring's file: made whole or not at all, read by nobody but its owner, changed by one at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time_ns
from typing import Final

import structlog
from filelock import FileLock, Timeout

from boxoffice.door.errors import KeyRingError, NoKeysError
from boxoffice.door.keys import MAX_RING_BYTES, KeyRing, WrongRingError, read_ring, ring_text
from models.facts import at_text

log = structlog.get_logger(__name__)

_LOCK_TIMEOUT_S: Final = 10.0
_MS_PER_NS: Final = 1_000_000


def load(path: Path) -> KeyRing:
    """The ring in a file, or the public keys.

    Raises:
        KeyRingError: there is none, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            given = file.read(MAX_RING_BYTES + 1)
        return read_ring(given)
    except FileNotFoundError:
        raise NoKeysError(path) from None
    except OSError as error:
        raise KeyRingError(f"The keys {path} cannot be read: {error.strerror}.") from None
    except WrongRingError as error:
        raise KeyRingError(f"The keys {path} cannot be used: {error}.") from None


def create(path: Path, lost: Path | None = None) -> KeyRing:
    """Make a ring with one key, which signs all sales; ``lost`` are the public keys of one that was lost.

    Raises:
        KeyRingError: there is a ring, or it cannot be written.
    """
    known = load(lost).public if lost is not None else KeyRing()
    with _changing(path, make_folder=True):
        if path.exists():
            load(path)  # which says it where they are none
            raise KeyRingError(f"There are keys at {path}, and they stay: add one with 'boxoffice door keys rotate'.")
        return _changed(path, known, _with_first_key)


def create_if_missing(path: Path) -> None:
    """Make a ring with one key where there is none.

    Raises:
        KeyRingError: it cannot be written.
    """
    with _changing(path, make_folder=True):
        if not path.exists():
            _changed(path, KeyRing(), _with_first_key)


def _with_first_key(ring: KeyRing) -> KeyRing:
    at = now()
    return ring.with_new_key(at, at)


def discard(path: Path) -> None:
    """Remove a ring that nobody needs any more: no code of it can be verified again."""
    for part in (path, _lock(path)):
        part.unlink(missing_ok=True)


def rotate(path: Path, in_s: float) -> KeyRing:
    """Add a key that signs what is sold from so many seconds from now on.

    Raises:
        KeyRingError: there is no ring, or it cannot be read or written.
    """
    load(path)
    with _changing(path):
        return _changed(path, load(path), lambda ring: ring.with_new_key(now(), now(in_s)))


def revoke(path: Path, key_id: int) -> KeyRing:
    """Revoke a key: it signs no more, and its codes are void.

    Raises:
        KeyRingError: there is no ring or no such key, or no other one could sign.
    """
    load(path)
    with _changing(path):
        return _changed(path, load(path), lambda ring: ring.without(key_id, now()))


def now(in_s: float = 0.0) -> str:
    """The time, as facts write it."""
    return at_text(time_ns() // _MS_PER_NS + round(in_s * 1000))


class KeptRing:
    """A ring that is read again whenever its file has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ring: KeyRing | None = None
        self._read_of: tuple[int, int, int] | None = None
        self._failed = ""

    def ring(self) -> KeyRing:
        """The ring as it is now; as it was, while its file is gone or broken.

        Raises:
            KeyRingError: it could not be read yet.
        """
        try:
            self._read_again()
            self._failed = ""
        except KeyRingError as error:
            if self._ring is None:
                raise
            if str(error) != self._failed:
                self._failed = str(error)
                log.error("the door's keys cannot be read again, those that were read stay", error=str(error))
        assert self._ring is not None
        return self._ring

    def _read_again(self) -> None:
        version = None
        with suppress(OSError):  # which is said when it is read
            found = self.path.stat()
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
        if version is None or version != self._read_of:
            self._ring, self._read_of = load(self.path), version


def _lock(path: Path) -> Path:
    return path.parent / f"{path.name}.lock"


@contextmanager
def _changing(path: Path, *, make_folder: bool = False) -> Iterator[None]:
    """Nobody else changes the ring meanwhile."""
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(_lock(path), timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise KeyRingError(f"Somebody else has been changing the keys {path} for {_LOCK_TIMEOUT_S:g} s.") from None
    except OSError as error:
        raise KeyRingError(f"The keys {path} cannot be written: {error.strerror}.") from None


def _changed(path: Path, ring: KeyRing, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    try:
        changed = change(ring)
    except WrongRingError as error:
        raise KeyRingError(f"The keys {path} stay as they are: {error}.") from None
    # Not beside a link to it, but where it lies.
    _replace(path.resolve(), ring_text(changed))
    return changed


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, whatever dies: mkstemp lets nobody else read it from the first byte on."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
