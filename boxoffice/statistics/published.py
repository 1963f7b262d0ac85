"""The newest figures of each event, by the records of ``event-stats``."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from boxoffice.kafka.clients import read_all, reader, topic_partitions
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.figures import Figures, read_stats_record
from models.figures import UnreadableFiguresError
from topics import event_stats


class Published:
    """What was published of each event last; ``strange`` counts records that nobody of ours wrote."""

    def __init__(self) -> None:
        self.figures: dict[str, Figures] = {}
        self.strange = 0

    def take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Take a record, whatever it is; a partition's come in order."""
        try:
            event_id, figures = read_stats_record(record.key, record.value)
        except UnreadableFiguresError:
            self.strange += 1
            return
        if figures is None:
            self.figures.pop(event_id, None)
        # A replaced worker's last words are older than what its successor said before.
        elif event_id not in self.figures or self.figures[event_id]["seq"] <= figures["seq"]:
            self.figures[event_id] = figures


async def read_topic(settings: KafkaSettings) -> Published:
    """The newest figures of each event on ``event-stats``.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topic is not there.
    """
    published = Published()
    count = await check_topics(settings, event_stats.TOPIC)
    partitions = topic_partitions(event_stats.TOPIC.full_name(settings.topic_prefix), count)
    async with reader(settings, partitions) as consumer:
        async for records in read_all(consumer, partitions):
            for record in records:
                published.take(record)
    return published
