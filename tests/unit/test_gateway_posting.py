"""What a command's request publishes, and what its sender is given to come back with."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from boxoffice.gateway.counting import Counting
from boxoffice.gateway.desk import Asking, Listener, Order
from boxoffice.gateway.limits import Rate
from boxoffice.gateway.messages import Problem, Request
from boxoffice.gateway.posting import Posting
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.waiters import Outcome, Result
from models.facts import ce_type
from tests.unit.gateway_requests import KnownCallers, admission, answered, request

SHOP = "Shop000000"
ORDER = {"buyer": "b-77", "quantity": 2}
FACT = b'{"type":"purchase_confirmed","source":{"partition":3,"offset":7}}'
CONFIRMED = Result(Outcome.ANSWERED, FACT, ce_type("purchase_confirmed"))


class Desk:
    """Notes what is published, and answers at once."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any], dict[str, bytes], float]] = []
        self.result: Result | None = CONFIRMED
        """None: nothing is heard."""
        self.waited_s = 0.0
        self.loop = asyncio.get_running_loop()

    def home(self, _event_id: str) -> int:
        return 3

    def waiting_s(self, _event_id: str) -> float:
        return self.waited_s

    def ask(self, order: Order, wait_s: float, listener: Listener) -> Asking:
        self.published.append((order.event_id, json.loads(order.value), dict(order.headers), wait_s))
        asking = Asking(self, order, listener, wait_s)  # type: ignore[arg-type]
        asking.landed = 7
        if self.result is not None:
            self.loop.call_soon(asking.end, self.result)
        return asking


class Bench:
    """A shop that buys."""

    def __init__(self, **parts: Any) -> None:
        self.known = KnownCallers()
        self.key = self.known.add(SHOP, "buy", "events")
        self.desk = Desk()
        self.recent = Recent(100, 10**9, lambda _: None)
        self.admission = admission(self.known.callers, **parts)
        self.posting = Posting(self.admission, self.desk, self.recent, Counting(), 5.0)  # type: ignore[arg-type]

    def request(self, body: Any = ORDER, **headers: str) -> Request:
        return request("POST", body=body, **{"key": self.key, "idempotency_key": "k-1", **headers})


async def test_a_purchase_is_published_under_its_caller_s_name_and_answered_with_its_fact() -> None:
    bench = Bench()
    response = await answered(bench.posting.purchase(bench.request(prefer="wait=3"), "42"))
    assert (response.status, response.body) == (201, FACT)
    [(event_id, command, headers, wait_s)] = bench.desk.published
    assert (event_id, wait_s, headers) == ("42", 3.0, {})
    assert command == {"type": "purchase", "event_id": "42", "request_id": f"{SHOP}:k-1", **ORDER}


async def test_its_address_holds_the_secret_that_opens_it() -> None:
    bench = Bench()
    response = await answered(bench.posting.purchase(bench.request(), "42"))
    location = urlsplit(dict(response.headers)["location"])
    assert location.path == "/v1/events/42/requests/k-1"
    opened = bench.admission.request_of(request(query=location.query), "42", "k-1")
    assert opened == f"{SHOP}:k-1"
    bench = Bench()
    bench.key = bench.known.add(SHOP, "buy", order_secret=None)
    response = await answered(bench.posting.purchase(bench.request(), "42"))
    assert dict(response.headers)["location"] == "/v1/events/42/requests/k-1"


async def test_of_a_caller_s_headers_only_those_that_trace_it_reach_kafka() -> None:
    bench = Bench()
    sent = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x_request_id": "mine-1",
        "boxoffice_origin": "0:1",
        "boxoffice_read": "0-1",
        "cookie": "a=b",
    }
    await answered(bench.posting.purchase(bench.request(**sent), "42"))
    await answered(bench.posting.purchase(bench.request(traceparent="x" * 257, x_request_id="a\nb"), "42"))
    assert bench.desk.published[0][2] == {"traceparent": sent["traceparent"].encode(), "x-request-id": b"mine-1"}
    assert bench.desk.published[1][2] == {}


async def test_what_became_of_it_is_remembered() -> None:
    bench = Bench()
    await answered(bench.posting.purchase(bench.request(), "42"))
    asked = bench.recent.find("42", f"{SHOP}:k-1")
    assert asked is not None
    assert asked.answer == CONFIRMED
    cancelled = Result(Outcome.ANSWERED, b'{"type":"purchase_cancelled"}', ce_type("purchase_cancelled"))
    bench.desk.result = cancelled
    response = await answered(bench.posting.cancel(bench.request(None, idempotency_key="x-1"), "42", "k-1"))
    assert response.status == 201
    assert bench.desk.published[1][1]["purchase"] == f"{SHOP}:k-1"
    assert asked.answer == cancelled


async def test_what_is_not_taken_is_not_published() -> None:
    bench = Bench()
    refused: list[tuple[str, Any]] = [
        ("invalid-body", bench.request({"buyer": "b", "quantity": 0})),
        ("invalid-body", bench.request({"buyer": "b", "request_id": "x"})),
        ("invalid-json", bench.request([1])),
        ("invalid-header", bench.request(idempotency_key="k k")),
        ("unsupported-media-type", bench.request(content_type="text/plain")),
        ("unauthenticated", bench.request(key="bo_x")),
    ]
    for name, asks in refused:
        with pytest.raises(Problem, match=name):
            await answered(bench.posting.purchase(asks, "42"))
    with pytest.raises(Problem, match="unknown-event"):
        await answered(bench.posting.purchase(bench.request(), "042"))
    bench.desk.waited_s = 6.0
    with pytest.raises(Problem, match="overloaded"):
        await answered(bench.posting.purchase(bench.request(), "42"))
    assert bench.desk.published == []
    assert len(bench.recent) == bench.admission.waiting.count == 0


async def test_a_key_has_its_pace() -> None:
    bench = Bench(rate=Rate(0.001, 1))
    asks = bench.request()
    await answered(bench.posting.purchase(asks, "42"))
    assert dict(asks.also)["ratelimit"].startswith('"key";r=0')
    with pytest.raises(Problem, match="rate-limited"):
        await answered(bench.posting.purchase(bench.request(), "42"))
