"""What headers the messages have."""

from __future__ import annotations

from typing import Any, Final

from boxoffice.kafka.side_records import DEAD_COMMAND_CONTENT_TYPE, DEAD_COMMAND_SOURCE
from models.tickets import TICKET_PATTERN
from topics import purchase_requests, purchase_results
from topics.dead_letters import CUT_HEADER, POSITION_HEADER, REASON_HEADER, TICKET_HEADER
from topics.purchase_requests import ORIGIN_HEADER, TRACE_HEADER
from topics.purchase_results import PARTITIONS_HEADER, READ_HEADER

Json = dict[str, Any]

CONTENT_TYPE: Final = "application/json"

_NUMBER: Final = "(0|[1-9][0-9]*)"


def _header(description: str, **schema: Any) -> Json:
    return {"type": "string", "description": description, **schema}


def _cloud_event(source: str, id_: Json, time: str, content_type: str = CONTENT_TYPE) -> Json:
    return {
        "ce_specversion": _header("CloudEvents, Kafka binary mode.", const="1.0"),
        "ce_source": _header("Who says it: what `ce_id` is unique within.", pattern=source),
        "ce_type": _header("Like `boxoffice.purchase_confirmed.v1`.", pattern=r"^boxoffice\.[a-z_]+\.v[0-9]+$"),
        "ce_id": id_,
        "ce_time": _header(time, format="date-time"),
        "content-type": _header("What the value is.", const=content_type),
    }


_OF_FACT: Final = {
    **_cloud_event(
        "^boxoffice/[a-z_]+$",
        _header(
            "EVENT-SEQ, or PARTITION-OFFSET of the command with seq 0: the same in every repeat.",
            pattern=f"^{_NUMBER}-{_NUMBER}$",
        ),
        "The fact's `at`.",
    ),
    READ_HEADER: _header(
        f"FROM-TO: the offsets of `{purchase_requests.TOPIC.name}`, on the same partition, that this record "
        "accounts for; TO is the command that it answers.",
        pattern=f"^{_NUMBER}-{_NUMBER}$",
    ),
}
_PARTITIONS: Final = {
    PARTITIONS_HEADER: _header(
        f"How many partitions `{purchase_requests.TOPIC.name}` and `{purchase_results.TOPIC.name}` had when it was "
        "written. Facts of an earlier release lack it.",
        pattern="^[1-9][0-9]*$",
    )
}
_OF_ANNOUNCEMENT: Final = _cloud_event(
    "^boxoffice/documents$",
    _header("TICKET-SEQ: the same in every repeat.", pattern=f"^{TICKET_PATTERN}-{_NUMBER}$"),
    "The announcement's `at`.",
)
_OF_STATISTICS: Final = _cloud_event(
    "^boxoffice/stats$",
    _header("EVENT-SEQ of the last fact counted: the same in every repeat.", pattern=f"^{_NUMBER}-{_NUMBER}$"),
    "The figures' `at`.",
)
_TRACE: Final = {TRACE_HEADER: _header("W3C trace context; what came with the command goes on with all that follows.")}


def _of_dead_letter(topic: str, reason: str) -> Json:
    return {
        REASON_HEADER: _header(reason),
        POSITION_HEADER: _header(
            "TOPIC:PARTITION:OFFSET at which the original lies.", pattern=f"{topic}:{_NUMBER}:{_NUMBER}$"
        ),
    }


_OF_COMMAND_DEAD_LETTER: Final = {
    **_cloud_event(
        f"^{DEAD_COMMAND_SOURCE}$",
        _header("PARTITION-OFFSET of the command: the same in every repeat.", pattern=f"^{_NUMBER}-{_NUMBER}$"),
        "The broker's timestamp of the command.",
        DEAD_COMMAND_CONTENT_TYPE,
    ),
    **_of_dead_letter(purchase_requests.TOPIC.name, "One sentence for people: what is wrong with it."),
}
_OF_DOCUMENT_DEAD_LETTER: Final = {
    **_of_dead_letter(purchase_results.TOPIC.name, "One sentence for people: which ticket has no document, and why."),
    TICKET_HEADER: _header("The ticket without a document.", pattern=f"^{TICKET_PATTERN}$"),
}


def _object(properties: Json, required: Json, description: str = "") -> Json:
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": properties,
        **({"required": [*required]} if required else {}),
    }


HEADERS: Final[dict[str, Json]] = {
    "commandHeaders": _object(_TRACE, {}, "None is needed. Together they have at most 16 KiB, names and values."),
    "factHeaders": _object({**_OF_FACT, **_PARTITIONS, **_TRACE}, _OF_FACT),
    "announcementHeaders": _object({**_OF_ANNOUNCEMENT, **_TRACE}, _OF_ANNOUNCEMENT),
    "statisticsHeaders": _object(_OF_STATISTICS, _OF_STATISTICS),
    "commandDeadLetterHeaders": _object(
        {
            **_OF_COMMAND_DEAD_LETTER,
            CUT_HEADER: _header("How many bytes the original had, only where it was cut.", pattern="^[1-9][0-9]*$"),
        },
        _OF_COMMAND_DEAD_LETTER,
        "Those of the original, and these behind them: of two with one name the last holds.",
    ),
    "documentDeadLetterHeaders": _object(
        {**_OF_FACT, **_PARTITIONS, **_TRACE, **_OF_DOCUMENT_DEAD_LETTER},
        {**_OF_FACT, **_OF_DOCUMENT_DEAD_LETTER},
        "Those of the fact, and these.",
    ),
}
"""By the name of its schema, the headers of each kind of message that others send or read."""

_OF_FORWARD: Final = {
    ORIGIN_HEADER: _header(
        "PARTITION:OFFSET at which the box office found the command, before it forwarded it.",
        pattern=f"^{_NUMBER}:{_NUMBER}$",
    )
}
INTERNAL_HEADERS: Final[dict[str, Json]] = {
    "forwardHeaders": _object({**_TRACE, **_OF_FORWARD}, _OF_FORWARD, "Those of the command, and where it was found.")
}
"""Those of messages that only the box office sends, and only itself reads."""
