"""The files that are made here, and checked in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.alerts_page import alerts_page
from monitoring.dashboards import BOARDS
from monitoring.kubernetes import prometheus_rule

ROOT: Final = Path(__file__).parents[1]


def files() -> dict[str, str]:
    """The text of every file, by its path."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    boards = {f"docker/grafana/dashboards/{board.name}.json": encoder.encode(board.build()) + "\n" for board in BOARDS}
    rules = {"kubernetes/components/monitoring/rules.yaml": prometheus_rule()}
    return {**boards, **rules, "docs/alerts.md": alerts_page()}


def write() -> None:
    """Write all of them."""
    for path, text in files().items():
        (ROOT / path).write_text(text, encoding="utf-8")
