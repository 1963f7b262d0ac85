"""Connections as callers have them: in order, bounded, and ended so that no answer is lost. On real sockets."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from boxoffice.gateway import connections as module
from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.connections import MOST_AT_ONCE, MOST_LINGERING_BYTES, Connection, Connections
from boxoffice.gateway.messages import Headers, Pending, Problem, Request, Response, Steps
from boxoffice.gateway.reader import Stage
from tests.support.raw_http import HOST, RawClient

DEADLINE_S = 20


class Echo:
    """Stands for the gateway: says what it was given, once it is let go."""

    def __init__(self) -> None:
        self.draining = False
        self.requests: list[Request] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.cancelled: list[str] = []
        self.is_held = False
        self.body: bytes | None = None
        self.headers: Headers = []
        self.fails_at = ""

    def respond(self, request: Request) -> Steps:
        self.requests.append(request)
        yield None
        yield Held(self, request) if self.is_held else self.answer(request)

    def late(self, _: Request, pending: Pending) -> Response | None:
        return pending.response()

    def answer(self, request: Request) -> Response:
        if request.path == self.fails_at:
            raise RuntimeError("nobody expects this")
        return Response(200, list(self.headers), request.path.encode() if self.body is None else self.body)

    def refuse(self, _: Request, problem: Problem) -> Response:
        return problem.response()


class Held(Pending):
    """An answer that is held back until its gate opens."""

    def __init__(self, echo: Echo, request: Request) -> None:
        self._echo = echo
        self._request = request
        self._waiting = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        await self._echo.gates[self._request.path].wait()

    def when_over(self, tell: Callable[[], None]) -> None:
        self._waiting.add_done_callback(lambda _: tell())

    def go(self) -> None:
        self._waiting.cancel()

    def response(self) -> Response | None:
        if self._waiting.cancelled():
            self._echo.cancelled.append(self._request.path)
            return None
        return self._echo.answer(self._request)


class House:
    """A port with connections, and who asks there."""

    def __init__(self, most: int = 100, *trusted: str) -> None:
        self.echo = Echo()
        gateway: Any = self.echo
        self.connections = Connections(gateway, Addresses([ip_network(one) for one in trusted]), most)
        self._clients: list[RawClient] = []

    async def __aenter__(self) -> House:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connections.connect, HOST, 0)
        self._sweeping = asyncio.create_task(self.connections.sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._sweeping.cancel()
        self.connections.abort()
        for client in self._clients:
            client.close()
        await self.until_open(0)

    async def client(self) -> RawClient:
        port = self._server.sockets[0].getsockname()[1]
        self._clients.append(await RawClient.connect(port))
        return self._clients[-1]

    async def sends(self, data: bytes) -> RawClient:
        """Somebody who sends just this."""
        client = await self.client()
        await client.send(data)
        return client

    async def until_open(self, count: int) -> None:
        await self.until(lambda: len(self.connections) == count)

    @staticmethod
    async def until(holds: Any) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with House() as house:
        yield house


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that has to happen has to happen soon."""
    for name in ("HEADERS_WITHIN_S", "BODY_WITHIN_S", "ANSWER_READ_WITHIN_S", "LINGERING_S"):
        monkeypatch.setattr(module, name, 0.1)
    monkeypatch.setattr(module, "_WITHIN_S", dict.fromkeys(Stage, 0.1))
    monkeypatch.setattr(module, "SWEEP_S", 0.02)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def hear(client: RawClient) -> tuple[int, dict[str, str], bytes]:
    heard = await client.hear(DEADLINE_S)
    assert heard is not None
    return heard


async def test_one_request_after_the_other_is_answered_on_a_connection(house: House) -> None:
    client = await house.client()
    for path in ("/a", "/b"):
        await client.send(get(path))
        status, headers, body = await hear(client)
        assert (status, body, headers["content-length"]) == (200, path.encode(), "2")
        assert headers["date"].endswith(" GMT")
        assert "connection" not in headers
    assert house.echo.requests[0].address == HOST


