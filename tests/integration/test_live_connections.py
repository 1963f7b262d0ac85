"""The live process' server with real connections: those on which nothing gets on are ended, and none takes much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from boxoffice import metrics
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.callers import Callers
from boxoffice.live import hub as hubs
from boxoffice.live import serving as served
from boxoffice.live import streams as streamed
from boxoffice.live.application import Live
from boxoffice.live.files import Files
from boxoffice.live.hub import Hub
from boxoffice.live.overview import Overview
from boxoffice.live.serving import Listener, serving
from boxoffice.live.shop import Shop
from boxoffice.live.streams import Places, Streams
from boxoffice.settings import load_settings
from boxoffice.statistics.states import EventStates
from tests.support.figures import states_of, written
from tests.support.office import until
from tests.support.spectators import PATIENCE_S, Viewer, deaf_socket, let_go

MOST_EVENTS = 3_000


class House:
    """The live process without a Kafka: its states are given."""

    def __init__(self, states: EventStates, folder: Path, port: int) -> None:
        self.port = port
        self.states = states
        self.hub = Hub(states, 0.01, 1_000_000)
        self.places = Places(1_000, 1_000)
        self.streams = Streams(states, self.hub, self.places)
        settings = load_settings()
        callers = Callers()
        shop = Shop(settings.live, callers)
        overview = Overview(settings, states, callers)
        self.live = Live(states, self.streams, Files(folder, ""), shop, overview, Addresses(()))
        self.listener: Listener | None = None

    async def ask(self, text: str) -> bytes:
        """All that is answered to some bytes, until the connection ends."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(text.replace("\n", "\r\n").encode())
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            await let_go(writer)


@asynccontextmanager
async def house_of(states: EventStates, folder: Path, most_connections: int = 1_000) -> AsyncIterator[House]:
    house = House(states, folder, free_port())
    settings = load_settings(live_port=house.port).live
    telling = asyncio.create_task(house.hub.run())
    async with serving(house.live.handle, settings, most_connections) as house.listener:
        yield house
        house.streams.draining = True
        await house.hub.end()
    telling.cancel()
    await asyncio.wait([telling])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "index.html").write_text("<!doctype html>")
    async with house_of(states_of(("42", 1), most_events=MOST_EVENTS), tmp_path) as opened:
        yield opened


async def test_half_a_request_does_not_stay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SILENT_S", 0.2)
    for half in ("", "GET / HT", "GET / HTTP/1.1\nHost: x\nX-Half"):
        assert await house.ask(half) == b""
    # Nor does the second one, after a first that was answered.
    answered = await house.ask("GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\nHost: ")
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert house.listener is not None
    await until(lambda: not len(house.listener or ()), 10, "all connections to be gone")


async def test_who_does_not_read_his_answer_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SILENT_S", 0.2)
    monkeypatch.setattr(served, "ANSWER_S", 0.2)
    (tmp_path / "index.html").write_bytes(b"x" * 20_000_000)
    async with house_of(states_of(), tmp_path) as house:
        with deaf_socket(house.port, "/"):
            assert house.listener is not None
            await until(lambda: len(house.listener or ()) == 1, 10, "him to come")
            await until(lambda: not len(house.listener or ()), 10, "him to be cut off")


async def test_a_stream_stays_though_nothing_is_said_on_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SILENT_S", 0.1)
    monkeypatch.setattr(served, "ANSWER_S", 0.1)
    viewer = await Viewer.open(house.port, "/v1/events/42/stream")
    assert (await viewer.next()).id == "42-1"
    # Somebody else's half request ends by the same sweep.
    assert await house.ask("GET /") == b""
    house.states.take(*written("42", 2))
    house.hub.wake()
    assert (await viewer.next()).id == "42-2"
    await viewer.aclose()


async def test_a_stream_of_all_is_told_what_changed_while_it_began(house: House) -> None:
    for number in range(1, 2_001):
        assert house.states.take(*written(str(number), 2))
    viewer = await Viewer.open(house.port, "/v1/stream")
    first = await viewer.next()
    assert house.states.take(*written("7", 3))
    house.hub.wake()
    # It begins with those that changed last, and the others are to be had by GET.
    assert first.id == f"{2_001 - streamed.MOST_AT_FIRST}-2"
    found = {update.id for update in await viewer.until("7-3")}
    await viewer.until_all({"2000-2"} - found)
    await viewer.aclose()


