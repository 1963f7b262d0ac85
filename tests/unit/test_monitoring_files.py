"""What is given to Prometheus, Alertmanager and Grafana fits together, and to the processes."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from boxoffice import metrics
from boxoffice.gateway.haproxy import METRICS_PORT
from boxoffice.settings import load_settings
from monitoring.files import files
from monitoring.rules import alerts, rules
from tests.support.inhibiting import CONFIGURATION
from tests.support.office import ROOT

DOCKER = ROOT / "docker"
PROMETHEUS = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
JOBS = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
BOARDS = {path: json.loads(text) for path, text in files().items() if path.endswith(".json")}


def expressions() -> list[str]:
    """Every expression of rules and dashboards."""
    panels = [panel for board in BOARDS.values() for panel in board["panels"]]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [rule["expr"] for rule in rules()] + asked


def test_every_process_is_scraped_on_its_health_port_and_haproxy_on_its_own() -> None:
    """By its name on the network."""
    found = {name: job["dns_sd_configs"] for name, job in JOBS.items() if "dns_sd_configs" in job}
    health_port = load_settings().process.health_port
    expected = {**dict.fromkeys(metrics.REGISTRIES, health_port), "haproxy": METRICS_PORT, "node": 9100}
    assert found == {job: [{"names": [job], "type": "A", "port": port}] for job, port in expected.items()}


def test_rules_and_dashboards_know_only_jobs_that_are_scraped() -> None:
    named = {
        name for expr in expressions() for names in re.findall(r'job=~?"([^"]+)"', expr) for name in names.split("|")
    }
    assert named <= JOBS.keys()
    assert set(metrics.REGISTRIES) <= named


def test_the_rules_are_read_from_where_they_lie() -> None:
    [pattern] = PROMETHEUS["rule_files"]
    assert {path.name for path in (DOCKER / "prometheus").glob(pattern)} == {"faults.yml", "objectives.yml"}


def test_each_panel_asks_the_data_source_that_grafana_is_given() -> None:
    provisioned = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())
    [source] = provisioned["datasources"]
    asked: list[dict[str, Any]] = [
        each["datasource"]
        for board in BOARDS.values()
        for panel in board["panels"]
        if panel["type"] != "row"
        for each in (panel, *panel["targets"])
    ]
    assert {(one["type"], one["uid"]) for one in asked} == {(source["type"], source["uid"])}
    # What is less than four scrapes has no rate, and Grafana has to know how long one takes.
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


def test_who_is_left_out_and_what_for_are_alerts_that_there_are() -> None:
    """A name that is misspelt would leave out nobody."""
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    matchers = [
        matcher
        for rule in configuration["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        if matcher.startswith("alertname")
    ]
    names = [alert.name for alert in alerts()]
    patterns = [one for matcher in matchers for one in re.findall(r'"(.+)"', matcher)[0].split("|")]
    assert [one for one in patterns if not any(re.fullmatch(one, name) for name in names)] == []
    assert {receiver["name"] for receiver in configuration["receivers"]} == {
        alert.labels["severity"] for alert in alerts()
    }
