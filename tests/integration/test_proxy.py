"""The proxy does to a connection what a test tells it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from boxoffice.embedded import Detour
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.kafka import clients
from boxoffice.settings import load_settings
from tests.support.proxy import Proxy
from tests.support.servers import NewKafka

DEADLINE_S = 5.0
A_WHILE_S = 0.2


class Echo:
    """A server that answers each line with itself, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


class Client:
    """A connection that asks one line at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, line: bytes) -> None:
        self.writer.write(line)

    async def ask(self, line: bytes) -> bytes:
        self.send(line)
        return await asyncio.wait_for(self.reader.readline(), DEADLINE_S)

    async def is_cut(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(1), DEADLINE_S) == b""
        except ConnectionError:
            return True


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    opened = Echo()
    async with await asyncio.start_server(opened.serve, HOST, 0) as server:
        opened.port = server.sockets[0].getsockname()[1]
        yield opened


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as opened:
        yield opened


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def heard(echo: Echo, line: bytes) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while line not in echo.heard:
            await asyncio.sleep(0.01)


async def test_everything_passes_in_both_directions(proxy: Proxy) -> None:
    async with connected(proxy) as one, connected(proxy) as other:
        assert await one.ask(b"a\n") == b"a\n"
        assert await other.ask(b"b\n") == b"b\n"
        lines = b"".join(b"%d\n" % number for number in range(100_000))
        one.send(lines)
        async with asyncio.timeout(DEADLINE_S):
            assert await one.reader.readexactly(len(lines)) == lines


async def test_delayed_replies_arrive_so_much_later(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        proxy.delay(A_WHILE_S)
        begun_s = monotonic()
        assert await client.ask(b"a\n") == b"a\n"
        assert monotonic() - begun_s >= A_WHILE_S


async def test_one_reply_in_so_many_can_be_delayed(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        proxy.delay(A_WHILE_S, one_in=4)
        late = 0
        for _ in range(8):
            begun_s = monotonic()
            assert await client.ask(b"a\n") == b"a\n"
            late += monotonic() - begun_s >= A_WHILE_S
        assert late >= 2


async def test_what_hangs_is_not_lost(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        proxy.hang()
        client.send(b"a\n")
        async with connected(proxy) as late:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.readline(), A_WHILE_S)
            assert echo.heard == []
            proxy.restore()
            assert await asyncio.wait_for(client.reader.readline(), DEADLINE_S) == b"a\n"
            assert await late.ask(b"b\n") == b"b\n"


async def test_a_swallowed_reply_is_to_a_request_that_went_through(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        proxy.swallow()
        client.send(b"a\n")
        await heard(echo, b"a\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readline(), A_WHILE_S)
        proxy.restore()
        assert await client.is_cut()
    async with connected(proxy) as client:
        assert await client.ask(b"b\n") == b"b\n"


async def test_a_connection_is_cut_after_so_many_bytes_of_replies(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask(b"before\n") == b"before\n"
        proxy.cut_after(5)
        assert await client.ask(b"abc\n") == b"abc\n"
        assert await client.ask(b"def\n") == b"d"
        assert await client.is_cut()
    async with connected(proxy) as client:
        assert await client.ask(b"abcdef\n") == b"abcde"
    proxy.restore()
    async with connected(proxy) as client:
        assert await client.ask(b"abcdef\n") == b"abcdef\n"


async def test_a_connection_is_cut_after_so_many_bytes_of_requests(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask(b"before\n") == b"before\n"
        proxy.cut_requests_after(5)
        assert await client.ask(b"abc\n") == b"abc\n"
        client.send(b"def\n")
        assert await client.is_cut()
    proxy.restore()
    async with connected(proxy) as client:
        assert await client.ask(b"abcdef\n") == b"abcdef\n"


async def test_cutting_ends_what_is_open_and_lets_clients_come_again(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask(b"a\n") == b"a\n"
        proxy.cut()
        assert await client.is_cut()
    async with connected(proxy) as client:
        assert await client.ask(b"b\n") == b"b\n"


async def test_a_refusing_proxy_is_a_port_where_nobody_listens(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask(b"a\n") == b"a\n"
        proxy.refuse()
        assert await client.is_cut()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, proxy.port)
    proxy.restore()
    async with connected(proxy) as client:
        assert await client.ask(b"b\n") == b"b\n"


async def test_clients_can_be_led_to_another_server(proxy: Proxy) -> None:
    other = Echo()
    async with await asyncio.start_server(other.serve, HOST, 0) as server, connected(proxy) as client:
        assert await client.ask(b"a\n") == b"a\n"
        proxy.lead_to(server.sockets[0].getsockname()[1])
        assert await client.is_cut()
        async with connected(proxy) as again:
            assert await again.ask(b"b\n") == b"b\n"
    assert other.heard == [b"b\n"]


async def test_a_server_that_is_gone_ends_the_connection() -> None:
    with Proxy(free_port()) as proxy:
        async with connected(proxy) as client:
            assert await client.is_cut()


async def test_a_broker_can_be_reached_through_it_and_past_it(new_kafka: NewKafka) -> None:
    """What a client that came through the proxy is told leads it through the proxy again."""
    beside = free_port()
    with Proxy(beside) as proxy:
        broker = await new_kafka(detour=Detour(beside, proxy.port))
        through = load_settings(kafka_bootstrap_servers=proxy.address)
        past = load_settings(kafka_bootstrap_servers=broker.bootstrap_servers)
        for settings, port in ((through, proxy.port), (past, broker.port)):
            async with clients.admin(settings.kafka) as admin:
                told = await admin.describe_cluster()
            assert [node["port"] for node in told["brokers"]] == [port]
