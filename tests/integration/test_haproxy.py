"""A real haproxy with the product's configuration: who gets which request, and what is never sent twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from boxoffice.embedded.ports import free_port
from boxoffice.gateway.haproxy import Balancer, Instance, deployed, example, haproxy_program
from tests.support.balancers import StandIn, balancing, standing_in
from tests.support.gateways import Door, new_key
from tests.support.office import Office
from tests.support.workload import creations

HAPROXY = haproxy_program()
BUYERS = 40
ORDERS = 25
PATIENCE_S = 60

pytestmark = [pytest.mark.haproxy, pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as opened:
        yield opened


async def post(session: aiohttp.ClientSession, url: str, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
    """What comes back: status, headers, and the body if it is JSON."""
    async with session.post(url + path, json=body, headers=headers) as response:
        text = await response.read()
        is_json = "json" in response.headers.get("content-type", "")
        return response.status, response.headers, json.loads(text) if is_json else text.decode()


# The configuration


@pytest.mark.parametrize("with_page", [True, False])
def test_haproxy_accepts_the_configuration(tmp_path: Path, with_page: bool) -> None:
    gateways = [Instance(f"gateway-{number}", f"127.0.0.1:{15_000 + number}", 16_000 + number) for number in (1, 2, 3)]
    page = [Instance("live", "127.0.0.1:15009", 16_009)] if with_page else []
    _accepts(tmp_path, Balancer("127.0.0.1:18080", gateways, page).configuration())


def test_haproxy_accepts_the_example_of_the_documents(tmp_path: Path) -> None:
    _accepts(tmp_path, example())


@pytest.mark.parametrize("configuration", deployed().values(), ids=deployed())
def test_haproxy_accepts_the_configurations_of_the_deployments(tmp_path: Path, configuration: str) -> None:
    _accepts(tmp_path, configuration)


def _accepts(folder: Path, configuration: str) -> None:
    path = folder / "haproxy.cfg"
    path.write_text(configuration)
    # As a pod of Kubernetes has it.
    variables = {**os.environ, "NAMESPACE": "boxoffice"}
    command = [str(HAPROXY), "-c", "-f", str(path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr


# Who gets what


async def test_all_that_concerns_an_event_goes_to_one_gateway_and_events_to_all(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    one, two = StandIn("one"), StandIn("two")
    async with standing_in(one, two), balancing(tmp_path, [one.instance, two.instance]) as url:
        for number in range(1, 41):
            for what in ("purchases", "purchases/k/cancellation", "closing"):
                await post(session, url, f"/v1/events/{number}/{what}", {}, **{"idempotency-key": "k"})
    events = [{path.split("/")[3] for path in stand_in.paths} for stand_in in (one, two)]
    assert events[0] & events[1] == set()
    assert len(events[0] | events[1]) == 40
    assert min(map(len, events)) > 0


async def test_who_looks_is_served_by_the_page_and_by_the_gateways_where_it_is_gone(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    gateway, page = StandIn("gateway"), StandIn("page")
    async with standing_in(gateway):
        async with standing_in(page), balancing(tmp_path, [gateway.instance], [page.instance]) as url:
            for path in ("/", "/buy", "/v1/events", "/v1/events/42", "/v1/events/42/stream", "/shop.json"):
                async with session.get(url + path) as response:
                    assert await response.text() == "page"
            for path in ("/v1/events/42/requests/k", "/v1/events/42/tickets/42-1.pdf", "/openapi.json"):
                async with session.get(url + path) as response:
                    assert await response.text() == "gateway"
            assert (await post(session, url, "/v1/events", {}))[2] == "gateway"
        gone = Instance("live", f"127.0.0.1:{free_port()}", free_port())
        async with balancing(tmp_path, [gateway.instance], [gone]) as url, asyncio.timeout(PATIENCE_S):
            told = ""
            while told != "gateway":
                async with session.get(f"{url}/v1/events") as response:
                    told = await response.text()


async def test_a_caller_cannot_say_whose_address_he_has(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    gateway = StandIn("gateway")
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    async with standing_in(gateway), balancing(tmp_path, [gateway.instance]) as url:
        await post(session, url, "/v1/events/42/purchases", {}, **forged)
    [(_, _, headers)] = gateway.heard
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert "forwarded" not in headers


# What is sent again


async def test_a_command_with_a_key_is_answered_by_another_where_one_is_lost(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    lost, other = StandIn("lost", hangs_up=True), StandIn("other")
    async with standing_in(lost, other), balancing(tmp_path, [lost.instance, other.instance]) as url:
        for number in range(1, 21):
            path = f"/v1/events/{number}/purchases"
            assert (await post(session, url, path, {}, **{"idempotency-key": "k"}))[2] == "other"
    assert lost.heard != []


async def test_a_command_without_a_key_is_never_sent_twice(tmp_path: Path) -> None:
    """On a connection of its own it is told so; on one that was used before haproxy ends that, and says nothing."""
    lost, other = StandIn("one", hangs_up=True), StandIn("two", hangs_up=True)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        standing_in(lost, other),
        balancing(tmp_path, [lost.instance, other.instance]) as url,
    ):
        for number in range(1, 21):
            status, headers, problem = await post(session, url, f"/v1/events/{number}/purchases", {})
            assert (status, problem["status"], problem["outcome"]) == (503, 503, "outcome-unknown")
            assert headers["retry-after"] == "1"
    assert set((lost.paths + other.paths).values()) == {1}


async def test_where_no_gateway_is_there_nothing_was_taken(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    gone = Instance("gateway-1", f"127.0.0.1:{free_port()}", free_port())
    async with balancing(tmp_path, [gone]) as url:
        status, headers, problem = await post(session, url, "/v1/events/42/purchases", {}, **{"idempotency-key": "k"})
    assert (status, problem["type"], problem["outcome"]) == (503, "/v1/problems/overloaded", "not-taken")
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "1"


# What does not come through


async def _raw(url: str, request: bytes) -> bytes:
    """What comes back for bytes, until the connection is closed or nothing comes any more."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    told = b""
    try:
        async with asyncio.timeout(3):
            while chunk := await reader.read(65_536):
                told += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return told


