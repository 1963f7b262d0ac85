"""``/metrics`` tells what was sold, as JSON, to whoever asks for JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from boxoffice.errors import UnreachableError
from boxoffice.process.health import Health
from boxoffice.redis.presence import Presence
from boxoffice.settings import load_settings
from boxoffice.statistics.aside import FiguresAside

SETTINGS = load_settings(redis_url="redis://127.0.0.1:1", kafka_bootstrap_servers="127.0.0.1:1")
PROMETHEUS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


async def metrics_for(health: Health, accept: str | None) -> tuple[int, str, str]:
    request = make_mocked_request("GET", "/metrics", headers={"Accept": accept} if accept else {})
    response = await health._metrics(request)
    body = response.body
    assert isinstance(body, bytes)
    return response.status, response.headers["Content-Type"].partition(";")[0], body.decode()


@pytest.fixture
async def health() -> Health:
    return Health(SETTINGS.process, "gateway", Presence(SETTINGS.redis, "gateway", 3.0))


async def test_who_asks_for_json_gets_the_figures_and_prometheus_its_metrics(health: Health) -> None:
    async def figures() -> Mapping[str, Any]:
        return {"global": {}, "events": [], "system": {}, "pdf": {}}

    health.tell_figures(figures)
    status, kind, body = await metrics_for(health, "application/json")
    assert (status, kind, set(json.loads(body))) == (200, "application/json", {"global", "events", "system", "pdf"})
    for accept in (PROMETHEUS, "text/plain", "*/*", None):
        status, kind, body = await metrics_for(health, accept)
        assert (status, kind) == (200, "text/plain")
        assert "boxoffice_api_keys" in body


async def test_a_process_that_knows_no_figures_has_its_metrics_for_everybody(health: Health) -> None:
    assert (await metrics_for(health, "application/json"))[1] == "text/plain"


async def test_figures_that_cannot_be_had_are_a_sentence(health: Health) -> None:
    async def figures() -> Mapping[str, Any]:
        raise UnreachableError("Kafka does not answer.")

    health.tell_figures(figures)
    status, _, body = await metrics_for(health, "application/json")
    assert (status, json.loads(body)) == (503, {"error": "Kafka does not answer."})


async def test_figures_are_read_beside_what_the_process_does() -> None:
    aside = FiguresAside(SETTINGS)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            await aside.read()
    await aside.aclose()


async def test_figures_that_cannot_be_read_are_tried_once_for_all_who_ask() -> None:
    """Each would wait for servers that are away, one behind the other."""
    tried: list[None] = []

    class Away(FiguresAside):
        async def _read_there(self) -> Mapping[str, Any]:
            tried.append(None)
            raise UnreachableError("Kafka does not answer.")

    aside = Away(SETTINGS)
    told = await asyncio.gather(*(aside.read() for _ in range(20)), return_exceptions=True)
    assert {str(error) for error in told} == {"Kafka does not answer."}
    assert len(tried) == 1
    await aside.aclose()


async def test_figures_that_nobody_asked_for_are_not_read() -> None:
    await FiguresAside(SETTINGS).aclose()
