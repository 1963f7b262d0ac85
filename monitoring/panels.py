"""The few kinds of panels that all dashboards consist of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as StatBuilder
from grafana_foundation_sdk.builders.timeseries import Panel as TimeseriesBuilder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
"""By the uid that docker/grafana/provisioning/datasources gives it."""

COLUMNS: Final = 24
NUMBER_WIDTH: Final = 4
NUMBER_HEIGHT: Final = 4
CURVES_WIDTH: Final = 12
CURVES_HEIGHT: Final = 8

GREEN: Final = "green"
RED: Final = "red"


_Panel = TypeVar("_Panel", StatBuilder, TimeseriesBuilder)


class Curve(NamedTuple):
    """A query, and what its series are called, by their labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Number:
    """What is so now, as one number.

    It is red from ``alarming_from`` on.
    """

    title: str
    says: str
    expr: str
    unit: str = "short"
    decimals: int | None = None
    alarming_from: float | None = None

    def builder(self) -> StatBuilder:
        """As Grafana knows it."""
        steps = [Threshold(value=None, color=GREEN)]
        if self.alarming_from is not None:
            steps.append(Threshold(value=self.alarming_from, color=RED))
        panel = (
            StatBuilder()
            .height(NUMBER_HEIGHT)
            .span(NUMBER_WIDTH)
            .graph_mode(common.BigValueGraphMode.AREA)
            .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(dashboard_builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        )
        return _described(panel, self, [Curve(self.expr)])


@dataclass(frozen=True)
class Curves:
    """How something has gone, as curves over time."""

    title: str
    says: str
    curves: Sequence[Curve]
    unit: str = "short"
    stacked: bool = False
    decimals: int | None = None
    most: float | None = None

    def builder(self) -> TimeseriesBuilder:
        """As Grafana knows it."""
        panel = (
            TimeseriesBuilder()
            .height(CURVES_HEIGHT)
            .span(CURVES_WIDTH)
            .min(0)
            .line_width(1)
            .fill_opacity(30 if self.stacked else 8)
            .show_points(common.VisibilityMode.NEVER)
            .color_scheme(dashboard_builders.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
            .tooltip(
                common_builders.VizTooltipOptions()
                .mode(common.TooltipDisplayMode.MULTI)
                .sort(common.SortOrder.DESCENDING)
            )
            .legend(
                common_builders.VizLegendOptions()
                .display_mode(common.LegendDisplayMode.LIST)
                .placement(common.LegendPlacement.BOTTOM)
                .show_legend(True)
                .calcs([])
            )
        )
        if self.stacked:
            panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        if self.most is not None:
            panel.max(self.most)
        return _described(panel, self, self.curves)


def _described(panel: _Panel, of: Number | Curves, curves: Sequence[Curve]) -> _Panel:
    panel.title(of.title).description(of.says).datasource(SOURCE).unit(of.unit)
    if of.decimals is not None:
        panel.decimals(of.decimals)
    for number, curve in enumerate(curves):
        query = Dataquery().expr(curve.expr).ref_id(chr(ord("A") + number)).range().datasource(SOURCE)
        panel.with_target(query.legend_format(curve.legend or "__auto"))
    return panel


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Number | Curves]


@dataclass(frozen=True)
class Board:
    """A dashboard: its file's name, and what it shows."""

    name: str
    title: str
    says: str
    rows: Sequence[Row]

    def build(self) -> Dashboard:
        """As Grafana knows it."""
        numbers = count(1)
        board = (
            DashboardBuilder(self.title)
            .uid(f"boxoffice-{self.name}")
            .description(self.says)
            .tags(["boxoffice"])
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .time("now-30m", "now")
            .refresh("15s")
            .timezone("browser")
            .link(
                dashboard_builders.DashboardLink("Box office")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["boxoffice"])
                .as_dropdown(True)
                .keep_time(True)
            )
        )
        for row in self.rows:
            board.with_row(dashboard_builders.Row(row.title).id(next(numbers)))
            for panel in row.panels:
                board.with_panel(panel.builder().id(next(numbers)))
        return board.build()


def rate(metric: str, by: str = "") -> str:
    """How much a counter grows in a second, all processes together or by labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


def quantiles(histogram: str) -> list[Curve]:
    """Half of what a histogram has seen took no longer than the first, and all but a hundredth than the second."""
    return [
        Curve(f"histogram_quantile({quantile}, {rate(f'{histogram}_bucket', 'le')})", name)
        for quantile, name in ((0.5, "p50"), (0.99, "p99"))
    ]


def mean(histogram: str) -> str:
    """The mean of what a histogram has seen."""
    return f"{rate(f'{histogram}_sum')} / {rate(f'{histogram}_count')}"
