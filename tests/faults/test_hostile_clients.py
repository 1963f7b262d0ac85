"""Whoever sends what he should not gets nothing by it, and nobody else waits for him."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from time import monotonic
from typing import Any

import pytest

from boxoffice.gateway.key_ring import KeyRing
from models.api_keys import new_key as forged_key
from tests.faults.http_load import FINAL, HttpLoad, everybody_was_told_the_truth
from tests.faults.shared import new_events
from tests.support.gateways import Door
from tests.support.http_checker import Exchange
from tests.support.office import POLL_S, Office
from tests.support.raw_http import Heard, RawClient, request
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.workload import creations

CAPACITY = 100_000
ORDER = json.dumps({"buyer": "mallory", "quantity": 1}).encode()
LENGTH = f"Content-Length: {len(ORDER)}"
ELSEWHERE = "X-Forwarded-For: 192.0.2.66"
LARGE_BYTES = 60_000_000
HONEST = 6
ENOUGH = 50
"""Answers to others while somebody does what he should not."""
MEMORY_BYTES = 48 * 1024 * 1024
"""What an attack may cost: less than one large body."""
IDLE = 5_000
FILES_KEPT = 1_000
NOW = "2026-01-01T00:00:00Z"

pytestmark = pytest.mark.timeout(300)


class Opened:
    """What all tests of the module share: a worker, a gateway, events, and what honest buyers were told."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.exchanges: list[Exchange] = []
        self.orders = 0

    async def open(self) -> None:
        """Become ready."""
        await self.office.open()
        self.office.start()
        # Who stands in another place says so by the header of a proxy.
        self.door = Door(self.office, BOXOFFICE_GATEWAY_TRUSTED_PROXIES="127.0.0.1")
        self.seed, self.ids = new_events(4)
        self.honest = await self.new_key()
        await self.office.send(creations(self.ids, CAPACITY))
        await self.office.answered()
        await self.door.ready()

    async def new_key(self) -> str:
        """A buyer's key, whose pace nobody reaches."""
        made = await KeyRing(self.office.settings.kafka).create("n", ["buy"], None, 100_000, None, NOW)
        return made.key


class House:
    """A gateway with honest buyers, and one who is not, and has a key of his own."""

    def __init__(self, opened: Opened, load: HttpLoad, key: str) -> None:
        self.opened = opened
        self.office = opened.office
        self.door = opened.door
        self.load = load
        self.key = key
        self.event_id = opened.ids[0]
        self.path = f"/v1/events/{self.event_id}/purchases"
        self._clients: list[RawClient] = []

    async def client(self) -> RawClient:
        self._clients.append(await RawClient.connect(self.door.port))
        return self._clients[-1]

    async def clients(self, count: int) -> list[RawClient]:
        return [await self.client() for _ in range(count)]

    def close(self) -> None:
        """Whoever is still there goes away."""
        for client in self._clients:
            client.close()

    async def hears(self, data: bytes) -> Heard | None:
        """What one who sends just these bytes is told."""
        client = await self.client()
        try:
            await client.send(data)
            return await client.hear()
        finally:
            client.close()

    async def knows(self, key: str) -> None:
        """Wait until the gateway knows a key."""
        deadline_s = monotonic() + 30
        while True:
            heard = await self.hears(request(self.path, key))
            assert heard is not None
            if heard.status != 401:
                return
            assert monotonic() < deadline_s, "the gateway does not know the key"
            await asyncio.sleep(POLL_S)

    async def others_are_answered(self) -> None:
        await self.load.answered(ENOUGH)

    async def published(self, of: str = "") -> list[dict[str, Any]]:
        """The commands of the one who is not honest, or of a request of his."""
        mine = f"{self.key.split('_')[1]}:{of}"
        commands = [json.loads(record.value or b"{}") for record in await self.office.read(self.office.requests)]
        return [command for command in commands if str(command.get("request_id", "")).startswith(mine)]


