"""The gateway's server as strangers meet it: limits, proxies, browsers, names of requests, what operators ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from boxoffice.redis.clients import redis_client
from boxoffice.redis.store import RedisStore
from tests.integration.test_gateway_requests import ORDER, PURCHASES, answer_once
from tests.support.gateways import Answer, Door, new_key
from tests.support.observed import get
from tests.support.office import Office, until
from tests.support.workload import creations
from topics.purchase_requests import HTTP_REQUEST_HEADER, TRACE_HEADER

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHOP = "https://shop.example"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def raw(door: Door, *lines: str) -> bytes:
    """What is answered to a request that no client of ours would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        writer.write("\r\n".join([*lines, "Host: x", "Connection: close", "", ""]).encode())
        await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def test_what_there_is_is_told_to_people_and_to_programs(office: Office, session: aiohttp.ClientSession) -> None:
    door = Door(office)
    await door.ready()
    status, links, headers = await door.get(session, "/")
    assert (status, "/v1/problems" in links["links"]) == (200, True)
    assert len(headers["x-request-id"]) > 16
    page = await door.get(session, "/v1/problems/sold-out", accept="text/html")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"No ticket is left." in page.body
    of_head = await door.get(session, "/v1/problems/sold-out", method="HEAD", accept="text/html")
    assert (of_head.status, of_head.body, of_head.headers["content-length"]) == (200, b"", str(len(page.body)))
    assert page.headers.getall("cache-control") == ["public, max-age=3600"]
    for method, path, allowed in (
        ("DELETE", "/", "GET, HEAD, OPTIONS"),
        ("GET", PURCHASES, "OPTIONS, POST"),
        ("PUT", "/v1/events/42/requests/k-1", "GET, HEAD, OPTIONS"),
    ):
        answer = await door.get(session, path, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert answer.body["type"] == "/v1/problems/method-not-allowed"
    options = await door.get(session, PURCHASES, method="OPTIONS")
    assert (options.status, options.headers["allow"]) == (204, "OPTIONS, POST")
    assert b"404" in (await raw(door, "OPTIONS * HTTP/1.1")).splitlines()[0]


async def test_a_page_of_a_shop_may_buy_and_no_other_page(office: Office, session: aiohttp.ClientSession) -> None:
    door = Door(office, BOXOFFICE_GATEWAY_ORIGINS=SHOP)
    await door.ready()
    asked = {"access_control_request_method": "POST"}
    preflight = await door.get(session, PURCHASES, method="OPTIONS", origin=SHOP, **asked)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, SHOP)
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    for origin in ("https://evil.example", "null"):
        stranger = await door.get(session, PURCHASES, method="OPTIONS", origin=origin, **asked)
        assert not [name for name in stranger.headers if name.lower().startswith("access-control")]
    problem = await door.post(session, PURCHASES, "bo_x", "k", ORDER, origin=SHOP)
    assert (problem.status, problem.headers["access-control-allow-origin"]) == (401, SHOP)


async def test_a_request_s_name_and_trace_go_with_its_command(office: Office, session: aiohttp.ClientSession) -> None:
    door = Door(office)
    key = await new_key(office, "buy")
    await door.ready()
    sent = {"x-request-id": "mine-1", "traceparent": TRACE, "boxoffice-origin": "0:1", "prefer": "respond-async"}
    answer = await door.post(session, PURCHASES, key, "k-1", ORDER, **sent)
    assert (answer.status, answer.headers["x-request-id"]) == (202, "mine-1")
    [record] = await office.read(office.requests)
    assert dict(record.headers) == {HTTP_REQUEST_HEADER: b"mine-1", TRACE_HEADER: TRACE.encode()}
    answer = await door.post(session, PURCHASES, key, "k-2", ORDER, **{**sent, "x-request-id": "x y"})
    assert answer.headers["x-request-id"] not in ("x y", "mine-1")


