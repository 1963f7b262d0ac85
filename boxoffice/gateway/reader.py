"""Requests out of the bytes of a connection: llhttp parses them, and whatever can be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import httptools

from boxoffice.gateway.messages import Problem, Request
from models.commands import MAX_COMMAND_BYTES

MOST_HEADER_BYTES: Final = 16 * 1024
"""Of a request's line and its headers."""

_ONCE: Final = frozenset({"authorization", "content-type", "host", "idempotency-key"})
"""Headers of which a second one says something else, to whoever takes the last."""
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_LENGTH_DIGITS: Final = 9
_FORWARDED: Final = "x-forwarded-for"
_PUNCTUATION_BYTES: Final = 4
"""A colon, a blank, and the end of the line."""


class Stage(Enum):
    """What comes next on a connection."""

    BETWEEN = "between"
    """The first byte of a request."""
    HEAD = "head"
    BODY = "body"


class Reader:
    """Reads one connection's requests. After a problem nothing more can be read."""

    def __init__(
        self, address: Callable[[str | None], str], take: Callable[[Request, bool], None], go_on: Callable[[], None]
    ) -> None:
        """A reader of what a connection has not sent yet.

        Args:
            address: The caller's, by what proxies say in ``X-Forwarded-For``.
            take: Is given each request, and whether nothing may be read behind it.
            go_on: Tells a caller who waits for it that his body is wanted.
        """
        self._address = address
        self._take = take
        self._go_on = go_on
        self._parser = httptools.HttpRequestParser(self)
        self.stage = Stage.BETWEEN
        self._since_head_bytes = 0
        """What came since a head was whole, about."""
        self._begin()

    def read(self, data: bytes) -> None:
        """A part of what a caller sends.

        Raises:
            Problem: it is no request, or one that is too large.
        """
        self._since_head_bytes += len(data)
        while data:
            data = self._read(data)
        if self.stage is not Stage.BODY and self._since_head_bytes > MOST_HEADER_BYTES:
            raise _head_too_large()

    def unread(self) -> Request:
        """What is known of a request that cannot be read."""
        return Request("", "", "", self._headers.get, b"", self._address(self._headers.get(_FORWARDED)))

    def _read(self, data: bytes) -> bytes:
        """Parse, and return what has to be parsed anew."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._without_upgrade() + data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, Problem):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise Problem("invalid-header", f"The request cannot be read: {error}.") from None
        return b""

    def _without_upgrade(self) -> bytes:
        """The head again, without its offer to speak another protocol.

        Some clients offer HTTP/2 with their first request (Java's does). Whoever does not take such an offer answers
        as if it was not there (RFC 9110, section 7.8), but llhttp would take the body for that other protocol.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise Problem("method-not-allowed", "Nothing is connected to from here.")
        self._headers.pop("upgrade", None)
        lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in self._headers.items()]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, self._url, b"".join(lines))
        self._parser = httptools.HttpRequestParser(self)
        return head

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.stage = Stage.HEAD
        self._begin()

    def on_url(self, part: bytes) -> None:
        """A part of its address."""
        self._url += part
        self._count(len(part))

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """A header; several of a name are one, with commas between (RFC 9110, section 5.3)."""
        if self.stage is not Stage.HEAD:
            # What stands behind a chunked body has nothing to say.
            return
        self._count(len(raw_name) + len(raw_value) + _PUNCTUATION_BYTES)
        name = _name(raw_name)
        value = raw_value.strip(b" \t").decode("latin-1")
        if name in self._headers:
            if name in _ONCE:
                raise Problem("invalid-header", f"{name}: it came more than once.")
            value = f"{self._headers[name]}, {value}"
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """All that stands before its body."""
        self.stage = Stage.BODY
        self._since_head_bytes = 0
        headers = self._headers
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise Problem("invalid-header", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if version == "1.1" and "host" not in headers:
            raise Problem("invalid-header", "The header Host is missing.")
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None and coding.lower() != "chunked":
            raise Problem("invalid-header", "Transfer-Encoding: only chunked is read here.")
        if length is not None and not _is_bounded(length):
            raise _too_large()
        if (coding or length) and headers.get("expect", "").lower() == "100-continue":
            self._go_on()

    def on_body(self, part: bytes) -> None:
        """A part of its body."""
        self._body_bytes += len(part)
        if self._body_bytes > MAX_COMMAND_BYTES:
            raise _too_large()
        self._body.append(part)

    def on_message_complete(self) -> None:
        """All of it, or all before another protocol."""
        parser, headers = self._parser, self._headers
        if parser.should_upgrade():
            return
        self.stage = Stage.BETWEEN
        self._since_head_bytes = 0
        path, query = _split(self._url)
        address = self._address(headers.get(_FORWARDED))
        request = Request(parser.get_method().decode(), path, query, headers.get, b"".join(self._body), address)
        # Whoever stands between may have counted the bytes of chunks in another way.
        self._take(request, "transfer-encoding" in headers or not parser.should_keep_alive())

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MOST_HEADER_BYTES:
            raise _head_too_large()


@lru_cache(maxsize=1_024)
def _name(raw: bytes) -> str:
    return raw.lower().decode("latin-1")


def _split(url: bytes) -> tuple[str, str]:
    """A request's path, and what stands behind its question mark."""
    text = url.decode("latin-1")
    if text.startswith("/") and "#" not in text:
        path, _, query = text.partition("?")
        return path, query
    try:
        # As whoever takes us for a proxy writes it (RFC 9112, section 3.2.2).
        split = urlsplit(text)
    except ValueError:
        raise Problem("invalid-header", "The request's address cannot be read.") from None
    return split.path, split.query


def _is_bounded(length: str) -> bool:
    return len(length) <= _LENGTH_DIGITS and int(length) <= MAX_COMMAND_BYTES


def _head_too_large() -> Problem:
    return Problem("invalid-header", f"The headers have more than {MOST_HEADER_BYTES} bytes in all.")


def _too_large() -> Problem:
    return Problem("too-large", f"The body has more than {MAX_COMMAND_BYTES} bytes.")
