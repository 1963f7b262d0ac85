"""``purchase-results``: facts. This topic is the ledger, and is kept for ever."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="purchase-results",
    holds="facts: the ledger",
    key="event id, UTF-8; empty where the command could not be read",
    value="JSON, models/facts.py",
    config={"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
)

READ_HEADER = "boxoffice-read"
"""FROM-TO: the offsets of ``purchase-requests`` that a ledger record accounts for."""
