"""The recipe of the image: what is in it, who runs in it, and that it is ready when its process is."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import babel
import pytest
from prometheus_client import CollectorRegistry, start_http_server

from boxoffice.embedded.ports import free_port
from boxoffice.rendering import faces
from boxoffice.settings import SETTINGS, settings_from
from tests.deployment.shipped import DOCKER, DOCKERFILE, PACKAGE, VERSION, instructions
from tests.support.office import ROOT

READY = DOCKER / "ready.py"
SLIM = runpy.run_path(str(DOCKER / "slim.py"))


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))


# What is in it


def test_old_builders_build_it_and_none_fetches_a_frontend() -> None:
    assert not re.search(r"^#\s*syntax", DOCKERFILE, re.MULTILINE)
    assert "<<" not in DOCKERFILE


def test_both_stages_begin_with_a_slim_python_that_the_package_names() -> None:
    bases = {line.split()[0] for line in instructions("FROM")}
    assert len(bases) == 1
    version = re.fullmatch(r"python:(3\.\d+)-slim", bases.pop())
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PACKAGE["project"]["classifiers"]


def test_all_packages_of_the_product_are_copied_and_nothing_else_can_be() -> None:
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    packages = set(PACKAGE["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= copied
    assert copied - packages == {
        *("requirements/build.txt", "requirements/image.txt", "docker/ready.py", "docker/slim.py"),
        *("pyproject.toml", "README.md", "LICENSE"),
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_what_is_installed_is_locked_by_hashes_and_the_rest_is_ours() -> None:
    installs = re.findall(r"\bpip (?:--python \S+ )?install .*?(?=&&|$)", "\n".join(instructions("RUN")), re.MULTILINE)
    assert len(installs) == 3
    for line in installs:
        assert ("--require-hashes" in line) != ("--no-deps" in line), line


def test_the_embedded_servers_do_not_come_along() -> None:
    locked = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    for package in PACKAGE["project"]["optional-dependencies"]["embedded"]:
        assert not re.search(rf"^{re.split('[><=]', package)[0]}==", locked, re.MULTILINE), package


def test_what_is_taken_out_is_what_there_is_and_no_ticket_needs_it() -> None:
    """A package that moves its files would else make the image larger, unseen."""
    folder = Path(babel.__file__).resolve().parents[1]
    for pattern in SLIM["NEVER_OPENED"]:
        assert any(folder.glob(pattern)), pattern
    taken = {str(path.relative_to(folder)) for path in SLIM["useless"](folder, ["de", "en"])}
    locales = {path.stem for path in folder.glob(SLIM["LOCALES"]) if str(path.relative_to(folder)) not in taken}
    assert {"root", "de", "de_AT", "en", "en_US"} <= locales
    assert {name.partition("_")[0] for name in locales} == {"root", "de", "en"}
    assert all((folder / SLIM["LEXERS"]).with_name(name).exists() for name in SLIM["COLOURED"])
    assert set(SLIM["WEIGHTS"]) == set(faces._FIRA.values())
    needed = {face.path.resolve() for weight in faces._FIRA for face in faces.faces(weight)}
    assert not {str(path.relative_to(folder)) for path in needed} & taken


def test_labels_say_what_it_is() -> None:
    labels = dict(word.split("=", 1) for line in instructions("LABEL") for word in shlex.split(line))
    project = PACKAGE["project"]
    assert labels["org.opencontainers.image.title"] == project["name"]
    assert labels["org.opencontainers.image.description"] == project["description"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert f"VERSION={VERSION}" in instructions("ARG")


# Who runs in it


def test_it_runs_as_nobody_special_and_without_a_shell() -> None:
    assert instructions("USER")[-1] == "10001:10001"
    for line in (*instructions("CMD"), instructions("HEALTHCHECK")[0].partition("CMD ")[2]):
        assert json.loads(line)
    assert instructions("ENTRYPOINT") == [], "a line of the Procfile is the whole command"


def test_what_it_sets_are_settings_and_can_be_used() -> None:
    ours = {name: value for name, value in environment().items() if name.startswith("BOXOFFICE_")}
    assert ours.keys() <= SETTINGS.keys()
    settings = settings_from(ours)
    hosts = (settings.gateway.host, settings.live.host, settings.process.health_host)
    assert set(hosts) == {"0.0.0.0"}  # noqa: S104 - a container's ports are reached from nowhere else


def test_its_ports_are_those_of_the_settings() -> None:
    settings = settings_from({})
    ports = {settings.gateway.port, settings.live.port, settings.process.health_port}
    assert {int(port) for line in instructions("EXPOSE") for port in line.split()} == ports


# Whether it is ready


class Process(BaseHTTPRequestHandler):
    """A process that is ready or not."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(status: int) -> Iterator[int]:
    """The port of a process whose readiness has this status."""
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Process,), {"status": status}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def is_ready(port: int | None) -> bool:
    """What the health check of the image says."""
    variables = {name: value for name, value in os.environ.items() if name != "BOXOFFICE_HEALTH_PORT"}
    given = {} if port is None else {"BOXOFFICE_HEALTH_PORT": str(port)}
    done = subprocess.run([sys.executable, "-I", "-S", READY], env=variables | given, check=False, timeout=30)
    assert done.returncode in (0, 1)
    return done.returncode == 0


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (404, False), (500, False)])
def test_a_container_is_ready_when_its_process_says_so(status: int, ready: bool) -> None:
    with serving(status) as port:
        assert is_ready(port) is ready


def test_a_container_whose_process_serves_nothing_is_not_ready() -> None:
    assert not is_ready(free_port())


def test_the_audit_is_ready_as_long_as_it_serves_its_metrics() -> None:
    server, thread = start_http_server(0, "127.0.0.1", CollectorRegistry())
    try:
        assert is_ready(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_port_that_is_asked_is_the_setting_s() -> None:
    [port] = re.findall(r"^DEFAULT_PORT = (\d+)$", READY.read_text(encoding="utf-8"), re.MULTILINE)
    assert int(port) == settings_from({}).process.health_port
