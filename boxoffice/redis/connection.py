"""A client for the Redis that a URL names: one server, one behind Sentinel, or a cluster."""

from __future__ import annotations

import ssl
from inspect import signature
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis.asyncio.connection
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import RedisSSLContext, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from boxoffice.errors import SettingsError
from boxoffice.securing import RereadContext
from boxoffice.settings import RedisSettings

RedisClient: TypeAlias = Redis | RedisCluster

FAILURES: Final = (RedisError, RedisClusterException, TimeoutError, OSError)
"""What a Redis that cannot serve makes redis-py raise."""

_FOR_SENTINELS: Final = ("sentinel_username", "sentinel_password")
_OF_TLS: Final = frozenset(name for name in signature(SSLConnection).parameters if name.startswith("ssl_"))
_OF_CLUSTERS: Final = frozenset(signature(RedisCluster).parameters)
_PORTS: Final = range(1, 65_536)


class _RereadSSLContext(RedisSSLContext):
    """redis-py's own reads its files once for each connection of the pool, which connects again and again."""

    __slots__ = ("_reread",)

    def get(self) -> ssl.SSLContext:
        """The context of the files as they are now."""
        if not hasattr(self, "_reread"):
            self._reread = RereadContext(self._read, [self.certfile, self.keyfile, self.ca_certs, self.ca_path])
        return self._reread.newest()

    def _read(self) -> ssl.SSLContext:
        self.context = None
        return super().get()


# Every connection of this process that speaks TLS, to a server, a Sentinel or a cluster, makes its context here.
redis.asyncio.connection.RedisSSLContext = _RereadSSLContext  # type: ignore[misc]


def connect(settings: RedisSettings, *, time_each_reply: bool = True) -> RedisClient:
    """A client that connects when it is first used, and fails at the first failure.

    Who bounds its calls itself does without a timer for each reply: they cost as much as all else that a
    pipeline does here.

    ``redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/NUMBER`` asks the Sentinels for the
    service; their own user and password are ``?sentinel_username=…&sentinel_password=…``.

    Raises:
        SettingsError: the URL cannot be used; the message does not show it, since it may hold a password.
    """
    url = settings.url.get_secret_value()
    scheme, _, rest = url.partition("://")
    base, _, topology = scheme.partition("+")
    try:
        return _CONNECT[topology](_split(f"{base}://{rest}"), _options(settings, time_each_reply))
    except _WrongUrlError as error:
        raise SettingsError(f"BOXOFFICE_REDIS_URL cannot be used: {error}.") from None
    except ValueError:
        # What others say of it may repeat a part of it, and that a part of a password.
        raise SettingsError(f"BOXOFFICE_REDIS_URL cannot be used: it cannot be read; {_QUOTED}.") from None


class _WrongUrlError(ValueError):
    """What is wrong with a URL, in words that repeat none of it."""


_QUOTED: Final = "in a password @ is written as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"


def _split(url: str) -> SplitResult:
    """The URL's parts.

    A password that is not quoted ends where a client thinks that the path begins, and its beginning is then taken for
    a host, which is shown.
    """
    parts = urlsplit(url)
    if "@" in parts.path or parts.fragment:
        raise _WrongUrlError(f"an @ stands too late in it, or a #; {_QUOTED}")
    return parts


def _options(settings: RedisSettings, time_each_reply: bool) -> dict[str, Any]:
    timeout_s = settings.timeout_ms / 1000
    return {
        "socket_timeout": timeout_s if time_each_reply else None,
        "socket_connect_timeout": timeout_s,
        "max_connections": settings.pool_size,
        # By itself redis-py tries ten times more; here the circuit breaker decides about trying again.
        "retry": _no_retry(),
        # RESP3 would cost a round trip for each connection and gives nothing that is used here.
        "protocol": 2,
        # Who asks it names by its user. Redis before 7.2 does not know the question, and would need a right for it.
        "driver_info": None,
        "decode_responses": False,
    }


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _to_server(url: SplitResult, options: dict[str, Any]) -> RedisClient:
    return Redis.from_url(_checked(url).geturl(), **options)


