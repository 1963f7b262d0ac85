"""docs/metrics.md names every metric, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from boxoffice import metrics
from models.reasons import Reason
from models.shapes import Fact
from tests.support.office import ROOT

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
HAS_PROC = Path("/proc/stat").exists()
"""Where it is not, nothing is known of a process' memory and files."""


class Metric(NamedTuple):
    """A metric as it is exposed, and by which processes."""

    name: str
    kind: str
    labels: frozenset[str]
    processes: frozenset[str]
    meaning: str


def documented() -> set[Metric]:
    """What docs/metrics.md names."""
    table = DOCUMENT.split("## Metrics")[1].split("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| (.*) \|$", table, re.MULTILINE)
    return {
        Metric(name, kind, _names(labels.replace("`", "")), _names(processes), meaning)
        for name, kind, labels, processes, meaning in rows
        if HAS_PROC or not name.startswith("process_")
    }


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.replace(",", " ").split())


def defined() -> set[Metric]:
    """What the processes serve: our own metrics, and those of the client's collectors."""
    labels = ours()
    processes: dict[tuple[str, str, frozenset[str], str], set[str]] = {}
    for process, registry in metrics.REGISTRIES.items():
        for found in registry.collect():
            name = f"{found.name}_total" if found.type == "counter" else found.name
            named = labels.get(found.name, frozenset(label for one in found.samples for label in one.labels))
            processes.setdefault((name, found.type, named, found.documentation), set()).add(process)
    return {Metric(*key[:3], frozenset(serving), key[3]) for key, serving in processes.items()}


def ours() -> dict[str, frozenset[str]]:
    """The labels of each metric that is defined here, by its name without ``_total``."""
    defined = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    return {described.name: frozenset(metric._labelnames) for metric in defined for described in metric.describe()}


def test_every_metric_is_served_by_some_process() -> None:
    served = {found.name for registry in metrics.REGISTRIES.values() for found in registry.collect()}
    assert ours().keys() <= served


def test_the_document_names_every_metric_and_no_other_and_who_serves_it() -> None:
    assert documented() == defined()


def test_a_batch_is_counted_by_outcome_reason_and_decider() -> None:
    rejected: Fact = {
        "type": "purchase_rejected",
        "event_id": "1",
        "seq": 2,
        "request_id": "r",
        "reason": Reason.SOLD_OUT,
        "buyer": "b",
        "quantity": 1,
        "source": {"partition": 0, "offset": 1},
        "at": "2026-11-22T10:00:00.000Z",
        "decided_by": "redis",
    }
    series = metrics.DECISIONS.labels("purchase_rejected", "sold_out", "redis")
    before = series._value.get()
    metrics.count_decisions([rejected, rejected])
    assert series._value.get() == before + 2


def test_what_is_told_together_is_what_would_have_been_told_one_by_one() -> None:
    bounds = (0.1, 1, 10)
    amounts = (0.0, 0.1, 0.100001, 0.5, 1, 9.99, 10, 11, 1e9)
    one_by_one, together = (Histogram(name, "x", buckets=bounds, registry=None) for name in ("a", "b"))
    gathered = metrics.Gathered(together)
    for _ in range(2):
        for amount in amounts:
            one_by_one.observe(amount)
            gathered.observe(amount)
        gathered.tell()
        assert _values(together) == _values(one_by_one)
    gathered.tell()
    assert _values(together) == _values(one_by_one)


def _values(histogram: Histogram) -> list[tuple[str, str, float]]:
    [metric] = histogram.collect()
    return [(one.name.partition("_")[2], one.labels.get("le", ""), round(one.value, 6)) for one in metric.samples]


def test_no_metric_is_counted_by_whoever_writes_them() -> None:
    """That is another thread, and what is counted changes under it."""
    sources = [path for folder in ("boxoffice", "agents") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in sources if ".set_function(" in path.read_text(encoding="utf-8")] == []
