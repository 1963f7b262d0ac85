"""A dashboard's picture: each panel in its place, whatever Prometheus said."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from monitoring.drawing import COLUMN_PX, HEAD_PX, ROW_PX, Line, page, text_of
from tests.support.office import ROOT

BOARDS = sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
BEGINS_S, ENDS_S = 1_000.0, 1_060.0


def board(path: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def rising(slope: float) -> list[tuple[float, float]]:
    return [(BEGINS_S + second, slope * second) for second in range(61)]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_panel_stands_where_grafana_puts_it_and_none_on_another(path: Any) -> None:
    found = board(path)
    lines = {panel["id"]: [Line("a", rising(1)), Line("b", rising(2))] for panel in found["panels"]}
    html = page(found, lines, BEGINS_S, ENDS_S)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        x, y = place.get("x", 0), place["y"]
        assert f"left:{x * COLUMN_PX}px;top:{y * ROW_PX + HEAD_PX}px" in html
        assert x + place["w"] <= 24
        cells = {(column, row) for column in range(x, x + place["w"]) for row in range(y, y + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])


def test_what_is_no_number_is_left_out_and_a_name_is_no_markup() -> None:
    found = board(BOARDS[0])
    curves = next(panel for panel in found["panels"] if panel["type"] == "timeseries")
    number = next(panel for panel in found["panels"] if panel["type"] == "stat")
    points = [(BEGINS_S, math.nan), (BEGINS_S + 1, 5.0), (BEGINS_S + 2, math.inf)]
    lines = {curves["id"]: [Line("<b>&", points)], number["id"]: [Line("", points)]}
    html = page(found, lines, BEGINS_S, ENDS_S)
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert not re.search(r"\bnan\b|\binf\b", html)
    assert "No data" in html


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.99914, "percentunit", 1, "99.9%"),
        (0.0042, "s", None, "4.2 ms"),
        (0, "s", None, "0 s"),
        (7_200, "s", None, "2 h"),
        (3 * 2**20, "bytes", None, "3 MiB"),
        (2_048, "Bps", None, "2 KiB/s"),
        (12_345, "short", None, "12.3K"),
        (4_000, "short", None, "4,000"),
        (0.25, "short", None, "0.25"),
        (123.4, "short", 0, "123"),
    ],
)
def test_values_are_written_as_people_read_them(value: float, unit: str, decimals: int | None, text: str) -> None:
    assert text_of(value, unit, decimals) == text
