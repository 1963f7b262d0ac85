"""The tables of docs/security.md: who may do what on Kafka and in Redis, from the tables by which it is set."""

from __future__ import annotations

from collections.abc import Sequence

from boxoffice.kafka.access import ACCESS as ON_KAFKA
from boxoffice.kafka.access import Access as KafkaAccess
from boxoffice.redis.access import ACCESS as IN_REDIS
from boxoffice.redis.access import CONNECTING, patterns
from boxoffice.redis.access import Access as RedisAccess
from topics import TopicDefinition


def kafka_table() -> str:
    """A row for each user of Kafka."""
    return "\n".join(
        [
            "| user | does | reads | writes | looks at besides | groups |",
            "|---|---|---|---|---|---|",
            *map(_kafka_row, ON_KAFKA),
        ]
    )


def _kafka_row(access: KafkaAccess) -> str:
    joined, watched = _groups(access.joins), _groups(access.watches)
    groups = [joined, f"looks at {watched}" if watched else "", f"`{access.user}`" if access.is_client else ""]
    cells = (
        f"`{access.user}`",
        access.does,
        _topics(access.reads),
        _topics(access.writes),
        _topics(access.sees),
        ", ".join(filter(None, groups)),
    )
    return f"| {' | '.join(cells)} |"


def _groups(processes: Sequence[str]) -> str:
    return ", ".join(f"`boxoffice-{process}`" for process in processes)


def _topics(topics: Sequence[TopicDefinition]) -> str:
    return ", ".join(f"`{topic.name}`" for topic in topics)


def redis_table() -> str:
    """A row for each user of Redis; what every client asks when it connects is left out."""
    return "\n".join(
        [
            "| user | does | commands | keys that it reads | keys that it reads and writes |",
            "|---|---|---|---|---|",
            *map(_redis_row, IN_REDIS),
        ]
    )


def _redis_row(access: RedisAccess) -> str:
    keys = patterns(access, "")
    cells = (
        f"`{access.user}`",
        access.does,
        _words(sorted({*access.commands} - {*CONNECTING})),
        _words([key.removeprefix("%R~") for key in keys if key.startswith("%")]),
        _words([key.removeprefix("~") for key in keys if not key.startswith("%")]),
    )
    return f"| {' | '.join(cells)} |"


def _words(words: list[str]) -> str:
    # A bar would end the cell.
    return ", ".join(f"`{word.replace('|', ' ')}`" for word in words)
