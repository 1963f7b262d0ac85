"""A real Zipkin server, which keeps traces and shows them: one jar of Maven Central's, and any Java from 17 on."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.error import HTTPError

import pytest

from boxoffice.embedded.ports import free_port

VERSION: Final = "3.5.1"
_ARTIFACT: Final = f"io.zipkin:zipkin-server:{VERSION}:jar:exec"
_FETCH_S: Final = 240
_START_S: Final = 240
_POLL_S: Final = 0.2

needs_zipkin: Final = (
    pytest.mark.zipkin,
    pytest.mark.skipif(not (shutil.which("mvn") and shutil.which("java")), reason="Maven or Java is not installed"),
)


class Zipkin:
    """Where it listens, and what it knows."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @property
    def variables(self) -> dict[str, str]:
        """What lets a process send its spans there, soon."""
        return {
            "OTEL_TRACES_EXPORTER": "zipkin_json",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT": f"{self.url}/api/v2/spans",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace; none while it is not known."""
        found = self._get(f"/api/v2/trace/{trace_id}")
        return list(json.loads(found)) if found is not None else []

    def is_well(self) -> bool:
        """Whether it answers."""
        return self._get("/health") is not None

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310  # our own
                return bytes(answer.read())
        except HTTPError as error:
            error.close()
            return None
        except OSError:
            return None


def zipkin_jar() -> Path:
    """The server, fetched once into Maven's own folder."""
    path = Path.home() / f".m2/repository/io/zipkin/zipkin-server/{VERSION}/zipkin-server-{VERSION}-exec.jar"
    if not path.exists():
        command = ["mvn", "-q", "-B", "dependency:get", "-Dtransitive=false", f"-Dartifact={_ARTIFACT}"]
        subprocess.run(command, check=True, timeout=_FETCH_S, capture_output=True)
    return path


@contextmanager
def zipkin(folder: Path) -> Iterator[Zipkin]:
    """A server on loopback alone, until the block ends."""
    port = free_port()
    listens = {"ip": "127.0.0.1", "port": port, "protocols[0]": "http"}
    # Without these it listens on every address.
    arguments = [f"--armeria.ports[0].{name}={value}" for name, value in listens.items()]
    command = ["java", "-Xmx256m", "-jar", str(zipkin_jar()), *arguments]
    with (folder / "zipkin.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env={"QUERY_PORT": str(port), "PATH": _path()})
    try:
        server, deadline_s = Zipkin(port), monotonic() + _START_S
        while not server.is_well():
            said = (folder / "zipkin.log").read_text(errors="replace")[-2_000:]
            assert child.poll() is None, said
            assert monotonic() < deadline_s, said
            sleep(_POLL_S)
        yield server
    finally:
        child.kill()
        child.wait()


def _path() -> str:
    java = shutil.which("java")
    assert java is not None
    return str(Path(java).parent)
