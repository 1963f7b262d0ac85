"""The object store that documents lie in: a folder, or a bucket, by URL.

What is put there is there whole or not at all. A store that fails keeps whoever writes to it waiting, for
as long as it takes; it is said once when it fails, and once when it works again. A folder is made by who writes
to it alone, for its own user's eyes: to a reader one that is missing says that it looks in the wrong place.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import uniform
from time import monotonic, time
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

import structlog
from obstore import sign_async
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store, from_url

from boxoffice.settings import DocumentsSettings
from boxoffice.showing.masking import masked_in, without_credentials
from boxoffice.storage.errors import NoStoreError, StoreError
from models.documents import SUFFIX

if TYPE_CHECKING:
    from obstore import Attributes

log = structlog.get_logger(__name__)

STALE_AFTER_S: Final = 15.0
"""A file that is half written for so long was left by a crash."""

_LIST_CHUNK: Final = 1_000
_FAILURES: Final = (BaseError, OSError, TimeoutError)
_SIGNING: Final = (S3Store, GCSStore, AzureStore)
# The store's own retries are few: ours go on for ever, and say so.
_RETRIES: Final = 1
_RETRY_TIMEOUT: Final = timedelta(seconds=10)
_HALF_WRITTEN: Final = re.compile(rf".*{re.escape(SUFFIX)}#\d+")

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Stored:
    """A document in the store."""

    name: str
    size_bytes: int
    modified: datetime


class DocumentStore:
    """The documents of one box office."""

    def __init__(self, settings: DocumentsSettings) -> None:
        self._url = settings.url
        self._timeout_s = settings.store_timeout_ms / 1000
        self._first_delay_s = self._delay_s = settings.first_retry_ms / 1000
        self._longest_delay_s = settings.longest_retry_ms / 1000
        self._opened: ObjectStore | None = None
        self._is_made = False
        self._asking_again = asyncio.Lock()
        self._failing: set[str] = set()
        self._failing_since_s = 0.0
        self._recovered = 0

    @property
    def failing(self) -> bool:
        """Whether it does not keep or remove something that it was asked to."""
        return bool(self._failing)

    @property
    def folder(self) -> Path | None:
        """The folder that it is, if it is one."""
        url = urlsplit(self._url)
        return Path(os.fsdecode(unquote_to_bytes(url.path))) if url.scheme == "file" else None

    @property
    def signs(self) -> bool:
        """Whether it can hand a document out by itself."""
        return self.folder is None

    @property
    def place(self) -> str:
        """Its own URL, without credentials."""
        return self.location("").rstrip("/")

    def location(self, name: str) -> str:
        """A document's URL, without credentials."""
        return f"{without_credentials(self._url)}/{name}"

    # Writing

    async def put(self, name: str, pdf: bytes) -> None:
        """Keep a document; returns when it lies there, however long that takes."""
        await self._for_ever(name, lambda: self._put(name, pdf))

    async def remove(self, name: str) -> None:
        """Remove a document, if it is there; returns when it is gone, however long that takes."""
        await self._for_ever(name, lambda: self._remove(name))

    async def make(self) -> None:
        """Make a folder that is not there yet; whoever reads looks for it as soon as anything was dealt with.

        Raises:
            StoreError: the store failed.
        """
        try:
            await self._in_time(self._made())
        except _FAILURES as error:
            raise self._error(error) from None

    async def _put(self, name: str, pdf: bytes) -> None:
        store = await self._made()
        # Files have no attributes.
        await store.put_async(name, pdf, attributes=None if self.folder is not None else _attributes(name))

    async def _remove(self, name: str) -> None:
        store = await self._made()
        if self.folder is None or await asyncio.to_thread(_is_there, self.folder / name):
            with suppress(FileNotFoundError):
                await store.delete_async(name)

    async def _for_ever(self, name: str, call: Callable[[], Awaitable[None]]) -> None:
        try:
            while not await self._tried(name, call):
                recovered = self._recovered
                # One after the other asks again, and all at once when it works for one that it had not worked for.
                async with self._asking_again:
                    if recovered == self._recovered:
                        await asyncio.sleep(self._next_delay_s())
        finally:
            # Whoever was cancelled does not ask any more.
            self._failing.discard(name)

    async def _tried(self, name: str, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            await self._in_time(call())
        except _FAILURES as error:
            self._failed(name, error)
            return False
        if name in self._failing:
            self._works_again(name)
        return True

    async def _in_time(self, call: Awaitable[_Result]) -> _Result:
        async with asyncio.timeout(self._timeout_s):
            return await call

    def _next_delay_s(self) -> float:
        """Twice as long each time, and not when everybody else asks."""
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, self._longest_delay_s)
        return delay_s * uniform(0.5, 1.5)  # noqa: S311  # it keeps no secret

    def _failed(self, name: str, error: BaseException) -> None:
        if not self._failing:
            self._failing_since_s = monotonic()
            log.error("the document store fails: documents wait, sales go on", error=self._sentence(error))
        self._failing.add(name)

    def _works_again(self, name: str) -> None:
        self._failing.discard(name)
        self._recovered += 1
        self._delay_s = self._first_delay_s
        if not self._failing:
            seconds = round(monotonic() - self._failing_since_s, 1)
            log.warning("the document store works again", seconds=seconds)

    # Reading

    async def reach(self) -> None:
        """See that it is there and answers.

        Raises:
            StoreError: it is not, or the store failed.
        """
        async with self._reading() as store:
            async for _ in store.list(chunk_size=1):
                return

    async def read(self, name: str) -> bytes | None:
        """A document; None if there is none of that name.

        Raises:
            StoreError: the store failed.
        """
        with suppress(FileNotFoundError):
            async with self._reading() as store:
                found = await store.get_async(name)
                return bytes(await found.bytes_async())
        return None

    async def signed_url(self, name: str, valid_for: timedelta) -> str | None:
        """Where the store itself hands out a document for a while, to anybody; None if there is none of that name.

        A folder signs nothing: :attr:`signs` says so.

        Raises:
            StoreError: the store failed.
        """
        with suppress(FileNotFoundError):
            async with self._reading() as store:
                assert isinstance(store, _SIGNING), "a folder signs nothing"
                await store.head_async(name)
                return await sign_async(store, "GET", name, valid_for)
        return None

    async def beginning_with(self, stem: str) -> list[Stored]:
        """The documents of one folder whose names begin with ``stem``.

        Raises:
            StoreError: the store failed.
        """
        found: list[Stored] = []
        async for some in self.documents(stem.rpartition("/")[0], after=stem):
            found += [document for document in some if document.name.startswith(stem)]
            # Buckets list in order, folders do not.
            if self.folder is None and not some[-1].name.startswith(stem):
                break
        return found

    async def documents(self, folder: str | None = None, after: str | None = None) -> AsyncIterator[Sequence[Stored]]:
        """All documents, or those of one folder, or those of it whose names come after ``after``; in chunks.

        Raises:
            StoreError: the store failed.
        """
        async with self._reading() as store:
            async for chunk in store.list(folder, offset=after, chunk_size=_LIST_CHUNK):
                some = [
                    Stored(str(meta["path"]), meta["size"], meta["last_modified"])
                    for meta in chunk
                    if str(meta["path"]).endswith(SUFFIX)
                ]
                if some:
                    yield some

    async def folders(self) -> list[str]:
        """The folders that documents lie in: an event's id is the name of its own.

        Raises:
            StoreError: the store failed.
        """
        async with self._reading() as store:
            found = await self._in_time(store.list_with_delimiter_async())
            return [str(folder) for folder in found["common_prefixes"]]

    async def discard(self, names: Sequence[str]) -> None:
        """Remove documents, of which some may be gone.

        Raises:
            StoreError: the store failed.
        """
        async with self._reading() as store:
            for name in names:
                with suppress(FileNotFoundError):
                    await self._in_time(store.delete_async(name))

    async def discard_half_written(self) -> list[str]:
        """Remove the files of a folder that a crash left half written; returns their names.

        Raises:
            StoreError: the store failed.
        """
        folder = self.folder
        if folder is None:
            return []
        try:
            return await asyncio.to_thread(_discard_half_written, folder)
        except OSError as error:
            raise self._error(error) from None

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[ObjectStore]:
        try:
            yield await self._in_time(self._found())
        except (FileNotFoundError, StoreError):
            raise
        except _FAILURES as error:
            raise self._error(error) from None

    def _error(self, error: BaseException) -> StoreError:
        return StoreError(
            f"The document store {self.location('')} cannot be used ({self._sentence(error)}): "
            "is it there, and is BOXOFFICE_DOCUMENTS_URL right?"
        )

    def _sentence(self, error: BaseException) -> str:
        return masked_in(sentence(error), self._url)

    async def _made(self) -> ObjectStore:
        """The store, opened when it is first needed: a folder may be in the way, or belong to somebody else."""
        if self.folder is not None and not self._is_made:
            await asyncio.to_thread(_make, self.folder)
            self._is_made = True
        return await self._found()

    async def _found(self) -> ObjectStore:
        if self._opened is None:
            if self.folder is not None and not await asyncio.to_thread(self.folder.exists):
                raise NoStoreError(self.place)
            self._opened = await asyncio.to_thread(_open, self._url, self.folder)
        return self._opened


