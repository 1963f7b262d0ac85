"""Which request goes where: paths with their methods, of which some parts are variable."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from boxoffice.gateway.messages import Response, Steps

Handler = Callable[..., Coroutine[Any, Any, Response] | Steps]
"""Answers a request; the variable parts of its path come behind it."""

MOST_REMEMBERED: Final = 4_096
"""Paths that are not looked for again: nearly all that is asked is the purchases of a few events."""

_VARIABLE: Final = "{"


class Found(NamedTuple):
    """What is at a path."""

    handlers: Mapping[str, Handler]
    variables: tuple[str, ...]

    def handler(self, method: str) -> Handler | None:
        """Who answers a method; HEAD is answered as GET, and its body is left out where it is written."""
        return self.handlers.get("GET" if method == "HEAD" else method)

    @property
    def allowed(self) -> str:
        """The methods that there are, as ``Allow`` names them."""
        methods = set(self.handlers) | {"OPTIONS"}
        return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


class _Part:
    """One part of a path, and what may come behind it."""

    __slots__ = ("behind", "handlers", "variable")

    def __init__(self) -> None:
        self.behind: dict[str, _Part] = {}
        self.variable: _Part | None = None
        self.handlers: Mapping[str, Handler] = {}


class Routes:
    """All paths. One is found in as many steps as it has parts, however many there are."""

    def __init__(self, table: Mapping[str, Mapping[str, Handler]]) -> None:
        """``table`` has paths such as ``/v1/events/{event}``, and for each the methods with their handlers."""
        self._root = _Part()
        for path, handlers in table.items():
            part = self._root
            for name in path.split("/")[1:]:
                part = self._behind(part, name)
            part.handlers = handlers
        self.find: Callable[[str], Found | None] = lru_cache(maxsize=MOST_REMEMBERED)(self._find)
        """What is at a path, if anything is."""

    @staticmethod
    def _behind(part: _Part, name: str) -> _Part:
        if not name.startswith(_VARIABLE):
            return part.behind.setdefault(name, _Part())
        if part.variable is None:
            part.variable = _Part()
        return part.variable

    def _find(self, path: str) -> Found | None:
        part: _Part | None = self._root
        variables: list[str] = []
        for raw in path.split("/")[1:]:
            assert part is not None
            name = unquote(raw)
            named = part.behind.get(name)
            if named is None and name:
                variables.append(name)
                named = part.variable
            if named is None:
                return None
            part = named
        return Found(part.handlers, tuple(variables)) if part is not None and part.handlers else None
