"""The alerts, as docker/prometheus/rules has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[1] / "docker" / "prometheus" / "rules"


@dataclass(frozen=True)
class Alert:
    """One rule that tells somebody."""

    name: str
    expr: str
    for_: str
    """How long it has to be so before anybody is told; empty where at once."""
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def wakes(self) -> bool:
        """Whether somebody is woken by it."""
        return self.labels["severity"] == "page"


def rules() -> list[dict[str, Any]]:
    """Every rule, alerts and those that are only recorded, as they stand in the files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Every alert, in the order of the files."""
    return [
        Alert(rule["alert"], rule["expr"], rule.get("for", ""), rule["labels"], rule["annotations"])
        for rule in rules()
        if "alert" in rule
    ]
