"""Text as a terminal may be given it: nothing that it would obey, whoever wrote it.

Every cell of a table, every line that a command prints, and every log line that a person reads goes through here.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any, Final

_ASCII_END: Final = 0x80
_BMP_LAST: Final = 0xFFFF
_NO_UTF_8: Final = range(0xDC80, 0xDD00)
"""What Python's surrogateescape makes of the bytes 80 to FF where they are no UTF-8."""
_JOINERS: Final = "\u200c\u200d"
"""They decide how their neighbours are written, in Persian, Hindi and emoji."""


def printable(text: str) -> str:
    r"""Text from anybody as a terminal may be given it; twice is the same as once.

    Spaces and letters of all languages stay. Characters that control, are invisible or change the direction are
    escaped as in Python's strings; ``\\xNN`` above 7f is a byte that was no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(_as_printed(text, at) for at in range(len(text)))


def told_apart(raw: str | bytes) -> str:
    r"""Any bytes so that they can be told from what they look like: a backslash and odd spaces are escaped as well."""
    text = raw.decode("utf-8", errors="surrogateescape") if isinstance(raw, bytes) else raw
    return "".join(_escaped(character) if _is_ambiguous(character) else character for character in text)


def printable_lines(text: str) -> str:
    """Text of several lines, such as a stack trace; they stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] = str) -> str:
    """A JSON document; whatever is not printable in it is escaped as JSON does it, whoever chose it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _as_printed(text: str, at: int) -> str:
    character = text[at]
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    if character in _JOINERS and _joins(text[max(at - 1, 0) : at]) and _joins(text[at + 1 : at + 2]):
        return character
    return _escaped(character)


def _joins(neighbour: str) -> bool:
    """Whether a joiner has something to do beside this character."""
    return bool(neighbour) and not neighbour.isascii() and neighbour.isprintable()


def _is_ambiguous(character: str) -> bool:
    return character == "\\" or not character.isprintable()


def _escaped(character: str) -> str:
    code = ord(character)
    if code < _ASCII_END:
        return character.encode("unicode_escape").decode()
    if code in _NO_UTF_8:
        return f"\\x{code - _NO_UTF_8.start + _ASCII_END:02x}"
    return f"\\u{code:04x}" if code <= _BMP_LAST else f"\\U{code:08x}"
