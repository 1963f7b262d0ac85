"""The doctor's look at documents: whether they lie where they last, and whether they can be read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from boxoffice.documents.flaws import find_flawed
from boxoffice.operating.findings import Finding, State
from boxoffice.settings import Settings
from boxoffice.storage.errors import NoStoreError, StoreError
from boxoffice.storage.store import DocumentStore, is_stranger
from models.words import number_of

_STORE: Final = "document store"
_WIPED: Final = ("/tmp", "/var/tmp", "/run", "/dev/shm")  # noqa: S108  # they are warned of
_OTHERS: Final = 0o077
_ANNOUNCEMENTS_LOOKED_AT: Final = 10_000
"""Of each partition: there are as many as tickets."""
_NAME_FONTS: Final = (
    "Name fonts that have the characters in BOXOFFICE_DOCUMENTS_FONTS, and have the tickets made again: "
    "see docs/dead-letters.md."
)


async def examine_store(settings: Settings, *, were_made: bool) -> list[Finding]:
    """Whether documents lie where they last, and where nobody else gets at them."""
    store = DocumentStore(settings.documents)
    try:
        await store.reach()
    except NoStoreError as error:
        # The first process makes it; whoever has none may not want any.
        return [Finding(_STORE, State.PROBLEM, str(error), NoStoreError.remedy)] if were_made else []
    except StoreError as error:
        return [Finding(_STORE, State.UNREACHABLE, str(error), "Documents wait until it works; sales go on.")]
    found = _examine_folder(store.folder) if store.folder is not None else []
    return found or [Finding(_STORE, State.OK, f"It answers at {store.place}.")]


def _examine_folder(folder: Path) -> list[Finding]:
    status = folder.stat()
    found = []
    if is_stranger(status.st_uid):
        sentence = f"{folder} belongs to user {status.st_uid}, and not to you."
        advice = "A documents process of yours refuses it: run doctor as that process' user, or give it the folder."
        found.append(Finding(_STORE, State.PROBLEM, sentence, advice))
    if not os.access(folder, os.W_OK | os.X_OK):
        sentence = f"{folder} cannot be written by this user."
        found.append(Finding(_STORE, State.PROBLEM, sentence, "Give the user of the documents process the right."))
    if any(folder.resolve().is_relative_to(wiped) for wiped in _wiped_folders()):
        sentence = f"{folder} lies where a reboot, or the system's clean-up, removes what is there."
        advice = "Move it to a folder that lasts, and set BOXOFFICE_DOCUMENTS_URL."
        found.append(Finding(_STORE, State.WARNING, sentence, advice))
    if status.st_mode & _OTHERS:
        sentence = (
            f"Other users of this machine can get into {folder} (mode {status.st_mode & 0o777:o}): tickets lie there."
        )
        found.append(Finding(_STORE, State.WARNING, sentence, f"chmod 700 {folder}, unless that is meant."))
    return found


def _wiped_folders() -> set[Path]:
    return {Path(folder).resolve() for folder in (tempfile.gettempdir(), *_WIPED)}


async def examine_documents(settings: Settings) -> list[Finding]:
    """Whether the newest tickets can be read."""
    flawed = await find_flawed(settings.kafka, newest=_ANNOUNCEMENTS_LOOKED_AT)
    if not flawed:
        return []
    tickets, first = number_of(len(flawed), "ticket"), flawed[0]
    sentence = (
        f"{tickets} of those made last, with something that cannot be read as it was written, "
        f"the first {first.ticket} ({'; '.join(first.flaws)})."
    )
    return [Finding("documents", State.WARNING, sentence, _NAME_FONTS)]
