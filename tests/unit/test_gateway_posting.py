"""What a command's request publishes, and what its sender is given to come back with."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from boxoffice.gateway.counting import Counting
from boxoffice.gateway.desk import Asking, Listener, Order
from boxoffice.gateway.limits import Rate
from boxoffice.gateway.messages import Problem, Request
from boxoffice.gateway.openings import Openings
from boxoffice.gateway.posting import Posting
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.waiters import Outcome, Result
from models.facts import at_text, ce_type
from tests.support.figures import states_of, written
from tests.unit.gateway_requests import KnownCallers, admission, answered, request

SHOP = "Shop000000"
ORDER = {"buyer": "b-77", "quantity": 2}
FACT = b'{"type":"purchase_confirmed","seq":2,"request_id":"Shop000000:k-1","source":{"partition":3,"offset":7}}'
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
        self.states = states_of()
        self.posting = Posting(
            self.admission,
            self.desk,  # type: ignore[arg-type]
            self.recent,
            Counting(),
            5.0,
            openings=Openings(self.states),
        )

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
    fact = b'{"type":"purchase_cancelled","seq":3,"request_id":"Shop000000:x-1","source":{"partition":3,"offset":7}}'
    cancelled = bench.desk.result = Result(Outcome.ANSWERED, fact, ce_type("purchase_cancelled"))
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


async def test_some_tickets_may_be_given_back_and_only_of_one_s_own_purchase() -> None:
    bench = Bench()
    body = {"tickets": ["42-000002"]}
    await answered(bench.posting.cancel(bench.request(body, idempotency_key="x-1"), "42", "k-1"))
    [(_, command, _, _)] = bench.desk.published
    assert command == {
        "type": "cancel_purchase", "event_id": "42", "request_id": f"{SHOP}:x-1", "purchase": f"{SHOP}:k-1", **body,
    }  # fmt: skip


EVENT = {"event_id": "42", "name": "n", "venue": "v", "starts_at": "2027-03-01T19:30:00Z"}
STALLS = {"id": "stalls", "name": "Stalls", "capacity": 600, "price": {"amount": 4500, "currency": "EUR"}}
WHOLE = {
    **EVENT, "categories": [STALLS], "on_sale_at": "2026-12-01T10:00:00Z", "off_sale_at": "2027-03-01T19:00:00Z",
    "hold_s": 600, "max_per_order": 8, "max_per_buyer": 10,
}  # fmt: skip
OF_EVENTS = [
    ("create_event", WHOLE),
    ("change_event", {"name": "m", "hold_s": 0, "prices": [{"category": "stalls", "amount": 4900}]}),
    ("add_tickets", {"category": "stalls", "count": 5}),
    ("remove_tickets", {"category": "stalls", "count": 5}),
    ("close_event", {}),
    ("cancel_event", {}),
    ("archive_event", {}),
]


@pytest.mark.parametrize(("kind", "body"), OF_EVENTS)
async def test_what_is_done_to_an_event_names_the_key_that_does_it(kind: str, body: dict[str, Any]) -> None:
    bench = Bench()
    asks = bench.request(body or None)
    await answered(getattr(bench.posting, kind)(asks, *(() if kind == "create_event" else ("42",))))
    [(event_id, command, _, _)] = bench.desk.published
    assert event_id == "42"
    assert command == {"type": kind, "event_id": "42", "request_id": f"{SHOP}:k-1", "actor": SHOP, **body}
    with pytest.raises(Problem, match="actor"):
        await answered(bench.posting.close_event(bench.request({"actor": "somebody else"}), "42"))


# Who comes too early

EARLY = Result(
    Outcome.ANSWERED,
    b'{"type":"purchase_rejected","seq":2,"request_id":"Shop000000:k-1","reason":"not_on_sale_yet",'
    b'"source":{"partition":3,"offset":7}}',
    ce_type("purchase_rejected"),
)


async def too_early(bench: Bench) -> tuple[dict[str, Any], dict[str, str]]:
    """What somebody is told who comes before the sale."""
    bench.desk.result = EARLY
    with pytest.raises(Problem, match="not-on-sale-yet") as raised:
        await answered(bench.posting.purchase(bench.request(), "42"))
    response = raised.value.response()
    assert response.status == 409
    return json.loads(response.body), dict(response.headers)


def figures(on_sale_at: Any) -> bytes:
    """An event's, with the time at which its sale begins."""
    return json.dumps({**json.loads(written("42", 1)[1]), "on_sale_at": on_sale_at}).encode()


async def test_who_comes_too_early_is_told_when_the_sale_begins() -> None:
    bench = Bench()
    opens_ms = round(time.time() * 1000) + 90_000
    bench.states.take(b"42", figures(at_text(opens_ms)))
    told, headers = await too_early(bench)
    assert (told["on_sale_at"], told["fact"]["reason"]) == (at_text(opens_ms), "not_on_sale_yet")
    assert 80 <= int(headers["retry-after"]) <= 91


async def test_where_that_is_not_known_nothing_is_made_up() -> None:
    bench = Bench()
    for known in (None, written("42", 1)[1], figures(None), figures("soon"), figures(7)):
        if known is not None:
            bench.states.take(b"42", known)
        told, headers = await too_early(bench)
        assert "on_sale_at" not in told
        assert "retry-after" not in headers


async def test_a_sale_that_begins_this_moment_is_come_to_again_at_once() -> None:
    bench = Bench()
    bench.states.take(b"42", figures("2026-11-22T10:00:00Z"))
    _, headers = await too_early(bench)
    assert headers["retry-after"] == "1"


async def test_of_other_refusals_no_time_is_told() -> None:
    bench = Bench()
    bench.states.take(b"42", figures("2026-11-22T10:00:00Z"))
    bench.desk.result = EARLY._replace(fact=EARLY.fact.replace(b"not_on_sale_yet", b"sold_out"))
    with pytest.raises(Problem, match="sold-out") as raised:
        await answered(bench.posting.purchase(bench.request(), "42"))
    assert "on_sale_at" not in json.loads(raised.value.response().body)
