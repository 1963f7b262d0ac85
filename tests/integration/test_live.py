"""The live process on a real Kafka: what spectators see, whoever comes, goes, does not listen, or is one too many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Protocol

import aiohttp
import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from boxoffice.live.files import Files
from tests.support.figures import publish, row, written
from tests.support.gateways import Door, new_key
from tests.support.observed import get as scrape
from tests.support.observed import health
from tests.support.office import Office, until
from tests.support.spectators import PATIENCE_S, LivePage, deaf_socket
from tests.support.workload import creations

PURCHASES = "/v1/events/42/purchases"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


class NewPage(Protocol):
    """Starts a live process."""

    def __call__(self, **environment: str) -> LivePage: ...


@pytest.fixture
async def new_page(office: Office) -> AsyncIterator[NewPage]:
    """Live processes of the test's office; their viewers go away after it."""
    opened: list[LivePage] = []

    def start(**environment: str) -> LivePage:
        opened.append(LivePage(office, **environment))
        return opened[-1]

    yield start
    for page in opened:
        await page.aclose()


async def seen(base: str, session: aiohttp.ClientSession, event_id: str, seq: int) -> None:
    """Wait until a process has read an event's figures up to this fact."""
    deadline_s = monotonic() + PATIENCE_S
    while True:
        async with session.get(f"{base}/v1/events/{event_id}") as response:
            if response.status == 200 and (await response.json())["seq"] >= seq:
                return
        assert monotonic() < deadline_s, f"event {event_id} is not shown at {seq}"
        await asyncio.sleep(0.05)


def counted(page: LivePage, name: str) -> float:
    _, scraped = scrape(page.process, "/metrics")
    return sum(float(line.split()[-1]) for line in scraped.splitlines() if line.split("{")[0].split()[0] == name)


# Streams