async def test_requests_that_come_at_once_are_answered_in_their_order_and_one_at_a_time(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(get("/a") + get("/b") + get("/c", "Connection: close"))
    await house.until(lambda: house.echo.requests)
    house.echo.gates["/c"].set()
    house.echo.gates["/b"].set()
    assert [request.path for request in house.echo.requests] == ["/a"]
    house.echo.gates["/a"].set()
    assert [(await hear(client))[2] for _ in range(3)] == [b"/a", b"/b", b"/c"]
    assert await client.ends(DEADLINE_S) == b""


async def test_requests_of_one_turn_are_answered_one_at_a_time_though_writing_stopped_and_went_on_meanwhile(
    house: House,
) -> None:
    house.echo.is_held = True
    client = await house.client()
    await house.until_open(1)
    [connection] = house.connections._open
    connection.data_received(get("/a") + get("/b"))
    connection.pause_writing()
    connection.resume_writing()
    await house.until(lambda: house.echo.requests)
    await asyncio.sleep(0.05)
    assert [request.path for request in house.echo.requests] == ["/a"]
    for path in ("/a", "/b"):
        house.echo.gates[path].set()
        assert (await hear(client))[2] == path.encode()


async def test_what_stands_behind_the_last_request_is_not_read(house: House) -> None:
    for last in (get("/a", "Connection: close"), post("/a", b"x").replace(b"HTTP/1.1", b"HTTP/1.0")):
        client = await house.sends(last + get("/b"))
        said = await client.ends(DEADLINE_S)
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"connection: close\r\n" in said
    assert {request.path for request in house.echo.requests} == {"/a"}


async def test_who_sends_many_at_once_is_answered_some_and_may_come_again(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(b"".join(get(f"/{number}") for number in range(200)))
    await house.until(lambda: house.echo.requests)
    for number in range(200):
        house.echo.gates[f"/{number}"].set()
    said = await client.ends(DEADLINE_S)
    assert said.count(b"HTTP/1.1 200") == MOST_AT_ONCE + 1
    assert said.count(b"connection: close") == 1
    assert len(house.echo.requests) == MOST_AT_ONCE + 1


async def test_a_problem_is_told_behind_the_answers_that_are_owed(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(get("/a") + b"no request\r\n\r\n" + get("/b"))
    await house.until(lambda: house.echo.requests)
    house.echo.gates["/a"].set()
    assert (await hear(client))[0] == 200
    status, headers, _ = await hear(client)
    assert (status, headers["connection"]) == (400, "close")
    assert await client.ends(DEADLINE_S) == b""
    assert [request.path for request in house.echo.requests] == ["/a"]


async def test_a_head_is_answered_without_its_body(house: House) -> None:
    client = await house.sends(get("/abc").replace(b"GET", b"HEAD") + get("/b"))
    said = b""
    async with asyncio.timeout(DEADLINE_S):
        while not said.endswith(b"\r\n\r\n/b"):
            said += await client._reader.read(1_000)
    first, _, second = said.partition(b"\r\n\r\n")
    assert b"content-length: 4" in first
    assert second.startswith(b"HTTP/1.1 200")


async def test_only_what_says_so_itself_is_kept_by_anybody(house: House) -> None:
    client = await house.sends(get("/a") + post("/b", b""))
    assert [(await hear(client))[1]["cache-control"] for _ in range(2)] == ["no-store"] * 2
    house.echo.headers = [("cache-control", "private, no-cache")]
    await client.send(get("/a"))
    assert (await hear(client))[1]["cache-control"] == "private, no-cache"


async def test_who_waits_for_it_is_told_to_go_on(house: House) -> None:
    client = await house.sends(post("/a", b"abc", "Expect: 100-continue")[:-3])
    first = await client._hear()
    assert first is not None
    assert first.status == 100
    await client.send(b"abc")
    assert (await hear(client))[0] == 200
    assert house.echo.requests[0].body == b"abc"


async def test_a_body_that_is_too_large_is_refused_and_the_answer_arrives(house: House) -> None:
    client = await house.sends(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000)
    status, headers, _ = await hear(client)
    assert (status, headers["connection"]) == (413, "close")
    assert await client.ends(DEADLINE_S) == b""


async def test_who_goes_on_sending_for_a_moment_still_hears_why_he_was_refused(house: House) -> None:
    """A connection that is closed with anything unread is reset, and many clients then forget what they have heard."""
    client = await house.sends(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
    for _ in range(10):
        assert await client.send(b"x" * 1_000)
        await asyncio.sleep(0.01)
    assert (await hear(client))[0] == 413


async def test_who_goes_on_sending_what_nobody_wants_is_cut_off(house: House) -> None:
    client = await house.sends(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n")
    sent_bytes = 0
    while await client.send(b"x" * 65_536):
        sent_bytes += 65_536
        assert sent_bytes < 60 * MOST_LINGERING_BYTES
    await house.until_open(0)


async def test_who_goes_away_ends_his_request(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(get("/a"))
    await house.until(lambda: house.echo.requests)
    client.close()
    await house.until(lambda: house.echo.cancelled == ["/a"])
    await house.until_open(0)


@pytest.mark.usefixtures("impatient")
async def test_who_says_nothing_or_half_a_head_is_left_and_half_a_body_is_told_so(house: House) -> None:
    silent, half = await house.client(), await house.sends(get("/")[:-3])
    again = await house.sends(get("/again"))
    body = await house.sends(post("/", b"abc")[:-1])
    assert await silent.ends(DEADLINE_S) == await half.ends(DEADLINE_S) == b""
    assert (await again.ends(DEADLINE_S)).startswith(b"HTTP/1.1 200")
    status, headers, _ = await hear(body)
    assert (status, headers["connection"]) == (408, "close")
    await house.until_open(0)


@pytest.mark.usefixtures("impatient")
async def test_who_is_waited_for_by_nobody_may_wait_for_his_answer(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(get("/slow"))
    other = await house.client()
    assert await other.ends(DEADLINE_S) == b""
    assert not house.echo.cancelled
    house.echo.gates["/slow"].set()
    assert (await hear(client))[0] == 200


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_is_answered_no_more_and_cut_off(house: House) -> None:
    house.echo.body = b"x" * 1_000_000
    client = await house.client()
    client.push(get("/a") * 30)
    await house.until(lambda: house.echo.requests)
    await house.until_open(0)
    assert len(house.echo.requests) < 30


async def test_what_is_asked_by_whoever_does_not_read_is_answered_when_he_does(house: House) -> None:
    house.echo.body = b"x" * 20_000_000
    client = await house.sends(get("/a"))
    await house.until_open(1)
    [connection] = house.connections._open
    await house.until(lambda: connection._is_full)
    await client.send(get("/b"))
    await house.until(lambda: connection._turns)
    await asyncio.sleep(0.05)
    assert [request.path for request in house.echo.requests] == ["/a"]
    for _ in range(2):
        assert len((await hear(client))[2]) == 20_000_000


async def test_who_reads_again_is_answered_on(house: House) -> None:
    house.echo.body = b"x" * 1_000_000
    client = await house.client()
    client.push(get("/a") * 20)
    await house.until(lambda: house.echo.requests)
    for _ in range(20):
        assert len((await hear(client))[2]) == 1_000_000


async def test_connections_beyond_the_bound_are_told_so_and_others_are_served() -> None:
    async with House(most=2) as house:
        first, second = await house.client(), await house.client()
        await house.until_open(2)
        third = await house.client()
        status, headers, _ = await hear(third)
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert await third.ends(DEADLINE_S) == b""
        await house.until_open(2)
        for client in (first, second):
            await client.send(get("/a"))
            assert (await hear(client))[0] == 200


async def test_a_trusted_proxy_names_the_address() -> None:
    async with House(100, "127.0.0.0/8") as house:
        client = await house.sends(get("/", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"))
        await hear(client)
        assert house.echo.requests[0].address == "198.51.100.1"


async def test_who_is_answered_while_it_ends_is_told_that_it_was_the_last(house: House) -> None:
    house.echo.is_held = True
    client = await house.sends(get("/a"))
    await house.until(lambda: house.echo.requests)
    house.echo.draining = True
    house.echo.gates["/a"].set()
    assert (await hear(client))[1]["connection"] == "close"
    assert await client.ends(DEADLINE_S) == b""


async def test_it_knows_whose_body_is_on_its_way(house: House) -> None:
    assert not house.connections.is_busy
    client = await house.sends(post("/", b"abc")[:-1])
    await house.until(lambda: house.connections.is_busy)
    await client.send(b"c")
    await hear(client)
    assert not house.connections.is_busy


async def test_a_connection_that_fails_holds_up_no_other(house: House) -> None:
    clients = [await house.client() for _ in range(3)]
    house.echo.fails_at = "/1"
    with capture_logs() as logs:
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
        assert [(await hear(clients[number]))[0] for number in (0, 2)] == [200, 200]
        assert await clients[1].ends(DEADLINE_S) == b""
    assert [line["event"] for line in logs] == ["a connection failed"]


async def test_an_answer_that_fails_when_it_was_waited_for_holds_up_no_other(house: House) -> None:
    clients = [await house.client() for _ in range(3)]
    house.echo.is_held = True
    house.echo.fails_at = "/1"
    with capture_logs() as logs:
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
        await house.until(lambda: len(house.echo.requests) == 3)
        for number in range(3):
            house.echo.gates[f"/{number}"].set()
        assert [(await hear(clients[number]))[0] for number in (0, 2)] == [200, 200]
        assert await clients[1].ends(DEADLINE_S) == b""
    assert [line["event"] for line in logs] == ["a connection failed"]


async def test_an_answer_that_cannot_be_written_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, clients = Connection.write, [await house.client() for _ in range(3)]

    def fail_with_the_second(connection: Connection, data: bytes) -> None:
        if data.endswith(b"/1"):
            raise RuntimeError("a transport that fails")
        write(connection, data)

    monkeypatch.setattr(Connection, "write", fail_with_the_second)
    with capture_logs() as logs:
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
        assert [(await hear(clients[number]))[0] for number in (0, 2)] == [200, 200]
        assert await clients[1].ends(DEADLINE_S) == b""
    assert [line["event"] for line in logs] == ["a connection failed"]
