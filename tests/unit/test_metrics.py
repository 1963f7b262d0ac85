"""docs/metrics.md names every metric, and no other."""

from __future__ import annotations

import re

from boxoffice import metrics
from models.facts import Fact, Reason
from tests.office import ROOT

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()


def documented() -> set[tuple[str, str, str, str]]:
    table = DOCUMENT.split("## Metrics")[1].split("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", table, re.MULTILINE)
    return {(name, kind, labels.replace("`", "").strip(), meaning) for name, kind, labels, meaning in rows}


def defined() -> set[tuple[str, str, str, str]]:
    found = set()
    for metric in metrics.defined():
        [described] = metric.describe()
        name = f"{described.name}_total" if described.type == "counter" else described.name
        found.add((name, described.type, ", ".join(metric._labelnames), described.documentation))
    return found


def test_the_document_names_every_metric_and_no_other() -> None:
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
