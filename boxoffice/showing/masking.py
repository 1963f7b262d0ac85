"""What is secret in a setting, and how it looks without.

Every place that shows a setting or a URL asks here: ``boxoffice settings``, ``doctor``, errors, and every log line.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_plus, urlsplit, urlunsplit

from pydantic import SecretStr

MASK: Final = "***"
SHORTEST: Final = 4
"""A secret of fewer characters is in every other word: in a text it is left alone."""

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_HARMLESS: Final = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_keyfile",
        "ssl_min_version",
    }
)
"""Parameters whose values are names of files and the like: they help who looks for a mistake."""
_SECRET: Final = frozenset({"sentinel_username", "sentinel_password", "ssl_password", "ssl_ca_data"})
"""Parameters whose names may be shown, and whose values may not. What else stands in a query may be part of a value."""
_ADDRESS: Final = re.compile(r"((\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d{0,5})?)?", re.IGNORECASE)
_STORES: Final = frozenset({"file", "s3", "gs", "az"})
"""Their folders may have an @ in their names."""
_DROPPED: Final = "\t\r\n"
"""What urllib passes over."""
_OF_A_PATH: Final = re.compile(r"[\w./:+ -]*")


class SecretUrl(SecretStr):
    """A URL that may hold secrets: whoever prints it by mistake prints it masked."""

    def _display(self) -> str:
        return masked_url(self.get_secret_value())


def masked(value: object) -> str:
    """A setting's value as it may be shown: no secret, neither alone nor inside a URL."""
    if value is None:
        return ""
    if isinstance(value, SecretUrl):
        return masked_url(value.get_secret_value())
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    text = str(value)
    return masked_url(text) if "://" in text else text


def masked_url(url: str) -> str:
    """A URL without its user and password, and without what a query says that is not known to be harmless."""
    return _read(url).shown


def without_credentials(url: str) -> str:
    """A URL as others may have it who bring credentials of their own."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def secrets_in(value: object) -> frozenset[str]:
    """Every text in a setting's value that must not be shown, as it stands there and as a client decodes it."""
    if isinstance(value, SecretUrl):
        found = _read(value.get_secret_value()).secrets
    elif isinstance(value, SecretStr):
        found = (value.get_secret_value(),)
    elif isinstance(value, str) and "://" in value:
        found = _read(value).secrets
    else:
        return frozenset()
    return frozenset({*found, *map(unquote, found), *map(unquote_plus, found)} - {""})


def masked_in(text: str, value: object) -> str:
    """What somebody else says, who may repeat a setting of ours in it."""
    if isinstance(value, str) and "://" in value:
        text = text.replace(value, masked_url(value))
    for secret in sorted(secrets_in(value), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return text


class _Read(NamedTuple):
    """A URL as it may be shown, and what may not."""

    shown: str
    secrets: tuple[str, ...]


def _read(url: str) -> _Read:
    scheme, mark, rest = url.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        return _Read(MASK if url else "", (url,))
    try:
        parts = urlsplit(url)
    except ValueError:
        return _unclear(scheme, rest)
    userinfo, at, address = parts.netloc.rpartition("@")
    if _is_unclear(url, parts, address):
        return _unclear(scheme, rest)
    shown = f"{scheme}://{MASK if userinfo else ''}{at}{address}{parts.path}"
    if parts.query:
        shown += f"?{'&'.join(map(_shown_parameter, parts.query.split('&')))}"
    if parts.fragment:
        shown += f"#{MASK}"
    return _Read(shown, (*_passwords(userinfo), *_secret_values(parts.query), parts.fragment))


def _is_unclear(url: str, parts: SplitResult, address: str) -> bool:
    """Whether a part of a password may stand where it does not belong, since it was not quoted."""
    of_a_store = parts.scheme in _STORES and (":" not in parts.netloc or "@" in parts.netloc)
    return (
        ("@" in f"{parts.path}{parts.query}{parts.fragment}" and not of_a_store)
        or not all(_ADDRESS.fullmatch(one) for one in address.split(","))
        or any(character in url for character in _DROPPED)
    )


def _unclear(scheme: str, rest: str) -> _Read:
    userinfo = rest.rpartition("@")[0]
    query = rest.partition("?")[2]
    secrets = (rest, userinfo, *_passwords(userinfo), *_passwords(rest), *_secret_values(query))
    return _Read(f"{scheme}://{MASK}", secrets)


def _passwords(userinfo: str) -> tuple[str, ...]:
    """What stands for a password; without one the user may be meant as one."""
    user, colon, password = userinfo.partition(":")
    return (password,) if colon else (user,)


def _shown_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    if name in _HARMLESS and _OF_A_PATH.fullmatch(unquote_plus(value)):
        return parameter
    return f"{name}={MASK}" if name in _HARMLESS | _SECRET else MASK


def _secret_values(query: str) -> list[str]:
    """The values that are not shown: as they stand in the query, as they are decoded, and if they held an ``&``."""
    hidden = [one for one in query.split("&") if _shown_parameter(one) != one]
    return [
        *(one.partition("=")[2] for one in hidden),
        *(value for _, value in parse_qsl("&".join(hidden))),
        *(query[query.index(one) :].partition("=")[2] for one in hidden),
    ]
