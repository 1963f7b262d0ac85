"""``purchase-results``: facts. This topic is the ledger, and is kept for ever."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="purchase-results",
    holds="facts: the ledger",
    key="event id, UTF-8; empty where the command could not be read",
    value="JSON, models/facts.py",
    config={"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
    vital={
        "cleanup.policy": "facts would be removed, and what they sold would be sold again",
        "retention.ms": "facts would expire, and what they sold would be sold again",
        "retention.bytes": "facts would be removed, and what they sold would be sold again",
    },
)

READ_HEADER = "boxoffice-read"
"""FROM-TO: the offsets of ``purchase-requests`` that a ledger record accounts for."""

PARTITIONS_HEADER = "boxoffice-partitions"
"""How many partitions the two topics had when a ledger record was written: an event's home depends on it."""