async def test_who_does_not_take_what_his_stream_begins_with_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_BRING_UP_S", 0.2)
    for number in range(1, 1_001):
        assert house.states.take(*written(str(number), 2))
    cut = cut_so_far()
    with deaf_socket(house.port, "/v1/stream"):
        # By then his place may be free again already.
        await until(lambda: cut_so_far() == cut + 1, 10, "him to be cut off")
        await until(lambda: house.places.taken == 0, 10, "his place to be free again")
    assert len(house.hub) == 0


def cut_so_far() -> float:
    return metrics.LIVE.get_sample_value("boxoffice_streams_cut_total") or 0


async def test_a_stream_on_which_nothing_changes_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "BEAT_S", 1)
    async with house_of(states_of(("42", 1)), tmp_path) as house:
        viewer = await Viewer.open(house.port, "/v1/events/42/stream")
        assert (await viewer.next()).id == "42-1"
        reading = asyncio.create_task(viewer.end())
        await until(lambda: viewer.beats > 1, 10, "two beats")
        await viewer.aclose()
        await reading


async def test_nothing_may_come_after_a_stream_was_asked_for(house: House) -> None:
    stream = "GET /v1/stream HTTP/1.1\nHost: x\n\n"
    reader, writer = await asyncio.open_connection(HOST, house.port)
    writer.write(stream.replace("\n", "\r\n").encode())
    await reader.readuntil(b"retry:")
    await until(lambda: house.places.taken == 1, 10, "the stream to be open")
    writer.write(stream.replace("\n", "\r\n").encode())
    await until(lambda: house.places.taken == 0, 10, "it to be cut off")
    await let_go(writer)
    # Nor together with it.
    with capture_logs() as logs:
        for path in ("/v1/stream", "/v1/events/42/stream"):
            assert b"event: stats" not in await house.ask(f"GET {path} HTTP/1.1\nHost: x\n\n" * 2)
        await until(lambda: house.places.taken == 0, 10, "their places to be free again")
    assert logs == []


async def test_told_to_end_it_ends_streams_in_order_and_begins_none(house: House) -> None:
    viewers = [await Viewer.open(house.port, path) for path in ("/v1/stream", "/v1/events/42/stream")]
    for viewer in viewers:
        assert ((await viewer.next()).id, viewer.headers["connection"]) == ("42-1", "close")
    await until(lambda: len(house.hub) == 2, 10, "both to have begun")
    house.streams.draining = True
    await house.hub.end()
    for viewer in viewers:
        assert (await viewer.end(), viewer.ended_in_order, await viewer.is_let_go()) == ([], True, True)
        await viewer.aclose()
    refused = await house.ask("GET /v1/stream HTTP/1.1\nHost: x\n\n")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"/v1/problems/draining" in refused
    assert b"retry-after" in refused.lower()


async def test_a_stream_that_still_begins_when_it_is_told_to_end_ends_too(house: House) -> None:
    for number in range(1, 1_001):
        assert house.states.take(*written(str(number), 2))
    viewer = await Viewer.open(house.port, "/v1/stream")
    house.streams.draining = True
    await house.hub.end()
    # More than connections hold of what nobody has read yet.
    assert (house.places.taken, len(house.hub)) == (1, 0)
    assert len(await viewer.end()) == 1_000
    assert viewer.ended_in_order
    await viewer.aclose()


