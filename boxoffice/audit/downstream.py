"""The processes downstream of the ledger: whether anybody has ever run them."""

from __future__ import annotations

from dataclasses import dataclass

from boxoffice.kafka.clients import admin, group_id, reader, topic_partitions
from boxoffice.kafka.groups import committed_offsets, member_count
from boxoffice.kafka.topics import describe_topics
from boxoffice.settings import KafkaSettings
from topics import TopicDefinition, documents_places, event_stats, stats_changelog, ticket_documents


@dataclass(frozen=True)
class Downstream:
    """A process that reads the ledger, and the topics that it writes to on the ledger's partitions.

    ``writes`` is for others to read, ``keeps`` for itself alone.
    """

    process: str
    writes: TopicDefinition
    keeps: TopicDefinition


STATISTICS = Downstream("stats", event_stats.TOPIC, stats_changelog.TOPIC)
DOCUMENTS = Downstream("documents", ticket_documents.TOPIC, documents_places.TOPIC)


async def has_run(settings: KafkaSettings, downstream: Downstream) -> bool:
    """Whether a process has ever run here.

    Its consumer group says so, or its topics: Kafka forgets a group that was empty for days.

    Raises:
        UnreachableError: no broker answered.
    """
    group = group_id(settings, downstream.process)
    async with admin(settings) as client:
        if await committed_offsets(client, group) or await member_count(client, group):
            return True
    partitions = [
        partition
        for report in await describe_topics(settings, (downstream.writes, downstream.keeps))
        if report.existing is not None
        for partition in topic_partitions(report.name, report.existing.partitions)
    ]
    if not partitions:
        return False
    async with reader(settings, partitions) as consumer:
        return any((await consumer.end_offsets(partitions)).values())
