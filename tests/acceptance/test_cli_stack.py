"""``up`` and ``demo``: servers and processes that come together, are found, and go together."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from boxoffice.embedded.ports import free_port
from boxoffice.errors import ExitStatus
from boxoffice.gateway.haproxy import haproxy_program
from tests.support.office import boxoffice_path

READY_DEADLINE_S = 60
STOP_DEADLINE_S = 20
DEMO_DEADLINE_S = 300
"""What nobody pays for in the demo is held for a minute."""
AT_ONCE_S = 3
CREATE = ("--name", "Night", "--venue", "Hall", "--starts-at", "2027-03-01T19:30:00Z", "--price", "45.00")

pytestmark = pytest.mark.slow


class Running:
    """A command of the command line that goes on, in the foreground of nobody."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log_path = folder / f"{arguments[0]}.log"
        with self._log_path.open("w") as log:
            self._child = subprocess.Popen([boxoffice_path(), *arguments], stdout=log, stderr=log, env=_environment())
        self._descendants: set[psutil.Process] = set()

    def log_text(self) -> str:
        """What it has printed."""
        return self._log_path.read_text()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until it has printed ``text`` so many times."""
        _until(lambda: self.log_text().count(text) >= count, READY_DEADLINE_S, self.log_text)

    def exported(self) -> dict[str, str]:
        """The variables that it says another terminal needs."""
        return dict(re.findall(r"^export (\w+)=(.*)$", self.log_text(), re.MULTILINE))

    def curls(self) -> list[list[str]]:
        """The words of the commands that it says for callers over HTTP."""
        return [shlex.split(line) for line in self.log_text().splitlines() if line.startswith("curl ")]

    def boxoffice(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in another terminal."""
        return subprocess.run(
            [boxoffice_path(), *arguments],
            env={**_environment(), **self.exported()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def process(self, *words: str) -> psutil.Process:
        """The descendant with these words in its command."""
        return next(one for one in self._look() if set(words) <= set(one.cmdline()))

    def end(self, *signals: signal.Signals, within_s: float = STOP_DEADLINE_S) -> int:
        """Send it these signals; returns its exit status, when none of its descendants is left."""
        self._look()
        for number in signals:
            self._child.send_signal(number)
            sleep(0.1)
        status = self._child.wait(timeout=within_s)
        _until(lambda: not any(one.is_running() for one in self._descendants), AT_ONCE_S, lambda: "left behind")
        return status

    def wait(self, deadline_s: float = READY_DEADLINE_S) -> int:
        """Wait for its own end."""
        return self._child.wait(timeout=deadline_s)

    def kill(self) -> None:
        """End it if a test did not."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _look(self) -> set[psutil.Process]:
        self._descendants |= set(psutil.Process(self._child.pid).children(recursive=True))
        return {one for one in self._descendants if one.is_running()}


def _environment() -> dict[str, str]:
    """No settings but one: a worker that was killed is missed sooner."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
    return {**others, "BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS": "3000", "BOXOFFICE_KAFKA_HEARTBEAT_INTERVAL_MS": "500"}


def _until(condition: Callable[[], bool], within_s: float, told: Callable[[], str]) -> None:
    deadline_s = monotonic() + within_s
    while not condition():
        assert monotonic() < deadline_s, told()
        sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _curl(words: list[str], request: str = "") -> tuple[int, Any]:
    """What curl would do with these words, with the key of another request if one is given."""
    headers = dict(word.split(": ", 1) for before, word in pairwise(words) if before == "-H")
    if request:
        headers["Idempotency-Key"] = request
    asked = Request(words[-1], words[words.index("-d") + 1].encode(), headers)  # noqa: S310  # our own
    try:
        with urlopen(asked, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except HTTPError as refused:
        return refused.code, json.loads(refused.read())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts commands that go on."""
    started: list[Running] = []

    def begin(*arguments: str) -> Running:
        started.append(Running(tmp_path, *arguments))
        return started[-1]

    yield begin
    for one in started:
        one.kill()


def test_up_sells_where_it_says_heals_and_takes_everything_along(start: Callable[..., Running], tmp_path: Path) -> None:
    kafka_port, redis_port = free_port(), free_port()
    ports = ("--kafka-port", str(kafka_port), "--redis-port", str(redis_port))
    up = start("up", "--folder", str(tmp_path / "stack"), *ports)
    up.wait_for("partitions ready")
    assert up.exported() == {
        "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}",
        "BOXOFFICE_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "BOXOFFICE_DOCUMENTS_URL": (tmp_path / "stack" / "documents").as_uri(),
        "BOXOFFICE_DOOR_KEYS": str(tmp_path / "stack" / "door-keys.json"),
    }
    assert up.boxoffice("event", "create", "42", *CREATE, "--capacity", "9").returncode == ExitStatus.OK
    assert up.boxoffice("buy", "42", "2").stdout.startswith("Sold 42-000001, 42-000002 ")

    up.process("run", "purchases").kill()
    up.wait_for("starts again in")
    assert up.boxoffice("buy", "42", "1", "--timeout", "40").stdout.startswith("Sold 42-000003 ")
    assert up.boxoffice("audit").returncode == ExitStatus.OK

    assert up.end(signal.SIGTERM) == ExitStatus.OK
    assert not _listens(kafka_port)
    assert not _listens(redis_port)
    assert "Traceback" not in up.log_text()

    again = start("up", "--folder", str(tmp_path / "stack"), *ports)
    again.wait_for("partitions ready")
    assert again.boxoffice("buy", "42", "1").stdout.startswith("Sold 42-000004 ")
    assert again.boxoffice("audit").returncode == ExitStatus.OK
    assert again.end(signal.SIGINT) == ExitStatus.OK


SELLING = "kafka,redis,purchases,gateway"


def test_up_sells_over_http_with_a_key_that_it_says_and_keeps(start: Callable[..., Running], tmp_path: Path) -> None:
    port = free_port()
    arguments = ("up", "--only", SELLING, "--folder", str(tmp_path / "stack"), "--gateway-port", str(port))
    up = start(*arguments)
    up.wait_for("the gateway listens")
    up.wait_for("partitions ready")
    create, buy = first = up.curls()
    assert {words[-1].split("/v1")[0] for words in first} == {f"http://127.0.0.1:{port}"}
    assert _curl(create)[1]["type"] == "event_created"
    status, fact = _curl(buy)
    assert (status, fact["tickets"]) == (201, ["42-000001", "42-000002"])
    kept = tmp_path / "stack" / "gateway-keys.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert up.boxoffice("doctor", "--json").returncode == ExitStatus.OK
    assert up.end(signal.SIGINT) == ExitStatus.OK
    assert not _listens(port)

    again = start(*arguments)
    again.wait_for("the gateway listens")
    again.wait_for("partitions ready")
    assert again.curls() == first
    status, repeated = _curl(buy)
    assert (status, repeated["tickets"]) == (201, fact["tickets"])
    assert again.end(signal.SIGINT) == ExitStatus.OK


@pytest.mark.haproxy
@pytest.mark.skipif(haproxy_program() is None, reason="haproxy is not installed")
def test_up_sells_through_haproxy_whichever_gateway_dies(start: Callable[..., Running], tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    up = start("up", "--wipe", "--only", SELLING, "--folder", str(folder), "--gateways", "2")
    up.wait_for("the gateway listens", 2)
    up.wait_for("partitions ready")
    create, buy = up.curls()
    assert "haproxy before 2 gateways" in up.log_text()
    assert _curl(create)[0] == 201
    for number in range(20):
        if number == 5:
            up.process("run", "gateway").kill()
        status, told = _curl(buy, f"r-{number}")
        assert status == 201, told
    up.wait_for("the gateway listens", 3)
    assert up.boxoffice("audit").returncode == ExitStatus.OK
    assert up.end(signal.SIGTERM) == ExitStatus.OK
    assert not [path.name for path in folder.iterdir() if path.name in ("haproxy", "gateway-keys.json")]


def test_up_ends_at_once_at_the_second_signal(start: Callable[..., Running], tmp_path: Path) -> None:
    up = start("up", "--wipe", "--folder", str(tmp_path / "stack"))
    up.wait_for("partitions ready")
    # A process that is stopped cannot end in order.
    up.process("run", "purchases").suspend()
    assert up.end(signal.SIGINT, signal.SIGINT, within_s=AT_ONCE_S) == 128 + signal.SIGINT


def test_up_starts_only_what_it_is_asked_for(start: Callable[..., Running], tmp_path: Path) -> None:
    up = start("up", "--only", "redis", "--folder", str(tmp_path / "stack"))
    up.wait_for("Ctrl-C stops")
    [variable] = up.exported()
    assert variable == "BOXOFFICE_REDIS_URL"
    assert up.end(signal.SIGTERM) == ExitStatus.OK


def test_up_keeps_everything_in_a_folder_of_any_name_and_says_so_in_any_encoding(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka, Redis and the documents, in a relative one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    up = start("up", "--folder", "./bü, r:o 🎫")
    up.wait_for("partitions ready")
    assert up.boxoffice("event", "create", "42", *CREATE, "--capacity", "9").returncode == ExitStatus.OK
    assert up.boxoffice("buy", "42", "1").stdout.startswith("Sold 42-000001 ")
    fetched = up.boxoffice("ticket", "42-000001", "--wait", "30", "--out", "ü.pdf")
    assert fetched.returncode == ExitStatus.OK, fetched.stderr
    assert (tmp_path / "ü.pdf").read_bytes().startswith(b"%PDF-")
    assert up.end(signal.SIGINT) == ExitStatus.OK
    assert f"the data is kept in {tmp_path}/b\\u00fc, r:o \\ud83c\\udfab." in up.log_text()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"bü, r:o 🎫"}


@pytest.mark.parametrize("place", ["file", "file/below"])
@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_folder_that_cannot_be_used_is_named(
    start: Callable[..., Running], tmp_path: Path, command: str, place: str
) -> None:
    (tmp_path / "file").touch()
    started = start(command, "--folder", str(tmp_path / place))
    assert started.wait() == ExitStatus.USAGE
    assert f"Servers cannot keep their data in {tmp_path / place} (" in started.log_text()
    assert "Traceback" not in started.log_text()


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}], ids=str)
def test_up_is_coloured_where_somebody_wants_it(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Both what it says itself and the lines of its processes."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    up = start("up", "--only", "stats")
    up.wait_for("waiting for Kafka")
    assert ("\x1b[" in up.log_text()) == (variables == {"FORCE_COLOR": "1"})
    assert up.end(signal.SIGINT) == ExitStatus.OK


def test_up_says_in_a_sentence_that_a_port_is_taken(start: Callable[..., Running], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = start("up", "--folder", str(tmp_path / "stack"), "--redis-port", str(port))
        assert up.wait() == ExitStatus.UNREACHABLE
    assert f"127.0.0.1:{port}" in up.log_text()
    assert "Traceback" not in up.log_text()


@pytest.mark.timeout(DEMO_DEADLINE_S + STOP_DEADLINE_S)
def test_the_demo_sells_a_thousand_tickets_and_audits_them(start: Callable[..., Running]) -> None:
    demo = start("demo", "--seed", "7")
    status = demo.wait(DEMO_DEADLINE_S)
    told = demo.log_text()
    assert status == ExitStatus.OK, told
    counted = dict(re.findall(r"^ +(\S[^\d\n]*?) {2,}(\d+) *$", told, re.MULTILINE))
    wanted = {
        "of these over HTTP": 910,
        "purchases cancelled": 40,
        "cancelled in part": 10,
        "payments told twice, used once": 20,
        "tickets held": 0,
        "repeats answered the same": 130,
        "forwarded to their home": 100,
        "dead-lettered": 25,
        "tickets left": 0,
        "tickets with a document": 1000,
        "tickets sold by statistics": 1000,
        "rejected: over_order_limit": 50,
        "rejected: unknown_event": 25,
        "rejected: request_id_reused": 10,
        "rejected: not_on_sale_yet": 20,
        "payment refused: amount_mismatch": 5,
    }
    assert {name: int(counted[name]) for name in wanted} == wanted
    # A third of the buyers does not pay.
    assert 0.2 < int(counted["left to expire"]) / int(counted["purchases held"]) < 0.45
    for way in ("publish to fact", "POST to answer"):
        assert len(re.findall(rf"{way}, .* p50 [\d.]+ ms, p99 [\d.]+ ms", told)) == 2
    assert re.search(r"over HTTP came with this key, .*: bo_\w+$", told, re.MULTILINE)
    assert int(counted["documents announced"]) - int(counted["documents removed"]) == 1000
    *_, summary, path = told.splitlines()
    assert summary.startswith("Audit: all agree. ")
    assert "1,000 tickets sold, 1,000 documents" in summary
    assert Path(path).is_absolute()
    assert Path(path).read_bytes().startswith(b"%PDF-")


@pytest.mark.timeout(DEMO_DEADLINE_S + STOP_DEADLINE_S)
def test_a_demo_keeps_to_its_own_folders(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever store the settings name, and whatever lies in the folder that it is given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    others = tmp_path / "stack" / "documents" / "42" / "42-000001.r-1.pdf"
    others.parent.mkdir(parents=True)
    others.write_bytes(b"mine")
    demo = start("demo", "--folder", str(tmp_path / "stack"))
    assert demo.wait(DEMO_DEADLINE_S) == ExitStatus.OK, demo.log_text()
    assert demo.log_text().splitlines()[-1].startswith(str(tmp_path / "cache"))
    assert others.read_bytes() == b"mine"
    assert {path.name for path in (tmp_path / "stack").iterdir()} == {"documents", "lock"}


def test_a_demo_that_is_interrupted_leaves_nothing_behind(start: Callable[..., Running]) -> None:
    demo = start("demo")
    demo.wait_for("Starting the processes")
    assert demo.end(signal.SIGINT) == 128 + signal.SIGINT
    assert "Traceback" not in demo.log_text()
