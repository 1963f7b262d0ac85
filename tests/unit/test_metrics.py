"""docs/metrics.md names every metric, and no other."""

from __future__ import annotations

import re
from typing import NamedTuple

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from boxoffice import metrics
from models.facts import Fact, Reason
from tests.support.office import ROOT

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
ALL = "purchases documents stats"


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
        Metric(name, kind, _names(labels.replace("`", "")), _names(processes.replace("all", ALL)), meaning)
        for name, kind, labels, processes, meaning in rows
    }


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.replace(",", " ").split())


def defined() -> set[Metric]:
    found = set()
    for metric in vars(metrics).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        [described] = metric.describe()
        name = f"{described.name}_total" if described.type == "counter" else described.name
        processes = {
            process
            for process, registry in metrics.REGISTRIES.items()
            if described.name in {collected.name for collected in registry.collect()}
        }
        labels = frozenset(metric._labelnames)
        found.add(Metric(name, described.type, labels, frozenset(processes), described.documentation))
    return found


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
