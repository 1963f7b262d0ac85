"""The real processes, and a collector that takes their spans, hangs, or is not there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest

from boxoffice.kafka.clients import header, producer
from tests.integration.test_gateway_requests import PURCHASES
from tests.support.gateways import Door, new_key
from tests.support.observed import Observed
from tests.support.office import POLL_S, Office, until
from tests.support.traces import HOSTILE, ODD, PARENT_ID, UNSAMPLED, Collector, Told, collecting
from tests.support.workload import creations, order
from topics.purchase_requests import TRACE_HEADER

TICKETS = 2
ORDER = {"buyer": "b-77", "quantity": TICKETS}

WHOLE: dict[str, tuple[str, str, int]] = {
    # The span of a purchase over HTTP, by name: who writes it, below which, and how many there are.
    "purchase": ("boxoffice-gateway", "", 1),
    "send purchase-requests": ("boxoffice-gateway", "purchase", 1),
    "process purchase-requests": ("boxoffice-purchases", "send purchase-requests", 1),
    "purchase.lua": ("boxoffice-purchases", "process purchase-requests", 1),
    "send purchase-results": ("boxoffice-purchases", "process purchase-requests", 1),
    "make document": ("boxoffice-documents", "send purchase-results", TICKETS),
    "draw": ("boxoffice-documents", "make document", TICKETS),
    "store": ("boxoffice-documents", "make document", TICKETS),
    "send ticket-documents": ("boxoffice-documents", "make document", TICKETS),
}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as listening:
        yield listening


def variables(folder: Path, **more: str) -> dict[str, str]:
    """What all processes find in their environment."""
    own = {"BOXOFFICE_HEALTH_PORT": "0", "BOXOFFICE_DOCUMENTS_URL": (folder / "documents").as_uri()}
    return {**own, "BOXOFFICE_TRACING_MOST_RATE": "100000", **more}


def of_trace(told: Sequence[Told], trace_id: str) -> list[Told]:
    return [span for span in told if span.trace_id == trace_id]


def traceparent(number: int) -> str:
    """A caller's, of a trace of its own."""
    return f"00-{number:032x}-{PARENT_ID}-01"


async def sold_by_redis(office: Office, door: Door, session: aiohttp.ClientSession) -> tuple[dict[str, Any], str]:
    """A purchase that Redis decided too, as soon as it has the event; and its trace."""
    key, deadline_s = await new_key(office, "buy"), monotonic() + 60
    for number in range(1, 1_000):
        sent = {"traceparent": traceparent(number)}
        status, fact, _ = await door.post(session, PURCHASES, key, f"k-{number}", ORDER, **sent)
        assert status == 201, fact
        if fact["decided_by"] == "redis":
            return fact, f"{number:032x}"
        assert monotonic() < deadline_s, "Redis decides nothing"
        await asyncio.sleep(POLL_S)
    raise AssertionError("Redis decides nothing")


async def test_a_purchase_over_http_is_one_trace_through_all_processes(
    office: Office, session: aiohttp.ClientSession, collector: Collector, tmp_path: Path
) -> None:
    environment = variables(tmp_path, **collector.variables)
    for process in ("purchases", "documents"):
        office.start(process, **environment)
    door = Door(office, **environment)
    await office.send(creations(["42"], 1_000))
    await door.ready()
    await office.answered()
    fact, trace_id = await sold_by_redis(office, door, session)
    wanted = sum(count for _, _, count in WHOLE.values())
    await until(lambda: len(of_trace(collector.told, trace_id)) >= wanted, 60, f"all spans: {collector.told[-20:]}")
    spans = of_trace(collector.told, trace_id)
    assert Counter(span.name for span in spans) == {name: count for name, (_, _, count) in WHOLE.items()}
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == wanted
    for span in spans:
        service, above, _ = WHOLE[span.name]
        assert span.service == service
        assert (by_id[span.parent_id].name if above else span.parent_id) == (above or PARENT_ID)
        assert not span.failed
    about = {span.name: span.attributes for span in spans}
    assert about["purchase"]["boxoffice.request_id"] == fact["request_id"]
    assert about["send purchase-results"] == {"boxoffice.outcome": "purchase_confirmed"}
    assert {str(span.attributes.get("boxoffice.ticket", "")) for span in spans} == {"", *fact["tickets"]}
    # The batch has a trace of its own, and links to the command.
    [deciding] = [span for span in spans if span.name == "process purchase-requests"]
    [batch] = [span for span in collector.told if deciding.span_id in span.links]
    assert (batch.name, batch.trace_id == trace_id, batch.parent_id) == ("batch", False, "")
    # The log itself says the same to whoever reads it with other means.
    [sending] = [span for span in spans if span.name == "send purchase-requests"]
    named = f"00-{trace_id}-{sending.span_id}-01".encode()
    requests, facts = await office.read(office.requests), await office.read(office.ledger)
    for topic in (requests, facts):
        assert [header(record.headers, TRACE_HEADER) for record in topic].count(named) == 1
    assert (await office.verdict()).problems == []


