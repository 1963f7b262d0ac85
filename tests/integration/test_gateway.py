"""The gateway's process on a real Kafka with a real worker: what a caller sends and gets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from boxoffice.errors import ExitStatus
from tests.support.gateways import Door, new_key
from tests.support.office import Office, until
from tests.support.workload import creations

PURCHASES = "/v1/events/42/purchases"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_a_purchase_is_answered_by_its_fact_and_a_repeat_by_the_same_on_any_instance(
    office: Office, session: aiohttp.ClientSession
) -> None:
    office.start()
    one, two = Door(office), Door(office)
    await office.send(creations(["42"], 3))
    key, other = await new_key(office, "buy"), await new_key(office, "buy")
    await one.ready()
    await two.ready()
    await office.answered()
    order = {"buyer": "b-77", "quantity": 2}
    status, fact, headers = await one.post(session, PURCHASES, key, "k-1", order)
    assert (status, fact["type"], fact["tickets"]) == (201, "purchase_confirmed", ["42-000001", "42-000002"])
    assert headers["location"].partition("?")[0] == "/v1/events/42/requests/k-1"
    assert "idempotent-replayed" not in headers
    status, again, headers = await two.post(session, PURCHASES, key, "k-1", order)
    assert (status, headers["idempotent-replayed"]) == (201, "true")
    assert again | {"decided_by": fact["decided_by"]} == fact
    status, problem, _ = await two.post(session, PURCHASES, key, "k-2", order)
    assert (status, problem["type"]) == (409, "/v1/problems/not-enough-left")
    assert problem["fact"]["reason"] == "not_enough_left"
    status, problem, _ = await one.post(session, PURCHASES, key, "k-1", {"buyer": "b-77", "quantity": 1})
    assert (status, problem["type"]) == (422, "/v1/problems/idempotency-key-reused")
    status, problem, _ = await one.post(session, f"{PURCHASES}/k-1/cancellation", other, "k-3")
    assert (status, problem["type"]) == (404, "/v1/problems/no-such-purchase")
    status, fact, _ = await two.post(session, f"{PURCHASES}/k-1/cancellation", key, "k-3")
    assert (status, fact["type"]) == (201, "purchase_cancelled")
    status, fact, _ = await one.post(session, PURCHASES, key, "k-1", order)
    assert (status, fact["type"]) == (200, "purchase_cancelled")
    await office.agrees()
    assert [await one.process.stop(), await two.process.stop()] == [ExitStatus.OK, ExitStatus.OK]


async def test_what_a_key_does_not_allow_reaches_no_topic(office: Office, session: aiohttp.ClientSession) -> None:
    door = Door(office)
    buyer = await new_key(office, "buy", event="42")
    await door.ready()
    order = {"buyer": "b", "quantity": 1}
    refused = [
        (await door.post(session, PURCHASES, "bo_x", "k", order)).status,
        (await door.post(session, "/v1/events/43/purchases", buyer, "k", order)).status,
        (await door.post(session, "/v1/events/42/closing", buyer, "k")).status,
        (await door.post(session, "/v1/events/42/tickets", buyer, "k", {"count": 1})).status,
        (await door.post(session, "/v1/events", buyer, "k", {"event_id": "42"})).status,
        (await door.post(session, PURCHASES, buyer, "k k", order)).status,
        (await door.post(session, PURCHASES, buyer, "k", {"buyer": "b", "quantity": 0})).status,
        (await door.post(session, PURCHASES, buyer, "k", {"buyer": "b", "request_id": "x"})).status,
        (await door.post(session, PURCHASES, buyer, "k", ["b"])).status,
        (await door.post(session, PURCHASES, buyer, "k", {"buyer": "b" * 20_000})).status,
        (await door.post(session, "/v1/events/042/purchases", buyer, "k", order)).status,
        (await door.post(session, "/v1/elsewhere", buyer, "k", order)).status,
    ]
    assert refused == [401, 403, 403, 403, 403, 400, 422, 422, 400, 413, 404, 404]
    assert await office.read(office.requests) == []
    listed = await office.run("keys", "list", "--json")
    assert (await office.run("keys", "revoke", listed.stdout.split('"id": "')[1][:10])).returncode == 0

    async def is_refused() -> bool:
        return (await door.post(session, PURCHASES, buyer, "k", order, prefer="respond-async")).status == 401

    await until_async(is_refused)
    assert "bo_" not in door.process.log_text()


async def until_async(condition: object) -> None:
    import asyncio
    from time import monotonic

    deadline_s = monotonic() + 30
    while not await condition():  # type: ignore[operator]
        assert monotonic() < deadline_s
        await asyncio.sleep(0.1)


async def test_told_to_stop_it_answers_who_waits_and_takes_no_more(
    office: Office, session: aiohttp.ClientSession
) -> None:
    import asyncio

    door = Door(office)
    key = await new_key(office, "buy")
    await door.ready()
    waiting = asyncio.create_task(
        door.post(session, PURCHASES, key, "k-1", {"buyer": "b", "quantity": 1}, prefer="wait=3")
    )
    await until(lambda: bool(waiting.done()) or True, 1, "")
    await asyncio.sleep(1)
    stopping = asyncio.create_task(door.process.stop())
    status, _, headers = await waiting
    assert (status, headers["retry-after"]) == (202, "1")
    assert await stopping == ExitStatus.OK
