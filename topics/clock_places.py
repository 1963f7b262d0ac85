"""``boxoffice-clock-places``: where a clock begins to read each ledger partition: no hold before it waits any more."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="boxoffice-clock-places",
    holds="from where on the clock reads the ledger: its own, it may change",
    key="`partition-N`, UTF-8",
    value="JSON, models/clock_places.py",
    config={
        "cleanup.policy": "compact",
        # A start reads all that is not compacted yet, and the newest segment never is.
        "segment.bytes": str(16 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
    },
)
