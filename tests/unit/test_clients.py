"""What is changed in aiokafka's clients."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import PartitionMetadata

from boxoffice.kafka import clients


@pytest.mark.parametrize(("leader", "least_s"), [(1, 0.0), (clients.NO_LEADER, clients.ASK_FOR_LEADER_S)])
async def test_whoever_waits_for_a_leader_asks_for_it_with_pauses(
    monkeypatch: pytest.MonkeyPatch, leader: int, least_s: float
) -> None:
    cluster: Any = ClusterMetadata()
    cluster._partitions = {"orders": {0: PartitionMetadata("orders", 0, leader, [], [], None)}}

    async def answered(*_: Any) -> bool:
        return True

    monkeypatch.setattr(clients, "_ask_brokers", answered)
    begun_s = monotonic()
    assert await clients._ask_brokers_now_and_then(None, cluster, ["orders"])
    assert least_s <= monotonic() - begun_s + 0.001 < least_s + 0.09
