"""A process that is told so kills itself at a named point, and at no other time."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from boxoffice.failpoints import Failpoint

PROGRAM = """
from boxoffice.failpoints import Failpoint, arm, passing
arm({armed!r})
for number in range(1, 4):
    passing(Failpoint.BEFORE_ACK)
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("armed", "passed", "status"),
    [
        ("", "1\n2\n3\n", 0),
        (f"{Failpoint.BEFORE_ACK}=kill@1", "", -signal.SIGKILL),
        (f"{Failpoint.LOADING}=kill@1,{Failpoint.BEFORE_ACK}=kill@3", "1\n2\n", -signal.SIGKILL),
        (f"{Failpoint.BEFORE_ACK}=kill@4", "1\n2\n3\n", 0),
        (f"{Failpoint.LOADING}=kill@1", "1\n2\n3\n", 0),
    ],
)
def test_it_dies_at_the_passing_that_was_asked_for(armed: str, passed: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(armed=armed)], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in ended.stdout.splitlines(keepends=True) if line.strip().isdigit()]
    assert ("".join(said), ended.returncode) == (passed, status)
    assert ("this process will kill itself" in ended.stdout) is bool(armed)
