"""``boxoffice-stats-events-changelog``: the rows of the statistics process, from which it goes on after a restart."""

from topics.definition import TopicDefinition

TABLE = "events"

TOPIC = TopicDefinition(
    # What Faust makes of its app's id and the table's name.
    name=f"boxoffice-stats-{TABLE}-changelog",
    holds="rows of the statistics process: its own, they may change",
    key="event id, or `partition-N`, UTF-8",
    value="JSON, models/statistics.py",
    config={
        "cleanup.policy": "compact",
        # A start reads all that is not compacted yet, and the newest segment never is.
        "segment.bytes": str(16 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
    },
)
