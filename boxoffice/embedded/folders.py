"""Folders for data that is nobody else's business: the ledger, Redis' file, tickets."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from boxoffice.embedded.errors import FolderError, StrangersFolderError

if TYPE_CHECKING:
    from pathlib import Path


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
