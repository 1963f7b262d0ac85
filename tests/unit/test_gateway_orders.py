"""Who may ask for what at the front door, and what is refused before anything is published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from boxoffice.gateway.admission import Admission
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.cross_origin import CrossOrigin
from boxoffice.gateway.desk import Asking, Listener, Order
from boxoffice.gateway.limits import Rate, Waiting
from boxoffice.gateway.messages import Request, Response
from boxoffice.gateway.posting import Posting
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.routes import Routes
from boxoffice.gateway.service import Gateway, table
from boxoffice.gateway.waiters import Outcome, Result
from models.api_keys import ApiKey, KeptSecret, digest, new_id, new_key
from tests.unit.gateway_requests import responded

PURCHASES = "/v1/events/42/purchases"
ORDER = b'{"buyer":"b","quantity":1}'


class Desk:
    """Stands for the desk: takes orders, and answers them when it is let."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.oldest_s = 0.0
        self.is_open = True
        self._asked: list[Asking] = []
        self.loop = asyncio.get_running_loop()

    def home(self, _event_id: str) -> int:
        return 0

    def waiting_s(self, _event_id: str) -> float:
        return self.oldest_s

    def ask(self, order: Order, wait_s: float, listener: Listener) -> Asking:
        self.orders.append(order)
        self._asked.append(Asking(self, order, listener, wait_s))  # type: ignore[arg-type]
        if self.is_open:
            self.loop.call_soon(self.answer)
        return self._asked[-1]

    def answer(self) -> None:
        """Let go all who wait."""
        self.is_open = True
        while self._asked:
            self._asked.pop().end(Result(Outcome.ACCEPTED))


class House:
    """A gateway with a desk of the test's own."""

    def __init__(self, most: int = 10, most_of_one: int = 10, burst: int = 100) -> None:
        self.desk = Desk()
        self.callers = Callers()
        self.waiting = Waiting(most, most_of_one)
        desk: Any = self.desk
        nobody: Any = SimpleNamespace(request=None, ticket=None, one=None, all=None, rebuild=None, drill=None)
        free, recent = Rate(1_000_000, 1_000_000), Recent(100, 10**9, lambda _: None)
        admission = Admission(self.callers, Rate(1, burst), free, self.waiting, Waiting(10, 10))
        counting = Counting()
        posting = Posting(admission, desk, recent, counting, patience_s=5.0)
        routes = Routes(table(posting, nobody, nobody, nobody, nobody))
        self.gateway = Gateway(routes, admission, recent, counting, CrossOrigin(frozenset()))

    def key(self, *scopes: Any, events: tuple[str, ...] | None = None) -> tuple[str, str]:
        """A caller's id, and his key."""
        key_id = new_id()
        key = new_key(key_id)
        caller = ApiKey(
            id=key_id, name="n", scopes=scopes, secrets=(KeptSecret(sha256=digest(key)),),
            created_at="2026-01-01T00:00:00Z", events=events,
        )  # fmt: skip
        self.callers.take(key_id.encode(), caller.model_dump_json(exclude_none=True).encode())
        return key_id, key

    async def post(
        self,
        path: str,
        key: str | None,
        request: str | None = "k",
        body: bytes = ORDER,
        more: Mapping[str, str] | None = None,
    ) -> Response:
        headers = dict(more or {})
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        if request is not None:
            headers["idempotency-key"] = request
        async with asyncio.timeout(10):
            return await responded(self.gateway, Request("POST", path, "", headers.get, body, "1.2.3.4"))


def name_of(response: Response) -> str:
    return str(json.loads(response.body)["type"]).removeprefix("/v1/problems/")


