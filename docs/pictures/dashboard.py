"""Save a dashboard as it shows a sale: python docs/pictures/dashboard.py FILE.png [NAME].

It needs Debian's chromium and prometheus, and playwright. The dashboard is docker/grafana/dashboards/NAME.json, selling
unless given. Redis is killed in the middle of the sale and comes back.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
from PIL import Image
from stats import EVENTS, SALE_S, sell

from boxoffice.cli.stack import workers
from boxoffice.door.ring_file import create_if_missing
from boxoffice.embedded import EmbeddedStack, Supervisor, Worker
from boxoffice.embedded.environment import documents_variables, door_variables, kafka_variables, redis_variables
from boxoffice.embedded.ports import free_port
from boxoffice.gateway.key_ring import KeyRing
from boxoffice.kafka.topics import create_topics
from boxoffice.settings import Settings, settings_from
from monitoring.drawing import COLUMN_PX, GAP_PX, Line, page
from tests.support.browser import browser
from tests.support.monitors import Curve, Prometheus

BOARDS: Final = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards"
JOBS: Final = ("purchases", "documents", "stats", "gateway", "live")
RATE_INTERVAL: Final = "6s"
OUTAGE_AT_S: Final = 40
OUTAGE_S: Final = 8
ORDERS_A_SECOND: Final = 10
FIRST_ORDER_AT_S: Final = 8
COLOURS: Final = 128
SCALE: Final = 2


async def buy(base: str, key: str) -> None:
    """Orders over HTTP, until told to stop."""
    event_ids = list(EVENTS)
    await asyncio.sleep(FIRST_ORDER_AT_S)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as orders:
        number = 0
        while True:
            number += 1
            orders.create_task(order(session, f"{base}/v1/events/{event_ids[number % 3]}/purchases", key, number))
            await asyncio.sleep(1 / ORDERS_A_SECOND)


async def order(session: aiohttp.ClientSession, url: str, key: str, number: int) -> None:
    """One of them; whatever becomes of it."""
    headers = {"authorization": f"Bearer {key}", "idempotency-key": f"h-{number}"}
    async with session.post(url, json={"buyer": f"h-{number}", "quantity": 1 + number % 2}, headers=headers):
        pass


async def key_of(settings: Settings) -> str:
    """A key that may buy as fast as it likes."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return (await KeyRing(settings.kafka).create("buy", ["buy"], None, None, None, now)).key


async def drawn(board: Any, prometheus: Prometheus, since_s: float) -> str:
    """The dashboard, of what Prometheus has."""
    lines = {}
    for panel in board["panels"]:
        found: list[Line] = []
        for target in panel.get("targets", ()):
            expr = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            curves = await prometheus.curves(expr, since_s)
            found += [Line(named(target["legendFormat"], curve), curve.points) for curve in curves]
        lines[panel["id"]] = found
    return page(board, lines, since_s, time.time())


def named(legend: str, curve: Curve) -> str:
    """A series as its legend says."""
    return re.sub(r"\{\{(\w+)\}\}", lambda label: curve.labels.get(label.group(1), ""), legend)


async def save(html: str, path: Path) -> None:
    """What a browser makes of it, with few colours."""
    async with browser(device_scale_factor=SCALE) as context:
        tab = await context.new_page()
        await tab.set_viewport_size({"width": 24 * COLUMN_PX + 2 * GAP_PX, "height": 600})
        await tab.set_content(html)
        await tab.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


async def run(path: Path, name: str, data: Path) -> None:
    """A whole box office, a sale, and Prometheus that watches it."""
    board = json.loads((BOARDS / f"{name}.json").read_text(encoding="utf-8"))
    async with EmbeddedStack(data, keep=False) as stack:
        ring = data / "door-keys.json"
        create_if_missing(ring)
        ports = {job: free_port() for job in JOBS}
        port = free_port()
        environment = {
            **kafka_variables(stack.kafka_bootstrap_servers),
            **redis_variables(stack.redis_url),
            **documents_variables(data / "documents"),
            **door_variables(ring),
            "BOXOFFICE_GATEWAY_PORT": str(port),
            "BOXOFFICE_LIVE_PORT": str(free_port()),
        }
        settings = settings_from(environment)
        await create_topics(settings.kafka)
        key = await key_of(settings)
        processes = [on_port(worker, ports[worker.name]) for worker in workers(environment, JOBS)]
        watched = {job: [one] for job, one in ports.items()}
        async with Supervisor(processes), Prometheus(data / "prometheus", watched) as prometheus:
            while not {f"boxoffice_{one}" for one in ("tickets_sold", "api_keys", "documents_waiting")} <= (
                await prometheus.names()
            ):
                await asyncio.sleep(0.2)
            since_s = time.time()
            buying = asyncio.create_task(buy(f"http://127.0.0.1:{port}", key))
            failing = asyncio.create_task(outage(stack))
            await sell(settings)
            buying.cancel()
            await failing
            html = await drawn(board, prometheus, since_s)
    await save(html, path)


def on_port(worker: Worker, port: int) -> Worker:
    """The same process, whose metrics are on this port."""
    return replace(worker, env={**worker.env, "BOXOFFICE_HEALTH_PORT": str(port)})


async def outage(stack: EmbeddedStack) -> None:
    """Redis dies in the middle, and comes back."""
    await asyncio.sleep(OUTAGE_AT_S)
    stack.redis.kill()
    await asyncio.sleep(OUTAGE_S)
    await stack.redis.launch()


def main() -> None:
    """Sell, watch, and save."""
    assert SALE_S > OUTAGE_AT_S + OUTAGE_S
    name = sys.argv[2] if len(sys.argv) > 2 else "selling"  # noqa: PLR2004
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(run(Path(sys.argv[1]), name, Path(data)))


if __name__ == "__main__":
    main()
