"""Plant each deliberate defect in a copy of the tree, and see some test fail.

What became of each is written into docs/mutants.md; the rows of those that were not tried stay as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE
from time import monotonic
from typing import Final, NamedTuple

from tests.mutants.defects import DEFECTS, Defect

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = (
    "agents",
    "boxoffice",
    "lua",
    "models",
    "topics",
    "tests",
    "docs",
    "monitoring",
    "docker",
    "kubernetes",
    "pyproject.toml",
    "Procfile",
    "Makefile",
)
TIMEOUT_S: Final = 300
"""Of one file of tests."""
DOCUMENT: Final = ROOT / "docs" / "mutants.md"
WORDS: Final = """# Deliberate defects

What proves that the tests bite: each of these defects, planted in a copy of the tree, makes a test fail. `make mutants`
plants them all and writes this page; `python -m tests.mutants NAME` plants those whose names contain NAME, and writes
their rows. They are defined in `tests/mutants/defects.py`.

| defect | in | caught by | after |
|---|---|---|---:|
"""


class Outcome(NamedTuple):
    """What became of a tree: the first test that failed, None where all passed."""

    caught_by: str | None
    seconds: float


def main() -> int:
    """Returns the exit status: 1 if a defect was not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only the defects whose names contain one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    arguments = parser.parse_args()
    chosen = [defect for defect in DEFECTS if not arguments.names or any(n in defect.name for n in arguments.names)]
    harmless = without_defect({defect.tests for defect in chosen})
    if harmless.caught_by is not None:
        print(f"The tests fail without any defect: {harmless.caught_by}")  # noqa: T201  # a command's output
        return 1
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(planted, chosen))
    survivors = [defect.name for defect, outcome in zip(chosen, outcomes, strict=True) if outcome.caught_by is None]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} defects were caught.")  # noqa: T201
    write_document(zip(chosen, outcomes, strict=True))
    for name in survivors:
        print(f"Nobody noticed: {name}")  # noqa: T201
    return int(bool(survivors))


def write_document(tried: Iterable[tuple[Defect, Outcome]]) -> None:
    """Write the table of what caught each defect: the rows of those that were tried, beside the others'."""
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in _rows_before()}
    for defect, outcome in tried:
        caught_by = outcome.caught_by or "NOTHING"
        rows[defect.name] = f"| {defect.name} | `{defect.file}` | `{caught_by}` | {outcome.seconds:.0f} s |\n"
    written = (rows[defect.name] for defect in DEFECTS if defect.name in rows)
    DOCUMENT.write_text(WORDS + "".join(written), encoding="utf-8")


def _rows_before() -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    return text.partition("|---|---|---|---:|\n")[2].splitlines(keepends=True)


def without_defect(tests: set[str]) -> Outcome:
    """What the tests say of the tree as it is."""
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder))
        return _run(Path(folder), sorted(tests))


def planted(defect: Defect) -> Outcome:
    """What a defect's tests say of a tree that has it."""
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder))
        plant(defect, Path(folder))
        outcome = _run(Path(folder), [defect.tests])
    print(f"{outcome.seconds:4.0f} s  {defect.name}: {outcome.caught_by or 'NOT CAUGHT'}", flush=True)  # noqa: T201
    return outcome


def plant(defect: Defect, root: Path) -> None:
    """Put a defect into a tree.

    Raises:
        LookupError: its old text is not there exactly once.
    """
    path = root / defect.file
    text = path.read_text(encoding="utf-8")
    found = text.count(defect.old)
    if found != 1:
        raise LookupError(f"{defect.name}: {defect.file} has its old text {found} times")
    path.write_text(text.replace(defect.old, defect.new), encoding="utf-8")


def _copy(root: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)


def _run(root: Path, tests: Sequence[str]) -> Outcome:
    begun_s = monotonic()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True
    ) as running:
        try:
            stdout, stderr = running.communicate(timeout=TIMEOUT_S * len(tests))
        except subprocess.TimeoutExpired:
            # With the processes that it has started: they would go on for ever.
            os.killpg(running.pid, signal.SIGKILL)
            return Outcome(f"{tests[0]}, which does not end", monotonic() - begun_s)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", stdout, re.MULTILINE)
    if running.returncode and failed is None:
        raise RuntimeError(f"pytest could not run: {stdout[-2000:]}{stderr[-2000:]}")
    return Outcome(failed[1] if failed else None, monotonic() - begun_s)


if __name__ == "__main__":
    sys.exit(main())
