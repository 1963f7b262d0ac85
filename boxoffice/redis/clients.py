"""A client of Redis for whoever can wait: the command line, the audit."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from boxoffice.errors import UnreachableError
from boxoffice.redis.connection import RedisClient, connect
from boxoffice.settings import RedisSettings
from boxoffice.showing.masking import masked

_TIMEOUT_MS: Final = 2_000
_VARIABLE: Final = "BOXOFFICE_REDIS_URL"
_SEVERAL: Final = "It names one server of several: with HOST:PORT,HOST:PORT any of them may be down."


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
    except (RedisError, RedisClusterException) as error:
        raise unreachable(settings, error) from None
    finally:
        await client.aclose()


def unreachable(settings: RedisSettings, error: BaseException) -> UnreachableError:
    """What a person is told whom Redis does not serve: what it says itself, or that it says nothing."""
    redis = f"Redis at {masked(settings.url)}"
    reasons = list(_reasons(error))
    if (refused := _first(reasons, AuthenticationError, AuthenticationWrongNumberOfArgsError)) is not None:
        return UnreachableError(f"{redis} lets nobody in ({refused}): are user and password of {_VARIABLE} right?")
    if (insecure := _first(reasons, ssl.SSLError)) is not None:
        return UnreachableError(
            f"The connection to {redis} cannot be secured ({insecure}): does it speak TLS there, and are the "
            f"parameters ssl_... of {_VARIABLE} right?"
        )
    if _first(reasons, MasterNotFoundError) is not None:
        return UnreachableError(
            f"No Sentinel of {masked(settings.url)} names a server that is well: are they running, and are the "
            f"service, sentinel_username and sentinel_password of {_VARIABLE} right?"
        )
    if (answer := _first(reasons, ResponseError)) is not None:
        return UnreachableError(f"{redis} answers, and does not do what it is asked ({_named(answer)}).")
    several = f" {_SEVERAL}" if _names_one_of_many(settings) else ""
    return UnreachableError(
        f"{redis} cannot be reached ({type(error).__name__}): is it running, and is {_VARIABLE} right?{several}"
    )


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on: a cluster's client wraps what its nodes say."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(reasons: Iterable[BaseException], *kinds: type[BaseException]) -> BaseException | None:
    return next((reason for reason in reasons if isinstance(reason, kinds)), None)


def _named(answer: BaseException) -> str:
    return f"{type(answer).__name__}: {answer}"


def _names_one_of_many(settings: RedisSettings) -> bool:
    """Whether it is a cluster, or has Sentinels, of which the URL names a single one."""
    url = urlsplit(settings.url.get_secret_value())
    return "+" in url.scheme and "," not in url.netloc
