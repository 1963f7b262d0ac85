"""What takes long to be read, and is asked for often: read by one, for all, and not again before a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar

import structlog
from aiokafka.errors import KafkaError

from boxoffice.errors import BoxOfficeError
from boxoffice.redis.connection import FAILURES
from boxoffice.tasks import end_tasks

log = structlog.get_logger(__name__)

_Value = TypeVar("_Value")
_GIVE_UP_S: Final = 60.0
_TOO_LONG: Final = f"It takes longer than {_GIVE_UP_S:g} s to be read."
_OLD_S: Final = 60.0
"""What is older is of no use to who comes now: he waits for something newer, as where there is nothing."""
_REST: Final = 3
"""What took long to be read is not read again for this many times as long: who looks takes no more than a share."""


class Seen(NamedTuple, Generic[_Value]):
    """What was read, and how long ago; or why nothing was."""

    value: _Value | None
    age_s: float | None
    error: str | None


class Kept(Generic[_Value]):
    """Something that is read when it is asked for, unless what is there is young enough."""

    def __init__(self, read: Callable[[], Awaitable[_Value]], young_s: float, patience_s: float) -> None:
        self._read = read
        self._young_s = young_s
        self._patience_s = patience_s
        self._value: _Value | None = None
        self._error: str | None = "It is still being looked at."
        self._read_s: float | None = None
        self._took_s = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Seen[_Value]:
        """The value. One that is no longer young comes at once, and is read anew; one that is old is waited for."""
        age_s = self._age_s()
        if self._reading is None and (age_s is None or age_s > max(self._young_s, _REST * self._took_s)):
            self._reading = asyncio.create_task(self._refresh())
        if self._reading is not None and (self._value is None or age_s is None or age_s > _OLD_S):
            await asyncio.wait([self._reading], timeout=self._patience_s)
            age_s = self._age_s()
        return Seen(self._value, None if age_s is None else round(age_s, 1), self._error)

    def _age_s(self) -> float | None:
        return None if self._read_s is None else monotonic() - self._read_s

    async def aclose(self) -> None:
        """Read no more."""
        if self._reading is not None:
            await end_tasks([self._reading])

    async def _refresh(self) -> None:
        begun_s = monotonic()
        patience = asyncio.timeout(_GIVE_UP_S)
        try:
            async with patience:
                self._value, self._error = await self._read(), None
        except Exception as error:  # noqa: BLE001  # whatever it is, the other parts are shown
            self._value, self._error = None, _TOO_LONG if patience.expired() else _why(error)
        finally:
            self._read_s, self._reading = monotonic(), None
            self._took_s = self._read_s - begun_s


def _why(error: Exception) -> str:
    """Why something could not be read, for a person."""
    if isinstance(error, BoxOfficeError):
        return str(error)
    if isinstance(error, (KafkaError, OSError, *FAILURES)):
        return f"It could not be read ({type(error).__name__})."
    log.error("a part of the operator's page failed", exc_info=error)
    return "It could not be read: the log says why."
