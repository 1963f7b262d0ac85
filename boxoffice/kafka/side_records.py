"""What a command becomes that is not decided where it lies: a forward, or a dead letter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiokafka import ConsumerRecord

from boxoffice.kafka.clients import Headers, header
from models.commands import LEAST_HEADER_BYTES, MAX_HEADER_BYTES
from models.facts import at_text, ce_type
from models.shapes import Source
from models.tickets import is_ticket_name
from topics.dead_letters import CUT_HEADER, POSITION_HEADER, REASON_HEADER, TICKET_HEADER
from topics.purchase_requests import ORIGIN_HEADER

Record = ConsumerRecord[bytes, bytes]
SideRecord = tuple[bytes | None, bytes, list[tuple[str, bytes]]]

MAX_DEAD_LETTER_BYTES = 64 * 1024
MAX_DEAD_LETTER_KEY_BYTES = 1024

_ORIGIN = re.compile(rb"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,18})")
_POSITION = re.compile(rb"([A-Za-z0-9._-]{1,249}):(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,18})")
_SIZE = re.compile(rb"[1-9][0-9]{0,18}")
_MARKS = frozenset({REASON_HEADER, POSITION_HEADER, TICKET_HEADER, CUT_HEADER})

DEAD_COMMAND_TYPE = ce_type("command_dead_letter")
DEAD_COMMAND_SOURCE = "boxoffice/dead-letters"
DEAD_COMMAND_CONTENT_TYPE = "application/octet-stream"
_CLOUD_EVENT = ("ce_specversion", "content-type", "ce_source", "ce_type", "ce_id", "ce_time")
"""What a command's dead letter says of itself, right before its marks, where earlier releases do not look."""


def headers_bytes(headers: Headers) -> int:
    """The size of a record's headers, names and values."""
    return sum(len(name.encode()) + len(value or b"") for name, value in headers if name != ORIGIN_HEADER)


def counted_bytes(headers: Headers) -> int:
    """What a record's headers count; that of a forward counts nothing, which must not make a command too large."""
    return sum(_counted_bytes(name, value) for name, value in headers if name != ORIGIN_HEADER)


def _counted_bytes(name: str, value: bytes | None) -> int:
    return max(LEAST_HEADER_BYTES, len(name.encode()) + len(value or b""))


def read_origin(headers: Headers, partition: int, partitions: int) -> Source | None:
    """Where a forwarded command was found; None where it was not forwarded, or says so wrongly."""
    match = _ORIGIN.fullmatch(header(headers, ORIGIN_HEADER) or b"")
    if match is None:
        return None
    origin: Source = {"partition": int(match[1]), "offset": int(match[2])}
    if origin["partition"] == partition or origin["partition"] >= partitions or origin["offset"] >= 2**63:
        return None
    return origin


def forward(record: Record, event_id: str) -> SideRecord:
    """The command for its home: unchanged but for its key and the origin."""
    headers = [(name, value) for name, value in record.headers if name != ORIGIN_HEADER]
    origin = f"{record.partition}:{record.offset}".encode()
    return event_id.encode(), record.value or b"", [*headers, (ORIGIN_HEADER, origin)]


def dead_letter(record: Record, reason: str, ticket: str | None = None) -> SideRecord:
    """The record whole, or as much of it as fits, with what is wrong and where it lies.

    ``ticket`` is the one whose document could not be made of a fact, which is a CloudEvent already.
    """
    key, value = record.key, record.value or b""
    kept = _headers_that_fit(record.headers)
    whole_bytes = len(key or b"") + len(value) + headers_bytes(record.headers)
    marks = [
        (REASON_HEADER, reason.encode()),
        (POSITION_HEADER, f"{record.topic}:{record.partition}:{record.offset}".encode()),
    ]
    if ticket is not None:
        marks.append((TICKET_HEADER, ticket.encode()))
    if (
        len(key or b"") > MAX_DEAD_LETTER_KEY_BYTES
        or len(value) > MAX_DEAD_LETTER_BYTES
        or len(kept) < len(record.headers)
    ):
        marks.append((CUT_HEADER, str(whole_bytes).encode()))
    return (
        key[:MAX_DEAD_LETTER_KEY_BYTES] if key is not None else None,
        value[:MAX_DEAD_LETTER_BYTES],
        [*kept, *(_cloud_event(record) if ticket is None else ()), *marks],
    )


def _cloud_event(record: Record) -> list[tuple[str, bytes]]:
    """The attributes of a command's dead letter; the original may have some too, and the last ones hold."""
    values = (
        "1.0",
        DEAD_COMMAND_CONTENT_TYPE,
        DEAD_COMMAND_SOURCE,
        DEAD_COMMAND_TYPE,
        f"{record.partition}-{record.offset}",
        at_text(record.timestamp),
    )
    return [(name, value.encode()) for name, value in zip(_CLOUD_EVENT, values, strict=True)]


@dataclass(frozen=True)
class Marks:
    """What a dead letter says of its original: what is wrong with it, and where it lies.

    ``ticket`` is the one without a document, where that is what is wrong; ``cut_bytes`` how large the
    original was, where it did not fit.
    """

    reason: bytes
    topic: str
    partition: int
    offset: int
    ticket: str | None
    cut_bytes: int | None


def read_marks(headers: Headers) -> tuple[Headers, Marks | None]:
    """The original's headers, and the marks behind them; None where they are not those of :func:`dead_letter`.

    The original may have headers of the same names: what was put behind them last holds.
    """
    names = [name for name, _ in headers]
    if REASON_HEADER not in names:
        return headers, None
    begin = len(names) - 1 - names[::-1].index(REASON_HEADER)
    marks = dict(headers[begin:])
    position = _POSITION.fullmatch(marks.get(POSITION_HEADER) or b"")
    ticket, cut = marks.get(TICKET_HEADER), marks.get(CUT_HEADER)
    if (
        not marks.keys() <= _MARKS
        or position is None
        or (ticket is not None and not is_ticket_name(ticket.decode(errors="replace")))
        or (cut is not None and not _SIZE.fullmatch(cut))
    ):
        return headers, None
    return _without_cloud_event(headers[:begin]), Marks(
        reason=marks[REASON_HEADER] or b"",
        topic=position[1].decode(),
        partition=int(position[2]),
        offset=int(position[3]),
        ticket=None if ticket is None else ticket.decode(),
        cut_bytes=None if cut is None else int(cut),
    )


def _without_cloud_event(headers: Headers) -> Headers:
    """The original's headers; a letter of an earlier release, and a document's, has no others."""
    begin = len(headers) - len(_CLOUD_EVENT)
    own = headers[max(begin, 0) :]
    is_own = tuple(name for name, _ in own) == _CLOUD_EVENT and dict(own)["ce_type"] == DEAD_COMMAND_TYPE.encode()
    return headers[:begin] if is_own else headers


def _headers_that_fit(headers: Headers) -> list[tuple[str, bytes]]:
    kept: list[tuple[str, bytes]] = []
    room_bytes = MAX_HEADER_BYTES
    for name, value in headers:
        room_bytes -= _counted_bytes(name, value)
        if room_bytes < 0:
            break
        kept.append((name, value))
    return kept
