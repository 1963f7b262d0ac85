"""An event as Redis keeps it, or should keep it.

A :class:`Snapshot` is taken of the table in one moment, cheaply; the names of tickets and the records are
made from it when they are needed, since a million of them take a while.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lua.records import record
from models.accepted import Run, unpack
from models.event import Event
from models.shapes import EventCreated
from models.words import number_of


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An event of the table, as it was at one moment."""

    partition: int
    created: EventCreated
    seq: int
    fence: int
    issued: int
    sold: int
    closed: bool
    queue: tuple[Run, ...]
    accepted: dict[str, bytes]

    @classmethod
    def of(cls, event: Event, partition: int) -> Snapshot:
        """The event as it is now; ``partition`` is its home."""
        return cls(
            partition=partition,
            created=event.created,
            seq=event.seq,
            fence=event.fence,
            issued=event.issued,
            sold=event.sold,
            closed=event.closed,
            queue=tuple(event.queue),
            accepted=event.accepted.copy(),
        )

    @property
    def event_id(self) -> str:
        """The event's id."""
        return self.created["event_id"]

    def meta(self) -> dict[str, str]:
        """The fields of the event's ``meta`` hash."""
        created = self.created
        return {
            "name": created["name"],
            "venue": created["venue"],
            "starts_at": created["starts_at"],
            "capacity": str(created["capacity"]),
            "max_per_order": str(created.get("max_per_order", "")),
            "price_amount": str(created["price"]["amount"]),
            "price_currency": created["price"]["currency"],
            "rules": str(created["rules"]),
            "issued": str(self.issued),
            "sold": str(self.sold),
            "closed": "1" if self.closed else "0",
            "seq": str(self.seq),
            "fence": str(self.fence),
            "partition": str(self.partition),
        }

    def tickets(self) -> Iterator[str]:
        """The names of the tickets that are left, in order."""
        return _names(self.event_id, self.queue)

    def records(self) -> Iterator[tuple[str, str]]:
        """Each accepted request with its record."""
        for request_id, packed in self.accepted.items():
            accepted = unpack(packed)
            yield request_id, record(accepted, self.partition, list(_names(self.event_id, accepted.runs)))


def _names(event_id: str, runs: Iterable[Run]) -> Iterator[str]:
    prefix = f"{event_id}-"
    return (prefix + str(number).zfill(6) for first, last in runs for number in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class EventCopy:
    """All that Redis keeps of an event. ``records`` are JSON, by request id."""

    event_id: str
    meta: dict[str, str]
    tickets: list[str]
    records: dict[str, str]

    def record(self, request_id: str) -> dict[str, Any] | None:
        """What an accepted request led to."""
        text = self.records.get(request_id)
        return None if text is None else json.loads(text)


def expected_copy(snapshot: Snapshot) -> EventCopy:
    """What Redis keeps of the event once it has reached the snapshot."""
    return EventCopy(snapshot.event_id, snapshot.meta(), list(snapshot.tickets()), dict(snapshot.records()))


def differences(found: EventCopy, expected: EventCopy, limit: int = 20) -> list[str]:
    """How an event in Redis differs from what the ledger says, one sentence each, at most ``limit``."""
    return list(islice(_differences(found, expected), limit))


def _differences(found: EventCopy, expected: EventCopy) -> Iterator[str]:
    yield from _meta_differences(found.meta, expected.meta)
    yield from _queue_differences(found.tickets, expected.tickets)
    yield from _record_differences(found.records, expected.records)


def _meta_differences(found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for field in sorted(found.keys() | expected.keys()):
        if found.get(field) != expected.get(field):
            yield f"{field} is {found.get(field)!r}, and should be {expected.get(field)!r}"


def _queue_differences(found: list[str], expected: list[str]) -> Iterator[str]:
    if len(found) != len(expected):
        yield f"{number_of(len(found), 'ticket')} left, and should be {len(expected)}"
    for place, (name, expected_name) in enumerate(zip(found, expected, strict=False), 1):
        if name != expected_name:
            yield f"ticket {place} of the queue is {name}, and should be {expected_name}"
            return


def _record_differences(found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for request_id, text in expected.items():
        if request_id not in found:
            yield f"request {request_id} is missing"
        elif found[request_id] != text:
            yield f"request {request_id} is {found[request_id]}, and should be {text}"
    for request_id in sorted(found.keys() - expected.keys()):
        yield f"request {request_id} should not be there"
