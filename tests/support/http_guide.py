"""docs/http.md as a program reads it: each ``curl``, and the answer that is shown below it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "http.md"
GUIDE: Final = PAGE.read_text(encoding="utf-8")

_BLOCK: Final = re.compile(r"^```(sh|http|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PLACE: Final = re.compile(r"(?:\$GATEWAY|http://127\.0\.0\.1:\d+)(/[^?]*)(?:\?(.*))?")


@dataclass(frozen=True)
class Shown:
    """The answer that the guide shows."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Call:
    """A ``curl`` of the guide."""

    script: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    answer: Shown | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def calls() -> list[Call]:
    """All of them, in the order of the page."""
    return list(_calls([(match[1], match[2]) for match in _BLOCK.finditer(GUIDE)]))


def _calls(blocks: list[tuple[str, str]]) -> Iterator[Call]:
    for (language, script), (next_language, following) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "sh" and script.startswith("curl "):
            yield _call(script, _shown(following) if next_language == "http" else None)


def _call(script: str, answer: Shown | None) -> Call:
    words = shlex.split(script)
    [(path, _)] = [match.groups() for word in words if (match := _PLACE.fullmatch(word))]
    said, named, sent = (_behind(option, words) for option in ("-d", "-X", "-H"))
    method = named[0] if named else "POST" if said else "GET"
    headers = dict(line.split(": ", 1) for line in sent)
    return Call(script, method, path, headers, json.loads(said[0]) if said else None, answer)


def _behind(option: str, words: list[str]) -> list[str]:
    return [after for word, after in pairwise(words) if word == option]


def _shown(text: str) -> Shown:
    head, _, body = text.partition("\n\n")
    first, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return Shown(int(first.split()[1]), headers, json.loads(body) if body.strip() else None)
