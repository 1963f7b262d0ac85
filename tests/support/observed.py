"""What an operator sees of a running process: its log, its health and its metrics."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any
from urllib.error import HTTPError

from prometheus_client.parser import text_string_to_metric_families

from tests.support.office import Process

Labels = tuple[tuple[str, str], ...]


def get(process: Process, path: str, accept: str = "*/*") -> tuple[int, str]:
    """A request to the process' own port, which its log names."""
    [port] = re.findall(r'"message": "health and metrics".*?"port": (\d+)', process.log_text())
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})  # our own
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def health_and_status(process: Process) -> tuple[int, dict[str, Any]]:
    """The status of the answer, and what it says of itself."""
    status, text = get(process, "/health")
    return status, json.loads(text)


def health(process: Process) -> dict[str, Any]:
    """What it says of itself."""
    return health_and_status(process)[1]


def idle(process: Process) -> bool:
    """Whether it knows its lag, and has none."""
    lag = health(process)["lag"]
    return bool(lag) and set(lag.values()) == {0}


class Observed:
    """What a process logs and counts from now on."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._log_begins_at = len(process.log_text())
        self._counted_before = _samples(process)

    def logged(self, *messages: str) -> list[dict[str, Any]]:
        """The lines with one of these messages, in order."""
        return [line for line in self.all_logged() if line["message"] in messages]

    def all_logged(self) -> list[dict[str, Any]]:
        """Every line, in order."""
        lines = self.process.log_text()[self._log_begins_at :].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def counted(self, name: str, **labels: str) -> float:
        """By how much a metric has grown."""
        key = name, tuple(sorted(labels.items()))
        return _samples(self.process).get(key, 0.0) - self._counted_before.get(key, 0.0)


def _samples(process: Process) -> dict[tuple[str, Labels], float]:
    families = text_string_to_metric_families(get(process, "/metrics")[1])
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
