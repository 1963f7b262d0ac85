"""The show: what is sold, what is left, how fast, and how long buyers wait."""

from __future__ import annotations

from typing import Final

from monitoring.dashboards.answers import ANSWERS, WITHIN_A_SECOND
from monitoring.panels import Board, Curve, Curves, Number, Row, quantiles, rate

_LEFT: Final = "sum(boxoffice_tickets_issued) - sum(boxoffice_tickets_held) - sum(boxoffice_tickets_sold)"
_SOLD_A_SECOND: Final = "clamp_min(sum(deriv(boxoffice_tickets_sold[$__rate_interval])), 0)"

SELLING: Final = Board(
    "selling",
    "Selling",
    "What is sold, how fast, what comes of the commands, and how long callers wait.",
    [
        Row(
            "The sale",
            [
                Number("Sold", "Tickets that are their buyers', of all events.", "sum(boxoffice_tickets_sold)"),
                Number("Left", "Tickets of all events, also those of sales that are closed.", _LEFT),
                Number("Tickets a second", "Sold, less those that were given back.", _SOLD_A_SECOND, decimals=0),
                Number(
                    "Answered a second",
                    "Commands, whatever came of them.",
                    rate("boxoffice_decisions_total"),
                    decimals=0,
                ),
                Number(
                    "Waiting",
                    "Commands that are not decided yet.",
                    'sum(boxoffice_lag_records{job="purchases"})',
                ),
                Number(
                    "Within a second",
                    "Commands over HTTP that were answered so fast: 99.9% are promised.",
                    WITHIN_A_SECOND,
                    unit="percentunit",
                    decimals=1,
                ),
                Curves(
                    "Sold, held and left",
                    "Tickets of all events.",
                    [
                        Curve("sum(boxoffice_tickets_sold)", "sold"),
                        Curve("sum(boxoffice_tickets_held)", "held"),
                        Curve(_LEFT, "left"),
                    ],
                    stacked=True,
                ),
                Curves(
                    "Outcomes",
                    "Commands answered in a second, by what came of them.",
                    [Curve(rate("boxoffice_decisions_total", "outcome"), "{{outcome}}")],
                    stacked=True,
                ),
                Curves(
                    "Refusals",
                    "Commands refused in a second, by why.",
                    [Curve(rate('boxoffice_decisions_total{reason!=""}', "reason"), "{{reason}}")],
                    stacked=True,
                ),
                Curves(
                    "Who decides",
                    "Redis; the table alone while Redis is away, is brought up, or does not know the event yet.",
                    [Curve(rate('boxoffice_decisions_total{decided_by!=""}', "decided_by"), "{{decided_by}}")],
                    stacked=True,
                ),
                Curves(
                    "How long callers wait",
                    "From a command that came over HTTP to its answer.",
                    quantiles(ANSWERS),
                    unit="s",
                ),
                Curves(
                    "Commands that wait",
                    "Those that are not decided yet, and how many are decided in ten seconds: no more may wait.",
                    [
                        Curve('sum(boxoffice_lag_records{job="purchases"})', "waiting"),
                        Curve("10 * " + rate("boxoffice_decisions_total"), "ten seconds' worth"),
                    ],
                ),
            ],
        ),
        Row(
            "What is promised",
            [
                Curves(
                    "How fast the room for failing is used up",
                    "1 uses up a month's room in a month; 14.4 wakes somebody within an hour, 6 within six.",
                    [
                        Curve("boxoffice:answers_late:ratio1h / 0.001", "answers, an hour"),
                        Curve("boxoffice:commands_late:ratio1h / 0.005", "commands, an hour"),
                        Curve("boxoffice:unaudited:ratio1h / 0.01", "audit, an hour"),
                    ],
                ),
                Curves(
                    "Alerts",
                    "What is wrong, by how many of it.",
                    [Curve('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")],
                    stacked=True,
                    decimals=0,
                ),
            ],
        ),
    ],
)
