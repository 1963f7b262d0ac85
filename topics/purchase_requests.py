"""``purchase-requests``: commands, in the order in which they are decided."""

from topics.definition import DAY_MS, TopicDefinition

TOPIC = TopicDefinition(
    name="purchase-requests",
    holds="commands",
    key="event id, UTF-8",
    value="JSON, models/commands.py",
    config={
        "cleanup.policy": "delete",
        "retention.ms": str(7 * DAY_MS),
        # A decision takes its time from the record: it has to be the broker's, not each client's.
        "message.timestamp.type": "LogAppendTime",
        # Kafka's default, whatever the cluster's own is: as much as clients make of a record batch by their defaults
        # (librdkafka's are the largest, a million bytes), and room for 31 commands of 16 KiB with as much in headers.
        "max.message.bytes": str(1024 * 1024 + 12),
    },
    vital={
        "cleanup.policy": "commands would be removed before they are decided",
        "message.timestamp.type": "the clocks of clients would decide",
    },
)

ORIGIN_HEADER = "boxoffice-origin"
"""PARTITION:OFFSET at which a forwarded command was found first."""

PRIVATE_HEADER_PREFIX = "boxoffice-"
"""Headers that only the box office writes."""

TRACE_HEADER = "traceparent"
"""W3C trace context, passed on to the fact when it came in."""

HTTP_REQUEST_HEADER = "x-request-id"
"""What a caller of the gateway calls the request by which the command came."""
