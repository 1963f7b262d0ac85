"""Each alert fires by its fault, alone, and is silent where all is well or something like it happens: by promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitoring.rules import FOLDER, Alert, alerts
from tests.support.faults_measured import MEASURED, PER_MINUTE, STEP_S, STEPS, WELL, Measured
from tests.support.inhibiting import CONFIGURATION, told

PROMTOOL = shutil.which("promtool")
ALERTS = {alert.name: alert for alert in alerts()}

LONG_MINUTES = 200

pytestmark = [pytest.mark.promtool, pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")]

Firing = Mapping[str, Mapping[str, str]]
"""The alerts that fire, by name, and the labels that their rules do not give them."""


def checked(series: Mapping[str, str | None], expected: Mapping[int, Firing], folder: Path) -> str:
    """What promtool complains of where at each of these minutes just these alerts should fire."""
    until = (max(expected) + 1) * PER_MINUTE
    values = {one: _cut(found, until) for one, found in {**WELL, **series}.items() if found is not None}
    test = {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": one, "values": found} for one, found in values.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alertname, "exp_alerts": _expected(alert, firing)}
            for minute, firing in expected.items()
            for alertname, alert in ALERTS.items()
        ],
    }
    rules = [str(path) for path in sorted(FOLDER.glob("*.yml"))]
    # Of hours every other minute is enough, and takes half of the time.
    every = "1m" if max(expected) < LONG_MINUTES else "2m"
    file = folder / "test.yml"
    # JSON is YAML too, and sooner written.
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": every, "tests": [test]}))
    command = [str(PROMTOOL), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _cut(values: str, steps: int) -> str:
    """What goes on until the end goes on no longer than anybody looks: promtool takes its time for each value."""
    return values.replace(f"x{STEPS}", f"x{steps}")


def _expected(alert: Alert, firing: Firing) -> list[dict[str, Any]]:
    if alert.name not in firing:
        return []
    return [{"exp_labels": {**alert.labels, **firing[alert.name]}, "exp_annotations": alert.annotations}]


def name(fault: Measured) -> str:
    """What a test about it is called."""
    return f"{fault.alert} {fault.what}".strip().replace(" ", "-")


def firing(fault: Measured) -> Firing:
    """All alerts that fire, also those that nobody is told of."""
    return {fault.alert: fault.labels, **{also: {} for also in fault.also}}


def around(minute: int) -> Iterable[int]:
    """Before it, then, and later."""
    return range(max(1, minute - 12), minute + 9, 2)


@pytest.mark.parametrize("fault", MEASURED, ids=name)
def test_by_its_fault_an_alert_fires_and_no_other(fault: Measured, tmp_path: Path) -> None:
    assert checked(fault.fault, {fault.by_minute: firing(fault)}, tmp_path) == ""


@pytest.mark.parametrize("fault", MEASURED, ids=name)
def test_somebody_is_told_of_a_fault_once(fault: Measured) -> None:
    labels = [{"alertname": one, **ALERTS[one].labels, **own} for one, own in firing(fault).items()]
    assert [one["alertname"] for one in told(labels)] == [fault.alert]


@pytest.mark.parametrize("fault", [one for one in MEASURED if one.near], ids=name)
def test_by_something_like_its_fault_no_alert_fires(fault: Measured, tmp_path: Path) -> None:
    assert checked(fault.near, {minute: {} for minute in around(fault.by_minute)}, tmp_path) == ""


def test_no_alert_fires_where_all_is_well(tmp_path: Path) -> None:
    assert checked({}, {minute: {} for minute in (1, 2, 5, 20, 61, 120, 300, 539)}, tmp_path) == ""


def test_every_alert_has_a_fault_by_which_it_was_seen_to_fire() -> None:
    assert {fault.alert for fault in MEASURED} == ALERTS.keys()


def test_promtool_finds_fault_with_no_file() -> None:
    rules: Sequence[str] = [str(path) for path in sorted(FOLDER.glob("*.yml"))]
    for arguments in (["check", "rules", *rules], ["check", "config", str(FOLDER.parent / "prometheus.yml")]):
        done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_finds_no_fault_with_who_is_told() -> None:
    command = [shutil.which("amtool") or "amtool", "check-config", str(CONFIGURATION)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