async def test_a_command_bears_the_callers_id_and_none_of_his_private_headers() -> None:
    house = House()
    key_id, key = house.key("buy")
    sent = {"boxoffice-origin": "0:1", "boxoffice-read": "0-9", "traceparent": "00-a-b-01"}
    assert (await house.post(PURCHASES, key, more=sent)).status == 202
    [order] = house.desk.orders
    assert (order.event_id, order.request_id) == ("42", f"{key_id}:k")
    assert json.loads(order.value)["request_id"] == f"{key_id}:k"
    assert order.headers == [("traceparent", b"00-a-b-01")]


async def test_a_buyer_cancels_what_came_with_his_own_key_and_nothing_else() -> None:
    house = House()
    key_id, key = house.key("buy")
    await house.post(f"{PURCHASES}/k-1/cancellation", key, body=b"")
    assert json.loads(house.desk.orders[0].value)["purchase"] == f"{key_id}:k-1"
    stolen = json.dumps({"purchase": "somebody00:k-1"}).encode()
    assert (await house.post(f"{PURCHASES}/k-1/cancellation", key, body=stolen)).status == 422
    assert (await house.post(f"{PURCHASES}/somebody00:k-1/cancellation", key, body=b"")).status == 202
    assert json.loads(house.desk.orders[1].value)["purchase"] == f"{key_id}:somebody00:k-1"


OF_EVENTS = (
    "/v1/events",
    *(f"/v1/events/42/{what}" for what in ("change", "tickets", "removal", "closing", "cancellation", "archiving")),
)


@pytest.mark.parametrize("path", OF_EVENTS)
@pytest.mark.parametrize("scope", ["buy", "read", "admin"])
async def test_who_may_not_run_events_does_nothing_to_them(path: str, scope: str) -> None:
    house = House()
    response = await house.post(path, house.key(scope)[1], body=b'{"event_id":"42"}' if path == "/v1/events" else b"")
    assert (response.status, name_of(response)) == (403, "forbidden")
    assert house.desk.orders == []


@pytest.mark.parametrize("kind", ["confirm_purchase", "expire_hold"])
@pytest.mark.parametrize("path", [PURCHASES, f"{PURCHASES}/k-1/cancellation", *OF_EVENTS])
async def test_nobody_says_over_http_that_something_was_paid_or_is_due(path: str, kind: str) -> None:
    house = House()
    _, key = house.key("buy", "read", "events", "admin")
    body = {"type": kind, "event_id": "42", "purchase": "k-1", "payment": "p-1", "amount": 1, "currency": "EUR"}
    assert (await house.post(path, key, body=json.dumps(body).encode())).status == 422
    for place in ("payment", "confirmation", "expiry"):
        assert (await house.post(f"{PURCHASES}/k-1/{place}", key, body=json.dumps(body).encode())).status == 404
    assert house.desk.orders == []


@pytest.mark.parametrize("scope", ["read", "events", "admin"])
async def test_who_may_not_buy_buys_nothing(scope: str) -> None:
    house = House()
    assert (await house.post(PURCHASES, house.key(scope)[1])).status == 403
    assert house.desk.orders == []


async def test_a_key_for_one_event_is_good_for_no_other() -> None:
    house = House()
    _, key = house.key("buy", "events", events=("42",))
    assert (await house.post(PURCHASES, key)).status == 202
    assert (await house.post("/v1/events/43/purchases", key)).status == 403
    assert (await house.post("/v1/events", key, body=b'{"event_id":"43"}')).status == 403
    assert len(house.desk.orders) == 1


