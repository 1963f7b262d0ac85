"""Tables on narrow terminals: every word whole, and nothing left out."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from boxoffice.cli.narrow import fitting

ROWS = [
    ("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092", "Kafka brokers to ask first, HOST:PORT between commas."),
    ("BOXOFFICE_TOPIC_PREFIX", "", "Goes before topics, group ids and Redis keys."),
]


def _shown(width: int) -> str:
    table = Table(title="Settings")
    for heading in ("variable", "value", "meaning"):
        table.add_column(heading, overflow="fold")
    for row in ROWS:
        table.add_row(*map(Text, row))
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(fitting(table, console))
    return console.export_text()


@pytest.mark.parametrize("width", [44, 50, 62])
def test_where_words_would_be_cut_each_row_is_a_block(width: int) -> None:
    shown = _shown(width)
    for row in ROWS:
        assert {word for cell in row for word in cell.split()} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= width
    assert "  meaning: Goes before topics" in shown
    assert "value: \n" not in shown


@pytest.mark.parametrize("width", [70, 80, 90, 110, 200])
def test_where_there_is_room_it_is_a_table_that_cuts_no_word(width: int) -> None:
    lines = _shown(width).splitlines()
    words = {word for line in lines for word in line.replace("│", " ").split()}
    assert {word for row in ROWS for cell in row for word in cell.split()} <= words
    assert max(map(len, lines)) <= width
    assert any({"variable", "value", "meaning"} <= set(line.replace("┃", " ").split()) for line in lines)
    assert "meaning:" not in "".join(lines)
