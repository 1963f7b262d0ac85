"""What Kafka says of a consumer group."""

from __future__ import annotations

from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

_NO_COORDINATOR_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
"""A broker that was just started looks for its groups when somebody asks for one."""


async def committed_offsets(client: AIOKafkaAdminClient, group_id: str) -> dict[TopicPartition, int]:
    """What a consumer group has committed; nothing, too, as long as the broker knows of no group at all."""
    try:
        found = await client.list_consumer_group_offsets(group_id)
    except _NO_COORDINATOR_YET:
        return {}
    return {partition: committed.offset for partition, committed in found.items()}


async def member_count(client: AIOKafkaAdminClient, group_id: str) -> int:
    """How many workers a consumer group has; none, too, as long as the broker knows of no group at all."""
    try:
        [response] = await client.describe_consumer_groups([group_id])
    except _NO_COORDINATOR_YET:
        return 0
    return sum(len(group["members"]) for group in response.to_object()["groups"])