@pytest.mark.parametrize("key", [None, "", "bo_x", "x" * 15_000])
async def test_without_a_key_that_is_known_nothing_is_published(key: str | None) -> None:
    house = House()
    house.key("buy")
    response = await house.post(PURCHASES, key)
    assert (response.status, name_of(response)) == (401, "unauthenticated")
    assert "www-authenticate" in dict(response.headers)
    assert house.desk.orders == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events/042/purchases", "/v1/events/42/purchases/", "//v1/events/42/purchases", "/v1//events/42/purchases",
        "/v1/events/../events/42/purchases", "/v1/events/42/../42/purchases", "/V1/events/42/purchases", "v1/events",
        "/v1/events/42%2Fpurchases", "/v1/events/42/purchases/../closing", "/v1/events/42/purchases\x00", "", "*",
        "/v1/events/42/purchases/k/../../closing", "/v1/events/4 2/purchases", "/v1/events/٤٢/purchases",
        "/v1/events/42/purchases;x", "http://other/v1/events/42/purchases",
    ],
)  # fmt: skip
async def test_a_path_that_is_not_just_what_it_has_to_be_leads_nowhere(path: str) -> None:
    house = House()
    response = await house.post(path, house.key("buy", "events")[1])
    assert response.status in (404, 405)
    assert house.desk.orders == []


async def test_an_instance_that_ends_takes_no_more_and_says_so() -> None:
    house = House()
    _, key = house.key("buy")
    house.gateway.drain()
    response = await house.post(PURCHASES, key)
    assert (response.status, name_of(response)) == (503, "draining")
    assert json.loads(response.body)["outcome"] == "not-taken"
    assert dict(response.headers)["retry-after"] == "1"
    assert house.desk.orders == []


async def test_more_than_may_wait_are_refused_before_anything_is_published() -> None:
    house = House(most=3, most_of_one=2)
    house.desk.is_open = False
    (_, one), (_, two) = house.key("buy"), house.key("buy")
    waiting = [asyncio.create_task(house.post(PURCHASES, key, f"k-{n}")) for n, key in enumerate((one, one, two))]
    await asyncio.sleep(0)
    of_one, of_all = await house.post(PURCHASES, one, "k-3"), await house.post(PURCHASES, two, "k-4")
    assert (of_one.status, name_of(of_one)) == (429, "too-many-waiting")
    assert (of_all.status, name_of(of_all)) == (503, "overloaded")
    assert {json.loads(response.body)["outcome"] for response in (of_one, of_all)} == {"not-taken"}
    assert len(house.desk.orders) == 3
    house.desk.answer()
    assert [response.status for response in await asyncio.gather(*waiting)] == [202] * 3
    assert house.waiting.count == 0
    assert (await house.post(PURCHASES, one, "k-3")).status == 202


async def test_a_partition_that_makes_others_wait_too_long_takes_no_more() -> None:
    house = House()
    house.desk.oldest_s = 5.1
    response = await house.post(PURCHASES, house.key("buy")[1])
    assert (response.status, name_of(response)) == (503, "overloaded")
    assert house.desk.orders == []


async def test_a_caller_beyond_his_pace_is_told_when_to_come_and_another_is_not_held_up() -> None:
    house = House(burst=1)
    (_, one), (_, two) = house.key("buy"), house.key("buy")
    assert (await house.post(PURCHASES, one)).status == 202
    response = await house.post(PURCHASES, one)
    assert (response.status, name_of(response)) == (429, "rate-limited")
    assert int(dict(response.headers)["retry-after"]) >= 1
    assert (await house.post(PURCHASES, two)).status == 202
    assert len(house.desk.orders) == 2


async def test_a_caller_who_goes_away_takes_nobodys_place() -> None:
    house = House()
    house.desk.is_open = False
    going = asyncio.create_task(house.post(PURCHASES, house.key("buy")[1]))
    await asyncio.sleep(0)
    assert house.waiting.count == 1
    going.cancel()
    await asyncio.wait([going])
    assert house.waiting.count == 0


async def test_a_revoked_key_is_refused_at_once_and_who_waits_is_answered() -> None:
    house = House()
    house.desk.is_open = False
    key_id, key = house.key("buy")
    waiting = asyncio.create_task(house.post(PURCHASES, key))
    await asyncio.sleep(0)
    house.callers.take(key_id.encode(), None)
    assert (await house.post(PURCHASES, key, "k-2")).status == 401
    house.desk.answer()
    assert (await waiting).status == 202
