"""Charts as small SVG files, in two kinds: lines over an axis, and bars side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.results import Points, in_words

WIDTH: Final = 720
HEIGHT: Final = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 56, 52
_BAR_HEIGHT, _BAR_STEP = 22, 32
_LABEL_WIDTH: Final = 190
_COLORS: Final = ("#2563a8", "#c2571a", "#3b8a4a", "#7a4fa3")
_MOST_TICKS: Final = 6

_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}"
    ".grid{stroke:#ddd}.axis{stroke:#888}.line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class Line:
    """A series of points with its name."""

    label: str
    points: Points


@dataclass(frozen=True)
class Axis:
    """One direction of a chart: from ``low`` to ``high``, drawn from pixel ``begin`` to ``end``."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        low, high, value = (math.log10(one) if self.log else one for one in (self.low, self.high, value))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values to be marked."""
        if self.log:
            exponents = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**exponent for exponent in exponents]
        step = _round_step((self.high - self.low) / _MOST_TICKS)
        return [step * number for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def line_chart(title: str, x_label: str, y_label: str, lines: Sequence[Line], *, log_x: bool = False) -> str:
    """Lines over one axis; the other begins at zero."""
    xs = [x for line in lines for x, _ in line.points]
    highest = max(y for line in lines for _, y in line.points)
    x_axis = Axis(min(xs) if log_x else min(0, *xs), max(xs), _LEFT, WIDTH - _RIGHT, log_x)
    y_axis = Axis(0, highest * 1.1, HEIGHT - _BOTTOM, _TOP)
    drawn = [_title(title), *_grid(x_axis, y_axis), *_axis_labels(x_label, y_label)]
    for number, line in enumerate(lines):
        color = _COLORS[number % len(_COLORS)]
        places = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line.points)
        drawn.append(f'<polyline class="line" stroke="{color}" points="{places}"/>')
        drawn.append(_legend(line.label, color, number))
    return _svg(HEIGHT, drawn)


def bar_chart(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars, each with its name and its value."""
    longest = max(value for _, value in bars)
    room = WIDTH - _LABEL_WIDTH - 90
    drawn = [_title(title)]
    for number, (label, value) in enumerate(bars):
        top = _TOP + number * _BAR_STEP
        length = value / longest * room
        middle = top + _BAR_HEIGHT * 0.7
        drawn += [
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}" fill="{_color(label)}"/>',
            f'<text x="{_LABEL_WIDTH + length + 6:.1f}" y="{middle}">{in_words(value)}</text>',
        ]
    return _svg(_TOP + len(bars) * _BAR_STEP + 8, drawn)


def _color(label: str) -> str:
    """The product stands out."""
    return _COLORS[0] if label.startswith("product") else "#9aa7b4"


def _round_step(least: float) -> float:
    """The next round number: 1, 2, 5, 10, 20 and so on."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    bottom, left = y_axis.begin, x_axis.begin
    drawn = []
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        drawn.append(f'<line class="grid" x1="{left}" x2="{x_axis.end}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for tick in x_axis.ticks():
        x = x_axis.at(tick)
        drawn.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:,g}</text>')
    drawn.append(f'<line class="axis" x1="{left}" x2="{x_axis.end}" y1="{bottom}" y2="{bottom}"/>')
    return drawn


def _axis_labels(x_label: str, y_label: str) -> list[str]:
    return [
        f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="{_LEFT - 56}" y="{_TOP - 12}">{escape(y_label)}</text>',
    ]


def _legend(label: str, color: str, number: int) -> str:
    y = _TOP - 12
    x = WIDTH - _RIGHT - 150 * (number + 1)
    square = f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{color}"/>'
    return f'{square}<text x="{x + 15}" y="{y}">{escape(label)}</text>'


def _title(title: str) -> str:
    return f'<text class="title" x="16" y="24">{escape(title)}</text>'


def _svg(height: float, drawn: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )
