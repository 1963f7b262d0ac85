"""What Kafka says of a consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
)

_Answer = TypeVar("_Answer")

_TAKEN_OVER_AFTER_S: Final = 10.0
_AGAIN_S: Final = 0.2
_NO_COORDINATOR_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
"""A broker that was just started looks for its groups when somebody asks for one."""


async def _of_its_coordinator(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask again where the broker has died that had the group: each time another may have it."""
    deadline_s = monotonic() + _TAKEN_OVER_AFTER_S
    while True:
        try:
            return await ask()
        except NodeNotReadyError:
            if monotonic() > deadline_s:
                raise
            await asyncio.sleep(_AGAIN_S)


async def committed_offsets(client: AIOKafkaAdminClient, group_id: str) -> dict[TopicPartition, int]:
    """What a consumer group has committed; nothing, too, as long as the broker knows of no group at all."""
    try:
        found = await _of_its_coordinator(lambda: client.list_consumer_group_offsets(group_id))
    except _NO_COORDINATOR_YET:
        return {}
    return {partition: committed.offset for partition, committed in found.items()}


async def member_count(client: AIOKafkaAdminClient, group_id: str) -> int:
    """How many workers a consumer group has; none, too, as long as the broker knows of no group at all."""
    try:
        [response] = await _of_its_coordinator(lambda: client.describe_consumer_groups([group_id]))
    except _NO_COORDINATOR_YET:
        return 0
    return sum(len(group["members"]) for group in response.to_object()["groups"])
