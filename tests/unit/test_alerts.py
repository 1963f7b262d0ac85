"""Alerts, faults, metrics and dashboards speak of the same things, and what is made of them is checked in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from boxoffice.cli.app import app
from monitoring.alerts_page import command_of
from monitoring.dashboards import BOARDS
from monitoring.faults import Fault, faults
from monitoring.files import files
from monitoring.rules import Alert, alerts, rules
from tests.support.office import ROOT
from tests.support.promql import asked_for, grouped_by
from tests.unit.test_metrics import defined

ALERTS = alerts()
FAULTS = faults()
MADE = files()
OTHERS: dict[str, set[str]] = {
    # Prometheus itself.
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "job", "instance"},
    # Prometheus' exporter of machines, node_exporter.
    "node_cpu_seconds_total": {"cpu", "mode"},
    "node_memory_MemAvailable_bytes": set(),
    "node_memory_MemTotal_bytes": set(),
    "node_filesystem_avail_bytes": {"device", "fstype", "mountpoint"},
    "node_filesystem_size_bytes": {"device", "fstype", "mountpoint"},
    "node_disk_io_time_seconds_total": {"device"},
    "node_network_receive_bytes_total": {"device"},
    "node_network_transmit_bytes_total": {"device"},
    # haproxy's own exporter.
    "haproxy_server_status": {"proxy", "server", "state"},
    "haproxy_frontend_current_sessions": {"proxy"},
    "haproxy_backend_current_queue": {"proxy"},
}
TARGET = {"job", "instance"}


def known() -> dict[str, set[str]]:
    """Every series that there can be, and its labels."""
    found = {name: labels | TARGET for name, labels in OTHERS.items()}
    for metric in defined():
        labels = set(metric.labels) | TARGET
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": labels | {"le"}, f"{metric.name}_sum": labels}
            found[f"{metric.name}_count"] = labels
        else:
            found[metric.name] = labels
    return found | {rule["record"]: set() for rule in rules() if "record" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of rules and dashboards, and where it stands."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for board in BOARDS:
        for panel in json.loads(MADE[f"docker/grafana/dashboards/{board.name}.json"])["panels"]:
            for target in panel.get("targets", ()):
                yield f"{board.name}: {panel['title']}", target["expr"]


def test_what_is_checked_in_is_what_is_made() -> None:
    """``python -m monitoring`` writes it."""
    for path, text in MADE.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, path
    folder = ROOT / "docker" / "grafana" / "dashboards"
    assert {path.name for path in folder.iterdir()} == {f"{board.name}.json" for board in BOARDS}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.fault[:60])
def test_a_fault_that_somebody_has_to_mend_has_one_alert(fault: Fault) -> None:
    """Or the page says that it has none."""
    assert len(fault.alerts) == 1 or (not fault.alerts and fault.wakes_nobody), fault


def test_the_faults_are_those_of_all_tables() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert len({fault.section for fault in FAULTS}) == len(re.findall(r"^\| fault \|", page, re.MULTILINE)) == 5
    assert len(FAULTS) > 70


def test_every_alert_tells_of_a_fault_and_no_fault_names_one_that_is_none() -> None:
    """But for those by day about a promise that is broken slowly: their page is the promise's."""
    told = {name for fault in FAULTS for name in fault.alerts}
    slow = {alert.name for alert in ALERTS if "slo" in alert.labels and not alert.wakes}
    assert told == {alert.name for alert in ALERTS} - slow
    assert slow == {f"{alert.name}SlowBurn" for alert in ALERTS if "slo" in alert.labels and alert.wakes}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_has_happened_and_names_the_one_command_of_its_page(alert: Alert) -> None:
    assert alert.labels["severity"] in ("page", "ticket")
    assert set(alert.annotations) == {"summary", "description", "runbook"}
    page, _, section = alert.annotations["runbook"].partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    assert section == alert.name.lower()
    [own] = re.findall(rf"^## {alert.name}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert f"```sh\n{command_of(alert)}\n```" in own
    assert own.count("```sh") == 1


@pytest.mark.parametrize("command", sorted({command_of(alert) for alert in ALERTS}))
def test_the_command_is_one_that_there_is(command: str) -> None:
    program, *words = command.split()
    assert program == "boxoffice"
    found = get_command(app)
    while isinstance(found, TyperGroup):
        found = found.commands[words.pop(0)]
    with found.make_context(program, words):
        pass


def test_each_alert_and_each_panel_has_its_own_name() -> None:
    assert not [name for name, count in Counter(alert.name for alert in ALERTS).items() if count > 1]
    for board in BOARDS:
        titles = Counter(panel.title for row in board.rows for panel in row.panels)
        assert not [title for title, count in titles.items() if count > 1], board.name


@pytest.mark.parametrize(("place", "expr"), list(expressions()))
def test_every_metric_that_is_asked_for_is_one_that_is_served_with_these_labels(place: str, expr: str) -> None:
    there = known()
    asked = asked_for(expr)
    assert asked, place
    assert asked.keys() <= there.keys(), place
    for name, labels in asked.items():
        assert labels <= there[name], (place, name)
    computed = {"job"} if "label_replace" in expr else set()
    assert grouped_by(expr) <= set().union(*(there[name] for name in asked)) | computed, place


def test_names_are_found_in_an_expression_however_they_stand() -> None:
    expr = (
        "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) > bool 2 * b{x=\"y z\", q!~'' } "
        "or x:y:rate5m offset 1h unless on (job) c == 1 and time() - d"
    ).replace("''", '""')
    assert asked_for(expr) == {"a_bucket": set(), "b": {"x", "q"}, "x:y:rate5m": set(), "c": set(), "d": set()}
    assert grouped_by(expr) == {"le", "job"}
