"""The front door on a real Kafka with a real worker: what a caller sends and gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from boxoffice.embedded.ports import free_port
from boxoffice.gateway.application import Application
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.desk import open_desk
from boxoffice.gateway.limits import Rate, Waiting
from boxoffice.gateway.service import Gateway
from boxoffice.gateway.serving import serving
from models.api_keys import ApiKey, KeptSecret, digest, new_id, new_key
from tests.support.office import Office
from tests.support.workload import creations


def _fail(error: BaseException) -> None:
    raise AssertionError(error)


class Front:
    """A gateway, and callers' keys to it."""

    def __init__(self, base: str, callers: Callers, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.callers = callers
        self.session = session

    def key(self, *scopes: Any, **members: Any) -> str:
        key_id = new_id()
        key = new_key(key_id)
        caller = ApiKey(
            id=key_id,
            name="a test",
            scopes=scopes,
            secrets=(KeptSecret(sha256=digest(key)),),
            created_at="2026-11-30T10:00:00Z",
            **members,
        )
        self.callers.take(key_id.encode(), caller.model_dump_json().encode())
        return key

    async def post(self, path: str, key: str, request: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        sent = {"authorization": f"Bearer {key}", "idempotency-key": request, **headers}
        async with self.session.post(self.base + path, json=body, headers=sent) as response:
            text = await response.read()
            return response.status, json.loads(text) if text else None, response.headers


@pytest.fixture
async def front(office: Office) -> AsyncIterator[Front]:
    callers = Callers()
    port = free_port()
    async with (
        open_desk(office.settings.kafka, _fail) as desk,
        aiohttp.ClientSession() as session,
        serving(
            Application(Gateway(desk, callers, Rate(1_000, 1_000), Waiting(1_000, 1_000), 5.0)),
            "127.0.0.1",
            port,
            1_000,
        ),
    ):
        await asyncio.sleep(0.5)
        yield Front(f"http://127.0.0.1:{port}", callers, session)


async def test_a_purchase_is_answered_by_its_fact_and_a_repeat_by_the_same(office: Office, front: Front) -> None:
    office.start()
    await office.send(creations(["42"], 3))
    await office.answered()
    key = front.key("buy")
    path = "/v1/events/42/purchases"
    status, fact, headers = await front.post(path, key, "k-1", {"buyer": "b-77", "quantity": 2})
    assert (status, fact["type"], fact["tickets"]) == (201, "purchase_confirmed", ["42-000001", "42-000002"])
    assert headers["location"] == "/v1/events/42/requests/k-1"
    assert "idempotent-replayed" not in headers
    status, again, headers = await front.post(path, key, "k-1", {"buyer": "b-77", "quantity": 2})
    assert (status, headers["idempotent-replayed"]) == (201, "true")
    assert again | {"decided_by": fact["decided_by"]} == fact
    status, problem, _ = await front.post(path, key, "k-2", {"buyer": "b-77", "quantity": 2})
    assert (status, problem["type"], problem["fact"]["reason"]) == (
        409,
        "/v1/problems/not-enough-left",
        "not_enough_left",
    )
    status, problem, _ = await front.post(path, key, "k-1", {"buyer": "b-77", "quantity": 1})
    assert (status, problem["type"]) == (422, "/v1/problems/idempotency-key-reused")
    status, fact, _ = await front.post(f"{path}/k-1/cancellation", front.key("buy"), "k-3")
    assert status == 404, fact
    status, fact, _ = await front.post(f"{path}/k-1/cancellation", key, "k-3")
    assert (status, fact["type"]) == (201, "purchase_cancelled")
    status, fact, _ = await front.post(path, key, "k-1", {"buyer": "b-77", "quantity": 2})
    assert (status, fact["type"]) == (200, "purchase_cancelled")
    await office.agrees()
