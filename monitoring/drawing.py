"""A dashboard as a picture: its panels where their ``gridPos`` puts them, drawn of what Prometheus has said.

Grafana draws them in its own way, and with all that one can do to them there; this is for a document, and to look at
what the panels show without a Grafana.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple

COLUMN_PX: Final = 48
ROW_PX: Final = 30
GAP_PX: Final = 8
HEAD_PX: Final = 30
LEGEND_PX: Final = 24
AXIS_PX: Final = 54
TIMES_PX: Final = 24
COLOURS: Final = ("#5b9f4a", "#d9a018", "#4a90c4", "#d96c2f", "#c2423f", "#1f6fb5", "#a8439c", "#6d5aa8", "#3f7a5a")
INK: Final = "#22262e"
PALE: Final = "#6b7280"
LINE: Final = "#e5e7eb"
GREEN: Final = "#3f8f34"
RED: Final = "#c2423f"
MOST_NAMES: Final = 7
_LINES: Final = 4
_THOUSANDS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "K"))
_MOST_WRITTEN_OUT: Final = 10_000

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """A series of a panel: its name in the legend, and its values by their times."""

    name: str
    points: Points


Lines = Mapping[int, Sequence[Line]]
"""The series of each panel, by the panel's id."""


def page(board: Mapping[str, Any], lines: Lines, begins_s: float, ends_s: float) -> str:
    """The whole dashboard as HTML."""
    panels = "".join(_panel(panel, lines.get(panel["id"], ()), begins_s, ends_s) for panel in board["panels"])
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    return (
        "<!doctype html><meta charset=utf-8><style>"
        f"body{{margin:0;background:#f4f5f7;font:12px 'Fira Sans',system-ui,sans-serif;color:{INK}}}"
        f"#board{{position:relative;width:{24 * COLUMN_PX}px;height:{rows * ROW_PX + HEAD_PX}px;margin:{GAP_PX}px}}"
        "h1{margin:0;font-size:18px;font-weight:600}"
        f".panel{{position:absolute;box-sizing:border-box;background:#fff;border:1px solid {LINE};border-radius:3px}}"
        ".panel h2{margin:0;padding:6px 8px 0;font-size:12px;font-weight:600;white-space:nowrap}"
        ".row{position:absolute;font-size:14px;font-weight:600;line-height:30px}"
        ".number{text-align:center;font-size:34px;font-weight:600;line-height:64px}"
        f".legend{{padding:0 8px;font-size:11px;color:{PALE};white-space:nowrap;overflow:hidden}}"
        ".legend i{display:inline-block;width:10px;height:3px;margin:0 4px 3px 0}"
        ".legend span{margin-right:9px}"
        f"</style><div id=board><h1>{escape(board['title'])}</h1>{panels}</div>"
    )


def _panel(panel: Mapping[str, Any], lines: Sequence[Line], begins_s: float, ends_s: float) -> str:
    place = panel["gridPos"]
    left, top = place.get("x", 0) * COLUMN_PX, place["y"] * ROW_PX + HEAD_PX
    width, height = place["w"] * COLUMN_PX - GAP_PX, place["h"] * ROW_PX - GAP_PX
    style = f'style="left:{left}px;top:{top}px;width:{width}px;height:{height}px"'
    title = escape(panel["title"])
    if panel["type"] == "row":
        return f"<div class=row {style}>{title}</div>"
    if panel["type"] == "stat":
        inside = _number(panel, lines)
    else:
        inside = _curves(panel, lines, (width, height), begins_s, ends_s)
    return f"<div class=panel {style}><h2>{title}</h2>{inside}</div>"


# Numbers


def _number(panel: Mapping[str, Any], lines: Sequence[Line]) -> str:
    values = [value for line in lines for _, value in line.points if math.isfinite(value)]
    if not values:
        return f"<div class=number style='color:{PALE}'>No data</div>"
    defaults = panel["fieldConfig"]["defaults"]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is not None]
    colour = RED if any(values[-1] >= step["value"] for step in steps) else GREEN
    shown = text_of(values[-1], defaults["unit"], defaults.get("decimals"))
    return f"<div class=number style='color:{colour}'>{escape(shown)}</div>"


