"""Servers that hang: a person is told what is waited for, soon that it was in vain, and can stop waiting."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from boxoffice.errors import ExitStatus
from tests.support.office import boxoffice_path

LOOKING = (["doctor"], ["topics", "show"], ["stats"], ["dead-letters", "list"], ["documents", "status"])
DEADLINE_S = 60


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which Kafka takes connections, and never answers; there is no Redis."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield {
            **os.environ,
            "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{server.getsockname()[1]}",
            "BOXOFFICE_REDIS_URL": "redis://127.0.0.1:1/0",
            "BOXOFFICE_DOCUMENTS_URL": (tmp_path / "documents").as_uri(),
            "TERM": "xterm",
        }


def _read_until(descriptor: int, text: str) -> str:
    """What comes until this text has come."""
    told, deadline_s = b"", monotonic() + DEADLINE_S
    while text.encode() not in told:
        assert monotonic() < deadline_s, told.decode()
        if select.select([descriptor], [], [], 0.1)[0]:
            told += os.read(descriptor, 4096)
    return told.decode()


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_on_a_terminal_it_is_said_at_once_what_is_waited_for(command: list[str], hanging: dict[str, str]) -> None:
    """And who stops waiting has seen nothing: that is no success."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([boxoffice_path(), *command], env=hanging, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    with child:
        _read_until(ours, f"waiting for Kafka at {hanging['BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS']}")
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        assert (child.stdout.read(), child.wait(DEADLINE_S)) == (b"", 128 + signal.SIGINT)
    os.close(ours)


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_elsewhere_it_is_said_once_it_takes_long(
    command: list[str], number: signal.Signals, hanging: dict[str, str]
) -> None:
    """In one line, beside the output; and a command that is stopped ends as others do."""
    child = subprocess.Popen(
        [boxoffice_path(), *command, "--json"], env=hanging, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        told = _read_until(child.stderr.fileno(), "\n")
        assert told.startswith("Waiting for ")
        assert hanging["BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS"] in told
        child.send_signal(number)
        assert child.stdout.read() == b""
        assert child.wait(DEADLINE_S) in (128 + number, -number)


def test_doctor_gives_a_server_up_that_hangs_and_looks_at_the_other(hanging: dict[str, str]) -> None:
    """After a time of its own: a process has more patience."""
    done = subprocess.run(
        [boxoffice_path(), "doctor", "--json"],
        env={**hanging, "BOXOFFICE_KAFKA_LOOK_TIMEOUT_MS": "1000", "BOXOFFICE_KAFKA_REQUEST_TIMEOUT_MS": "600000"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == ExitStatus.UNREACHABLE
    found = {finding["subject"]: finding["state"] for finding in json.loads(done.stdout)["findings"]}
    assert found == {"Redis": "unreachable", "Kafka": "unreachable"}
