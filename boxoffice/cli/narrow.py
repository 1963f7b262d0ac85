"""Tables on terminals that are narrow for them: no word is cut, and where there is no room each row is a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_ANY_WIDTH = 100_000


def fitting(table: Table, console: Console) -> RenderableType:
    """The table, or its rows as blocks where the longest words do not fit beside each other."""
    from rich.console import Group
    from rich.measure import Measurement

    needed, natural = Measurement.get(console, console.options.update(width=_ANY_WIDTH), table)
    if needed > console.width:
        return Group(*_blocks(table))
    if natural > console.width:
        _share(table, console.width - needed)
    return table


def _share(table: Table, spare_width: int) -> None:
    """Give each column the width of its longest word, and what is left to those that want little more first.

    By itself rich takes from all columns alike, and cuts words.
    """
    widths = [_widths(column.header, *column.cells) for column in table.columns]
    wanting = sorted(zip(widths, table.columns, strict=True), key=lambda found: found[0][1] - found[0][0])
    for still, ((least, most), column) in zip(range(len(wanting), 0, -1), wanting, strict=True):
        more = min(most - least, spare_width // still)
        column.width = least + more
        spare_width -= more


def _widths(*cells: RenderableType) -> tuple[int, int]:
    """That of the longest word, and that of the longest cell."""
    from rich.cells import cell_len

    texts = [str(cell) for cell in cells]
    words = (cell_len(word) for text in texts for word in text.split())
    return max(words, default=0), max((cell_len(line) for text in texts for line in text.splitlines()), default=0)


def _blocks(table: Table) -> Iterator[RenderableType]:
    """Of each row the first cell, and below it what the others are."""
    from rich.padding import Padding
    from rich.text import Text

    if table.title:
        yield table.title
    headings = [Text(str(column.header)) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = (Text(str(cell)) for cell in row)
        yield Text.assemble(headings[0], " " if headings[0] else "", first, style="bold")
        for heading, cell in zip(headings[1:], others, strict=True):
            if cell:
                yield Padding(Text.assemble(heading, ": " if heading else "", cell), (0, 0, 0, 2))
    yield Text()