async def test_who_asks_too_often_is_limited_by_the_address_that_a_trusted_proxy_names(
    office: Office, session: aiohttp.ClientSession
) -> None:
    limited = {"BOXOFFICE_GATEWAY_ADDRESS_RATE": "0.001", "BOXOFFICE_GATEWAY_ADDRESS_BURST": "3"}
    door = Door(office, BOXOFFICE_GATEWAY_TRUSTED_PROXIES="127.0.0.0/8", **limited)
    await door.ready()

    async def ask(*forwarded: str) -> int:
        answer = await raw(door, "GET / HTTP/1.1", *(f"X-Forwarded-For: {line}" for line in forwarded))
        return int(answer.split()[1])

    assert [await ask("198.51.100.1") for _ in range(4)] == [200, 200, 200, 429]
    # What he writes himself stands left of what the proxy adds, on a line of its own or not.
    assert await ask("203.0.113.9, 198.51.100.1") == 429
    assert await ask("203.0.113.9", "198.51.100.1") == 429
    assert await ask("198.51.100.2") == 200
    assert [await ask("2001:db8::1"), await ask("2001:db8::2"), await ask("2001:db8::3")] == [200, 200, 200]
    assert await ask("2001:db8::4") == 429
    answer = await door.get(session, "/", x_forwarded_for="198.51.100.1")
    assert answer.body["type"] == "/v1/problems/rate-limited"
    assert int(answer.headers["retry-after"]) > 1
    untrusting = Door(office, **limited)
    await untrusting.ready()
    door = untrusting
    assert [await ask(f"198.51.100.{number}") for number in range(4)] == [200, 200, 200, 429]


async def test_who_guesses_keys_is_refused_before_they_are_looked_at(
    office: Office, session: aiohttp.ClientSession
) -> None:
    door = Door(office, BOXOFFICE_GATEWAY_ADDRESS_RATE="0.001", BOXOFFICE_GATEWAY_ADDRESS_BURST="500")
    key = await new_key(office, "buy")
    await door.ready()
    statuses = [(await door.post(session, PURCHASES, f"bo_{number}", "k", ORDER)).status for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert (await door.post(session, PURCHASES, key, "k", ORDER)).status == 429
    assert await office.read(office.requests) == []


async def test_the_internal_port_tells_what_was_sold_as_json(office: Office, session: aiohttp.ClientSession) -> None:
    office.start()
    await office.ready(office.start("stats"))
    door = Door(office)
    await office.send(creations(["42"], 3))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    assert (await door.post(session, PURCHASES, key, "k-1", ORDER)).status == 201

    def sold() -> int:
        status, text = get(door.process, "/metrics", accept="application/json")
        told = json.loads(text)
        if status != 200:  # nothing is counted yet
            return 0
        assert set(told) == {"global", "events", "system", "pdf"}
        return int(told["global"]["totalSold"] or 0)

    await until(lambda: sold() == 2, 30, "the sale to be counted")
    _, text = get(door.process, "/metrics")
    assert 'boxoffice_requests_total{status="201"} 1.0' in text
    assert "boxoffice_answer_duration_seconds_count 1.0" in text


async def test_operators_rebuild_and_practise_by_http(office: Office, session: aiohttp.ClientSession) -> None:
    office.start()
    door = Door(office)
    await office.send(creations(["42"], 3))
    operator, buyer = await new_key(office, "admin"), await new_key(office, "buy")
    await door.ready()
    await office.answered()
    assert (await door.post(session, "/v1/admin/drill", buyer, "k", {"on": True})).status == 403
    assert (await door.post(session, "/v1/admin/rebuild", buyer, "k", {"all": True})).status == 403
    status, told, _ = await door.post(session, "/v1/admin/drill", operator, "k", {"on": True, "duration_s": 60})
    assert (status, told) == (200, {"on": True, "ends_in_s": 60})
    async with redis_client(office.settings.redis) as client:
        assert await RedisStore(client, office.settings.redis).drill_ends_in_s() is not None
    status, told, _ = await door.post(session, "/v1/admin/drill", operator, "k", {"on": False})
    assert (status, told) == (200, {"on": False, "was_on": True})

    async def rebuilt(body: object) -> Answer:
        return await door.post(session, "/v1/admin/rebuild", operator, "k", body, prefer="wait=30")

    answer = await answer_once(lambda: rebuilt({"events": ["42"]}), 200, 60)
    assert answer.body["rebuilt"]["42"]["left"] == 3
    answer = await rebuilt({"all": True})
    assert set(answer.body["rebuilt"]) == {"42"}
    answer = await rebuilt({"events": ["4711"]})
    assert (answer.status, answer.body["type"]) == (404, "/v1/problems/unknown-event")
