"""Requests out of the bytes of a connection: llhttp parses them, and whatever can be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import httptools

from boxoffice.gateway.messages import Problem, Request
from models.commands import MAX_COMMAND_BYTES

MOST_HEADER_BYTES: Final = 16 * 1024
"""Of a request's line and its headers."""
MOST_CHUNKED_BYTES: Final = 8 * MAX_COMMAND_BYTES
"""Of a body in chunks, with all that tells them apart: a chunk of one byte takes six."""

_ONCE: Final = frozenset({"authorization", "content-type", "host", "idempotency-key"})
"""Headers of which a second one says something else, to whoever takes the last."""
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_LENGTH_DIGITS: Final = 9
_FORWARDED: Final = "x-forwarded-for"
_PUNCTUATION_BYTES: Final = 4
"""A colon, a blank, and the end of the line."""


class Stage(IntEnum):
    """What comes next on a connection."""

    BETWEEN = 0
    """The first byte of a request."""
    HEAD = 1
    BODY = 2


# An enumeration's members cost five times as much to look up, and each request does so a dozen times.
_BETWEEN, _HEAD, _BODY = Stage


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
        self._unfinished_bytes = 0
        """What came since a request or a head was whole, about."""
        self._part_bytes = 0
        """What came last, in which several heads may be whole."""
        self.on_message_begin()
        self.stage = _BETWEEN

    def read(self, data: bytes) -> None:
        """A part of what a caller sends.

        Raises:
            Problem: it is no request, or one that is too large.
        """
        self._part_bytes = len(data)
        self._unfinished_bytes += self._part_bytes
        while data:
            data = self._read(data)
        if self._unfinished_bytes > MOST_HEADER_BYTES:
            self._see_that_it_ends()

    def unread(self) -> Request:
        """What is known of a request that cannot be read."""
        headers = dict(self._headers)
        return Request("", "", "", headers.get, b"", self._address(headers.get(_FORWARDED)))

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

    def _see_that_it_ends(self) -> None:
        """What the parser keeps of a header that does not end, or reads of chunks, is bounded as well."""
        if self.stage is not _BODY:
            raise _head_too_large()
        if self._unfinished_bytes > MOST_CHUNKED_BYTES:
            raise _too_large()

    def _see_that_its_head_is_bounded(self) -> None:
        sizes = [len(name) + len(value) + _PUNCTUATION_BYTES for name, value in self._fields]
        if len(self._url) + sum(sizes) > MOST_HEADER_BYTES:
            raise _head_too_large()

    def _without_upgrade(self) -> bytes:
        """The head again, without its offer to speak another protocol.

        Some clients offer HTTP/2 with their first request (Java's does). Whoever does not take such an offer answers
        as if it was not there (RFC 9110, section 7.8), but llhttp would take the body for that other protocol.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise Problem("method-not-allowed", "Nothing is connected to from here.")
        lines = [f"{name}: {value}\r\n" for name, value in self._headers.items() if name != "upgrade"]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, self._url, "".join(lines).encode("latin-1"))
        self._parser = httptools.HttpRequestParser(self)
        return head

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.stage = _HEAD
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, part: bytes) -> None:
        """A part of its address."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; of those that stand behind a chunked body nobody takes notice."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """All that stands before its body."""
        self.stage = _BODY
        if self._unfinished_bytes + self._part_bytes > MOST_HEADER_BYTES:
            self._see_that_its_head_is_bounded()
        self._unfinished_bytes = 0
        headers = self._headers = _headers(self._fields)
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise Problem("invalid-header", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if "host" not in headers and version == "1.1":
            raise Problem("invalid-header", "The header Host is missing.")
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None and coding.lower() != "chunked":
            raise Problem("invalid-header", "Transfer-Encoding: only chunked is read here.")
        if length is not None and not _is_bounded(length):
            raise _too_large()
        if "expect" in headers and headers["expect"].lower() == "100-continue" and (coding or length):
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
        self.stage = _BETWEEN
        self._unfinished_bytes = 0
        path, query = _split(self._url)
        address = self._address(headers.get(_FORWARDED))
        request = Request(parser.get_method().decode(), path, query, headers.get, b"".join(self._body), address)
        # Whoever stands between may have counted the bytes of chunks in another way.
        self._take(request, "transfer-encoding" in headers or not parser.should_keep_alive())


def _headers(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in small letters; several of a name are one, with commas between (RFC 9110, 5.3)."""
    headers = {_name(name): value.strip(b" \t").decode("latin-1") for name, value in fields}
    return headers if len(headers) == len(fields) else _joined(fields)


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = _name(raw_name), raw_value.strip(b" \t").decode("latin-1")
        if name in headers:
            if name in _ONCE:
                raise Problem("invalid-header", f"{name}: it came more than once.")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


@lru_cache(maxsize=1_024)
def _name(raw: bytes) -> str:
    return raw.lower().decode("latin-1")


@lru_cache(maxsize=1_024)
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
