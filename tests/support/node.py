"""Modules of the pages, run by node: with what a browser has around them, as far as a test says."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

NODE: Final = shutil.which("node")
PAGES: Final = Path(__file__).parents[2] / "boxoffice" / "live" / "pages"

needs_node: Final = (
    pytest.mark.toolchain,
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
)


_GIVEN: Final = 'import { readFileSync } from "node:fs"; const given = JSON.parse(readFileSync(0, "utf8"));'


def run(script: str, module: str, *arguments: Any) -> Any:
    """What a script prints as JSON; ``given`` are the address of a module of the pages, and the arguments."""
    assert NODE is not None
    command = [NODE, "--input-type=module", "--eval", _GIVEN + script]
    given = json.dumps([(PAGES / module).as_uri(), *arguments])
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
