"""``docs/alerts.md``: a section for each alert, to be read by who was woken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from monitoring.faults import Fault, faults
from monitoring.rules import Alert, alerts

_BEGINNING: Final = """# Alerts

For whoever is paged: each alert, what it means, and the one command to begin with. [Operations](operations.md) has
the faults behind them and [metrics](metrics.md) what is measured. This page is made from the rules, by
`python -m monitoring`.

## What is promised

| | of 30 days | what is counted |
|---|---:|---|
| answers | 99.9% | commands over HTTP that are answered within a second; 503 is late |
| commands | 99.5% | time in which what waits is decided within ten seconds, at the pace of the last minute |
| audit | 99% | time in which the last whole audit is at most two hours old |

Each promise leaves room for failing, and who uses it up too fast is told: by two windows each, so that one bad minute
wakes nobody, a slow decline is seen, and the alert ends soon after the fault. This is the last method of chapter 5,
"Alerting on SLOs", of Google's *Site Reliability Workbook*, with its numbers. Other promises are made in
`docker/prometheus/rules/objectives.yml`.

## How to have them

* `docker/prometheus/` has Prometheus' configuration and the rules. The configuration says at its head by which names it
  finds the processes. Whoever scrapes otherwise keeps the names of the jobs (`purchases`, `documents`, `stats`,
  `clock`, `gateway`, `live`, `audit`, `haproxy`): rules and dashboards know the processes by them. What is said of
  machines and their disks comes from Prometheus' own node_exporter, where each machine runs one.
* `docker/alertmanager/` says who is told, and what is left out since its cause is told. **page** wakes somebody:
  something is not sold, or will not be for long, or is not as buyers were told. **ticket** is looked at by day. Say
  there whom the two tell.
* `docker/grafana/` has a data source and seven dashboards: selling, holds and money, workers and Kafka, Redis and
  fallback, documents, the gateway, the machine.

A [drill](operations.md#redis) is told as if Redis were down, which is part of what is practised.
"""


def alerts_page() -> str:
    """The page's text."""
    by_alert: dict[str, list[Fault]] = {}
    for fault in faults():
        for name in fault.alerts:
            by_alert.setdefault(name, []).append(fault)
    found = alerts()
    listed = "".join(
        f"| [{one.name}](#{one.name.lower()}) | {_severity(one)} | {_text(one, 'summary')} |\n" for one in found
    )
    sections = "".join(_section(one, by_alert.get(one.name, ())) for one in found)
    return f"{_BEGINNING}\n## All of them\n\n| alert | told | what has happened |\n|---|---|---|\n{listed}{sections}"


def command_of(alert: Alert) -> str:
    """The one command that the alert names."""
    [command] = re.findall(r"`(boxoffice [^`]+)`", alert.annotations["description"])
    return str(command)


def _row(alert: Alert) -> str:
    return f"| [{alert.name}](#{alert.name.lower()}) | {_severity(alert)} | {_text(alert, 'summary')} |\n"


def _section(alert: Alert, told_of: Sequence[Fault]) -> str:
    after = f", after {_duration(alert.for_)}" if alert.for_ else ""
    rows = [f"* {fault.section}: [{_plain(fault.fault)}](operations.md#{fault.anchor})\n" for fault in told_of]
    parts = [
        f"\n## {alert.name}\n\n*{_severity(alert).capitalize()}{after}.* {_text(alert, 'summary')}\n",
        f"\n```sh\n{command_of(alert)}\n```\n",
        f"\n{_text(alert, 'description')}\n",
        f"\nIt tells of\n\n{''.join(rows)}" if rows else "",
    ]
    return "".join(parts)


def _severity(alert: Alert) -> str:
    return alert.labels["severity"]


def _text(alert: Alert, name: str) -> str:
    return alert.annotations[name].strip()


def _duration(for_: str) -> str:
    number, unit = int(for_[:-1]), {"m": "minute", "h": "hour"}[for_[-1]]
    return f"{number} {unit}{'s' if number != 1 else ''}"


def _plain(fault: str) -> str:
    """A fault in a link: what is one itself loses its target."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", fault)
