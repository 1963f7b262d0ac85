"""What commands print: a table for people, or JSON for scripts."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TextIO

from boxoffice.showing.printing import json_text, printable, printable_lines

_WIDE = 10_000
"""Columns where nobody looks: a table in a pipe is not wrapped, so that lines can be searched."""


def say(line: str) -> None:
    """Print one line, whoever wrote what is in it."""
    _write(printable(line))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(sentence: str) -> None:
    """Print a sentence for people."""
    _write(wrapped(printable(sentence), sys.stdout))


def note(sentence: str) -> None:
    """Print a remark beside the output."""
    sys.stderr.write(f"{wrapped(printable_lines(sentence), sys.stderr)}\n")
    sys.stderr.flush()


def wrapped(text: str, stream: TextIO) -> str:
    """A text whose lines end between words, where a terminal would break them anywhere."""
    columns = shutil.get_terminal_size().columns
    if not stream.isatty():
        return text
    # What is longer than a line is no word, but a path or a command: whoever copies it wants it whole.
    lines = (textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(lines)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document. Whatever is not printable in it is escaped, whoever chose it."""
    _write(json_text(value, indent=indent))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; columns whose heading ends with ``#`` hold numbers, and are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from boxoffice.cli.narrow import fitting

    shown_title = None if title is None else Text(printable(title), style="table.title")
    table = Table(title=shown_title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading.endswith("#") else "left"
        table.add_column(printable(heading.rstrip("#")), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    console.print(fitting(table, console))
