"""Every panel's query is one that Prometheus understands, and shows something where every series is there: by promtool.

Whether the series are there, on real processes, is another matter: tests/acceptance/test_monitoring.py.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from boxoffice import metrics
from monitoring.files import files
from monitoring.rules import FOLDER
from tests.unit.test_alerts import OTHERS, TARGET
from tests.unit.test_metrics import defined

PROMTOOL: Final = shutil.which("promtool")
BOUNDS: Final = ("0.5", "1.0", "+Inf")
SCRAPES: Final = 160
RATE_INTERVAL: Final = "1m"
AT: Final = "35m"

pytestmark = [pytest.mark.promtool, pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")]


def queries() -> list[str]:
    """Every panel's, as Grafana would send them."""
    boards = [json.loads(text) for path, text in files().items() if path.endswith(".json")]
    targets = [target for board in boards for panel in board["panels"] for target in panel.get("targets", ())]
    return [target["expr"].replace("$__rate_interval", RATE_INTERVAL) for target in targets]


def asked_values(asked: Iterable[str]) -> dict[str, set[str]]:
    """The values that are asked for, by label."""
    found: defaultdict[str, set[str]] = defaultdict(lambda: {"other"})
    for expr in asked:
        for label, values in re.findall(r'(\w+)=~?"([^"]+)"', expr):
            found[label].update(values.split("|"))
    return found


def series(asked: Iterable[str]) -> dict[str, str]:
    """One of each kind that there can be, with a value for each scrape."""
    of_label = asked_values(asked)
    found: dict[str, str] = {}

    def put(name: str, labels: Iterable[str], jobs: Iterable[str], *, grows: bool) -> None:
        own = sorted(set(labels) - TARGET)
        for job in jobs:
            for values in product(*(BOUNDS if label == "le" else sorted(of_label[label]) for label in own)):
                pairs = [*zip(own, values, strict=True), ("job", job), ("instance", f"{job}-1")]
                written = ",".join(f'{label}="{value}"' for label, value in pairs)
                found[f"{name}{{{written}}}"] = f"1+1x{SCRAPES}" if grows else f"1x{SCRAPES}"

    for metric in defined():
        if metric.kind == "histogram":
            put(f"{metric.name}_bucket", {*metric.labels, "le"}, metric.processes, grows=True)
            put(f"{metric.name}_sum", metric.labels, metric.processes, grows=True)
            put(f"{metric.name}_count", metric.labels, metric.processes, grows=True)
        else:
            put(metric.name, metric.labels, metric.processes, grows=metric.kind == "counter")
    for name, labels in OTHERS.items():
        put(name, labels, [*metrics.REGISTRIES, "haproxy"], grows=name.endswith("_total"))
    return found


def test_every_query_is_understood_and_shows_something(tmp_path: Path) -> None:
    """Since promtool is told to expect nothing, it tells of each that shows something."""
    asked = queries()
    test = {
        "interval": "15s",
        "input_series": [{"series": one, "values": values} for one, values in series(asked).items()],
        "promql_expr_test": [{"expr": expr, "eval_time": AT, "exp_samples": []} for expr in asked],
    }
    rules = [str(path) for path in sorted(FOLDER.glob("*.yml"))]
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    shown = {json.loads(f'"{expr}"') for expr in re.findall(r'expr: "((?:[^"\\]|\\.)*)".*?\n\s+exp:', told)}
    assert [expr for expr in asked if expr not in shown] == []
    assert not re.search(r"\berr(or)?:|NaN", told), told