def _open(url: str, folder: Path | None) -> ObjectStore:
    if folder is not None:
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder")
        return LocalStore(folder)
    return from_url(url, retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT})


def _make(folder: Path) -> None:
    """Make a folder that no other user can read; one that is there stays as it is, unless it is a stranger's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat().st_uid
    if is_stranger(owner):
        raise PermissionError(f"{folder} belongs to user {owner}, who can read and replace what lies there")


def is_stranger(user: int) -> bool:
    """Whether a user is another one than who asks; whoever administers the machine can do all things anyway."""
    return sys.platform != "win32" and user not in (os.geteuid(), 0)


def _is_there(path: Path) -> bool:
    """Whether a file of exactly this name is there: where ``R`` and ``r`` are the same, the other one is none."""
    if not path.exists():
        return False
    folds_case = path.with_name(path.name.swapcase()).exists()
    return not folds_case or path in path.parent.iterdir()


def _attributes(name: str) -> Attributes:
    """What a browser is told of a document: show it, call it as the ticket, and leave it nowhere on the way."""
    ticket = name.rpartition("/")[2].partition(".")[0]
    return {
        "Content-Type": "application/pdf",
        "Content-Disposition": f'inline; filename="{ticket}{SUFFIX}"',
        "Cache-Control": "private, no-store",
    }


def _discard_half_written(folder: Path) -> list[str]:
    found = []
    for path in folder.glob("*/*#*"):
        with suppress(FileNotFoundError):
            if _HALF_WRITTEN.fullmatch(path.name) and time() - path.stat().st_mtime > STALE_AFTER_S:
                path.unlink()
                found.append(str(path.relative_to(folder)))
    return found


def sentence(error: BaseException) -> str:
    """What a store says went wrong, without its inner workings."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")[:300]
