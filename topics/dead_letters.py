"""``dead-letters``: what could not be read or made, whole, with the reason and the position."""

from topics.definition import DAY_MS, TopicDefinition

TOPIC = TopicDefinition(
    name="dead-letters",
    holds="what could not be read or made, whole, with the reason and the position in headers",
    key="the original's key",
    value="the original's bytes, cut after 64 KiB",
    config={"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
)

REASON_HEADER = "boxoffice-reason"
"""One sentence: what is wrong with it and where."""

POSITION_HEADER = "boxoffice-position"
"""TOPIC:PARTITION:OFFSET at which the original lies."""

TICKET_HEADER = "boxoffice-ticket"
"""Where a ticket's document could not be made of a fact: the ticket."""

CUT_HEADER = "boxoffice-cut"
"""How many bytes the original had, when it was cut."""


def partition_of(number: int, partitions: int) -> int:
    """Where the dead letters of another topic's partition lie, of as many partitions as this topic has by itself."""
    return number % partitions
