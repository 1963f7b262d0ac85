"""What an operator is shown and told, by a real Prometheus that scrapes the real processes, and a real Alertmanager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.ports import free_port
from boxoffice.gateway.haproxy import Instance, haproxy_program
from monitoring.rules import alerts
from tests.support.balancers import balancing
from tests.support.faults_measured import MEASURED
from tests.support.gateways import Door, new_key
from tests.support.inhibiting import told
from tests.support.monitors import Alertmanager, NodeExporter, Prometheus, Webhook, needs_prometheus
from tests.support.observed import get
from tests.support.office import POLL_S, ROOT, Office, Process, until
from tests.support.one_partition import buying, cancelling, holding, paying
from tests.support.promql import asked_for
from tests.support.workload import Sent, commands, creations, event_ids, order

pytestmark = [*needs_prometheus, pytest.mark.slow, pytest.mark.timeout(420)]

SEED: Final = 20261130
HTTP_ORDERS: Final = 40
HELD: Final = "777"
"""The event whose purchases are held."""
BOARDS: Final = sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
RATE_INTERVAL: Final = "10s"
FAULTS_ONLY: Final = {
    "boxoffice_strange_records_total",
    "boxoffice_streams_refused_total",
    "ALERTS",
}
"""What appears with a fault that this box office does not have."""
PATIENCE_S: Final = 120
OF_A_BUSY_MACHINE: Final = {
    *(f"Boxoffice{late}Late{slow}" for late in ("Answers", "Commands") for slow in ("", "SlowBurn")),
    "BoxofficeRedisUnsteady",
}
"""How fast a machine answers, with others' tests beside it, is nothing that a test can promise."""
WAITS_A_MINUTE_S: Final = 100
"""An alert that is told after a minute: looked at, told to Alertmanager, and by him."""


class Selling(NamedTuple):
    """A box office, what watches it, and how it is bought from."""

    office: Office
    prometheus: Prometheus
    url: str
    key: str
    worker: Process
    of_audit: dict[str, str]
    """What the audit's environment has of its own."""


@asynccontextmanager
async def selling(office: Office, folder: Path) -> AsyncIterator[Selling]:
    """Every process, haproxy before the gateway, and Prometheus."""
    workers = ("purchases", "documents", "stats", "clock")
    ports = {job: free_port() for job in (*workers, "gateway", "live", "audit", "haproxy")}

    def common(job: str) -> dict[str, str]:
        documents = (folder / "documents").as_uri()
        return {"BOXOFFICE_HEALTH_PORT": str(ports[job]), "BOXOFFICE_DOCUMENTS_URL": documents}

    async with AsyncExitStack() as servers:
        machine = await servers.enter_async_context(NodeExporter(folder / "node"))
        watched = {**{job: [port] for job, port in ports.items()}, "node": [machine.port]}
        # It begins before them: what happens while they start is shown too.
        prometheus = await servers.enter_async_context(Prometheus(folder / "prometheus", watched))
        started = {job: office.start(job, **common(job)) for job in workers}
        key = await new_key(office, "buy")
        door, page = Door(office, **common("gateway")), free_port()
        office.start("live", BOXOFFICE_LIVE_PORT=str(page), **common("live"))
        for process in started.values():
            await office.ready(process, PATIENCE_S)
        await door.ready()
        gateway = Instance("gateway-1", f"127.0.0.1:{door.port}", ports["gateway"])
        live = Instance("live-1", f"127.0.0.1:{page}", ports["live"])
        bind = f"127.0.0.1:{ports['haproxy']}"
        url = await servers.enter_async_context(balancing(folder, [gateway], [live], bind))
        yield Selling(office, prometheus, url, key, started["purchases"], common("audit"))


async def sell(sale: Selling, redis: EmbeddedRedis, ids: Sequence[str]) -> None:
    """A sale with all that belongs to it: cancellations, garbage, repeats, and a Redis that dies and comes back."""
    back = {"type": "cancel_purchase", "request_id": "back", "event_id": ids[1], "purchase": "given-back"}
    given_back = [order(ids[1], "given-back"), Sent(ids[1].encode(), json.dumps(back).encode())]
    await sale.office.send([*creations(ids, 300), *given_back, *commands(SEED, ids, 600)])
    await sale.office.send(Sent(HELD.encode(), json.dumps(one).encode()) for one in held())
    await buy(sale, ids[0], "a")
    redis.kill()
    await until(lambda: "Redis is down, deciding locally" in sale.worker.log_text(), 30, "a fallback")
    await sale.office.send(order(ids[1], f"local-{number}") for number in range(20))
    await redis.launch()
    await until(lambda: "Redis answers again" in sale.worker.log_text(), 30, "its end")
    await buy(sale, ids[2], "b")
    await sale.office.answered()


def held() -> list[dict[str, Any]]:
    """Of three purchases that are held one is paid for, one given back, and one left to expire; and a wrong payment."""
    names = ("paid", "given-back", "left")
    ending = (paying("paid", HELD), paying("unheard-of", HELD), cancelling("given-back", HELD))
    return [holding(HELD, 20, 60), *(buying(name, HELD) for name in names), *ending]


async def buy(sale: Selling, event_id: str, prefix: str, orders: int = HTTP_ORDERS) -> None:
    """Orders over HTTP, one after the other."""
    async with aiohttp.ClientSession() as session:
        for number in range(orders):
            headers = {"authorization": f"Bearer {sale.key}", "idempotency-key": f"{prefix}-{number}"}
            url = f"{sale.url}/v1/events/{event_id}/purchases"
            async with session.post(url, json={"buyer": f"b-{number}", "quantity": 1}, headers=headers) as response:
                assert response.status in (201, 202, 409), await response.text()


