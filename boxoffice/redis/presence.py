"""Which processes run, and how they are: each says it in Redis now and then, for ``boxoffice stats``.

A process that ends takes its words back, and those of one that was killed expire. A Redis that is down
costs a process nothing: it says the same again a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import uuid4

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError, ResponseError

from boxoffice.redis.connection import FAILURES, RedisClient, connect
from boxoffice.settings import RedisSettings
from lua.keys import process_key

log = structlog.get_logger(__name__)

KEPT_INTERVALS: Final = 4
"""So many times in a row a process may fail to say that it is there before it counts as gone."""

_MOST_BYTES: Final = 4_096
"""More than any process says: of what else may lie under such a key no more is read."""
_SCAN_COUNT: Final = 5_000

_Word = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
_Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class ProcessState(BaseModel):
    """What a process says of itself.

    ``health`` is where it serves its health and metrics, by its own host; ``started_at`` is by its own
    clock, which nobody else's need agree with: ``uptime_s`` is not.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    process: _Word
    host: _Word
    pid: _Count
    health: _Word
    started_at: _Word
    uptime_s: _Amount
    memory_bytes: _Count
    cpu_s: _Amount
    live: bool
    ready: bool
    waits_for: list[_Word]
    """Outside servers that must answer before it gets on."""
    using_fallback: bool | None
    """Whether it decides without Redis; None of a process that decides nothing."""
    fallback_reason: _Word | None = None
    """Why it does: ``drill``, or the error's class."""
    backlog_facts: _Count | None = None
    """What Redis has missed; None of a process that decides nothing."""

    @property
    def complaint(self) -> str:
        """What is not well, to be read behind the process' name; empty if all is."""
        if self.waits_for:
            return f"waits for {', '.join(self.waits_for)}"
        if not self.live:
            return "does not get on"
        return "" if self.ready else "is not ready"


@dataclass(frozen=True)
class Presences:
    """Every process that said it is there, and keys under which something else lies."""

    states: Sequence[ProcessState] = ()
    unreadable: Sequence[str] = ()


class Presence:
    """One process' words about itself in Redis, which it says again every ``interval_s``."""

    def __init__(self, settings: RedisSettings, process: str, interval_s: float) -> None:
        self._client = connect(settings)
        # In containers host and process id may be the same for several.
        self._key = process_key(settings.key_prefix, process, uuid4().hex)
        self._timeout_s = settings.timeout_ms / 1000
        self._kept_ms = int(KEPT_INTERVALS * interval_s * 1000)

    async def say(self, state: ProcessState) -> None:
        """Say how the process is, if Redis listens."""
        await self._try("SET", self._key, state.model_dump_json(), "PX", self._kept_ms)

    async def take_back(self) -> None:
        """The process ends."""
        await self._try("DEL", self._key)
        await self._client.aclose()

    async def _try(self, *words: str | int) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.execute_command(*words)
        except FAILURES as error:
            log.debug("Redis does not hear how this process is", error=f"{type(error).__name__}: {error}"[:200])
            if isinstance(self._client, RedisCluster):
                # It asks for its nodes only when it connects.
                await self._client.aclose()


async def read_presences(client: RedisClient, prefix: str) -> Presences:
    """What all processes under a prefix say of themselves.

    redis-py's errors are let through.
    """
    keys = sorted([key async for key in client.scan_iter(match=process_key(prefix, "*", "*"), count=_SCAN_COUNT)])
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.execute_command("GETRANGE", key, 0, _MOST_BYTES)
    return _read(zip(keys, await pipeline.execute(raise_on_error=False), strict=True))


def _read(found: Iterable[tuple[bytes, Any]]) -> Presences:
    states, unreadable = [], []
    for key, value in found:
        if value == b"":
            continue  # It expired a moment ago.
        if isinstance(value, RedisError) and not isinstance(value, ResponseError):
            raise value
        try:
            states.append(ProcessState.model_validate_json(value))
        except ValidationError:
            unreadable.append(ascii(key.decode(errors="replace"))[1:-1])
    return Presences(sorted(states, key=lambda state: (state.process, state.host, state.pid)), unreadable)
