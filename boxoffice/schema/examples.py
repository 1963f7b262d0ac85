"""An example of each message: decided by the rules themselves, and written by what writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from aiokafka import ConsumerRecord

from boxoffice.batching import Outgoing, Removal
from boxoffice.documents.announcing import announcement_record
from boxoffice.kafka.clients import header, home_partition
from boxoffice.kafka.side_records import SideRecord, dead_letter
from boxoffice.selling.deciding import Answer
from boxoffice.selling.publishing import ledger_record
from boxoffice.statistics.figures import event_figures, stats_record
from models.commands import UnreadableCommandError, read_command
from models.derived_ids import EXPIRY, first_id
from models.documents import document_name, made, removed
from models.event import Position
from models.facts import at_text, unreadable
from models.inventory import Inventory, decide, fold
from models.shapes import Fact, Source
from models.statistics import Statistics
from models.statistics_rows import EventStatistics, PartitionStatistics
from topics import purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

Json = dict[str, Any]

COMMANDS: Final[dict[str, Json]] = {
    "create_event": {
        "type": "create_event",
        "request_id": "c-1",
        "event_id": "42",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10000,
        "max_per_order": 8,
        "price": {"amount": 4500, "currency": "EUR"},
    },
    "purchase": {"type": "purchase", "request_id": "r-1", "event_id": "42", "buyer": "b-77", "quantity": 2},
    "confirm_purchase": {
        "type": "confirm_purchase",
        "request_id": "p-1",
        "event_id": "43",
        "purchase": "r-4",
        "payment": "pay-1",
        "amount": 12000,
        "currency": "EUR",
        "actor": "window-3",
    },
    "expire_hold": {
        "type": "expire_hold",
        "request_id": first_id(EXPIRY, "r-5"),
        "event_id": "43",
        "purchase": "r-5",
    },
    "cancel_purchase": {
        "type": "cancel_purchase",
        "request_id": "x-1",
        "event_id": "42",
        "purchase": "r-1",
        "buyer": "b-77",
    },
    "change_event": {
        "type": "change_event",
        "request_id": "h-1",
        "event_id": "42",
        "starts_at": "2027-03-02T19:30:00Z",
        "max_per_order": 0,
        "prices": [{"category": "general", "amount": 5000}],
    },
    "add_tickets": {"type": "add_tickets", "request_id": "a-1", "event_id": "42", "count": 500},
    "remove_tickets": {"type": "remove_tickets", "request_id": "d-1", "event_id": "42", "count": 100},
    "close_event": {"type": "close_event", "request_id": "z-1", "event_id": "42"},
    "cancel_event": {"type": "cancel_event", "request_id": "o-1", "event_id": "42", "actor": "manager-1"},
    "archive_event": {"type": "archive_event", "request_id": "f-1", "event_id": "42"},
}
"""One of each type; those about event 42 come in the order in which they are asked."""
FURTHER_COMMANDS: Final[dict[str, Json]] = {
    "create_event": {
        "type": "create_event",
        "request_id": "c-2",
        "event_id": "43",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "categories": [
            {"id": "stalls", "name": "Stalls", "capacity": 600, "price": {"amount": 4500, "currency": "EUR"}},
            {"id": "balcony", "name": "Balcony", "capacity": 200, "price": {"amount": 3000, "currency": "EUR"}},
        ],
        "on_sale_at": "2026-11-22T10:00:00Z",
        "off_sale_at": "2027-03-01T19:30:00Z",
        "hold_s": 600,
        "max_per_buyer": 6,
    },
    "purchase": {
        "type": "purchase",
        "request_id": "r-4",
        "event_id": "43",
        "buyer": "b-80",
        "lines": [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}],
    },
    "cancel_purchase": {
        "type": "cancel_purchase",
        "request_id": "x-3",
        "event_id": "43",
        "purchase": "r-4",
        "tickets": ["43-000601"],
    },
}
"""Of an event with categories, whose purchases are held until they are paid."""
_OVER_LARGE: Final[Json] = {"type": "purchase", "request_id": "r-2", "event_id": "42", "buyer": "b-78", "quantity": 9}
_CANCELLED_AGAIN: Final[Json] = {
    "type": "cancel_purchase",
    "request_id": "x-2",
    "event_id": "42",
    "purchase": "r-1",
}
_BOUGHT_ALONE: Final[Json] = {
    "type": "purchase",
    "request_id": "r-5",
    "event_id": "43",
    "buyer": "b-81",
    "category": "balcony",
    "quantity": 1,
}
_OVER_LIMIT: Final[Json] = {
    "type": "purchase",
    "request_id": "r-6",
    "event_id": "43",
    "buyer": "b-81",
    "lines": [{"category": "stalls", "quantity": 6}],
}
_PAID_TWICE: Final[Json] = {**COMMANDS["confirm_purchase"], "request_id": "p-2", "payment": "pay-2"}
_UNREADABLE: Final[Json] = {"type": "purchase", "request_id": "r-3", "event_id": "42", "buyer": "b-79", "quantity": 200}

_HOME: Final = 4
_PARTITIONS: Final = 12
_OFFSET: Final = 1233
_LEDGER_OFFSET: Final = 1307
_ELSEWHERE: Final[Source] = {"partition": 5, "offset": 99}
_TIMESTAMP_MS: Final = 1_795_341_600_123
_HOLD_MS: Final = FURTHER_COMMANDS["create_event"]["hold_s"] * 1000
_STORE: Final = "s3://tickets"
# Of a PDF that was drawn for this ticket.
_SIZE_BYTES: Final = 14_744
_SHA256: Final = "1a1c2cc297f8ede976b0c2ddb8e5ca2d8c9fe68235cee484bc0f521151c483cf"
_COUNTED: Final = ("event_created", "purchase_confirmed", "purchase_rejected")
_TICKET: Final = "42-000001"
_NOT_DRAWN: Final = f"Ticket {_TICKET} could not be drawn: it took longer than 10 s"


class Example(NamedTuple):
    """A record as others find it on its topic; ``payload`` is its value, read as JSON."""

    key: str
    payload: Any
    headers: dict[str, str]


def facts() -> dict[str, Fact]:
    """A fact of each type."""
    found: dict[str, Fact] = {}
    for fact in _told():
        found.setdefault(fact["type"], fact)
    return found


def further_facts() -> list[Fact]:
    """Others of the same types, which have other members."""
    first = facts()
    return [fact for fact in _told() if fact != first[fact["type"]]]


@cache
def _told() -> list[Fact]:
    """What the example commands are answered with, one after the other, and what else is on the ledger."""
    created, bought, cancelled, *others = [command for command in COMMANDS.values() if command["event_id"] == "42"]
    holding = [
        *(FURTHER_COMMANDS[name] for name in ("create_event", "purchase")),
        _BOUGHT_ALONE,
        _OVER_LIMIT,
        COMMANDS["confirm_purchase"],
        _PAID_TWICE,
        FURTHER_COMMANDS["cancel_purchase"],
        COMMANDS["expire_hold"],
    ]
    return [
        *_decided([created, bought, _OVER_LARGE, cancelled, _CANCELLED_AGAIN, *others]),
        *_decided(holding),
        {
            "type": "command_forwarded",
            "event_id": "42",
            "seq": 0,
            "request_id": "r-1",
            "home": _HOME,
            "source": _ELSEWHERE,
            "at": at_text(_TIMESTAMP_MS),
        },
        unreadable(_value(_UNREADABLE), _why_unreadable(), _ELSEWHERE, at_text(_TIMESTAMP_MS)),
        {
            "type": "offsets_passed",
            "event_id": None,
            "seq": 0,
            "request_id": None,
            "source": {"partition": _ELSEWHERE["partition"], "offset": _ELSEWHERE["offset"] + 1},
            "at": at_text(_TIMESTAMP_MS),
        },
    ]


def _decided(commands: Sequence[Json]) -> list[Fact]:
    """What one event's commands are answered with; whoever looks whether a hold is due looks in time."""
    home = home_partition(commands[0]["event_id"], _PARTITIONS)
    inventory = Inventory(home)
    found: list[Fact] = []
    for offset, members in enumerate(commands, _OFFSET):
        timestamp_ms = _TIMESTAMP_MS + (_HOLD_MS if members["type"] == "expire_hold" else 0)
        position = Position(offset, timestamp_ms, {"partition": home, "offset": offset})
        fact = decide(inventory, read_command(_value(members)), position)
        fold(inventory, fact, offset)
        found.append(fact)
    return found


def _why_unreadable() -> str:
    try:
        read_command(_value(_UNREADABLE))
    except UnreadableCommandError as error:
        return str(error)
    raise AssertionError("it can be read")


def further_examples() -> list[Example]:
    """Further records of facts."""
    return [_published(ledger_record(_answer(fact), _PARTITIONS)) for fact in further_facts()]


def examples() -> dict[str, Example]:
    """The records of all messages but commands, by the messages' names."""
    decided = facts()
    on_ledger = {name: ledger_record(_answer(fact), _PARTITIONS) for name, fact in decided.items()}
    return {
        name: _published(record)
        for name, record in {
            **on_ledger,
            **_announcements(decided, on_ledger),
            "event_stats": stats_record("42", event_figures(_counted([on_ledger[name] for name in _COUNTED]), _HOME)),
            "event_stats_removed": stats_record("43", None),
            "command_dead_letter": _command_dead_letter(),
            "document_dead_letter": dead_letter(_found(on_ledger["purchase_confirmed"]), _NOT_DRAWN, _TICKET),
        }.items()
    }


def _announcements(decided: dict[str, Fact], on_ledger: dict[str, Outgoing]) -> dict[str, Outgoing]:
    sale, cancellation = decided["purchase_confirmed"], decided["purchase_cancelled"]
    assert sale["type"] == "purchase_confirmed"
    assert cancellation["type"] == "purchase_cancelled"
    ticket = sale["tickets"][0]
    location = f"{_STORE}/{document_name(sale['event_id'], ticket, sale['request_id'])}"
    return {
        "document_made": announcement_record(
            made(sale, ticket, location, _SIZE_BYTES, _SHA256), _found(on_ledger["purchase_confirmed"])
        ),
        "document_removed": announcement_record(
            removed(cancellation, ticket, location), _found(on_ledger["purchase_cancelled"])
        ),
    }


