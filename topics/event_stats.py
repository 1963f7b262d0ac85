"""``event-stats``: the newest statistics of each event."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="event-stats",
    holds="the newest statistics of each event",
    key="event id, UTF-8",
    value="JSON",
    config={"cleanup.policy": "compact"},
)
