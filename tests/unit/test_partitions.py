"""Promise: the look at the number of partitions goes on while a broker is away, and nothing that it finds is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka.errors import KafkaConnectionError

from boxoffice.errors import PartitionsChangedError, UnreachableError
from boxoffice.process import partitions
from boxoffice.settings import KafkaSettings, load_settings


class Ended(BaseException):
    """The process would have ended."""


@contextmanager
def ending() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever it is
        raise Ended(error) from error


async def _watch(monkeypatch: pytest.MonkeyPatch, *found: Exception | None) -> tuple[BaseException, int]:
    """What the watch ends of if its looks find this, and how often it looked."""
    looks = 0

    async def check_count(_settings: KafkaSettings, count: int) -> None:
        nonlocal looks
        assert count == 12
        looks += 1
        error = found[looks - 1] if looks <= len(found) else KeyError("no further look")
        if error is not None:
            raise error

    monkeypatch.setattr(partitions, "check_count", check_count)
    monkeypatch.setattr(partitions, "LOOK_INTERVAL_S", 0)
    monkeypatch.setattr(partitions, "LOOK_AGAIN_S", 0)
    with pytest.raises(Ended) as ended:
        async with asyncio.timeout(10):
            await partitions.watch_partitions(load_settings().kafka, 12, ending)
    return ended.value.args[0], looks


async def test_what_is_seen_twice_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = PartitionsChangedError("24")
    assert await _watch(monkeypatch, None, raised, raised) == (raised, 3)


async def test_what_is_seen_once_was_a_broker_that_did_not_know_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    error, looks = await _watch(monkeypatch, PartitionsChangedError("6"), None, None)
    assert (type(error), looks) == (KeyError, 4)


async def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    away = (UnreachableError("gone"), KafkaConnectionError("gone"), OSError("gone"))
    raised = PartitionsChangedError("24")
    assert await _watch(monkeypatch, *away, raised, UnreachableError("gone"), raised, raised) == (raised, 7)
