"""``boxoffice-documents-places``: how far the documents process dealt with the ledger, from where it goes on."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="boxoffice-documents-places",
    holds="how far the documents process is: its own, it may change",
    key="event id, or `partition-N`, UTF-8",
    value="JSON, models/places.py",
    config={
        "cleanup.policy": "compact",
        # A start reads all that is not compacted yet, and the newest segment never is.
        "segment.bytes": str(16 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
    },
)
