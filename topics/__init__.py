"""The topics: one file each, with its name, key, partitions, retention and codec.

A topic's name is what the broker knows it by after ``BOXOFFICE_TOPIC_PREFIX``.
"""

from topics import (
    api_keys,
    clock_places,
    dead_letters,
    documents_places,
    event_stats,
    purchase_requests,
    purchase_results,
    stats_changelog,
    ticket_documents,
)
from topics.definition import TopicDefinition

TOPICS: tuple[TopicDefinition, ...] = (
    purchase_requests.TOPIC,
    purchase_results.TOPIC,
    ticket_documents.TOPIC,
    documents_places.TOPIC,
    event_stats.TOPIC,
    stats_changelog.TOPIC,
    clock_places.TOPIC,
    dead_letters.TOPIC,
    api_keys.TOPIC,
)

__all__ = ["TOPICS", "TopicDefinition"]