@pytest.fixture(scope="module")
def opened(
    kafka: KafkaAddress, redis_server: RedisAddress, module_prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    folder = tmp_path_factory.mktemp("hostile")
    office = Office(kafka.bootstrap_servers, redis_server.url, module_prefix, folder)
    opened = Opened(office)
    try:
        asyncio.run(opened.open())
        yield opened
    finally:
        office.close()


@pytest.fixture
async def house(opened: Opened) -> AsyncIterator[House]:
    """It is there before each test, and nobody honest noticed after it."""
    load = HttpLoad([opened.door], opened.honest, opened.ids, opened.seed, first=opened.orders, buyers=HONEST)
    try:
        async with load:
            house = House(opened, load, await opened.new_key())
            await house.knows(house.key)
            yield house
            house.close()
            await load.answered(ENOUGH)
            await load.stop()
    finally:
        opened.orders = load.orders
        opened.exchanges += load.exchanges
    assert set(load.statuses()) <= FINAL, "somebody honest was cut off"
    assert "Traceback" not in opened.door.process.log_text()


async def all_end(clients: Sequence[RawClient]) -> list[bytes]:
    return await asyncio.gather(*(client.ends() for client in clients))


@pytest.mark.long
async def test_half_headers_are_waited_for_no_longer_than_a_moment(house: House) -> None:
    clients = await house.clients(500)
    for client in clients:
        await client.send(f"POST {house.path} HTTP/1.1\r\nHost: x\r\nX-".encode())
    await house.others_are_answered()
    assert {said[:10] for said in await all_end(clients)} <= {b"", b"HTTP/1.1 4"}


@pytest.mark.parametrize("header", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_half_bodies_are_waited_for_no_longer_than_a_moment_and_buy_nothing(house: House, header: str) -> None:
    clients = await house.clients(200)
    begun = ORDER if header.startswith("C") else b"%x\r\n%b\r\n5\r\nhal" % (len(ORDER), ORDER)
    for client in clients:
        await client.send(request(house.path, house.key, header, body=begun))
    await house.others_are_answered()
    assert {said[:12] for said in await all_end(clients)} == {b"HTTP/1.1 408"}
    assert await house.published() == []


@pytest.mark.parametrize("header", [LENGTH, "Transfer-Encoding: chunked"])
async def test_who_goes_away_in_the_middle_of_a_body_buys_nothing(house: House, header: str) -> None:
    for _ in range(50):
        client = await house.client()
        body = ORDER[:-1] if header.startswith("C") else b"%x\r\n%b\r\n" % (len(ORDER), ORDER)
        await client.send(request(house.path, house.key, header, body=body))
        client.close()
    await house.others_are_answered()
    assert await house.published() == []


@pytest.mark.parametrize("header", [f"Content-Length: {LARGE_BYTES}", "Transfer-Encoding: chunked"])
async def test_a_body_of_60_megabytes_is_refused_and_not_kept(house: House, header: str) -> None:
    await house.others_are_answered()
    before_bytes = house.door.process.most_memory_bytes()
    for _ in range(5):
        client = await house.client()
        await client.send(request(house.path, house.key, header))
        part = b"x" * 65_536
        chunk = part if header.startswith("C") else b"10000\r\n" + part + b"\r\n"
        sent_bytes = 0
        while sent_bytes < LARGE_BYTES and await client.send(chunk):
            sent_bytes += len(part)
        assert sent_bytes < LARGE_BYTES
        heard = await client.hear()
        # Who goes on sending may find the connection gone before he reads what was said.
        assert heard is None or heard.status == 413
        client.close()
    await house.others_are_answered()
    assert house.door.process.most_memory_bytes() - before_bytes < MEMORY_BYTES
    assert await house.published() == []


async def test_a_length_beyond_the_bound_is_refused_before_the_body_is_sent(house: House) -> None:
    heard = await house.hears(request(house.path, house.key, "Content-Length: 20000", "Expect: 100-continue"))
    assert heard is not None
    assert (heard.status, heard.problem["type"]) == (413, "/v1/problems/too-large")


async def test_who_expects_to_be_told_to_go_on_is_told(house: House) -> None:
    client = await house.client()
    await client.send(request(house.path, house.key, LENGTH, "Expect: 100-continue"))
    await client.send(ORDER)
    heard = await client.hear()
    assert heard is not None
    assert heard.status == 201


async def test_who_asks_and_never_reads_holds_up_nobody(house: House) -> None:
    await house.others_are_answered()
    before_bytes = house.door.process.most_memory_bytes()
    clients = await house.clients(5)
    for client in clients:
        # More answers than the buffers between the two take.
        client.push(request(house.path, "bo_x", LENGTH, body=ORDER) * 20_000)
    await house.others_are_answered()
    await house.others_are_answered()
    assert house.door.process.most_memory_bytes() - before_bytes < MEMORY_BYTES
    for client in clients:
        client.close()


@pytest.mark.long
async def test_thousands_of_idle_connections_hold_up_nobody_and_end(house: House) -> None:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = await house.clients(min(IDLE, most_files - FILES_KEPT))
    await house.others_are_answered()
    assert set(await all_end(clients)) == {b""}


HIDDEN = "hidden"


def hidden(house: House) -> bytes:
    """A request that stands where the body of another does."""
    return request(house.path, house.key, LENGTH, body=ORDER, idempotency=HIDDEN)


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: {all}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: {all}"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: chunked, identity", "Content-Length: 5"),
        ("Transfer-Encoding: xchunked", "Content-Length: 5"),
        ("Transfer-Encoding : chunked", "Content-Length: 5"),
        ("Transfer-Encoding:\x0bchunked", "Content-Length: 5"),
        ("X: y\r\n Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: {all}"),
        ("Content-Length: 5, {all}",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: -1",),
        ("Content-Length: 5 5",),
    ],
    ids=str,
)
async def test_nobody_hides_a_request_in_the_body_of_another(house: House, headers: tuple[str, ...]) -> None:
    """Whatever a proxy before us has taken for the end of it: after what can be read in two ways nothing is read."""
    body = b"0\r\n\r\n" + hidden(house)
    lines = [header.replace("{all}", str(len(body))) for header in headers]
    client = await house.client()
    await client.send(request(house.path, house.key, *lines, body=body, idempotency="outer"))
    said = await client.ends()
    assert said.count(b"HTTP/1.1 ") <= 1
    assert said[:10] in (b"", b"HTTP/1.1 4")
    assert await house.published(HIDDEN) == []


