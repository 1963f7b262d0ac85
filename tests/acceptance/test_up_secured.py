"""``boxoffice up --brokers 3 --secure``: a person starts it, becomes its operator by one line, and sells."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from boxoffice.embedded.redis import program_with_tls
from boxoffice.errors import ExitStatus
from tests.support.office import boxoffice_path

PATIENCE_S = 180
CREATE = ("--name", "Night", "--venue", "Hall", "--starts-at", "2027-03-01T19:30:00Z", "--price", "45.00")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


class Stack:
    """The command, and a shell in another terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stack of mine"
        self._log = folder / "up.log"
        words = ("up", "--brokers", "3", "--secure", "--wipe", "--folder", str(self.folder))
        with self._log.open("w") as log:
            self._child = subprocess.Popen([boxoffice_path(), *words], stdout=log, stderr=log, env=_environment())

    def log_text(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until it has printed this so many times."""
        ends_s = monotonic() + PATIENCE_S
        while self.log_text().count(text) < count:
            assert self._child.poll() is None, self.log_text()
            assert monotonic() < ends_s, self.log_text()
            sleep(0.1)

    @property
    def line(self) -> str:
        """What is to be typed in another terminal."""
        [line] = [line for line in self.log_text().splitlines() if line.startswith(". ")]
        return line

    def shell(self, *words: str, status: int = 0) -> str:
        """Type the line, and then a command."""
        typed = f"{self.line} && exec {shlex.join([boxoffice_path(), *words])}"
        done = subprocess.run(
            ["/bin/sh", "-c", typed], env=_environment(), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout

    def descendants(self) -> list[psutil.Process]:
        """All that it has started."""
        return psutil.Process(self._child.pid).children(recursive=True)

    def end(self) -> int:
        """Ctrl-C."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
        return self._child.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """End it if a test did not."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    started = Stack(tmp_path)
    yield started
    started.kill()


def test_a_secured_cluster_is_started_sells_through_the_loss_of_a_broker_and_leaves_nothing_behind(
    stack: Stack,
) -> None:
    stack.wait_for("partitions ready", 3)
    stack.wait_for("the live process listens")
    passwords = json.loads((stack.folder / "security" / "passwords.json").read_text())
    seen = [word for one in stack.descendants() for word in one.cmdline()]
    assert not [word for word in seen if any(password in word for password in passwords.values())]
    assert not [password for password in passwords.values() if password in stack.log_text()]

    stack.shell("event", "create", "42", *CREATE, "--currency", "EUR", "--capacity", "100", "--timeout", "60")
    stack.shell("buy", "42", "2", "--buyer", "b-1", "--timeout", "60")
    topics = json.loads(stack.shell("topics", "show", "--json"))
    assert {(topic["state"], topic["replicas"]) for topic in topics} == {("as needed", 3)}
    stack.shell("topics", "acls", "--set", status=ExitStatus.REJECTED)
    stack.shell("ticket", "42-000001", "--wait", "60", "--out", str(stack.folder.parent / "ticket.pdf"))
    if program_with_tls() is not None:
        assert "rediss://" in stack.shell("settings")

    [broker] = [one for one in stack.descendants() if one.cwd().endswith("broker-2")]
    broker.kill()
    for number in range(3):
        stack.shell("buy", "42", "1", "--buyer", f"b-{number}", "--timeout", "60")
    stack.shell("audit", "--wait", "60")

    folder = stack.folder
    assert stack.end() == ExitStatus.OK
    assert not (folder / "operator.env").exists()
    assert not (folder / "security").exists()
    assert not list(folder.glob("kafka*"))