def _to_cluster(url: SplitResult, options: dict[str, Any]) -> RedisClient:
    hosts, first_url = _split_hosts(url)
    parsed = _parsed(first_url)
    if parsed.pop("db", 0):
        raise _WrongUrlError("a cluster has no database but 0")
    if not_taken := sorted(name for name in _OF_TLS - _OF_CLUSTERS if name in parsed):
        raise _WrongUrlError(f"the client of a cluster takes no {', '.join(not_taken)}")
    nodes = [ClusterNode(host, port) for host, port in hosts]
    return RedisCluster(startup_nodes=nodes, **options, **parsed)


def _to_service(url: SplitResult, options: dict[str, Any]) -> RedisClient:
    hosts, first_url = _split_hosts(url)
    service, _, number = first_url.path.strip("/").partition("/")
    if not service:
        raise _WrongUrlError("it names no service: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE")
    for_sentinels, query = _split_query(first_url)
    of_server = {**options, **_parsed(first_url._replace(path=f"/{number}", query=query))}
    # A user of the service need not exist on its Sentinels.
    secured = {name: value for name, value in of_server.items() if name.startswith(("ssl", "socket_"))}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        hosts,
        sentinel_kwargs={**secured, **for_sentinels, "retry": _no_retry(), "protocol": 2, "driver_info": None},
        **of_server,
    )
    client: Redis = sentinel.master_for(service, redis_class=_ServiceClient)
    return client


class _ServiceClient(Redis):
    """Closes its connections to the Sentinels too, which redis-py leaves to whoever made them."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        if isinstance(self.connection_pool, SentinelConnectionPool):
            await self.connection_pool.sentinel_manager.aclose()


_CONNECT: Final = {"": _to_server, "cluster": _to_cluster, "sentinel": _to_service}


def _parsed(url: SplitResult) -> dict[str, Any]:
    """What redis-py reads out of a URL, less the address; TLS as ``ssl``, which every client takes."""
    parsed = dict(parse_url(_checked(url).geturl()))
    parsed.pop("host", None)
    parsed.pop("port", None)
    if parsed.pop("connection_class", None) is SSLConnection:
        parsed["ssl"] = True
    return parsed


def _checked(url: SplitResult) -> SplitResult:
    """The URL, if redis-py makes of it what it says: by itself it passes over what it does not understand."""
    number = url.path.strip("/")
    if number and not number.isdecimal():
        raise _WrongUrlError("the database must be a number")
    names = set(dict(parse_qsl(url.query)))
    if not names <= _OF_TLS:
        raise _WrongUrlError(f"one of its parameters is none of {', '.join(sorted(_OF_TLS))}")
    if names and url.scheme != "rediss":
        raise _WrongUrlError("parameters ssl_... are of rediss://")
    return url


def _split_query(url: SplitResult) -> tuple[dict[str, str], str]:
    """What the query says of the Sentinels, as options; and the rest of it."""
    query = dict(parse_qsl(url.query))
    for_sentinels = {name: query.pop(name) for name in list(query) if name in _FOR_SENTINELS}
    return {name.removeprefix("sentinel_"): value for name, value in for_sentinels.items()}, urlencode(query)


def _split_hosts(url: SplitResult) -> tuple[list[tuple[str, int]], SplitResult]:
    """The addresses of a URL with several between commas, and the URL with the first of them alone."""
    credentials, at, addresses = url.netloc.rpartition("@")
    first = addresses.partition(",")[0]
    hosts = [_address(address) for address in addresses.split(",")]
    return hosts, url._replace(netloc=f"{credentials}{at}{first}")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) not in _PORTS:
        raise _WrongUrlError("every server in it must be HOST:PORT")
    return host.strip("[]"), int(port)