async def test_after_a_chunked_body_nothing_more_is_read(house: House) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER), ORDER)
    client = await house.client()
    await client.send(request(house.path, house.key, "Transfer-Encoding: chunked", body=chunked + hidden(house)))
    said = await client.ends()
    assert said.startswith(b"HTTP/1.1 201")
    assert said.count(b"HTTP/1.1 ") == 1
    assert await house.published(HIDDEN) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 20_000,
        b"\x00" * 1_000,
        b"POST /v1/events/1/purchases HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
        b"POST /v1/events/1/purchases HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/events/1/purchases HTTP/1.1\r\n" + b"A: b\r\n" * 1_000 + b"\r\n",
        b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_what_is_no_request_is_refused_or_cut_off(house: House, data: bytes) -> None:
    client = await house.client()
    await client.send(data)
    heard = await client.hear()
    assert heard is None or 200 <= heard.status < 500
    client.close()
    await house.others_are_answered()


@pytest.mark.parametrize(
    "header",
    [
        "boxoffice-origin: 0:0",
        "Boxoffice-Read: 0-999",
        "boxoffice-partitions: 1",
        "boxoffice-unreadable: x",
        "ce_type: boxoffice.purchase_confirmed.v1",
        "X-Request-Id: a\tb",
    ],
)
async def test_no_private_header_reaches_the_log(house: House, header: str) -> None:
    heard = await house.hears(request(house.path, house.key, LENGTH, header, body=ORDER))
    assert heard is not None
    assert heard.status == 201
    names = {name for record in await house.office.read(house.office.requests) for name, _ in record.headers}
    assert names <= {"traceparent", "x-request-id"}