async def test_a_sale_is_seen_as_it_goes_on_by_who_watches_the_event_and_by_who_watches_all(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    office.start()
    office.start("stats")
    page, door = new_page(), Door(office)
    await office.send(creations(["42"], 3))
    key = await new_key(office, "buy")
    await page.ready()
    await door.ready()
    await office.answered()
    await seen(page.base, session, "42", 1)
    one, everything = await page.watch("/v1/events/42/stream"), await page.watch()
    assert ((await one.next()).id, (await everything.next()).id) == ("42-1", "42-1")
    status, fact, _ = await door.post(session, PURCHASES, key, "k-1", {"buyer": "b", "quantity": 2})
    assert (status, fact["seq"]) == (201, 2)
    for viewer in (one, everything):
        update = await viewer.next()
        assert (update.name, update.id, update.data["sold"], update.data["remaining"]) == ("stats", "42-2", 2, 1)
    assert one.headers["content-type"] == "text/event-stream"
    assert one.headers["cache-control"] == "no-store"
    assert 2_000 <= one.retry_ms <= 5_000
    assert await page.process.stop() == ExitStatus.OK


async def test_who_comes_again_is_told_the_newest_and_has_missed_nothing(office: Office, new_page: NewPage) -> None:
    await publish(office, row("42", 1), row("7", 1))
    page = new_page()
    await page.ready()
    viewer = await page.watch("/v1/events/42/stream")
    assert (await viewer.next()).id == "42-1"
    await viewer.aclose()
    await publish(office, *(row("42", seq) for seq in range(2, 30)))
    again = await page.watch("/v1/events/42/stream", **{"Last-Event-ID": "42-1"})
    assert (await again.until("42-29"))[-1].data == json.loads(written("42", 29)[1]) | _where(office, "42")
    everything = await page.watch()
    assert {(await everything.next()).id for _ in range(2)} == {"42-29", "7-1"}
    # A process that is started again has all of it from the topic.
    page.process.kill()
    await again.end()
    other = new_page()
    await other.ready()
    assert (await (await other.watch("/v1/events/42/stream")).next()).id == "42-29"


def _where(office: Office, event_id: str) -> dict[str, Any]:
    return {"partition": home_partition(event_id, office.settings.kafka.partitions)}


async def test_what_changes_within_the_interval_is_told_together(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    await publish(office, row("42", 1))
    page = new_page(BOXOFFICE_LIVE_INTERVAL_MS="60000")
    await page.ready()
    viewer = await page.watch("/v1/events/42/stream")
    await publish(office, row("42", 2))
    assert [update.id for update in await viewer.until("42-2")] == ["42-1", "42-2"]
    for seq in range(3, 50):
        await publish(office, row("42", seq))
    await seen(page.base, session, "42", 49)
    # Who comes now is told at once; who was told a moment ago waits until the interval is over.
    assert (await (await page.watch("/v1/events/42/stream")).next()).id == "42-49"
    assert await page.process.stop() == ExitStatus.OK
    assert [update.id for update in await viewer.end()] == []


async def test_a_viewer_who_does_not_listen_is_cut_off_and_others_see_everything(
    office: Office, new_page: NewPage
) -> None:
    page = new_page(BOXOFFICE_LIVE_INTERVAL_MS="10", BOXOFFICE_LIVE_MOST_BUFFERED_BYTES="1000000")
    await page.ready()
    viewer = await page.watch()
    with deaf_socket(page.port, "/v1/stream"):
        await until(lambda: counted(page, "boxoffice_streams") == 2, 10, "both to watch")
        seq = 0
        deadline_s = monotonic() + 60
        while not counted(page, "boxoffice_streams_cut_total"):
            assert monotonic() < deadline_s, "nobody was cut off"
            seq += 1
            await publish(office, *(row(str(event), seq) for event in range(1, 201)))
            await viewer.until_all({f"{event}-{seq}" for event in range(1, 201)})
        await until(lambda: counted(page, "boxoffice_streams") == 1, 10, "his place to be free again")
    await publish(office, row("42", seq + 1))
    assert (await viewer.until(f"42-{seq + 1}"))[-1].data["sold"] == seq
    assert counted(page, "boxoffice_streams_cut_total") == 1


async def test_who_goes_away_gives_his_place_back_at_once(office: Office, new_page: NewPage) -> None:
    await publish(office, row("42", 1))
    page = new_page()
    await page.ready()
    viewers = [await page.watch("/v1/events/42/stream") for _ in range(20)]
    await until(lambda: counted(page, "boxoffice_streams") == 20, 10, "all to watch")
    for viewer in viewers:
        await viewer.aclose()
    await until(lambda: counted(page, "boxoffice_streams") == 0, 10, "all to be gone")


async def test_streams_are_bounded_for_each_address_and_for_all(new_page: NewPage) -> None:
    page = new_page(
        BOXOFFICE_LIVE_MOST_STREAMS="2",
        BOXOFFICE_LIVE_MOST_STREAMS_OF_ONE="1",
        BOXOFFICE_LIVE_TRUSTED_PROXIES="127.0.0.1",
    )
    await page.ready()

    async def come(address: str) -> tuple[int, str]:
        viewer = await page.watch(**{"X-Forwarded-For": address})
        if viewer.status == 200:
            return 200, ""
        assert 2 <= int(viewer.headers["retry-after"]) <= 5
        return viewer.status, (await viewer.body())["type"]

    first = await page.watch(**{"X-Forwarded-For": "203.0.113.1"})
    assert first.status == 200
    assert await come("203.0.113.1") == (429, "/v1/problems/too-many-streams")
    # What a viewer has written himself stands further to the left.
    assert await come("203.0.113.9, 203.0.113.1") == (429, "/v1/problems/too-many-streams")
    assert await come("203.0.113.2") == (200, "")
    assert await come("203.0.113.3") == (503, "/v1/problems/streams-full")
    await first.aclose()
    await until(lambda: counted(page, "boxoffice_streams") == 1, 10, "a place to be free")
    assert await come("203.0.113.3") == (200, "")


async def test_told_to_stop_it_ends_all_streams_in_order(office: Office, new_page: NewPage) -> None:
    await publish(office, row("42", 1))
    page = new_page()
    await page.ready()
    viewers = [await page.watch(path) for path in ("/v1/stream", "/v1/events/42/stream") for _ in range(10)]
    old = await page.watch(version="1.0")
    for viewer in (*viewers, old):
        assert (await viewer.next()).id == "42-1"
    stopping = asyncio.create_task(page.process.stop())
    assert [await viewer.end() for viewer in viewers] == [[]] * 20
    assert all(viewer.ended_in_order for viewer in viewers)
    assert await old.end() == []
    assert await stopping == ExitStatus.OK


async def test_told_to_stop_before_there_is_a_kafka_it_ends_in_order(new_page: NewPage) -> None:
    page = new_page(BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    await until(lambda: "waiting for Kafka" in page.process.log_text(), 30, "it to wait")
    assert await page.process.stop() == ExitStatus.OK


# Figures


async def test_live_and_gateway_tell_the_same_of_events(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    await publish(office, *(row(str(event), event) for event in range(1, 8)))
    page, door = new_page(), Door(office)
    await page.ready()
    await door.ready()
    for base in (page.base, door.base):
        deadline_s = monotonic() + PATIENCE_S
        while True:
            async with session.get(f"{base}/v1/events") as response:
                if response.status == 200:
                    break
                assert response.status == 503
                assert monotonic() < deadline_s
                await asyncio.sleep(0.05)
    told = [await _tell(base, session) for base in (page.base, door.base)]
    assert told[0] == told[1]
    for base in (page.base, door.base):
        assert (await _status(session, f"{base}/v1/events/99")) == 404
        assert (await _status(session, f"{base}/v1/events/042")) == 404
        assert (await _status(session, f"{base}/v1/events?limit=0")) == 400
        async with session.head(f"{base}/v1/events/7") as response:
            assert (response.status, response.headers["etag"], await response.read()) == (200, '"7"', b"")
        async with session.delete(f"{base}/v1/events/7") as response:
            assert response.status == 405
    # And both go on.
    await publish(office, row("7", 8))
    for base in (page.base, door.base):
        await seen(base, session, "7", 8)


async def _tell(base: str, session: aiohttp.ClientSession) -> list[Any]:
    """All pages, an event, and what is said to who has them already."""
    told: list[Any] = []
    path: str | None = "/v1/events?limit=3"
    while path is not None:
        async with session.get(base + path) as response:
            body = await response.read()
            kept = response.headers["cache-control"], response.headers["etag"]
            told.append((response.status, body, kept, response.headers.get("link")))
        async with session.get(base + path, headers={"if-none-match": kept[1]}) as response:
            told.append((response.status, await response.read()))
        cursor = json.loads(body)["next_cursor"]
        path = f"/v1/events?limit=3&cursor={cursor}" if cursor else None
    async with session.get(f"{base}/v1/events/7") as response:
        told.append((await response.read(), response.headers["etag"], response.headers["content-type"]))
    assert [len(json.loads(one[1])["events"]) for one in told[:-1:2]] == [3, 3, 1]
    assert [one[0] for one in told[1:-1:2]] == [304] * 3
    return told


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        assert response.headers["content-type"].startswith("application/problem+json")
        return response.status


async def test_strangers_on_the_topic_are_passed_over_and_counted(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    topic = f"{office.settings.kafka.topic_prefix}event-stats"
    async with clients.producer(office.settings.kafka) as producer:
        # One without a key no broker takes, since the topic is compacted.
        for key, value in ((b"42", b"tickets please"), (b"", b"{}"), (b"42\n\ndata: x", b"{}"), (b"43", None)):
            await producer.send_and_wait(topic, value, key=key, partition=0)
    await publish(office, row("42", 3))
    page = new_page()
    await page.ready()
    await seen(page.base, session, "42", 3)
    assert counted(page, "boxoffice_strange_records_total") == 3
    assert counted(page, "boxoffice_shown_events") == 1
    assert health(page.process)["ready"]


# Operator, shop and pages


async def test_the_operators_overview_is_for_who_has_an_admin_key(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    worker = office.start()
    await publish(office, row("42", 3), row("7", 1))
    page = new_page()
    admin, buyer = await new_key(office, "admin"), await new_key(office, "buy")
    of_one = await new_key(office, "admin", event="42")
    await page.ready()
    await office.ready(worker)

    async def overview(key: str | None) -> tuple[int, Any]:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        async with page.get(session, "/v1/operator", **headers) as response:
            assert response.headers["cache-control"] == "no-store"
            return response.status, await response.json(content_type=None)

    assert [(await overview(key))[0] for key in (None, "bo_x", buyer, of_one)] == [401, 401, 403, 403]
    deadline_s = monotonic() + 60
    while True:
        status, told = await overview(admin)
        assert status == 200
        if not told["unknown"] and {"live", "purchases"} <= {one["process"] for one in told["processes"]}:
            break
        assert monotonic() < deadline_s, told
        await asyncio.sleep(0.5)
    assert {event["event_id"] for event in told["events"]} == {"42", "7"}
    assert (told["events_count"], told["totals"]["sold"]) == (2, 2)
    assert told["fallback"]["active"] is False
    assert told["dead_letters"]["count"] == 0
    assert f"{office.settings.kafka.topic_prefix}boxoffice-purchases" in told["lag"]
    assert {finding["subject"] for finding in told["findings"]} >= {"Kafka", "Redis"}
    assert "bo_" not in page.process.log_text()


async def test_the_shop_is_given_a_key_that_can_only_buy(
    office: Office, new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    buyer, admin = await new_key(office, "buy"), await new_key(office, "buy", "admin")
    for key, given in ((buyer, buyer), (admin, None)):
        page = new_page(BOXOFFICE_LIVE_SHOP_KEY=key, BOXOFFICE_LIVE_GATEWAY_URL="http://127.0.0.1:8080")
        await page.ready()
        async with page.get(session, "/shop.json") as response:
            assert await response.json() == {"gateway": "http://127.0.0.1:8080", "key": given}
            assert response.headers["cache-control"] == "no-store"
        assert key not in page.process.log_text()


async def test_pages_come_with_a_strict_policy_and_nothing_else_comes(
    new_page: NewPage, session: aiohttp.ClientSession
) -> None:
    page = new_page()
    await page.ready()
    files = Files.of_package("")
    for path in sorted(files.paths):
        async with page.get(session, path) as response:
            assert (response.status, await response.read()) == (200, files.answer("GET", path, None).body)
            assert response.headers["content-security-policy"].startswith("default-src 'none'")
            assert response.headers["x-content-type-options"] == "nosniff"
            etag = response.headers["etag"]
        async with page.get(session, path, if_none_match=etag) as response:
            assert response.status == 304
    for path in ("/nothing", "/pages/index.html", "/%2e%2e/running.py", "/running.py", "/v1/elsewhere"):
        async with session.get(f"{page.base}{path}") as response:
            assert (response.status, (await response.json(content_type=None))["type"]) == (
                404,
                "/v1/problems/not-found",
            )