def text_of(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as a person reads it."""
    if unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f}%"
    if unit == "s":
        return _duration(value)
    if unit in ("bytes", "Bps"):
        size = _scaled(value, ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")))
        return size + ("/s" if unit == "Bps" else "")
    if abs(value) >= _MOST_WRITTEN_OUT:
        return _scaled(value, _THOUSANDS)
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _duration(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    return _scaled(seconds, ((3600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs")))


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    size, name = next((unit for unit in units if abs(value) >= unit[0]), units[-1])
    return f"{value / size:.3g}{name}"


# Curves


def _curves(
    panel: Mapping[str, Any], lines: Sequence[Line], size: tuple[int, int], begins_s: float, ends_s: float
) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"].get("stacking", {}).get("mode") == "normal"
    drawn = _stacked(lines) if stacked else [(line, [0.0] * len(line.points)) for line in lines]
    values = [below + value for line, belows in drawn for (_, value), below in zip(line.points, belows, strict=True)]
    most = _round_up(max(filter(math.isfinite, values), default=0.0))
    area = _Area(AXIS_PX, 4, size[0] - AXIS_PX - 12, size[1] - HEAD_PX - LEGEND_PX - TIMES_PX, begins_s, ends_s, most)
    parts = [_axes(area, defaults["unit"])]
    # What lies on top of others is drawn first, so that each colour ends at its own line.
    for number, (line, belows) in reversed(list(enumerate(drawn))):
        parts.append(_curve(area, line.points, belows, COLOURS[number % len(COLOURS)], 0.55 if stacked else 0.08))
    names = "".join(
        f"<span><i style='background:{COLOURS[number % len(COLOURS)]}'></i>{escape(line.name)}</span>"
        for number, (line, _) in enumerate(drawn[:MOST_NAMES])
    )
    more = f"<span>and {len(drawn) - MOST_NAMES} more</span>" if len(drawn) > MOST_NAMES else ""
    height = size[1] - HEAD_PX - LEGEND_PX
    return f"<svg width={size[0]} height={height}>{''.join(parts)}</svg><div class=legend>{names}{more}</div>"


class _Area(NamedTuple):
    """Where curves are drawn, and what its edges stand for."""

    left: float
    top: float
    width: float
    height: float
    begins_s: float
    ends_s: float
    most: float

    def x(self, at_s: float) -> float:
        return self.left + self.width * (at_s - self.begins_s) / (self.ends_s - self.begins_s)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - min(value, self.most) / self.most)


def _stacked(lines: Sequence[Line]) -> list[tuple[Line, list[float]]]:
    """Each line, and how high those before it are at its times."""
    heights: dict[float, float] = {}
    drawn = []
    for line in lines:
        belows = [heights.get(at, 0.0) for at, _ in line.points]
        for (at, value), below in zip(line.points, belows, strict=True):
            heights[at] = below + (value if math.isfinite(value) else 0.0)
        drawn.append((line, belows))
    return drawn


def _curve(area: _Area, points: Points, belows: Sequence[float], colour: str, opacity: float) -> str:
    there = [
        (area.x(at), area.y(below + value), area.y(below))
        for (at, value), below in zip(points, belows, strict=True)
        if math.isfinite(value)
    ]
    if not there:
        return ""
    along = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in there)
    back = " ".join(f"{x:.1f},{y:.1f}" for x, _, y in reversed(there))
    return (
        f"<polygon points='{along} {back}' fill='{colour}' fill-opacity='{opacity}'/>"
        f"<polyline points='{along}' fill='none' stroke='{colour}' stroke-width='1.5'/>"
    )


def _axes(area: _Area, unit: str) -> str:
    parts = []
    for number in range(_LINES + 1):
        value = area.most * number / _LINES
        y = area.y(value)
        parts.append(f"<line x1={area.left} x2={area.left + area.width} y1={y:.1f} y2={y:.1f} stroke='{LINE}'/>")
        parts.append(_word(area.left - 6, y + 4, "end", text_of(value, unit)))
    span_s = area.ends_s - area.begins_s
    for number in range(_LINES + 1):
        passed_s = span_s * number / _LINES
        anchor = "start" if not number else "end" if number == _LINES else "middle"
        label = f"{int(passed_s) // 60}:{int(passed_s) % 60:02}"
        parts.append(_word(area.x(area.begins_s + passed_s), area.top + area.height + 14, anchor, label))
    return "".join(parts)


def _word(x: float, y: float, anchor: str, text: str) -> str:
    return f"<text x={x:.1f} y={y:.1f} text-anchor={anchor} font-size=10 fill='{PALE}'>{escape(text)}</text>"


def _round_up(value: float) -> float:
    """A number that is good to read above it, for the edge of the picture."""
    if value <= 0:
        return 1.0
    size = math.pow(10, math.floor(math.log10(value)))
    return next(step * size for step in (1, 2, 4, 5, 8, 10) if step * size >= value)
