"""Redis, and what is decided without it."""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, quantiles, rate

REDIS: Final = Board(
    "redis",
    "Redis and fallback",
    "Whether Redis decides, what it costs, and how far its copies are.",
    [
        Row(
            "Now",
            [
                Number(
                    "Without Redis",
                    "Workers that decide from their tables alone.",
                    "sum(boxoffice_fallback_active)",
                    alarming_from=1,
                ),
                Number("Backlog", "Facts that Redis has missed, and will be told.", "sum(boxoffice_backlog_facts)"),
                Number("In step", "Events that Redis decides.", 'sum(boxoffice_event_copies{state="in_step"})'),
                Number(
                    "Given up",
                    "Events that only the table decides, until somebody has looked.",
                    "sum(boxoffice_events_given_up)",
                    alarming_from=1,
                ),
                Number(
                    "Divergences",
                    "Times that Redis decided otherwise than the ledger, in the last hour.",
                    "sum(increase(boxoffice_redis_divergences_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Decided by Redis",
                    "Of the commands that an event decides.",
                    rate('boxoffice_decisions_total{decided_by="redis"}')
                    + " / "
                    + rate('boxoffice_decisions_total{decided_by!=""}'),
                    unit="percentunit",
                    decimals=1,
                ),
            ],
        ),
        Row(
            "Redis",
            [
                Curves(
                    "Fallback",
                    "1 while a worker decides without Redis.",
                    [Curve("max by (instance) (boxoffice_fallback_active)", "{{instance}}")],
                    decimals=0,
                ),
                Curves(
                    "A round trip",
                    "One call for all events of a batch.",
                    quantiles("boxoffice_redis_call_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "Calls that Redis did not serve",
                    "In a second, by its error.",
                    [Curve(rate("boxoffice_redis_errors_total", "error"), "{{error}}")],
                    stacked=True,
                ),
                Curves(
                    "Times that it was given up",
                    "Since the workers began.",
                    [Curve("sum by (instance) (boxoffice_fallbacks_total)", "{{instance}}")],
                    decimals=0,
                ),
                Curves(
                    "Copies",
                    "Events, by how their keys in Redis stand to the ledger.",
                    [Curve("sum by (state) (boxoffice_event_copies)", "{{state}}")],
                    stacked=True,
                ),
                Curves(
                    "Bringing it up",
                    "Facts that Redis has missed, and events loaded anew in a minute.",
                    [
                        Curve("sum(boxoffice_backlog_facts)", "backlog"),
                        Curve("60 * " + rate("boxoffice_event_rebuilds_total"), "rebuilds"),
                    ],
                ),
            ],
        ),
    ],
)
