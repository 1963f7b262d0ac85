"""What a setting's value has to look like; what is wrong with one is said in words that go on from its variable."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from boxoffice import failpoints as points
from boxoffice.showing.masking import SecretUrl

_SERVERS = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*|\[[0-9a-fA-F:]+\]:\d{1,5}(,.+)*")
_LAST_PORT = 65_535
_PREFIX = re.compile(r"[a-zA-Z0-9._-]{0,60}")
_LANGUAGE: Final = re.compile(r"[a-z]{2}(-[A-Z]{2})?")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_DOCUMENTS_URL = re.compile(r"(file:///|(s3|gs|az)://)[^/\s]\S*")
_REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def servers(value: str) -> str:
    """Addresses of brokers."""
    if not _SERVERS.fullmatch(value):
        raise ValueError("must be HOST:PORT, or several of them between commas")
    if any(not 0 < int(server.rpartition(":")[2]) <= _LAST_PORT for server in value.split(",")):
        raise ValueError(f"must have ports from 1 to {_LAST_PORT}")
    return value


def topic_prefix(value: str) -> str:
    """What goes before topics, groups and keys."""
    if not _PREFIX.fullmatch(value):
        raise ValueError("must be at most 60 of A-Z a-z 0-9 . _ -")
    return value


def redis_url(value: SecretUrl) -> SecretUrl:
    """A Redis of some kind."""
    scheme = value.get_secret_value().partition("://")[0]
    if scheme not in _REDIS_SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(s + '://' for s in _REDIS_SCHEMES)}")
    return value


def replica_url(value: SecretUrl) -> SecretUrl:
    """The same, or nothing."""
    return redis_url(value) if value.get_secret_value() else value


def loss(value: str) -> str:
    """Ranges of commands that are known to be lost."""
    if value and not re.fullmatch(r"\d+:\d+-\d+(,\d+:\d+-\d+)*", value):
        raise ValueError("must be PARTITION:FROM-TO, or several of them between commas")
    return value


def failpoints(value: str) -> str:
    """Where processes kill themselves."""
    points.parse(value)
    return value


def paths(value: str) -> str:
    """Files between commas."""
    return ",".join(path.strip() for path in value.split(",") if path.strip())


def listed(value: str) -> list[str]:
    """The parts of a text that has commas between them."""
    return [one.strip() for one in value.split(",") if one.strip()]


def networks(value: str) -> str:
    """Networks between commas."""
    for text in listed(value):
        try:
            ip_network(text)
        except ValueError:
            raise ValueError("must be networks as 10.0.0.0/8 and fd00::/8, between commas") from None
    return value


def origins(value: str) -> str:
    """Origins of pages between commas."""
    if not all(_ORIGIN.fullmatch(text) for text in listed(value)):
        raise ValueError("must be origins as https://shop.example and http://127.0.0.1:8081, between commas")
    return value


def origin(value: str) -> str:
    """The origin of a page, or nothing."""
    if value and not _ORIGIN.fullmatch(value):
        raise ValueError("must be http://HOST:PORT or https://HOST, without a path")
    return value


def language(value: str) -> str:
    """A language, perhaps of a country."""
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("must be a language, and a country if need be, as in de and de-AT")
    return value


def documents_url(value: str) -> str:
    """A folder or a bucket."""
    if not _DOCUMENTS_URL.fullmatch(value):
        raise ValueError("must be file:///FOLDER, s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER")
    authority = urlsplit(value).netloc
    if ":" in authority and "@" not in authority:
        raise ValueError("must have / as %2F in a secret, and no : in a bucket's name")
    return value.rstrip("/")