def panels(board: Path) -> list[tuple[str, str]]:
    """Each panel's title and queries, as Grafana would send them."""
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", RATE_INTERVAL))
        for panel in json.loads(board.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]


async def empty(prometheus: Prometheus, queries: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The queries that show nothing."""
    answers = [(title, expr, await prometheus.curves(expr)) for title, expr in queries]
    return [(title, expr) for title, expr, curves in answers if not any(curve.has_values for curve in curves)]


@pytest.mark.haproxy
@pytest.mark.skipif(haproxy_program() is None, reason="haproxy is not installed")
async def test_every_panel_shows_something_and_asks_for_nothing_that_there_is_not(
    new_office: Any, new_redis: Any, tmp_path: Path
) -> None:
    """And every rule can be evaluated, and no alert fires of itself."""
    redis = await new_redis()
    office = await new_office(redis.url)
    queries = [query for board in BOARDS for query in panels(board)]
    needed = [(title, expr) for title, expr in queries if not asked_for(expr).keys() & FAULTS_ONLY]
    assert len(BOARDS) == 7
    async with selling(office, tmp_path) as sale:
        ids = event_ids(SEED, 3)
        await sell(sale, redis, ids)
        # Not before: while Redis is loaded anew it differs, and on a busy machine longer than an audit is patient.
        office.start_command("audit", "--every", "5", **sale.of_audit)
        deadline_s = monotonic() + PATIENCE_S
        # Documents are drawn and removed, and an audit ends, in their own time.
        bought = 0
        while missing := await empty(sale.prometheus, needed):
            assert monotonic() < deadline_s, missing
            # A rate shows nothing where nobody bought between two looks.
            await buy(sale, ids[2], f"later-{bought}", 1)
            bought += 1
            await asyncio.sleep(POLL_S)
        there = await sale.prometheus.names()
        unknown = {name for _, expr in queries for name in asked_for(expr) if name not in there}
        assert unknown <= FAULTS_ONLY
        rules = await sale.prometheus.rules()
        assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
        firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
        # Garbage was sent, which is told by day; and Redis was down, but for less than a minute.
        assert firing - OF_A_BUSY_MACHINE == {"BoxofficeUnreadableCommands"}


async def scraped(prometheus: Prometheus, *names: str) -> None:
    """Wait until Prometheus has met these."""
    deadline_s = monotonic() + PATIENCE_S
    while missing := {*names} - await prometheus.names():
        assert monotonic() < deadline_s, missing
        await asyncio.sleep(POLL_S)


async def test_somebody_is_woken_once_for_each_of_two_faults(new_office: Any, new_redis: Any, tmp_path: Path) -> None:
    """Redis dies, and so does what counts: from the processes to a webhook, by the rules and routes as they are."""
    redis = await new_redis()
    office = await new_office(redis.url)
    ports = {"purchases": free_port(), "stats": free_port()}
    started = {job: office.start(job, BOXOFFICE_HEALTH_PORT=str(port)) for job, port in ports.items()}
    for process in started.values():
        await office.ready(process)
    await until(lambda: get(started["stats"], "/health/ready")[0] == 200, 30, "statistics to be ready")
    async with AsyncExitStack() as servers:
        webhook = await servers.enter_async_context(Webhook().listening())
        manager = await servers.enter_async_context(Alertmanager(tmp_path / "alertmanager", webhook.url))
        watched = {job: [port] for job, port in ports.items()}
        prometheus = Prometheus(tmp_path / "prometheus", watched, manager.port)
        await servers.enter_async_context(prometheus)
        await scraped(prometheus, "boxoffice_fallback_active", "boxoffice_statistics_facts_total")
        assert not webhook.told
        redis.kill()
        started["stats"].kill()
        down = await webhook.until_told("BoxofficeRedisDown", WAITS_A_MINUTE_S)
        gone = await webhook.until_told("BoxofficeNoneRuns", WAITS_A_MINUTE_S, job="stats")
        assert {(one.receiver, one.labels["alertname"]) for one in webhook.told} == {
            ("page", "BoxofficeRedisDown"),
            ("page", "BoxofficeNoneRuns"),
        }
        assert (down.status, gone.status) == ("firing", "firing")
        assert "`boxoffice fallback status`" in down.annotations["description"]
        assert "`boxoffice doctor`" in gone.annotations["description"]


async def test_alertmanager_leaves_out_what_its_cause_tells(tmp_path: Path) -> None:
    """As tests/support/inhibiting.py says that it does."""
    rules = {alert.name: alert for alert in alerts()}
    async with Webhook().listening() as webhook, Alertmanager(tmp_path, webhook.url) as manager:
        for fault in MEASURED:
            own = {fault.alert: fault.labels, **{also: {} for also in fault.also}}
            firing = [{"alertname": name, **rules[name].labels, **labels} for name, labels in own.items()]
            expected = {one["alertname"]: one not in told(firing) for one in firing}
            await manager.take(firing)
            deadline_s = monotonic() + PATIENCE_S
            while (left_out := await manager.left_out()) != expected:
                assert monotonic() < deadline_s, (left_out, expected)
                await asyncio.sleep(POLL_S)
            await manager.take(firing, over=True)
