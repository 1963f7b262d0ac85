"""What the server hands in, and what it is given to write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.application import Application
from boxoffice.gateway.messages import Problem, Request, Response
from models.commands import MAX_COMMAND_BYTES


class Headers:
    """Of a request; a name may come more than once."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def get(self, name: str, default: str | None = None) -> str | None:
        return next((value for found, value in self._pairs if found == name), default)

    def get_all(self, name: str) -> list[str]:
        return [value for found, value in self._pairs if found == name]


class Connection:
    """Sends a body in parts, and notes what is written."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.written: tuple[int, list[tuple[str, str]], bytes] = (0, [], b"")

    async def __call__(self) -> bytes:
        return b"".join(self._chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.written = (status, headers, body)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.written = (status, headers, b"")


class Gateway:
    """Answers whatever it is asked in the same way, and notes it."""

    def __init__(self) -> None:
        self.response = Response(200, [("content-type", "text/plain")], b"hello")
        self.draining = False
        self.asked: list[Request] = []

    async def respond(self, request: Request) -> Response:
        self.asked.append(request)
        return self.response._replace(headers=list(self.response.headers))

    def refuse(self, request: Request, problem: Problem) -> Response:
        self.asked.append(request)
        return problem.response()


class Bench:
    """An application behind a trusted proxy."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        addresses = Addresses([ip_network("10.0.0.0/8")])
        self.application = Application(self.gateway, addresses)  # type: ignore[arg-type]

    async def ask(
        self,
        method: str = "GET",
        *headers: tuple[str, str],
        client: str = "192.0.2.1:4711",
        body: tuple[bytes, ...] = (),
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        scope = SimpleNamespace(
            proto="http",
            http_version="1.1",
            method=method,
            path="/v1/events",
            query_string="a=b",
            headers=Headers(*headers),
            client=client,
        )
        connection = Connection(*body)
        await self.application.__rsgi__(scope, connection)
        return connection.written


async def test_a_response_is_kept_nowhere_unless_it_says_so() -> None:
    bench = Bench()
    assert await bench.ask() == (200, [("content-type", "text/plain"), ("cache-control", "no-store")], b"hello")
    bench.gateway.response = Response(200, [("cache-control", "private, no-cache")], b"hello")
    assert (await bench.ask())[1] == [("cache-control", "private, no-cache")]


async def test_the_answer_to_head_has_all_but_the_body() -> None:
    bench = Bench()
    status, headers, body = await bench.ask("HEAD")
    assert (status, body) == (200, b"")
    assert dict(headers)["content-length"] == "5"


async def test_an_instance_that_ends_closes_its_connections() -> None:
    bench = Bench()
    bench.gateway.draining = True
    assert ("connection", "close") in (await bench.ask())[1]


async def test_the_address_is_the_connection_s_or_what_a_trusted_proxy_wrote_on_whichever_line() -> None:
    bench = Bench()
    forwarded = [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "198.51.100.1")]
    await bench.ask("GET", *forwarded)
    await bench.ask("GET", *forwarded, client="10.0.0.1:4711")
    await bench.ask(client="[2001:db8::7]:4711")
    assert [asked.address for asked in bench.gateway.asked] == ["192.0.2.1", "198.51.100.1", "2001:db8::7"]


async def test_a_body_is_read_whole_or_in_parts_up_to_its_bound() -> None:
    bench = Bench()
    await bench.ask("POST", ("content-length", "2"), body=(b"{}",))
    await bench.ask("POST", ("transfer-encoding", "chunked"), body=(b"{", b"}"))
    await bench.ask("POST", body=(b"not announced",))
    assert [asked.body for asked in bench.gateway.asked] == [b"{}", b"{}", b""]
    half = b"x" * (MAX_COMMAND_BYTES // 2 + 1)
    for headers, body in (
        (("content-length", str(MAX_COMMAND_BYTES + 1)), ()),
        (("content-length", "-1"), ()),
        (("content-length", "many"), ()),
        (("transfer-encoding", "chunked"), (half, half)),
    ):
        status, _, _ = await bench.ask("POST", headers, body=body)
        assert status == 413
        assert bench.gateway.asked[-1].body == b""


@pytest.mark.parametrize("proto", ["ws"])
async def test_what_is_no_http_is_not_spoken(proto: str) -> None:
    closed: list[Any] = []
    connection: Any = SimpleNamespace(close=closed.append)
    await Bench().application.__rsgi__(SimpleNamespace(proto=proto), connection)
    assert closed == [501]
