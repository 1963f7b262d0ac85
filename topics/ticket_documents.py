"""``ticket-documents``: where each ticket's PDF lies."""

from topics.definition import DAY_MS, TopicDefinition

TOPIC = TopicDefinition(
    name="ticket-documents",
    holds="where each ticket's PDF lies, its size and SHA-256",
    key="event id, UTF-8",
    value="JSON",
    config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
)
