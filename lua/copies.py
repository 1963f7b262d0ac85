"""An event as Redis keeps it, or should keep it.

A :class:`Snapshot` is taken of the table in one moment, cheaply; the names of tickets and the records are
made from it when they are needed, since a million of them take a while.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lua.effects import figures_fields, terms_fields
from lua.records import record
from models.accepted import unpack
from models.event import Event
from models.members import GENERAL
from models.runs import numbers_in
from models.words import number_of


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An event of the table, as it was at one moment; ``partition`` is its home."""

    event: Event
    partition: int

    @classmethod
    def of(cls, event: Event, partition: int) -> Snapshot:
        """The event as it is now."""
        return cls(event.copy(), partition)

    @property
    def event_id(self) -> str:
        """The event's id."""
        return self.event.event_id

    @property
    def seq(self) -> int:
        """How far it was."""
        return self.event.seq

    @property
    def categories(self) -> tuple[str, ...]:
        """The ids of its categories."""
        return tuple(category.id for category in self.event.categories)

    def meta(self) -> dict[str, str]:
        """The fields of the event's ``meta`` hash."""
        event = self.event
        return {
            **terms_fields(event),
            **figures_fields(event),
            "closed": "1" if event.closed else "0",
            "seq": str(event.seq),
            "fence": str(event.fence),
            "partition": str(self.partition),
        }

    def tickets(self, place: int) -> Iterator[str]:
        """The names of the tickets that are left of a category, in order."""
        event = self.event
        return (event.prefix + str(number).zfill(6) for number in numbers_in(event.categories[place].queue))

    def records(self) -> Iterator[tuple[str, str]]:
        """Each accepted request with its record."""
        for request_id, packed in self.event.accepted.items():
            yield request_id, record(self.event, request_id, unpack(packed), self.partition)


@dataclass(frozen=True, slots=True)
class EventCopy:
    """All that Redis keeps of an event. ``queues`` are by category, ``records`` are JSON, by request id."""

    event_id: str
    meta: dict[str, str]
    queues: dict[str, list[str]]
    records: dict[str, str]

    def record(self, request_id: str) -> dict[str, Any] | None:
        """What an accepted request led to."""
        text = self.records.get(request_id)
        return None if text is None else json.loads(text)


def expected_copy(snapshot: Snapshot) -> EventCopy:
    """What Redis keeps of the event once it has reached the snapshot."""
    queues = {category: list(snapshot.tickets(place)) for place, category in enumerate(snapshot.categories)}
    return EventCopy(snapshot.event_id, snapshot.meta(), queues, dict(snapshot.records()))


def differences(found: EventCopy, expected: EventCopy, limit: int = 20) -> list[str]:
    """How an event in Redis differs from what the ledger says, one sentence each, at most ``limit``."""
    return list(islice(_differences(found, expected), limit))


def _differences(found: EventCopy, expected: EventCopy) -> Iterator[str]:
    yield from _meta_differences(found.meta, expected.meta)
    for category, tickets in expected.queues.items():
        where = "" if category == GENERAL else f" of {category}"
        yield from _queue_differences(found.queues.get(category, []), tickets, where)
    yield from _record_differences(found.records, expected.records)


def _meta_differences(found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for field in sorted(found.keys() | expected.keys()):
        if found.get(field) != expected.get(field):
            yield f"{field} is {found.get(field)!r}, and should be {expected.get(field)!r}"


def _queue_differences(found: list[str], expected: list[str], where: str) -> Iterator[str]:
    if len(found) != len(expected):
        yield f"{number_of(len(found), 'ticket')}{where} left, and should be {len(expected)}"
    for place, (name, expected_name) in enumerate(zip(found, expected, strict=False), 1):
        if name != expected_name:
            yield f"ticket {place} of the queue{where} is {name}, and should be {expected_name}"
            return


def _record_differences(found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for request_id, text in expected.items():
        if request_id not in found:
            yield f"request {request_id} is missing"
        elif found[request_id] != text:
            yield f"request {request_id} is {found[request_id]}, and should be {text}"
    for request_id in sorted(found.keys() - expected.keys()):
        yield f"request {request_id} should not be there"
