"""Redis is asked about requests while it serves, and left alone while it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from boxoffice.embedded.ports import free_port
from boxoffice.gateway.records import NotServedError, Records
from boxoffice.settings import load_settings
from lua.answers import Kept, UnreadableRecordError

RECORD = (
    b'{"type":"purchase","seq":2,"offset":7,"source":{"partition":3,"offset":7},"at":"2026-11-22T10:00:00.123Z",'
    b'"buyer":"b-1","tickets":["42-000001"]}'
)


class Store:
    """What Redis answers, and how often it was asked."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked = 0

    async def read_request(self, _event_id: str, _request_id: str) -> Kept | None:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        pass


@pytest.fixture
async def records() -> AsyncIterator[Records]:
    """They would reach nobody."""
    opened = Records(load_settings(redis_url=f"redis://127.0.0.1:{free_port()}").redis)
    yield opened
    await opened.aclose()


@pytest.fixture
def store(records: Records) -> Store:
    store: Any = Store()
    records._store = store
    return store  # type: ignore[no-any-return]


async def test_a_record_makes_its_fact(records: Records, store: Store) -> None:
    assert await records.fact("42", "r-1") is None
    store.answer = Kept(RECORD, {"rules": "1"})
    fact = await records.fact("42", "r-1")
    assert fact is not None
    assert (fact["type"], fact["request_id"]) == ("purchase_confirmed", "r-1")


@pytest.mark.parametrize(
    "damage", [UnreadableRecordError("no JSON"), ResponseError("WRONGTYPE Operation against a key"), Kept(b"{}", {})]
)
async def test_what_strangers_wrote_is_no_record_and_no_outage(records: Records, store: Store, damage: object) -> None:
    store.answer = damage
    with capture_logs():
        for _ in range(2):
            assert await records.fact("42", "r-1") is None
    assert store.asked == 2


@pytest.mark.parametrize(
    "failure",
    [
        RedisConnectionError("refused"),
        RedisTimeoutError("late"),
        ResponseError("LOADING"),
        NoPermissionError("not you"),
        OSError("gone"),
        RuntimeError("nobody expects this"),
    ],
)
async def test_a_redis_that_does_not_serve_is_asked_once(records: Records, store: Store, failure: Exception) -> None:
    store.answer = failure
    with capture_logs():
        for _ in range(10):
            with pytest.raises(NotServedError):
                await records.fact("42", "r-1")
    assert store.asked == 1


async def test_a_redis_that_is_not_there_is_told_at_once(records: Records) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(NotServedError):
                await records.fact("42", "r-1")
    assert [line["event"] for line in logs] == ["Redis is down, nothing is read from it"]