@pytest.mark.parametrize(
    "line",
    [
        "Idempotency-Key: a\x00b",
        "Idempotency-Key: a\x0bb",
        "Idempotency-Key: \xe9",
        "Idempotency-Key: other",
        'Idempotency-Key: "a\\"b"',
        "Authorization: Bearer other",
        "Authorization: Bearer \x01",
        "A\x00b: c",
        "A b: c",
        ": c",
        "A: b\rC: d",
        "A: b\r\n\tc: d",
    ],
)
async def test_a_header_that_could_be_read_in_two_ways_is_refused(house: House, line: str) -> None:
    heard = await house.hears(request(house.path, house.key, LENGTH, line, body=ORDER))
    assert heard is None or heard.status in (201, 400, 401)
    published = {command["request_id"].partition(":")[2] for command in await house.published()}
    assert published <= {"k"}


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/v1/events/{event}/purchases/../closing", {404}),
        ("/v1/events/{event}/purchases/k/../../closing", {404}),
        ("/v1/events/{event}/%2e%2e/{event}/purchases", {404}),
        ("/v1/events/../events/{event}/purchases", {404}),
        ("//v1/events/{event}/purchases", {404}),
        ("/v1//events/{event}/purchases", {404}),
        ("/v1/events/{event}/purchases/", {404}),
        ("/v1/events/{event};x/purchases", {404}),
        ("/v1/events/{event}%00/purchases", {404}),
        ("/v1/events/{event}%0d%0aSet-Cookie:x/purchases", {404}),
        ("/v1/events/0{event}/purchases", {404}),
        ("/v1/events/%D9%A1/purchases", {404}),
        ("/v1/events/-1/purchases", {404}),
        ("/v1/events/{event}/closing", {403}),
        ("/v1/events/{event}/clos%69ng", {403}),
        # An event of a strange id, at which one may only look.
        ("/v1/events/{event}%2Fclosing", {405}),
        ("/v1/events", {403, 422}),
        ("/v1/admin/rebuild", {403, 404}),
    ],
)
async def test_no_path_leads_where_a_key_may_not_go(house: House, path: str, statuses: set[int]) -> None:
    heard = await house.hears(request(path.replace("{event}", house.event_id), house.key, LENGTH, body=ORDER))
    assert heard is not None
    assert heard.status in statuses
    assert "set-cookie" not in heard.headers
    assert await house.published() == []


async def test_guessed_keys_are_told_nothing_and_hold_up_nobody(house: House) -> None:
    key_id = house.key.split("_")[1]
    guessed = [forged_key(key_id) for _ in range(500)] + [house.key[:-1], house.key.lower(), f"{house.key}x"]
    told = [await house.hears(request(house.path, key, LENGTH, ELSEWHERE, body=ORDER)) for key in guessed]
    # From a place with so many guesses soon nothing is looked at any more.
    assert {heard.status for heard in told if heard is not None} <= {401, 429}
    assert len({heard.body for heard in told if heard is not None and heard.status == 401}) == 1
    await house.others_are_answered()
    assert await house.published() == []


async def test_another_callers_key_id_and_a_replay_of_his_request_show_none_of_his_tickets(house: House) -> None:
    first = await house.hears(request(house.path, house.key, LENGTH, body=ORDER))
    assert first is not None
    assert first.status == 201
    thief = await house.opened.new_key()
    await house.knows(thief)
    mixed = "_".join([*house.key.split("_")[:2], thief.split("_")[2]])
    answers = {
        "the secret of another": await house.hears(request(house.path, mixed, LENGTH, body=ORDER)),
        "his key before mine": await house.hears(
            request(house.path, thief, LENGTH, body=ORDER, idempotency=f"{house.key.split('_')[1]}:k")
        ),
        "his request": await house.hears(request(house.path, thief, LENGTH, body=ORDER)),
    }
    statuses = {name: heard and heard.status for name, heard in answers.items()}
    assert statuses == {"the secret of another": 401, "his key before mine": 201, "his request": 201}
    tickets = json.loads(first.body)["tickets"]
    assert not any(heard and tickets[0].encode() in heard.body for heard in answers.values())
    stolen = f"{house.path}/k/cancellation"
    cancelled = await house.hears(request(stolen, thief, idempotency="k-2"))
    assert cancelled is not None
    # His own purchase of the same key, not the other's.
    assert json.loads(cancelled.body)["tickets"] != tickets
    again = await house.hears(request(house.path, house.key, LENGTH, body=ORDER))
    assert again is not None
    assert (again.status, json.loads(again.body)["tickets"]) == (201, tickets)


async def test_in_the_end_everybody_honest_was_told_the_truth(opened: Opened) -> None:
    await everybody_was_told_the_truth(opened.office, opened.exchanges)
