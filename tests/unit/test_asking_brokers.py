"""Whoever asks the cluster asks another broker where the one that was chosen has just died."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError

from boxoffice.kafka.connecting import Admin
from boxoffice.kafka.groups import committed_offsets


class Brokers:
    """Of so many brokers, those that are there."""

    def __init__(self, known: int, there: set[int]) -> None:
        self.cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=number) for number in range(known)])
        self._there = there

    def get_random_node(self) -> int | None:
        return None

    async def send(self, number: int | None, _request: Any) -> int | None:
        if number not in self._there:
            raise NodeNotReadyError(f"node id {number}")
        return number


def admin_of(brokers: Brokers) -> Admin:
    admin = Admin.__new__(Admin)
    admin._client = cast(Any, brokers)
    return admin


async def test_a_broker_that_is_there_is_asked_whichever_was_chosen_first() -> None:
    for _ in range(20):
        assert await admin_of(Brokers(3, {2}))._send_request("anything") == 2


async def test_where_none_is_there_or_one_was_meant_that_is_said() -> None:
    for there, meant in ((set[int](), None), ({1}, 0)):
        with pytest.raises(NodeNotReadyError):
            await admin_of(Brokers(2, there))._send_request("anything", meant)


async def test_a_groups_offsets_are_asked_for_again_until_another_broker_has_the_group() -> None:
    class Moving:
        asked = 0

        async def list_consumer_group_offsets(self, _group: str) -> dict[Any, Any]:
            self.asked += 1
            if self.asked < 3:
                raise NodeNotReadyError
            return {}

    moving = Moving()
    assert await committed_offsets(cast(AIOKafkaAdminClient, moving), "any") == {}
    assert moving.asked == 3
