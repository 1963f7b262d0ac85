"""What became of a request, asked of the instance that took it, of another, and while Redis is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import aiohttp
import pytest

from tests.support.gateways import Answer, Door, new_key
from tests.support.observed import health
from tests.support.office import POLL_S, NewOffice, Office, until
from tests.support.servers import NewRedis
from tests.support.workload import Sent, creations

PURCHASES = "/v1/events/42/purchases"
ORDER = {"buyer": "b-77", "quantity": 2}


def add_tickets(event_id: str, count: int) -> Sent:
    """More of them."""
    command = {"type": "add_tickets", "request_id": "more", "event_id": event_id, "count": count}
    return Sent(event_id.encode(), json.dumps(command).encode())


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def answer_once(ask: Callable[[], Awaitable[Answer]], status: int, timeout_s: float = 30) -> Answer:
    """The answer, once it has this status."""
    deadline_s = monotonic() + timeout_s
    while (answer := await ask()).status != status:
        assert monotonic() < deadline_s, answer
        await asyncio.sleep(POLL_S)
    return answer


async def test_a_purchase_is_shown_by_every_instance_to_whoever_has_its_secret(
    office: Office, session: aiohttp.ClientSession
) -> None:
    office.start()
    one, two = Door(office), Door(office)
    await office.send(creations(["42"], 3))
    key, other = await new_key(office, "buy"), await new_key(office, "buy")
    reader = await new_key(office, "read")
    await one.ready()
    await two.ready()
    await office.answered()
    status, fact, headers = await one.post(session, PURCHASES, key, "k-1", ORDER)
    assert status == 201
    location = headers["location"]
    caller_id = key.split("_")[1]
    assert location.startswith(f"/v1/events/42/requests/k-1?secret={caller_id}.")
    status, found, headers = await one.get(session, location)
    assert (status, found, headers["content-type"]) == (200, fact, "application/json")
    assert headers["cache-control"] == "no-store"
    answer = await answer_once(lambda: two.get(session, location), 200)
    assert answer.body | {"decided_by": fact["decided_by"]} == fact
    path = location.partition("?")[0]
    assert (await two.get(session, path, key)).body | {"decided_by": fact["decided_by"]} == fact
    assert (await one.get(session, f"{path}?caller={caller_id}", reader)).body == fact
    refused = [
        (await one.get(session, path)).status,
        (await one.get(session, path, other)).status,
        (await one.get(session, f"{path}?caller={caller_id}", other)).status,
        (await one.get(session, location[:-1])).status,
        (await one.get(session, location.replace("k-1", "k-2"))).status,
        (await one.get(session, location.replace("/42/", "/43/"))).status,
        (await one.get(session, path.replace("k-1", "never"), key)).status,
    ]
    assert refused == [401, 404, 403, 403, 403, 403, 404]
    # Cancelled elsewhere, it is shown as cancelled by who remembers that it was confirmed.
    status, cancelled, _ = await two.post(session, f"{PURCHASES}/k-1/cancellation", key, "x-1")
    assert status == 201

    async def cancelled_at_one() -> Answer:
        found = await one.get(session, location)
        return found if found.body["type"] == "purchase_cancelled" else found._replace(status=0)

    answer = await answer_once(cancelled_at_one, 200)
    assert answer.body | {"decided_by": cancelled["decided_by"]} == cancelled


async def test_a_refusal_is_shown_by_who_gave_it_and_told_again_by_whomever_it_is_asked_of(
    office: Office, session: aiohttp.ClientSession
) -> None:
    office.start()
    one, two = Door(office), Door(office)
    await office.send(creations(["42"], 1))
    key = await new_key(office, "buy")
    await one.ready()
    await two.ready()
    await office.answered()
    assert (await one.post(session, PURCHASES, key, "k-1", ORDER)).status == 409
    path = "/v1/events/42/requests/k-1"
    status, fact, _ = await one.get(session, path, key)
    assert (status, fact["type"], fact["reason"]) == (200, "purchase_rejected", "not_enough_left")
    status, problem, _ = await two.get(session, path, key)
    assert (status, problem["type"]) == (404, "/v1/problems/not-known")
    assert "same Idempotency-Key" in problem["detail"]
    # So it is asked for: tickets that have come since change nothing.
    await office.send([add_tickets("42", 5)])
    await office.answered()
    status, problem, _ = await two.post(session, PURCHASES, key, "k-1", ORDER)
    assert (status, problem["fact"] | {"decided_by": fact["decided_by"]}) == (409, fact)
    assert (await two.get(session, path, key)).body == problem["fact"]


async def test_what_is_on_its_way_is_waited_for_and_a_late_refusal_is_told(
    office: Office, session: aiohttp.ClientSession
) -> None:
    door = Door(office)
    key = await new_key(office, "buy")
    await door.ready()
    status, _, headers = await door.post(session, PURCHASES, key, "k-1", ORDER, prefer="respond-async")
    assert status == 202
    location = headers["location"]
    status, _, headers = await door.get(session, location)
    assert (status, headers["retry-after"]) == (202, "1")
    waiting = asyncio.create_task(door.get(session, location, prefer="wait=30"))
    office.start()
    status, fact, _ = await waiting
    assert (status, fact["reason"]) == (200, "unknown_event")
    # Of an event that there is not no refusal is remembered: the same key again is asked anew.
    await office.send(creations(["42"], 3))
    await office.answered()
    assert (await door.post(session, PURCHASES, key, "k-1", ORDER)).status == 201
    assert (await door.get(session, location)).body["type"] == "purchase_confirmed"


async def test_told_to_stop_it_lets_nobody_wait_for_news(office: Office, session: aiohttp.ClientSession) -> None:
    door = Door(office)
    key = await new_key(office, "buy")
    await door.ready()
    _, _, headers = await door.post(session, PURCHASES, key, "k-1", ORDER, prefer="respond-async")
    location = headers["location"]
    waiting = asyncio.create_task(door.get(session, location, prefer="wait=30"))
    await until(lambda: health(door.process)["requests"]["reading"] == 1, 30, "the request to be waiting")
    stopping = asyncio.create_task(door.process.stop())
    assert (await waiting).status == 202
    assert await stopping == 0


async def test_a_redis_that_hangs_or_is_gone_keeps_no_buyer_waiting(
    new_office: NewOffice, new_redis: NewRedis, session: aiohttp.ClientSession
) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    office.start()
    one, two = Door(office), Door(office)
    await office.send(creations(["42"], 100))
    key = await new_key(office, "buy")
    await one.ready()
    await two.ready()
    await office.answered()
    for number, away in enumerate((redis.pause, redis.kill)):
        away()
        asked = [
            one.post(session, PURCHASES, key, f"k-{number}-{buyer}", {"buyer": "b", "quantity": 1})
            for buyer in range(10)
        ]
        assert {answer.status for answer in await asyncio.gather(*asked)} == {201}
        path = f"/v1/events/42/requests/k-{number}-0"
        status, fact, _ = await one.get(session, path, key)
        assert (status, fact["type"]) == (200, "purchase_confirmed")
        asked = [two.get(session, path, key) for _ in range(200)]
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {503}
        assert {answer.body["type"] for answer in answers} == {"/v1/problems/unavailable"}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        if away == redis.pause:
            redis.resume()
            answer = await answer_once(lambda path=path: two.get(session, path, key), 200)  # type: ignore[misc]
            assert answer.body["request_id"] == fact["request_id"]
    await redis.launch()
    await answer_once(lambda: two.get(session, "/v1/events/42/requests/k-1-0", key), 200)
