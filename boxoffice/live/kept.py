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
        """The value. It is waited for as long as there is none; one that is old comes at once, and is read anew."""
        if self._reading is None and self._is_old():
            self._reading = asyncio.create_task(self._refresh())
        if self._value is None and self._reading is not None:
            await asyncio.wait([self._reading], timeout=self._patience_s)
        age_s = None if self._read_s is None else round(monotonic() - self._read_s, 1)
        return Seen(self._value, age_s, self._error)

    def _is_old(self) -> bool:
        return self._read_s is None or monotonic() - self._read_s > max(self._young_s, _REST * self._took_s)

    async def aclose(self) -> None:
        """Read no more."""
        if self._reading is not None:
            await end_tasks([self._reading])

    async def _refresh(self) -> None:
        begun_s = monotonic()
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                self._value, self._error = await self._read(), None
        except BoxOfficeError as error:
            self._value, self._error = None, str(error)
        except (KafkaError, OSError, *FAILURES) as error:
            self._value, self._error = None, f"It could not be read ({type(error).__name__})."
        except Exception:
            log.exception("a part of the operator's page failed")
            self._value, self._error = None, "It could not be read: the log says why."
        finally:
            self._read_s, self._reading = monotonic(), None
            self._took_s = self._read_s - begun_s
