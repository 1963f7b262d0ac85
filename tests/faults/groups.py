"""What an operator may do to a consumer group's offsets."""

from __future__ import annotations

import asyncio

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from boxoffice.kafka import clients
from tests.support.office import Office

TIMEOUT_S = 30.0


def group_id(office: Office) -> str:
    """The group of the purchases process."""
    return f"{office.settings.kafka.topic_prefix}boxoffice-purchases"


async def delete_group(office: Office) -> None:
    """Delete the group, offsets and all; it must have no members."""
    admin = AdminClient({"bootstrap.servers": office.settings.kafka.bootstrap_servers})
    for deleted in admin.delete_consumer_groups([group_id(office)]).values():
        await asyncio.to_thread(deleted.result, TIMEOUT_S)


async def reset_group(office: Office, where: str) -> None:
    """Set the group's offsets to the ``end`` or the ``beginning``."""
    partitions = clients.topic_partitions(office.requests, office.settings.kafka.partitions)
    async with clients.reader(office.settings.kafka, partitions) as consumer:
        ends = await consumer.end_offsets(partitions)
    offsets = [TopicPartition(tp.topic, tp.partition, ends[tp] if where == "end" else 0) for tp in partitions]
    admin = AdminClient({"bootstrap.servers": office.settings.kafka.bootstrap_servers})
    request = [ConsumerGroupTopicPartitions(group_id(office), offsets)]
    for altered in admin.alter_consumer_group_offsets(request).values():
        await asyncio.to_thread(altered.result, TIMEOUT_S)


async def committed(office: Office) -> dict[int, int]:
    """The group's committed offset of each partition that has one."""
    admin = AdminClient({"bootstrap.servers": office.settings.kafka.bootstrap_servers})
    [listed] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group_id(office))]).values()
    found = await asyncio.to_thread(listed.result, TIMEOUT_S)
    return {tp.partition: tp.offset for tp in found.topic_partitions if tp.offset >= 0}
