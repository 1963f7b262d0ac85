"""Kafka and Redis together, with one data folder."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.environment import kafka_variables, redis_variables, secured_kafka_variables
from boxoffice.embedded.errors import DownloadError, EmbeddedError, FolderError, StackInUseError
from boxoffice.embedded.folders import make_private
from boxoffice.embedded.kafka import EmbeddedKafka
from boxoffice.embedded.redis import EmbeddedRedis, Guard, program_with_tls
from boxoffice.embedded.users import Users

if TYPE_CHECKING:
    from typing import Self

    from boxoffice.embedded.jars import DownloadProgress


def default_data_folder() -> Path:
    """Where a stack keeps its data unless a folder is given."""
    return user_data_path("boxoffice") / "stack"


@dataclass(frozen=True)
class Secured:
    """Whom secured servers let in, by name, and the lines of Redis' ACL file that say what each may do."""

    names: Sequence[str]
    redis_lines: Callable[[Users], Sequence[str]]


class EmbeddedStack:
    """Starts both servers, and stops them when the block ends.

    Kafka may be a cluster of several ``brokers``. ``secured``, each server asks for a name and a password, by TLS;
    but Redis speaks TLS only where the system has a server that does.

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
        brokers: int = 1,
        secured: Secured | None = None,
    ) -> None:
        self._temporary = data_folder is None and not keep
        self._keep = keep
        self._progress = progress
        self._given_up = False
        self.data_folder = (data_folder or _folder_for(temporary=self._temporary)).absolute()
        self._lock = FileLock(self.data_folder / "lock")
        self.users = Users(self.data_folder / "security", secured.names) if secured is not None else None
        self.kafka = self._kafka(brokers, kafka_port)
        guard = None
        if secured is not None and self.users is not None:
            guard = Guard(self.users, secured.redis_lines, program_with_tls())
        self.redis = EmbeddedRedis(self.data_folder / "redis", redis_port, durable=keep, guard=guard)

    def _kafka(self, brokers: int, port: int | None) -> EmbeddedKafka | EmbeddedCluster:
        """One broker, or several: data of one kind is of no use to the other, nor without its users."""
        if brokers == 1 and self.users is None:
            return EmbeddedKafka(self.data_folder / "kafka", port, progress=self._downloaded)
        folder = self.data_folder / f"kafka-{brokers}{'-secured' if self.users is not None else ''}"
        return EmbeddedCluster(folder, brokers, port, users=self.users, progress=self._downloaded)

    def variables(self, user: str) -> dict[str, str]:
        """The settings with which a process finds both servers; as this user, where they ask who comes."""
        if self.users is None:
            return {**kafka_variables(self.kafka_bootstrap_servers), **redis_variables(self.redis_url)}
        kafka = secured_kafka_variables(self.kafka_bootstrap_servers, self.users, user)
        return {**kafka, **redis_variables(self.redis.url_for(user))}

    @property
    def kafka_bootstrap_servers(self) -> str:
        """The brokers, as a client's setting."""
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
        if self.users is not None:
            self.users.prepare()

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
        if self.users is not None:
            self.users.forget()

    def _downloaded(self, there_bytes: int, all_bytes: int) -> None:
        if self._given_up:  # or else the program could not end before the last jar is there
            raise DownloadError("the rest", "the start was given up")
        if self._progress:
            self._loop.call_soon_threadsafe(self._progress, there_bytes, all_bytes)


def _folder_for(*, temporary: bool) -> Path:
    return Path(tempfile.mkdtemp(prefix="boxoffice-")) if temporary else default_data_folder()
