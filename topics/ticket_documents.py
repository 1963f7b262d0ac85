"""``ticket-documents``: announcements of where each ticket's PDF lies, and of those that are gone."""

from topics.definition import DAY_MS, TopicDefinition

TOPIC = TopicDefinition(
    name="ticket-documents",
    holds="where each ticket's PDF lies, its size and SHA-256",
    key="event id, UTF-8",
    value="JSON, models/documents.py",
    config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
)