async def test_a_gateway_begins_traces_of_its_own_so_many_a_second(
    office: Office, session: aiohttp.ClientSession, collector: Collector, tmp_path: Path
) -> None:
    environment = variables(tmp_path, BOXOFFICE_TRACING_BEGUN_RATE="0.001", **collector.variables)
    office.start(**environment)
    door = Door(office, **environment)
    await office.send(creations(["42"], 1_000))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    for number in range(5):
        assert (await door.post(session, PURCHASES, key, f"k-{number}", ORDER)).status == 201
    await until(lambda: any(span.name == "batch" for span in collector.told), 60, "a trace")
    # What it still had to send has come then.
    assert await door.process.stop() == 0
    assert Counter(span.name for span in collector.told)["purchase"] == 1


async def test_no_traceparent_stops_a_sale(
    office: Office, session: aiohttp.ClientSession, collector: Collector, tmp_path: Path
) -> None:
    """Neither over HTTP nor on Kafka; and what the ledger says is what it says without tracing."""
    environment = variables(tmp_path, **collector.variables)
    worker = office.start(**environment)
    office.start("documents", **environment)
    door = Door(office, **environment)
    await office.send(creations(["42"], 10_000))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    given = [*HOSTILE, *ODD, UNSAMPLED, "x" * 257, "00-" + "f" * 8_000]
    for number, value in enumerate(given):
        if value.isascii() and value.isprintable():
            status, fact, _ = await door.post(session, PURCHASES, key, f"k-{number}", ORDER, traceparent=value)
            assert (status, fact["type"]) == (201, "purchase_confirmed"), value
    async with producer(office.settings.kafka) as sender:
        for number, value in enumerate(given):
            sent, named = order("42", f"r-{number}"), [(TRACE_HEADER, value.encode())]
            await sender.send(office.requests, sent.value, key=sent.key, headers=named)
        await sender.flush()
    await office.answered()
    assert worker.ended() is None
    assert "spans were not written" not in worker.log_text() + door.process.log_text()
    assert (await office.verdict()).problems == []


@pytest.mark.parametrize("collector_is", ["hanging", "gone"])
async def test_a_sale_waits_for_no_collector(
    office: Office, session: aiohttp.ClientSession, collector: Collector, tmp_path: Path, collector_is: str
) -> None:
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
    environment = variables(tmp_path, **{**collector.variables, **small})
    if collector_is == "gone":
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    collector.hangs.set()
    worker = office.start(**environment)
    door = Door(office, **environment)
    await office.send(creations(["42"], 10_000))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    seen = Observed(worker)
    for number in range(100):
        sent = {"traceparent": traceparent(number + 1)}
        assert (await door.post(session, PURCHASES, key, f"k-{number}", ORDER, **sent)).status == 201
    dropped = "boxoffice_spans_total"
    await until(lambda: seen.counted(dropped, outcome="queue_full") > 0, 60, "spans to be dropped")
    assert seen.counted(dropped, outcome="exported") == 0
    assert [await worker.stop(), await door.process.stop()] == [0, 0]
    # Neither was ended by its own deadline.
    assert "did not stop in time" not in worker.log_text() + door.process.log_text()
    assert (await office.verdict()).problems == []
