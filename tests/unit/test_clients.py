"""What is changed in aiokafka's clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import PartitionMetadata

from boxoffice.kafka import clients


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