def _counted(records: Sequence[Outgoing]) -> EventStatistics:
    """The statistics of the only event that ledger records are about."""
    statistics = Statistics(PartitionStatistics(_HOME, bookmark=_OFFSET - 1))
    for offset, (_, value, headers) in enumerate(records, _LEDGER_OFFSET):
        statistics.read(offset, value, header(headers, READ_HEADER))
    [event] = statistics.events.values()
    return event


def _command_dead_letter() -> SideRecord:
    position = (purchase_requests.TOPIC.name, _ELSEWHERE["partition"], _ELSEWHERE["offset"])
    return dead_letter(_consumed(*position, (b"42", _value(_UNREADABLE), [])), _why_unreadable())


def _answer(fact: Fact) -> Answer:
    offset = fact["source"]["offset"]
    return Answer(fact, offset, offset)


def _found(record: Outgoing) -> ConsumerRecord[bytes, bytes]:
    """A ledger record as the documents process reads it."""
    return _consumed(purchase_results.TOPIC.name, _HOME, _LEDGER_OFFSET, record)


def _consumed(topic: str, partition: int, offset: int, record: Outgoing) -> ConsumerRecord[bytes, bytes]:
    key, value, headers = record
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=_TIMESTAMP_MS,
        timestamp_type=1,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value),
        headers=tuple(headers),
    )


def _value(members: Json) -> bytes:
    return json.dumps(members).encode()


def _published(record: Outgoing | Removal | SideRecord) -> Example:
    key, value, headers = record
    payload = None if value is None else json.loads(value)
    # Their order means nothing.
    return Example((key or b"").decode(), payload, {name: text.decode() for name, text in sorted(headers)})
