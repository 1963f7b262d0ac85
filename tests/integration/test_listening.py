"""Where a process cannot serve its health, it says so in one sentence, and does not begin."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from boxoffice.cli.stack import Process
from boxoffice.door.ring_file import create_if_missing
from boxoffice.errors import ExitStatus
from tests.support.office import boxoffice_path

ADDRESSES = [("nonexistent.invalid", "0"), ("192.0.2.1", "9464"), ("a..b", "0"), ("x" * 300, "0")]
SERVERS = [*(["run", process] for process in Process), ["audit", "--every", "60"]]


@pytest.mark.parametrize(("host", "port"), ADDRESSES, ids=["no name", "not ours", "no label", "too long"])
@pytest.mark.parametrize("command", SERVERS, ids=lambda command: command[-1])
def test_a_health_address_that_cannot_be_used_is_named(
    command: list[str], host: str, port: str, tmp_path: Path
) -> None:
    ring = tmp_path / "door-keys.json"
    create_if_missing(ring)
    given = {"BOXOFFICE_HEALTH_HOST": host, "BOXOFFICE_HEALTH_PORT": port, "BOXOFFICE_DOOR_KEYS": str(ring)}
    done = subprocess.run(
        [boxoffice_path(), *command],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitStatus.USAGE, done.stderr
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("BOXOFFICE_HEALTH_HOST and BOXOFFICE_HEALTH_PORT name ")
    assert f"{host}:{port}" in sentence
