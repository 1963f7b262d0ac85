"""What Kafka says of a consumer group, and whether a process may join its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
)

from boxoffice.errors import TopicsError, UnreachableError
from boxoffice.kafka.clients import admin, group_id
from boxoffice.kafka.topics import user_of
from boxoffice.settings import KafkaSettings

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


async def check_group(settings: KafkaSettings, process: str) -> None:
    """See that a process may join its group, which its consumer would end of; all else it meets itself.

    Raises:
        TopicsError: it may not.
    """
    group = group_id(settings, process)
    with suppress(UnreachableError, KafkaError, OSError):
        async with admin(settings) as client:
            try:
                await client.find_coordinator(group)
            except GroupAuthorizationFailedError:
                raise TopicsError(
                    f"{user_of(settings)} may not join the group {group}: 'boxoffice topics acls' says what each user "
                    "needs."
                ) from None
