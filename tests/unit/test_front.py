"""What ``up`` starts for callers over HTTP: which processes, on which ports, and what it says of them."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxoffice.cli import front as front_module
from boxoffice.cli.front import Front, open_front
from boxoffice.embedded import PortTakenError, Worker
from boxoffice.gateway.haproxy import NoHaproxyError
from models.commands import read_command

PROCESSES = ["purchases", "gateway", "live", "stats"]
WORKERS = [Worker(name, ("boxoffice", "run", name), {"BOXOFFICE_LOG_FORMAT": "console"}) for name in PROCESSES]
KEY = "bo_0123456789_secret"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has set anything, and no bound of this process is changed."""
    for name in ("BOXOFFICE_GATEWAY_PORT", "BOXOFFICE_GATEWAY_HOST", "BOXOFFICE_GATEWAY_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(front_module, "allow_connections", lambda wanted: wanted)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def names(workers: list[Worker]) -> list[str]:
    return [worker.name for worker in workers]


def by_name(workers: list[Worker]) -> dict[str, Worker]:
    return {worker.name: worker for worker in workers}


# Ports


def test_a_port_that_was_given_is_taken_or_refused(taken: int) -> None:
    with pytest.raises(PortTakenError, match=str(taken)):
        open_front(["gateway"], 1, taken)


def test_where_the_usual_port_is_taken_the_gateway_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has started two box offices wants both."""
    monkeypatch.setattr(front_module, "can_listen", lambda port: port != 8080)
    assert open_front(["gateway"], 1, None).ports["gateway"] != 8080


def test_a_port_that_somebody_has_set_is_not_exchanged(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXOFFICE_GATEWAY_PORT", str(taken))
    with pytest.raises(PortTakenError):
        open_front(["gateway"], 1, None)


def test_who_starts_no_gateway_needs_no_port() -> None:
    assert open_front(["purchases", "stats"], 1, None).ports == {}


def test_several_gateways_without_haproxy_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "haproxy_program", lambda: None)
    with pytest.raises(NoHaproxyError, match="2 gateways"):
        open_front(["gateway"], 2, None)
    assert open_front(["gateway"], 1, None).haproxy is None


# Workers


def test_one_gateway_listens_where_callers_are_told(tmp_path: Path) -> None:
    front = Front({"gateway": 18080, "live": 18081})
    found = by_name(front.workers(WORKERS, tmp_path, KEY))
    assert list(found) == PROCESSES
    assert found["purchases"] == WORKERS[0]
    assert found["gateway"].env == {
        "BOXOFFICE_LOG_FORMAT": "console",
        "BOXOFFICE_GATEWAY_PORT": "18080",
        "BOXOFFICE_GATEWAY_ORIGINS": "http://127.0.0.1:18081,http://localhost:18081",
    }
    assert found["live"].env["BOXOFFICE_LIVE_PORT"] == "18081"
    assert found["live"].env["BOXOFFICE_LIVE_GATEWAY_URL"] == front.gateway_url == "http://127.0.0.1:18080"
    assert found["live"].env["BOXOFFICE_LIVE_SHOP_KEY"] == KEY
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_has_set_himself_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXOFFICE_GATEWAY_ORIGINS", "https://shop.example")
    found = by_name(Front({"gateway": 18080, "live": 18081}).workers(WORKERS, tmp_path, KEY))
    assert "BOXOFFICE_GATEWAY_ORIGINS" not in found["gateway"].env


def test_several_gateways_stand_behind_haproxy_and_end_before_it(tmp_path: Path) -> None:
    """The last one that was started is stopped first: whoever waits is answered through haproxy."""
    front = Front({"gateway": 18080, "live": 18081}, gateways=3, haproxy="/usr/sbin/haproxy")
    workers = front.workers(WORKERS, tmp_path / "haproxy", KEY)
    assert names(workers) == ["purchases", "haproxy", "gateway-1", "gateway-2", "gateway-3", "live", "stats"]
    found = by_name(workers)
    path = tmp_path / "haproxy" / "haproxy.cfg"
    assert list(found["haproxy"].argv) == ["/usr/sbin/haproxy", "-db", "-f", str(path)]
    configuration = path.read_text()
    assert "bind 127.0.0.1:18080\n" in configuration
    for number in (1, 2, 3):
        env = found[f"gateway-{number}"].env
        server = (
            f"server gateway-{number} 127.0.0.1:{env['BOXOFFICE_GATEWAY_PORT']} port {env['BOXOFFICE_HEALTH_PORT']}"
        )
        assert re.search(rf"^    {server}$", configuration, re.MULTILINE)
        assert found[f"gateway-{number}"].argv == ("boxoffice", "run", "gateway")
        assert env["BOXOFFICE_GATEWAY_TRUSTED_PROXIES"] == "127.0.0.1"
    ports = re.findall(r"127\.0\.0\.1:(\d+) port (\d+)", configuration)
    assert len({port for pair in ports for port in pair}) == 8
    assert f"port {found['live'].env['BOXOFFICE_HEALTH_PORT']}" in configuration
    # The page and the gateways have one origin then.
    assert "BOXOFFICE_LIVE_GATEWAY_URL" not in found["live"].env


# What is said


def test_what_is_said_can_be_copied_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    Front({"gateway": 18080}).say(KEY)
    told = capsys.readouterr().out
    assert f"Key, which may buy, events, read: {KEY}" in told
    create, buy = [shlex.split(line) for line in told.splitlines() if line.startswith("curl ")]
    assert (create[-1], buy[-1]) == (
        "http://127.0.0.1:18080/v1/events",
        "http://127.0.0.1:18080/v1/events/42/purchases",
    )
    bodies = [json.loads(words[words.index("-d") + 1]) for words in (create, buy)]
    for said, body in zip(({"type": "create_event"}, {"event_id": "42"}), bodies, strict=True):
        read_command(json.dumps({"request_id": "r", **said, **body}).encode())
    for words in (create, buy):
        assert f"Authorization: Bearer {KEY}" in words
        assert any(word.startswith("Idempotency-Key: ") for word in words)
    assert "Live page" not in told


def test_of_a_kafka_of_somebody_else_no_key_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    Front({"gateway": 18080}).say(None)
    assert "boxoffice keys create --scope buy" in capsys.readouterr().out


def test_of_the_page_its_address_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Front({"gateway": 18080, "live": 18081}).say(KEY)
    assert "Live page: http://127.0.0.1:18081/" in capsys.readouterr().out
    Front({"gateway": 18080, "live": 18081}, gateways=2, haproxy="haproxy").say(KEY)
    told = capsys.readouterr().out
    assert "Live page: http://127.0.0.1:18080/" in told
    assert "haproxy before 2 gateways" in told


def test_whoever_listens_everywhere_is_found_here(capsys: pytest.CaptureFixture[str]) -> None:
    Front({"gateway": 18080}, host="0.0.0.0").say(KEY)  # noqa: S104  # as in a container
    assert "HTTP: http://127.0.0.1:18080\n" in capsys.readouterr().out
