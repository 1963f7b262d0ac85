"""Folders and files that are nobody else's business: the ledger, Redis' file, tickets, passwords."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from boxoffice.embedded.errors import FolderError, StrangersFolderError

if TYPE_CHECKING:
    from pathlib import Path

_OWNER_ALONE = 0o600


def make_private(folder: Path) -> None:
    """Make a folder that no other user can read; one that is there stays as it is, unless it is a stranger's.

    Raises:
        FolderError: it cannot be made, or something else has its name.
        StrangersFolderError: another user made it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(folder, error.strerror) from None
    owner = folder.stat().st_uid
    # Whoever administers the machine can do all things anyway.
    if sys.platform != "win32" and owner not in (os.geteuid(), 0):
        raise StrangersFolderError(folder, owner)


def write_for_owner(path: Path, content: bytes) -> None:
    """Write a file that no other user can read, at no moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
