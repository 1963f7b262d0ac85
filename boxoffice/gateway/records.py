"""What Redis has of requests: asked within a deadline, and not at all while it does not serve.

No command waits for any of this.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
from redis.exceptions import ResponseError

from boxoffice.redis.breaker import ReadersBreaker, tell_unexpected
from boxoffice.redis.connection import connect
from boxoffice.redis.store import RedisStore
from boxoffice.settings import RedisSettings
from lua.answers import UnreadableRecordError, fact_of
from models.shapes import DecisionFact

log = structlog.get_logger(__name__)

_MS: Final = 1_000
_Answer = TypeVar("_Answer")


class NotServedError(Exception):
    """Redis does not serve now."""


class Records:
    """The records of accepted requests."""

    def __init__(self, settings: RedisSettings) -> None:
        self._store = RedisStore(connect(settings, time_each_reply=False), settings)
        self._breaker = ReadersBreaker(
            self._store.ping, settings.breaker_first_probe_ms / _MS, settings.breaker_longest_probe_ms / _MS
        )

    async def aclose(self) -> None:
        """Stop probing, and close the connections."""
        await self._breaker.stop()
        await self._store.aclose()

    async def fact(self, event_id: str, request_id: str) -> DecisionFact | None:
        """The fact that answers a request by Redis; None if Redis has none, or something that somebody else wrote.

        Raises:
            NotServedError: Redis does not serve.
        """
        return await self._asked(event_id, self._fact(event_id, request_id))

    async def page_since(self, event_id: str) -> int | None:
        """Since which fact the event's tickets say what they say now; None where somebody else wrote that.

        Raises:
            NotServedError: Redis does not serve.
        """
        return await self._asked(event_id, self._store.page_since(event_id))

    async def _fact(self, event_id: str, request_id: str) -> DecisionFact | None:
        kept = await self._store.read_request(event_id, request_id)
        return fact_of(event_id, request_id, kept) if kept is not None else None

    async def _asked(self, event_id: str, asking: Coroutine[Any, Any, _Answer]) -> _Answer | None:
        if self._breaker.is_open:
            asking.close()
            raise NotServedError
        try:
            return await asking
        except Exception as error:  # noqa: BLE001  # whatever a client raises, nothing here ends of it
            if _is_damage(error):
                log.warning(
                    "what Redis has of a request cannot be read", event_id=event_id, error=str(error), seldom=True
                )
                return None
            tell_unexpected(error)
            self._breaker.failed(error)
            raise NotServedError from None


def _is_damage(error: Exception) -> bool:
    """Whether somebody else wrote what lies there: Redis serves."""
    return isinstance(error, UnreadableRecordError) or (
        isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")
    )
