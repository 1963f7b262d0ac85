"""Pages that may ask from a browser (CORS): those of the origins that were set, and no other.

A key comes in a header that a page's program sets, never in a cookie, so a strange page cannot use anybody's.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from boxoffice.gateway.messages import Headers, Request

PREFLIGHT: Final = "access-control-request-method"
REMEMBERED_S: Final = 600

_SENT: Final = "authorization, content-type, idempotency-key, if-none-match, prefer, traceparent, x-request-id"
_READ: Final = (
    "etag, idempotent-replayed, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id"
)
_VARY: Final = ("vary", "origin")


class CrossOrigin:
    """The origins whose pages may ask."""

    def __init__(self, allowed: Set[str]) -> None:
        self._allowed = allowed
        self.allows_any = bool(allowed)

    def headers(self, request: Request) -> Headers:
        """What a browser has to be told, so that a page may read the response."""
        if not self._allowed:
            return []
        origin = request.header("origin")
        if origin not in self._allowed or origin is None:
            return [_VARY]
        return [_VARY, ("access-control-allow-origin", origin), ("access-control-expose-headers", _READ)]

    def preflight(self, request: Request, methods: str) -> Headers:
        """What a browser has to be told before a page may ask."""
        if request.header("origin") not in self._allowed or request.header(PREFLIGHT) is None:
            return []
        return [
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", _SENT),
            ("access-control-max-age", str(REMEMBERED_S)),
        ]
