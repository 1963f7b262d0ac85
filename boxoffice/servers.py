"""What is asked of Kafka's groups and of Redis, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
from redis.exceptions import RedisError

from boxoffice.errors import UnreachableError
from boxoffice.redis_connection import RedisClient, connect
from boxoffice.settings import Settings, masked

_NO_COORDINATOR_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
"""A broker that was just started looks for its groups when somebody asks for one."""


_REDIS_TIMEOUT_MS: Final = 2_000


def unhurried(settings: Settings) -> Settings:
    """Settings with which a call to Redis may take longer than one that a sale waits for: here nobody waits."""
    return settings.model_copy(update={"redis_timeout_ms": max(settings.redis_timeout_ms, _REDIS_TIMEOUT_MS)})


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


@asynccontextmanager
async def redis_client(settings: Settings) -> AsyncIterator[RedisClient]:
    """A client of Redis.

    Raises:
        UnreachableError: inside, Redis did not answer.
    """
    client = connect(unhurried(settings))
    try:
        yield client
    except RedisError as error:
        raise UnreachableError(
            f"Redis at {masked(settings.redis_url)} cannot be reached ({type(error).__name__}): "
            "is it running, and is BOXOFFICE_REDIS_URL right?"
        ) from None
    finally:
        await client.aclose()
