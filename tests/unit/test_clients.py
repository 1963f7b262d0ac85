"""What is changed in aiokafka's clients, and what is made of their ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError
from aiokafka.structs import PartitionMetadata

from boxoffice.kafka import clients
from boxoffice.settings import KafkaSettings, load_settings


@pytest.mark.parametrize(("leader", "pauses_s"), [(1, []), (clients.NO_LEADER, [clients.ASK_FOR_LEADER_S])])
async def test_whoever_waits_for_a_leader_asks_for_it_with_pauses(
    monkeypatch: pytest.MonkeyPatch, leader: int, pauses_s: list[float]
) -> None:
    cluster: Any = ClusterMetadata()
    cluster._partitions = {"orders": {0: PartitionMetadata("orders", 0, leader, [], [], None)}}
    paused_s: list[float] = []

    async def answered(*_: Any) -> bool:
        return True

    async def sleep(pause_s: float) -> None:
        paused_s.append(pause_s)

    monkeypatch.setattr(clients, "_ask_brokers", answered)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert await clients._ask_brokers_now_and_then(None, cluster, ["orders"])
    assert paused_s == pauses_s


# Cancellations


class SelfCancelling(AIOKafkaProducer):
    """Lets out what a task of its own was ended with, as aiokafka does now and then while its broker is away."""

    async def start(self) -> None:
        """No broker is needed."""

    async def send(self, *_: object, **__: object) -> None:
        """It is cancelled, and whoever waits for it is told so."""
        raise asyncio.CancelledError

    async def stop(self) -> None:
        """It was never open."""
        self._closed = True


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Of a process whose producers cancel themselves."""
    monkeypatch.setattr(clients, "AIOKafkaProducer", SelfCancelling)
    return load_settings().kafka


async def test_a_client_that_cancels_itself_has_failed(settings: KafkaSettings) -> None:
    """Whoever took it for his own end would end, and nobody would be told: dead letters were not kept for hours."""
    with pytest.raises(KafkaError, match="cancelled itself"):
        async with clients.producer(settings) as producer:
            await producer.send("topic")


async def test_who_is_cancelled_while_he_uses_a_client_ends(settings: KafkaSettings) -> None:
    async def use() -> None:
        async with clients.producer(settings):
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
