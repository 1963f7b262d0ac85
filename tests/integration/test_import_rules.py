"""The import rules bite: each wrong import, put into a copy of the source, is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("agents", "topics", "models", "lua", "boxoffice")

WRONG: Final = {
    # From each floor to the one above it
    "models.ledger": "topics.purchase_results",
    "topics.event_stats": "lua.keys",
    "lua.keys": "boxoffice.errors",
    "boxoffice.errors": "boxoffice.settings",
    "boxoffice.settings.groups": "boxoffice.logs",
    "boxoffice.logs": "boxoffice.batching.stages",
    "boxoffice.tracing.sampling": "boxoffice.kafka.clients",
    "boxoffice.batching.consumer": "boxoffice.kafka.clients",
    "boxoffice.redis.store": "boxoffice.process.health",
    "boxoffice.process.health": "boxoffice.selling.copies",
    "boxoffice.selling.copies": "boxoffice.audit.report",
    "boxoffice.audit.report": "boxoffice.operating.doctor",
    "boxoffice.operating.doctor": "agents.stats",
    "boxoffice.operating.findings": "boxoffice.live.hub",
    "boxoffice.live.framing": "agents.live",
    "boxoffice.statistics.states": "boxoffice.gateway.events",
    "agents.stats": "boxoffice.demo.script",
    "boxoffice.demo.script": "boxoffice.cli.tables",
    # Between rooms of one floor
    "boxoffice.tracing.opening": "boxoffice.logs",
    "boxoffice.kafka.clients": "boxoffice.redis.connection",
    "boxoffice.documents.making": "boxoffice.selling.recovery",
    "boxoffice.statistics.counting": "boxoffice.documents.making",
    "boxoffice.door.keys": "boxoffice.process.worker",
    "boxoffice.storage.store": "boxoffice.rendering.tickets",
    # Out of the batch path, which is to be lifted out alone
    "boxoffice.batching.stages": "boxoffice.tasks",
    "boxoffice.batching.records": "models.facts",
    "boxoffice.batching.producer": "boxoffice.tracing",
    # The embedded servers are parts
    "boxoffice.embedded.ports": "boxoffice.settings",
    # OpenTelemetry, which need not be installed
    "boxoffice.selling.publishing": "opentelemetry",
    # Infrastructure in the rules
    "models.inventory": "redis",
    "models.codes": "cryptography",
}


def test_each_wrong_import_is_found(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for importer, imported in WRONG.items():
        with (tmp_path / f"{importer.replace('.', '/')}.py").open("a", encoding="utf-8") as source:
            source.write(f"\nimport {imported}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    told = {f"{importer} -> {imported}" for importer, imported in WRONG.items()}
    assert {line for line in told if line not in done.stdout} == set(), done.stdout
