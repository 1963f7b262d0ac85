"""What commands print: a table for people, or JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_WIDE = 10_000
"""Columns where nobody looks: a table in a pipe is not wrapped, so that lines can be searched."""

_ASCII_END = 0x80
_BMP_LAST = 0xFFFF
_NO_UTF_8 = range(0xDC80, 0xDD00)
"""What Python's surrogateescape makes of the bytes 80 to FF where they are no UTF-8."""


def say(line: str) -> None:
    """Print one line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Print a remark beside the output."""
    sys.stderr.write(f"{line}\n")


def printable(text: str | bytes) -> str:
    r"""Text from strangers, safe on a terminal and still told apart.

    Spaces and letters of all languages stay. Characters that control, are invisible or change the direction,
    and the backslash, are escaped as in Python's strings; ``\\xNN`` above 7f is a byte that is no UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="surrogateescape")
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    code = ord(character)
    if code < _ASCII_END:
        return character.encode("unicode_escape").decode()
    if code in _NO_UTF_8:
        return f"\\x{code - _NO_UTF_8.start + _ASCII_END:02x}"
    return f"\\u{code:04x}" if code <= _BMP_LAST else f"\\U{code:08x}"


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document. Whatever is not printable in it is escaped, whoever chose it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    say("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; columns whose heading ends with ``#`` hold numbers, and are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading.rstrip("#"), justify="right" if heading.endswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    console.print(table)
