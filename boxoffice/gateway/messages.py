"""A request and a response, whatever server reads and writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from boxoffice.gateway import problems

JSON: Final = "application/json"
PDF: Final = "application/pdf"
HTML: Final = "text/html; charset=utf-8"
MOST_PARAMETERS: Final = 8

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """What a caller sent. Names of headers are read in lower case."""

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    body: bytes
    address: str
    """The caller's, or the one that a trusted proxy names."""
    id: str = ""
    """What its log lines, and whoever asks about them, call it."""
    also: Headers = field(default_factory=list)
    """Headers of its response, whichever that will be."""

    def parameters(self) -> dict[str, str]:
        """What stands behind the question mark; of a name that comes twice the last.

        Raises:
            Problem: there is more of it than anybody needs.
        """
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
        except ValueError:
            raise Problem("invalid-query", f"There are more than {MOST_PARAMETERS} parameters.") from None


class Response(NamedTuple):
    """What he gets."""

    status: int
    headers: Headers
    body: bytes = b""


class Pending:
    """A response that has to be waited for.

    No task waits for a purchase: with its coroutines it would cost as much as the parsing of the request.
    """

    __slots__ = ()

    def when_over(self, tell: Callable[[], None]) -> None:
        """Call this once, when the response is there or nobody wants it any more."""
        raise NotImplementedError

    def go(self) -> None:
        """Who asked has gone away: he wants it no more."""
        raise NotImplementedError

    def response(self) -> Response | None:
        """The response, asked for once it is over; None where nobody wants it any more.

        Raises:
            Problem: it is one.
        """
        raise NotImplementedError


Steps = Generator[Response | Pending | None, None, None]
"""What is done for a request, and at last its answer. Behind each of the others, which are None, all that came with it
take the same step: the processor keeps in its caches what does one step, and not what does all of them."""


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


def again_in(seconds: float) -> tuple[str, str]:
    """The header that says when to come again; whole seconds, and not at once."""
    return "retry-after", str(max(1, math.ceil(seconds)))