async def test_an_old_proxy_gets_a_stream_without_chunks(house: House) -> None:
    viewer = await Viewer.open(house.port, "/v1/events/42/stream", version="1.0")
    assert "transfer-encoding" not in viewer.headers
    assert (await viewer.next()).id == "42-1"
    await viewer.aclose()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 3\nConnection: close\n\nabc", 413),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 60000000\n\nabc", 413),
        ("GET /v1/stream HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc", 413),
        ("DELETE /v1/events HTTP/1.1\nHost: x\nConnection: close\n\n", 405),
        ("HEAD /v1/stream HTTP/1.1\nHost: x\nConnection: close\n\n", 405),
        ("POST / HTTP/1.1\nHost: x\nConnection: close\n\n", 405),
        ("GET /v1/events/43/stream HTTP/1.1\nHost: x\nConnection: close\n\n", 404),
        ("GET /%0d%0aSet-Cookie:x HTTP/1.1\nHost: x\nConnection: close\n\n", 404),
        ("GET http://elsewhere/secret HTTP/1.1\nHost: x\nConnection: close\n\n", 404),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 1\nTransfer-Encoding: chunked\n\n0\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\n" + "".join(f"X-{n}: y\n" for n in range(100)) + "\n", 400),
        ("GET / HTTP/1.1\nHost: x\nX: " + "y" * 10_000 + "\n\n", 400),
        ("GET /" + "y" * 10_000 + " HTTP/1.1\nHost: x\n\n", 400),
        ("nonsense\n\n", 400),
    ],
)
async def test_what_cannot_be_is_refused_and_its_connection_ends(house: House, request_text: str, status: int) -> None:
    answered = await house.ask(request_text)
    # Of what cannot be read nobody knows the version: aiohttp answers by the oldest.
    version, told, _ = answered.split(b" ", 2)
    assert (version in (b"HTTP/1.1", b"HTTP/1.0"), told) == (True, str(status).encode()), answered
    assert b"Set-Cookie" not in answered.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\nHost: x\nAuthorization: Bearer bo_secret" + "y" * 10_000,
        "GET / HTTP/1.1\nHost: x\nAuthorization Bearer bo_secret",
        "GET / HTTP/1.1\nHost: x\nAuthorization: Bearer bo_secret\x01",
        "bo_secret / HTTP/1.1\nHost: x",
        "GET /?bo_secret HTTP/9\nHost: x",
    ],
)
async def test_what_cannot_be_read_is_told_to_who_sent_it_and_is_in_no_log(
    house: House, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    for before in ("", "GET / HTTP/1.1\nHost: x\n\n"):
        answered = (await house.ask(f"{before}{head}\n\n")).rpartition(b"HTTP/1.")[2]
        head_of_answer, _, body = answered.partition(b"\r\n\r\n")
        assert b" 400 " in head_of_answer
        assert b"application/problem+json" in head_of_answer
        assert b"aiohttp" not in head_of_answer
        assert json.loads(body)["type"] == "/v1/problems/invalid-header"
        assert b"bo_secret" not in answered
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/events", 200),
        ("/v1/events?limit=0", 400),
        ("/v1/events/42", 200),
        ("/v1/events/43", 404),
        ("/v1/events/43/stream", 404),
    ],
)
async def test_what_is_public_may_be_read_by_any_page_and_why_it_is_not_there_too(
    house: House, path: str, status: int
) -> None:
    head = (await house.ask(f"GET {path} HTTP/1.1\nHost: x\nConnection: close\n\n")).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 %d " % status)
    assert head.count(b"\r\naccess-control-allow-origin: *") == 1
    for name in (b"etag", b"link", b"retry-after"):
        assert name in head.partition(b"access-control-expose-headers:")[2].partition(b"\r\n")[0]


@pytest.mark.parametrize("path", ["/v1/operator", "/shop.json", "/", "/nothing"])
async def test_what_is_not_meant_for_other_pages_is_read_by_none_of_them(house: House, path: str) -> None:
    answered = await house.ask(f"GET {path} HTTP/1.1\nHost: x\nOrigin: http://elsewhere\nConnection: close\n\n")
    assert answered.startswith(b"HTTP/1.1 ")
    assert b"access-control" not in answered.lower()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("Content-Encoding: gzip\nContent-Length: 9\n\nbo_secret", 413),
        ("Transfer-Encoding: chunked\n\nbo_secret\n\n", 400),
    ],
)
async def test_a_body_is_refused_whatever_it_is_and_is_in_no_log(
    house: House, body: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answered = await house.ask(f"POST /v1/events HTTP/1.1\nHost: x\n{body}")
    assert answered.partition(b" ")[2].startswith(b"%d " % status)
    assert caplog.text == ""


async def test_a_body_that_goes_wrong_after_it_was_refused_is_in_no_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection(HOST, house.port)
    writer.write(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.write(b"bo_secret\r\n\r\n")
    await until(lambda: not len(house.listener or ()), 10, "the connection to be gone")
    await let_go(writer)
    assert caplog.text == ""


async def test_a_head_is_an_answer_without_its_body(house: House) -> None:
    answered = await house.ask("HEAD /v1/events/42 HTTP/1.1\nHost: x\nConnection: close\n\n")
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(written('42', 1)[1])}".encode() in head
    assert body == b""


async def test_connections_beyond_those_that_may_be_are_cut_off(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    async with house_of(states_of(), tmp_path, most_connections=2) as house:
        idle = [await asyncio.open_connection(HOST, house.port) for _ in range(2)]
        await until(lambda: len(house.listener or ()) == 2, 10, "both to be there")
        assert await house.ask("GET / HTTP/1.1\nHost: x\nConnection: close\n\n") == b""
        await let_go(idle[0][1])
        await until(lambda: len(house.listener or ()) == 1, 10, "one to be gone")
        assert (await house.ask("GET / HTTP/1.1\nHost: x\nConnection: close\n\n")).startswith(b"HTTP/1.1 200 OK")
        await let_go(idle[1][1])
