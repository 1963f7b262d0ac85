"""Bodies and headers at the front door, on a server that gives what Granian gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from boxoffice.gateway import application as module
from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.application import Application
from boxoffice.gateway.messages import Problem, Request, Response
from models.commands import MAX_COMMAND_BYTES


class Headers:
    """As Granian gives them: what is no ASCII is not there."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def get(self, name: str) -> str | None:
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        return [value for one, value in self._pairs if one == name]


class Protocol:
    """One request's body, and its response."""

    def __init__(self, *chunks: bytes, breaks_off: bool = False, stays_away: bool = False) -> None:
        self._chunks = chunks
        self._breaks_off = breaks_off
        self._stays_away = stays_away
        self.read_bytes = 0
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    async def __call__(self) -> bytes:
        if self._stays_away:
            await asyncio.Event().wait()
        if self._breaks_off:
            raise ProtocolClosed("RSGI transport is closed")
        return b"".join(self._chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.read_bytes += len(chunk)
            yield chunk
        if self._breaks_off:
            yield b""
        yield b""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, headers


class Echo:
    """Stands for the gateway: says what it was given."""

    draining = False

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def respond(self, request: Request) -> Response:
        self.requests.append(request)
        try:
            request.header("idempotency-key")
        except Problem as problem:
            return problem.response()
        return Response(201, [], request.body)

    def refuse(self, _request: Request, problem: Problem) -> Response:
        return problem.response()


async def sent(protocol: Protocol, *headers: tuple[str, str], echo: Echo | None = None) -> Protocol:
    scope = SimpleNamespace(
        proto="http", http_version="1.1", method="POST", path="/", query_string="", client="1.2.3.4:5",
        headers=Headers(*headers),
    )  # fmt: skip
    gateway: Any = echo or Echo()
    asking = asyncio.create_task(Application(gateway, Addresses(())).__rsgi__(scope, protocol))
    await asyncio.wait([asking], timeout=10)
    assert asking.done()
    asking.result()
    return protocol


async def test_a_body_of_known_length_comes_as_it_was_sent() -> None:
    echo = Echo()
    protocol = await sent(Protocol(b"abc"), ("content-length", "3"), echo=echo)
    assert (protocol.status, protocol.body) == (201, b"abc")
    assert echo.requests[0].address == "1.2.3.4"
    assert ("connection", "close") not in protocol.headers


@pytest.mark.parametrize("length", [str(MAX_COMMAND_BYTES + 1), "60000000", "9" * 5_000, "-1", "x", "²"])
async def test_a_length_beyond_the_bound_is_refused_unread_and_the_connection_closed(length: str) -> None:
    protocol = await sent(Protocol(stays_away=True), ("content-length", length))
    assert protocol.status == 413
    assert ("connection", "close") in protocol.headers


async def test_of_a_body_without_a_length_no_more_is_read_than_the_bound() -> None:
    protocol = await sent(Protocol(*[b"x" * 4_096] * 1_000), ("transfer-encoding", "chunked"))
    assert protocol.status == 413
    assert protocol.read_bytes <= MAX_COMMAND_BYTES + 4_096


async def test_a_chunked_body_is_read_and_what_follows_on_its_connection_is_not() -> None:
    protocol = await sent(Protocol(b"a", b"bc"), ("transfer-encoding", "chunked"))
    assert (protocol.status, protocol.body) == (201, b"abc")
    assert ("connection", "close") in protocol.headers


async def test_a_chunked_body_that_breaks_off_is_no_body() -> None:
    echo = Echo()
    protocol = await sent(Protocol(b"{}", breaks_off=True), ("transfer-encoding", "chunked"), echo=echo)
    assert protocol.status == 400
    assert echo.requests == []


async def test_a_length_and_chunks_together_are_refused() -> None:
    echo = Echo()
    pairs = [("content-length", "3"), ("transfer-encoding", "chunked")]
    protocol = await sent(Protocol(b"abc"), *pairs, echo=echo)
    assert protocol.status == 400
    assert ("connection", "close") in protocol.headers
    assert echo.requests == []


async def test_who_goes_away_in_the_middle_of_a_body_is_no_failure_and_asks_for_nothing() -> None:
    echo = Echo()
    protocol = await sent(Protocol(breaks_off=True), ("content-length", "3"), echo=echo)
    assert protocol.status == 0
    assert echo.requests == []


async def test_a_body_that_does_not_come_is_given_up_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_WITHIN_S", 0.05)
    monkeypatch.setattr(module, "_SWEEP_S", 0.01)
    gateway: Any = Echo()
    application = Application(gateway, Addresses(()))
    sweeping = asyncio.create_task(application.sweep())
    protocol = Protocol(stays_away=True)
    scope = SimpleNamespace(
        proto="http", http_version="1.1", method="POST", path="/", query_string="", client="1.2.3.4:5",
        headers=Headers(("content-length", "3")),
    )  # fmt: skip
    asking = asyncio.create_task(application.__rsgi__(scope, protocol))
    await asyncio.wait([asking], timeout=10)
    assert asking.done()
    sweeping.cancel()
    assert protocol.status == 408
    assert ("connection", "close") in protocol.headers
    assert not application.is_reading


async def test_a_key_that_came_twice_is_refused_and_a_preference_may_come_twice() -> None:
    protocol = await sent(Protocol(), ("idempotency-key", "a"), ("idempotency-key", "b"))
    assert protocol.status == 400
    assert b"came more than once" in protocol.body
    echo = Echo()
    await sent(Protocol(), ("prefer", "wait=1"), ("prefer", "respond-async"), echo=echo)
    assert echo.requests[0].header("prefer") == "wait=1, respond-async"
    assert echo.requests[0].header("traceparent") is None
