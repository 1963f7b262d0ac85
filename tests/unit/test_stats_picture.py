"""What ``boxoffice stats`` shows: money as amounts, closed events as closed, on terminals of any width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from boxoffice.cli.stats import picture
from boxoffice.redis.presence import Presences
from boxoffice.statistics.figures import event_figures, totals_of_all
from boxoffice.statistics.reading import Report
from models.statistics_rows import EventStatistics

AT = "2026-11-22T10:00:00.123Z"
SOLD: dict[str, Any] = {"issued": 12_000, "seq": 9, "sold": 11_999, "at": AT, "first_sale": AT, "last_sale": AT}
EVENTS = [
    EventStatistics("42", "Night at the Opera", "EUR", 4_500, **SOLD),
    EventStatistics("43", "A Midsummer Night's Dream", "JPY", 4_500, closed=True, **SOLD),
    EventStatistics("44", "Jazz in the Park", "KWD", 4_500, **SOLD),
    EventStatistics("45", "Spring Concert", "ZZZ", 4_500, **SOLD),
]


def _shown(width: int, *events: EventStatistics) -> list[str]:
    figures = [event_figures(event, 0) for event in events]
    report = Report(totals_of_all([], figures), figures, True, Presences(), None)
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(picture(report, width))
    return [line.rstrip() for line in console.export_text().splitlines()]


def _cells(lines: list[str], event: str) -> list[str]:
    [row] = [line for line in lines if line.split()[:1] == [event]]
    return row.split()


def test_each_amount_has_the_decimals_of_its_currency() -> None:
    lines = _shown(200, *EVENTS)
    assert lines[0] == (
        "4 events   47,996 of 48,000 tickets sold   4 left, 1 of them of closed events   "
        "539,955.00 EUR, 53,995,500 JPY, 53,995.500 KWD, 539,955.00 ZZZ"
    )
    assert "539,955.00 EUR" in " ".join(_cells(lines, "42"))
    assert "53,995,500 JPY" in " ".join(_cells(lines, "43"))
    assert "53,995.500 KWD" in " ".join(_cells(lines, "44"))
    assert "ISO 4217 has no currency ZZZ: its amounts are shown with 2 decimals." in lines


def test_the_last_sale_has_its_year_and_its_zone() -> None:
    lines = _shown(200, EVENTS[0])
    assert "last sale, UTC" in " ".join(lines)
    assert "2026-11-22 10:00" in " ".join(_cells(lines, "42"))


def test_nothing_of_a_closed_event_looks_as_if_it_were_on_sale() -> None:
    lines = _shown(200, *EVENTS)
    assert (_cells(lines, "42")[6], _cells(lines, "43")[6]) == ("1", "closed")


def test_one_is_one() -> None:
    [line, *_] = _shown(200, EventStatistics("1", "Night", "EUR", 1, 1, seq=1))
    assert line == "1 event   0 of 1 ticket sold   1 left   0.00 EUR"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_terminal_shows_fewer_columns_and_cuts_no_amount(width: int) -> None:
    lines = _shown(width, *EVENTS)
    assert max(map(len, lines)) <= width
    for event, amount in (("42", "539,955.00 EUR"), ("43", "53,995,500 JPY"), ("44", "53,995.500 KWD")):
        assert amount in " ".join(_cells(lines, event))
        assert "11,999" in _cells(lines, event)
