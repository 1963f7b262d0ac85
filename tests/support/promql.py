"""What a PromQL expression asks for: the metrics, and the labels by which they are chosen.

No parser of PromQL: it knows as much of it as our rules and dashboards use.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^{}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^()]*)\)")
_RANGE: Final = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_NAME: Final = re.compile(r"(?<![\w.$:])([a-zA-Z_:][\w:]*)(?!\w)(?!\s*\()")
_WORDS: Final = {"and", "or", "unless", "bool", "offset"}


def asked_for(expr: str) -> dict[str, set[str]]:
    """Each metric of an expression, and the labels that its selectors name."""
    text = _TEXT.sub('""', expr)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, matchers in _SELECTOR.findall(text):
        found[name].update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    bare = _GROUPING.sub("", _RANGE.sub("", _SELECTOR.sub("", text)))
    for name in _NAME.findall(bare):
        if name not in _WORDS:
            found[name] |= set()
    return dict(found)


def grouped_by(expr: str) -> set[str]:
    """The labels by which an expression groups or joins."""
    return {label.strip() for labels in _GROUPING.findall(_TEXT.sub('""', expr)) for label in labels.split(",")}