SMUGGLED = b"POST /v1/events/43/purchases HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (5 + len(SMUGGLED)), False),
        (b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % (5 + len(SMUGGLED)), False),
        (b"Content-Length: 5\r\nContent-Length: %d\r\n" % (5 + len(SMUGGLED)), True),
        (b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", True),
        (b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", True),
    ],
    ids=["length first", "chunks first", "two lengths", "unknown coding", "space before the colon"],
)
async def test_no_request_hides_in_another_ones_body(tmp_path: Path, headers: bytes, is_refused: bool) -> None:
    """It is refused; or its body has one length from there on, and nothing behind it is read."""
    gateway = StandIn("gateway")
    head = b"POST /v1/events/42/purchases HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\n"
    async with standing_in(gateway), balancing(tmp_path, [gateway.instance]) as url:
        told = await _raw(url, head + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert told.count(b"HTTP/1.1 ") == 1
    if told.startswith(b"HTTP/1.1 400"):
        assert gateway.heard == []
        return
    assert not is_refused, told
    assert b"connection: close" in told
    [(_, path, found)] = gateway.heard
    assert path == "/v1/events/42/purchases"
    assert not {"content-length", "transfer-encoding"} <= found.keys()


async def test_too_many_headers_too_large_ones_and_too_much_of_a_body_are_refused(tmp_path: Path) -> None:
    gateway = StandIn("gateway")
    head = b"POST /v1/events/42/purchases HTTP/1.1\r\nHost: h\r\n"
    async with standing_in(gateway), balancing(tmp_path, [gateway.instance]) as url:
        many = b"".join(b"X-%d: 1\r\n" % number for number in range(100))
        assert (await _raw(url, head + many + b"Content-Length: 0\r\n\r\n")).startswith(b"HTTP/1.1 400")
        large = b"X: " + b"x" * 20_000 + b"\r\n"
        assert (await _raw(url, head + large + b"Content-Length: 0\r\n\r\n")).startswith(b"HTTP/1.1 400")
        told = await _raw(url, head + b"Content-Length: 60000000\r\n\r\n" + b"x" * 10_000)
        assert told.startswith(b"HTTP/1.1 413")
        assert b"/v1/problems/too-large" in told
    assert gateway.heard == []


# With real gateways


async def _tickets(session: aiohttp.ClientSession, url: str, key: str, event: str, request: str) -> list[str]:
    """Buy as a client should: where nobody can say what became of it, the same request is sent again."""
    headers = {"authorization": f"Bearer {key}", "idempotency-key": request}
    while True:
        status, _, fact = await post(
            session, url, f"/v1/events/{event}/purchases", {"buyer": "b", "quantity": 1}, **headers
        )
        if status == 201:
            return list(fact["tickets"])
        assert status in (202, 503), fact
        await asyncio.sleep(0.1)


async def _two_doors(office: Office) -> tuple[list[Door], list[Instance]]:
    """Gateways that are ready, and as haproxy knows them."""
    health = [free_port(), free_port()]
    doors = [Door(office, BOXOFFICE_HEALTH_PORT=str(port)) for port in health]
    for door in doors:
        await door.ready()
    return doors, [
        Instance(f"gateway-{number}", f"127.0.0.1:{door.port}", port)
        for number, (door, port) in enumerate(zip(doors, health, strict=True), 1)
    ]


@pytest.mark.slow
async def test_buys_go_through_while_a_gateway_is_killed(
    office: Office, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """Each gets his tickets, once."""
    office.start()
    events = [str(number) for number in range(1, 9)]
    await office.send(creations(events, BUYERS * ORDERS))
    key = await new_key(office, "buy")
    doors, instances = await _two_doors(office)
    await office.answered()
    bought: dict[str, list[str]] = {}

    async def buy(url: str, buyer: int) -> None:
        for order in range(ORDERS):
            request = f"k-{buyer}-{order}"
            bought[request] = await _tickets(session, url, key, events[(buyer + order) % len(events)], request)
            if len(bought) == BUYERS * ORDERS // 3:
                doors[0].process.kill()

    async with balancing(tmp_path, instances) as url, asyncio.timeout(100):
        await asyncio.gather(*(buy(url, buyer) for buyer in range(BUYERS)))
    assert doors[0].process.ended() is not None
    tickets = [ticket for of_one in bought.values() for ticket in of_one]
    assert len(tickets) == len(set(tickets)) == BUYERS * ORDERS
    await office.agrees()
