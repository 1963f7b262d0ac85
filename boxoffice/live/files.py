"""The pages' files: read once when the process starts, and served out of a fixed table.

No path of a request ever reaches the file system, so there is none that could lead elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import structlog

from boxoffice.gateway.conditional import READS, answer
from boxoffice.gateway.messages import Headers, Problem, Response

log = structlog.get_logger(__name__)

FOLDER: Final = "pages"
PAGES: Final[Mapping[str, str]] = {"/": "/index.html", "/buy": "/buy.html", "/operator": "/operator.html"}
"""What people type, and the file that it is."""

TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""By the ends of their names; what has another end is not served."""

_DEPTH: Final = 3
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)


class _File(NamedTuple):
    etag: str
    headers: Headers
    body: bytes


class Files:
    """The files of a folder, by the paths under which they are served."""

    def __init__(self, folder: Traversable, gateway_url: str) -> None:
        common = _common_headers(gateway_url)
        self._by_path: dict[str, _File] = {}
        for path, content_type, body in _read(folder):
            etag = f'"{sha256(body).hexdigest()[:32]}"'
            self._by_path[path] = _File(etag, [*common, ("content-type", content_type)], body)
        for path, file in PAGES.items():
            if file in self._by_path:
                self._by_path[path] = self._by_path[file]

    @classmethod
    def of_package(cls, gateway_url: str) -> Files:
        """Those that come with the box office."""
        found = cls(files("boxoffice.live") / FOLDER, gateway_url)
        if missing := [file for file in PAGES.values() if file not in found.paths]:
            log.error("pages are missing: boxoffice is not installed as a whole", missing=missing)
        return found

    @property
    def paths(self) -> frozenset[str]:
        """Every path at which there is something."""
        return frozenset(self._by_path)

    def answer(self, method: str, path: str, if_none_match: str | None) -> Response:
        """The file at a path.

        Raises:
            Problem: there is none, or something else is asked of it than to be read.
        """
        file = self._by_path.get(path)
        if file is None:
            raise Problem("not-found", f"There is nothing at {path[:200]}.")
        if method not in READS:
            raise Problem("method-not-allowed", "Only GET and HEAD.", headers=[("allow", ", ".join(READS))])
        return answer(if_none_match, file.etag, file.headers, file.body)


def _read(folder: Traversable, path: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, str, bytes]]:
    """Path, type and content of each file in a folder, and in those in it."""
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name.startswith((".", "_")) or not entry.name.isascii():
            continue
        if entry.is_dir():
            if depth > 1:
                yield from _read(entry, f"{path}/{entry.name}", depth - 1)
        elif (content_type := TYPES.get(f".{entry.name.rpartition('.')[2]}")) is not None:
            yield f"{path}/{entry.name}", content_type, entry.read_bytes()


def _common_headers(gateway_url: str) -> Headers:
    connected = "connect-src 'self'" + (f" {gateway_url}" if gateway_url else "")
    return [
        # Asked for each time, and sent only where it has changed: a new release is there at once.
        ("cache-control", "no-cache"),
        ("content-security-policy", "; ".join((*_POLICY, connected))),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ]
