"""``event-stats``: the newest statistics of each event; a tombstone removes what turned out to be none."""

from topics.definition import TopicDefinition

TOPIC = TopicDefinition(
    name="event-stats",
    holds="the newest statistics of each event",
    key="event id, UTF-8",
    value="JSON, models/figures.py",
    config={
        "cleanup.policy": "compact",
        # As with the changelog: whoever shows figures reads all that is not compacted yet when he starts.
        "segment.bytes": str(16 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
    },
)
