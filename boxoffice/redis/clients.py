"""A client of Redis for whoever can wait: the command line, the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import RedisError

from boxoffice.errors import UnreachableError
from boxoffice.masking import masked
from boxoffice.redis.connection import RedisClient, connect
from boxoffice.settings import RedisSettings

_TIMEOUT_MS: Final = 2_000


def unhurried(settings: RedisSettings) -> RedisSettings:
    """RedisSettings with which a call to Redis may take longer than one that a sale waits for: here nobody waits."""
    return settings.model_copy(update={"timeout_ms": max(settings.timeout_ms, _TIMEOUT_MS)})


@asynccontextmanager
async def redis_client(settings: RedisSettings) -> AsyncIterator[RedisClient]:
    """A client of Redis.

    Raises:
        UnreachableError: inside, Redis did not answer.
    """
    client = connect(unhurried(settings))
    try:
        yield client
    except RedisError as error:
        raise UnreachableError(
            f"Redis at {masked(settings.url)} cannot be reached ({type(error).__name__}): "
            "is it running, and is BOXOFFICE_REDIS_URL right?"
        ) from None
    finally:
        await client.aclose()
