"""Kafka and Redis together, with one data folder."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from boxoffice.embedded.errors import DownloadError, EmbeddedError, FolderError, StackInUseError
from boxoffice.embedded.folders import make_private
from boxoffice.embedded.kafka import EmbeddedKafka
from boxoffice.embedded.redis import EmbeddedRedis

if TYPE_CHECKING:
    from typing import Self

    from boxoffice.embedded.jars import DownloadProgress


def default_data_folder() -> Path:
    """Where a stack keeps its data unless a folder is given."""
    return user_data_path("boxoffice") / "stack"


class EmbeddedStack:
    """Starts both servers, and stops them when the block ends.

    With ``keep`` the data outlives the stack, in the user's data folder unless one is given. Without it the
    stack begins empty and leaves nothing behind, in a temporary folder unless one is given; only when it
    cannot start do its logs stay. ``progress`` is told of the first download, in this thread.
    """

    def __init__(
        self,
        data_folder: Path | None = None,
        *,
        kafka_port: int | None = None,
        redis_port: int | None = None,
        keep: bool = True,
        progress: DownloadProgress | None = None,
    ) -> None:
        self._temporary = data_folder is None and not keep
        self._keep = keep
        self._progress = progress
        self._given_up = False
        self.data_folder = (data_folder or _folder_for(temporary=self._temporary)).absolute()
        self._lock = FileLock(self.data_folder / "lock")
        self.kafka = EmbeddedKafka(self.data_folder / "kafka", kafka_port, progress=self._downloaded)
        self.redis = EmbeddedRedis(self.data_folder / "redis", redis_port, durable=keep)

    @property
    def kafka_bootstrap_servers(self) -> str:
        """The broker, as a client's setting."""
        return self.kafka.bootstrap_servers

    @property
    def redis_url(self) -> str:
        """Redis, as a client's setting."""
        return self.redis.url

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._take_folder()
        try:
            await self._launch()
        except BaseException as failure:
            self._given_up = True
            self.kafka.kill()
            self.redis.kill()
            self._release_folder(keep_logs=isinstance(failure, EmbeddedError))
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(self.kafka.stop(), self.redis.stop())
        finally:
            self._release_folder(keep_logs=False)

    def _take_folder(self) -> None:
        make_private(self.data_folder)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StackInUseError(self.data_folder) from None
        except OSError as error:
            raise FolderError(self.data_folder, error.strerror) from None
        if not self._keep:
            self._wipe()

    def _release_folder(self, *, keep_logs: bool) -> None:
        if not (self._keep or keep_logs):
            self._wipe()
        self._lock.release()
        if self._temporary and not keep_logs:
            shutil.rmtree(self.data_folder, ignore_errors=True)

    async def _launch(self) -> None:
        starting = [asyncio.ensure_future(server.launch()) for server in (self.kafka, self.redis)]
        try:
            await asyncio.gather(*starting)
        finally:
            for start in starting:
                start.cancel()
            with suppress(BaseException):
                await asyncio.gather(*starting, return_exceptions=True)

    def _wipe(self) -> None:
        """Only what the stack has made itself: the folder may be anybody's."""
        for server in (self.kafka, self.redis):
            shutil.rmtree(server.folder, ignore_errors=True)

    def _downloaded(self, there_bytes: int, all_bytes: int) -> None:
        if self._given_up:  # or else the program could not end before the last jar is there
            raise DownloadError("the rest", "the start was given up")
        if self._progress:
            self._loop.call_soon_threadsafe(self._progress, there_bytes, all_bytes)


def _folder_for(*, temporary: bool) -> Path:
    return Path(tempfile.mkdtemp(prefix="boxoffice-")) if temporary else default_data_folder()
