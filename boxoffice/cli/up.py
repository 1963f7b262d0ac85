"""``boxoffice up``: broker, Redis and every process, in the foreground."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from boxoffice.cli.front import CALLER, GATEWAY, HAPROXY, LIVE, SCOPES, SHOP, SHOP_SCOPES, Front, open_front
from boxoffice.cli.secured import LOGIN, OPERATOR, allow_all, secured, write_login
from boxoffice.cli.show import show_download
from boxoffice.cli.tables import say, tell
from boxoffice.door.ring_file import create_if_missing, discard
from boxoffice.embedded import (
    EmbeddedKafka,
    EmbeddedRedis,
    EmbeddedStack,
    Supervisor,
    Worker,
    default_data_folder,
)
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.environment import (
    DOCUMENTS_URL,
    DOOR_KEYS,
    documents_variables,
    door_variables,
    kafka_variables,
    redis_variables,
)
from boxoffice.embedded.jars import DownloadProgress
from boxoffice.embedded.users import ADMIN
from boxoffice.errors import RESTARTABLE
from boxoffice.gateway.kept_keys import KEPT_KEYS, KeptKeys
from boxoffice.kafka.topics import create_topics
from boxoffice.logs import in_color
from boxoffice.settings import KEY_RING, SETTINGS, KafkaSettings, is_given, settings_from
from models.api_keys import Scope

# A process that crashed or was killed has committed nothing either, and goes on where it stopped.
_CRASHED: Final = {-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}
_CALLERS: Final[Mapping[str, tuple[str, Sequence[Scope]]]] = {GATEWAY: (CALLER, SCOPES), LIVE: (SHOP, SHOP_SCOPES)}
"""By the process that needs one: the caller whose key is made, and what he may."""


class _Servers(NamedTuple):
    """How servers are found: by whoever runs commands, and where each has a user of its own, by that user."""

    variables: Mapping[str, str]
    of_user: Callable[[str], Mapping[str, str]] = lambda _: {}


@dataclass(frozen=True)
class Up:
    """What to start, and where. ``processes`` come after the servers among ``parts``."""

    parts: frozenset[str]
    processes: Sequence[str]
    workers: Callable[[Mapping[str, str], Sequence[str]], list[Worker]]
    kafka_port: int | None = None
    redis_port: int | None = None
    folder: Path | None = None
    keep: bool = True
    gateways: int = 1
    gateway_port: int | None = None
    brokers: int = 1
    secure: bool = False

    async def run(self) -> int:
        """Run until cancelled, or until a process ends that is not to be started again; returns its status.

        Raises:
            EmbeddedError: a server could not be started, or a port is taken.
            NoHaproxyError: there are several gateways, and no haproxy.
            KeyRingError: the keys of the door cannot be made.
        """
        front = open_front(self.processes, self.gateways, self.gateway_port)
        async with AsyncExitStack() as owned:
            if self.folder is None and not self.keep:
                owned.callback(shutil.rmtree, self._data_folder, ignore_errors=True)
            servers = await self._start_servers(owned)
            environment = dict(servers.variables)
            if "documents" in self.processes and not is_given(DOCUMENTS_URL):
                environment |= documents_variables(self._documents_folder(owned))
            if "documents" in self.processes and not is_given(DOOR_KEYS):
                environment |= door_variables(self._key_ring(owned))
            keys: dict[str, str] = {}
            if "kafka" in self.parts:
                settings = settings_from({**environment, **servers.of_user(ADMIN)}).kafka
                await create_topics(settings)
                if self.secure:
                    await allow_all(settings)
                keys = await self._api_keys(owned, settings)
            self._say_where(owned, environment, front, keys.get(CALLER))
            workers = [
                replace(worker, env={**worker.env, **servers.of_user(worker.name)})
                for worker in self.workers(environment, self.processes)
            ]
            supervisor = Supervisor(
                front.workers(workers, self._haproxy_folder(owned), keys.get(SHOP, "")),
                restart_statuses={*RESTARTABLE, *_CRASHED},
                color=in_color(sys.stdout),
            )
            await owned.enter_async_context(supervisor)
            return await self._first_failure(supervisor)

    def _documents_folder(self, owned: AsyncExitStack) -> Path:
        folder = self._data_folder / "documents"
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)
            owned.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _haproxy_folder(self, owned: AsyncExitStack) -> Path:
        folder = self._data_folder / HAPROXY
        if not self.keep:
            owned.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _key_ring(self, owned: AsyncExitStack) -> Path:
        ring = self._data_folder / KEY_RING
        if not self.keep:
            discard(ring)
            owned.callback(discard, ring)
        create_if_missing(ring)
        return ring

    async def _api_keys(self, owned: AsyncExitStack, settings: KafkaSettings) -> dict[str, str]:
        """Keys for whoever started this, and for the page on which people buy; elsewhere operators make them."""
        path = self._data_folder / KEPT_KEYS
        if not self.keep:
            path.unlink(missing_ok=True)
            owned.callback(path.unlink, missing_ok=True)
        kept = KeptKeys(settings, path)
        callers = {process: caller for process, caller in _CALLERS.items() if process in self.processes}
        return {name: await kept.key(name, scopes) for name, scopes in callers.values()}

    async def _first_failure(self, supervisor: Supervisor) -> int:
        while True:
            end = await supervisor.ended()
            if end.status:
                tell(f"{end.name} ended with status {end.status}, and starting it again would not help: all stops.")
                return end.status

    async def _start_servers(self, owned: AsyncExitStack) -> _Servers:
        """Start the servers that were asked for; returns the variables with which they are found."""
        if {"kafka", "redis"} <= self.parts:
            say("Starting Kafka and Redis ...")
            with show_download() as progress:
                stack = await owned.enter_async_context(
                    EmbeddedStack(
                        self.folder,
                        kafka_port=self.kafka_port,
                        redis_port=self.redis_port,
                        keep=self.keep,
                        progress=progress,
                        brokers=self.brokers,
                        secured=secured() if self.secure else None,
                    )
                )
            if self.secure and not stack.redis.speaks_tls:
                tell("Redis asks for passwords, and speaks no TLS: no redis-server on the PATH does.")
            return _Servers(stack.variables(OPERATOR), stack.variables if self.secure else lambda _: {})
        if "kafka" in self.parts:
            with show_download() as progress:
                kafka = self._kafka(progress)
                await owned.enter_async_context(kafka)
            return _Servers(kafka_variables(kafka.bootstrap_servers))
        if "redis" in self.parts:
            redis = EmbeddedRedis(self._own_folder("redis"), self.redis_port, durable=self.keep)
            await owned.enter_async_context(redis)
            return _Servers(redis_variables(redis.url))
        return _Servers({})

    def _kafka(self, progress: DownloadProgress) -> EmbeddedKafka | EmbeddedCluster:
        if self.brokers == 1:
            return EmbeddedKafka(self._own_folder("kafka"), self.kafka_port, progress=progress)
        folder = self._own_folder(f"kafka-{self.brokers}")
        return EmbeddedCluster(folder, self.brokers, self.kafka_port, progress=progress)

    def _own_folder(self, server: str) -> Path:
        folder = self._data_folder / server
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    @cached_property
    def _data_folder(self) -> Path:
        """Where data lies; what is to be wiped is never the user's own that was kept before."""
        if self.folder is not None or self.keep:
            return (self.folder or default_data_folder()).absolute()
        return Path(tempfile.mkdtemp(prefix="boxoffice-"))

    def _say_where(self, owned: AsyncExitStack, environment: Mapping[str, str], front: Front, key: str | None) -> None:
        fate = "kept" if self.keep else "wiped at the end"
        say("")
        say("All listens. In another terminal:")
        say("")
        needed = [(variable, value) for variable, value in environment.items() if _is_needed(variable, value)]
        if self.secure:
            login = self._data_folder / LOGIN
            owned.callback(login.unlink, missing_ok=True)
            say(write_login(login, needed))
        else:
            for variable, value in needed:
                say(f"export {variable}={shlex.quote(value)}")
        say("")
        front.say(key)
        tell(f"Ctrl-C stops all of it; the data is {fate}" + (f" in {self._data_folder}." if self.keep else "."))
        say("")


def _is_needed(variable: str, value: str) -> bool:
    """Whether another terminal has something else without it."""
    field = SETTINGS[variable].field
    return is_given(variable) or value != field.default
