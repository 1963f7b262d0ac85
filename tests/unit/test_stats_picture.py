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
from models.figures import Status, completed
from models.statistics_rows import CategoryStatistics, EventStatistics
from tests.support.figures import row

AT = "2026-11-22T10:00:00.123Z"
SOLD: dict[str, Any] = {"issued": 12_000, "sold": 11_999, "at": AT, "first_sale": AT, "last_sale": AT}
EVENTS = [
    row("42", 9, name="Night at the Opera", currency="EUR", **SOLD),
    row("43", 9, name="A Midsummer Night's Dream", currency="JPY", status=Status.CLOSED, **SOLD),
    row("44", 9, name="Jazz in the Park", currency="KWD", **SOLD),
    row("45", 9, name="Spring Concert", currency="ZZZ", **SOLD),
]


def _with_categories(event_id: str = "42", **members: Any) -> EventStatistics:
    """An event of two categories that holds: 590 of 600 and 100 of 200 tickets are somebody's, or kept."""
    event = row(event_id, 700, name="Night at the Opera", hold_s=600, holds=400, last_sale=AT, **members)
    stalls: dict[str, Any] = {
        "held": 12,
        "sold": 578,
        "expired": 33,
        "late": 2,
        "refunded": 2 * 4_500,
    }
    event.categories = {
        "stalls": CategoryStatistics("Stalls", 4_500, 600, cancelled=2, taken=580 * 4_500, **stalls),
        "balcony": CategoryStatistics("Balcony, restricted view", 1_900, 200, sold=100, released=4, taken=190_000),
    }
    return event


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
        "4 events   47,996 of 48,000 tickets sold   4 left, 1 of them of events that have ended   "
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
    [line, *_] = _shown(200, row("1", 1, issued=1))
    assert line == "1 event   0 of 1 ticket sold   1 left   0.00 EUR"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_terminal_shows_fewer_columns_and_cuts_no_amount(width: int) -> None:
    lines = _shown(width, *EVENTS)
    assert max(map(len, lines)) <= width
    for event, amount in (("42", "539,955.00 EUR"), ("43", "53,995,500 JPY"), ("44", "53,995.500 KWD")):
        assert amount in " ".join(_cells(lines, event))
        assert "11,999" in _cells(lines, event)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_an_events_categories_stand_below_it_with_what_is_held_and_has_expired(width: int) -> None:
    lines = _shown(width, _with_categories(payments_refused={"sold_out": 3}), EVENTS[0])
    assert max(map(len, lines)) <= width
    [at] = [number for number, line in enumerate(lines) if line.split()[:1] == ["42"] and "678" in line]
    shown = [" ".join(lines[at + below].split()) for below in range(3)]
    assert shown[0].startswith("42 Night")
    assert "678 12 110 33 0 27,910.00 EUR" in shown[0]
    assert shown[1].startswith("- Stalls 578 12 10 33 0 26,010.00 EUR")
    assert shown[2].startswith("- Balcony")
    assert shown[2].endswith("100 0 100 0 0 1,900.00 EUR")


def test_what_has_become_of_holds_and_payments_is_told_where_there_were_any() -> None:
    lines = _shown(200, _with_categories(payments_refused={"sold_out": 3}))
    assert lines[0] == "1 event   678 of 800 tickets sold, 12 held   110 left   27,910.00 EUR"
    assert lines[1] == (
        "since it began: 33 expired unpaid, 4 given back unpaid, 2 paid late, 2 cancelled, refunds of 90.00 EUR, "
        "3 payments refused"
    )
    plain = _shown(200, EVENTS[0])
    assert not any("since it began" in line or "held" in line or "expired" in line for line in plain)


@pytest.mark.parametrize(
    ("members", "left"),
    [
        ({}, "110"),
        ({"on_sale_at": "2999-01-01T10:00:00Z"}, "yet"),
        ({"off_sale_at": "2001-01-01T10:00:00Z"}, "ended"),
        ({"status": Status.CANCELLED}, "off"),
    ],
)
def test_tickets_that_nobody_can_buy_now_are_not_shown_as_left(members: dict[str, Any], left: str) -> None:
    [line] = [line for line in _shown(120, _with_categories(**members)) if line.split()[:1] == ["42"]]
    assert line.split()[line.split().index("12") + (2 if left in ("yet", "off") else 1)] == left


def test_so_many_categories_that_nobody_could_read_them_are_left_out() -> None:
    lines = _shown(100, *(_with_categories(str(number)) for number in range(20)))
    assert not any(line.split()[:2] == ["-", "Stalls"] for line in lines)
    assert "Categories are left out, since there are many: --json has them." in lines


def test_archived_events_count_and_are_told_apart() -> None:
    figures = [event_figures(event, 0) for event in (EVENTS[0], row("7", 40, status=Status.ARCHIVED, issued=50))]
    report = Report(totals_of_all([], figures), [completed(figures[0])], True, Presences(), None)
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(picture(report))
    first = console.export_text().splitlines()[0]
    assert first.startswith("2 events, 1 of them archived   12,038 of 12,050 tickets sold")
    assert "12 left, 11 of them of events that have ended" in first
