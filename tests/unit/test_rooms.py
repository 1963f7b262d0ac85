"""The house: each room has its place in the order of imports, and no room is too full to be read."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from boxoffice.batching import BatchOptions
from boxoffice.kafka.topics import MOST_BATCH_BYTES

PROJECT = Path(__file__).parents[2]
PRODUCT = ("agents", "topics", "models", "lua", "boxoffice")
FOUNDATION = {"__init__", "errors", "logs", "metrics", "tasks", "failpoints"}
MOST_LINES = 500
MOST_LINES_OF_AN_AGENT = 60


def _layers() -> set[str]:
    config: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    [contract] = [found for found in config["tool"]["importlinter"]["contracts"] if found["type"] == "layers"]
    return {room for layer in contract["layers"] for room in layer.split(" | ")}


def test_every_room_has_its_place_in_the_order_of_imports() -> None:
    folders = {f"boxoffice.{path.parent.name}" for path in (PROJECT / "boxoffice").glob("*/__init__.py")}
    files = {f"boxoffice.{name}" for name in FOUNDATION - {"__init__"}}
    assert _layers() == folders | files | {"agents", "topics", "models", "lua"}


def test_what_everyone_stands_on_lies_in_the_house_itself_and_nothing_else_does() -> None:
    assert {path.stem for path in (PROJECT / "boxoffice").glob("*.py")} == FOUNDATION


def test_no_file_is_too_long_to_be_read_at_a_sitting() -> None:
    lines = {
        str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8").count("\n")
        for folder in PRODUCT
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in {".py", ".lua"}
    }
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}
    agents = {path: count for path, count in lines.items() if path.startswith("agents/")}
    assert {path: count for path, count in agents.items() if count >= MOST_LINES_OF_AN_AGENT} == {}


def test_who_looks_at_topics_does_not_load_faust() -> None:
    """It takes a quarter of a second, of each command on the command line."""
    looks = "import sys, boxoffice.kafka.topics; sys.exit('faust' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looks], cwd=PROJECT, check=False).returncode == 0
    assert BatchOptions.max_batch_bytes == MOST_BATCH_BYTES
