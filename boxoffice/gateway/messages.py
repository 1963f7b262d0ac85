"""A request and a response, whatever server reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from boxoffice.gateway import problems

JSON: Final = "application/json"
Headers = list[tuple[str, str]]


class Request(NamedTuple):
    """What a caller sent. Names of headers are read in lower case."""

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    body: bytes
    address: str
    """The caller's, or the one that a trusted proxy names."""


class Response(NamedTuple):
    """What he gets."""

    status: int
    headers: Headers
    body: bytes = b""


class Problem(Exception):  # noqa: N818 -- the name that RFC 9457 gives it
    """Ends a request with a problem."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Headers | None = None,
        fact: bytes | None = None,
    ) -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail
        self.members = members
        self.headers = headers or []
        self.fact = fact

    def response(self) -> Response:
        """As it is told."""
        kind = problems.TYPES[self.name]
        body = problems.problem(self.name, self.detail, self.members, self.fact)
        return Response(kind.status.value, [("content-type", problems.MEDIA_TYPE), *self.headers], body)
