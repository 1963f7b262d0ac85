"""Prometheus and Alertmanager as docker/ configures them, with a test's own processes, and somebody who is told."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest
import yaml
from aiohttp import web

from boxoffice.embedded.ports import HOST, free_port
from boxoffice.embedded.process import ServerProcess
from tests.support.office import POLL_S, ROOT

PROMETHEUS: Final = shutil.which("prometheus")
ALERTMANAGER: Final = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

NODE_EXPORTER: Final = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")

needs_prometheus: Final = (
    pytest.mark.prometheus,
    pytest.mark.skipif(not (PROMETHEUS and ALERTMANAGER and NODE_EXPORTER), reason="Prometheus is not installed"),
)
"""With CI=true the skip fails: there, they are installed."""

_DOCKER: Final = ROOT / "docker"

Ports = Mapping[str, Sequence[int]]
"""Where the processes serve their metrics, by the job that they are."""


class Curve(NamedTuple):
    """A series as it went: its labels, and its values by their times."""

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def has_values(self) -> bool:
        """Whether any of them is a number."""
        return any(math.isfinite(value) for _, value in self.points)


class _Monitor(ServerProcess):
    """One of them: it says over HTTP when it is ready."""

    ready = "/-/ready"
    """What it answers once it serves."""

    async def _serves(self) -> bool:
        try:
            async with self.asking(self.ready) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    @asynccontextmanager
    async def asking(self, path: str, body: Any = None, **parameters: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Its response; a body is posted as JSON."""
        url, within = f"http://{self.address}{path}", aiohttp.ClientTimeout(total=20)
        method = "GET" if body is None else "POST"
        async with (
            aiohttp.ClientSession(timeout=within) as session,
            session.request(method, url, json=body, params=parameters) as response,
        ):
            yield response


class Prometheus(_Monitor):
    """Prometheus by docker/prometheus, but for where its targets are and how often it looks."""

    name = "Prometheus"

    def __init__(self, folder: Path, ports: Ports, alertmanager: int | None = None, every_s: int = 1) -> None:
        super().__init__(folder)
        self._ports = ports
        self._alertmanager = alertmanager
        self._every_s = every_s
        self.began_s = time.time()

    def prepare(self) -> None:
        """Write its configuration."""
        super().prepare()
        (self.folder / "prometheus.yml").write_text(json.dumps(self._configuration()))

    def _configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((_DOCKER / "prometheus" / "prometheus.yml").read_text())
        every = f"{self._every_s}s"
        found["global"] = {"scrape_interval": every, "evaluation_interval": every}
        found["rule_files"] = [str(_DOCKER / "prometheus" / pattern) for pattern in found["rule_files"]]
        jobs = {job["job_name"] for job in found["scrape_configs"]}
        assert self._ports.keys() <= jobs, "a job that docker/prometheus does not know"
        found["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": [f"{HOST}:{port}" for port in self._ports_of(job)]}]}
            for job in jobs
        ]
        told = [f"{HOST}:{self._alertmanager}"] if self._alertmanager is not None else []
        found["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": told}]}]}
        return found

    def _ports_of(self, job: str) -> Sequence[int]:
        return [self.port] if job == "prometheus" else self._ports.get(job, ())

    def _command(self) -> Sequence[str]:
        assert PROMETHEUS is not None
        return [
            PROMETHEUS,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=series",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]

    async def asked(self, path: str, **parameters: str) -> Any:
        """What it answers."""
        async with self.asking(path, **parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            assert not answer.get("warnings"), answer["warnings"]
            return answer["data"]

    async def curves(self, expr: str, since_s: float | None = None, step_s: float = 1) -> list[Curve]:
        """How an expression went from its beginning, or from a time, until now."""
        start = str(self.began_s if since_s is None else since_s)
        end = str(time.time())
        data = await self.asked("/api/v1/query_range", query=expr, start=start, end=end, step=str(step_s))
        return [
            Curve(series["metric"], [(at, float(value)) for at, value in series["values"]]) for series in data["result"]
        ]

    async def names(self) -> set[str]:
        """Every metric that it has met."""
        return set(await self.asked("/api/v1/label/__name__/values"))

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, and how it is."""
        groups = (await self.asked("/api/v1/rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]


class Alertmanager(_Monitor):
    """Alertmanager by docker/alertmanager, but for whom it tells: a webhook for each receiver."""

    name = "Alertmanager"

    def __init__(self, folder: Path, webhook: str) -> None:
        super().__init__(folder)
        self._webhook = webhook

    def prepare(self) -> None:
        """Write its configuration."""
        super().prepare()
        found: dict[str, Any] = yaml.safe_load((_DOCKER / "alertmanager" / "alertmanager.yml").read_text())
        for receiver in found["receivers"]:
            receiver["webhook_configs"] = [{"url": f"{self._webhook}/{receiver['name']}"}]
        (self.folder / "alertmanager.yml").write_text(json.dumps(found))

    def _command(self) -> Sequence[str]:
        assert ALERTMANAGER is not None
        return [
            ALERTMANAGER,
            "--config.file=alertmanager.yml",
            "--storage.path=state",
            f"--web.listen-address={self.address}",
            # It need not know of others.
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    async def take(self, alerts: Sequence[Mapping[str, str]], *, over: bool = False) -> None:
        """Take alerts, by their labels, as Prometheus tells them; or that they are over."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = [{"labels": dict(labels), **({"endsAt": now} if over else {})} for labels in alerts]
        async with self.asking("/api/v2/alerts", told) as response:
            assert response.status == 200, await response.text()

    async def left_out(self) -> dict[str, bool]:
        """Of each alert that it has, by name, whether nobody is told since something else tells of it."""
        async with self.asking("/api/v2/alerts") as response:
            return {one["labels"]["alertname"]: bool(one["status"]["inhibitedBy"]) for one in await response.json()}


class NodeExporter(_Monitor):
    """What Prometheus is told of the machine."""

    name = "node_exporter"
    ready = "/metrics"

    def _command(self) -> Sequence[str]:
        assert NODE_EXPORTER is not None
        return [NODE_EXPORTER, f"--web.listen-address={self.address}", "--log.level=warn"]


class Told(NamedTuple):
    """An alert that somebody was told of."""

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Webhook:
    """Somebody who is told, on loopback."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.port = free_port()

    @property
    def url(self) -> str:
        """What Alertmanager calls."""
        return f"http://{HOST}:{self.port}"

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.told += [
            Told(request.path.strip("/"), alert["status"], alert["labels"], alert["annotations"])
            for alert in body["alerts"]
        ]
        return web.Response()

    async def until_told(self, name: str, timeout_s: float, **labels: str) -> Told:
        """Wait until it was told of an alert with these labels."""
        ends_at = time.monotonic() + timeout_s
        while True:
            for one in self.told:
                if one.labels["alertname"] == name and labels.items() <= one.labels.items():
                    return one
            assert time.monotonic() < ends_at, f"not told of {name} within {timeout_s} s, but of {self.told}"
            await asyncio.sleep(POLL_S)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Webhook]:
        """Hear until the block ends."""
        application = web.Application()
        application.router.add_post("/{receiver}", self._hear)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
            yield self
        finally:
            await runner.cleanup()
