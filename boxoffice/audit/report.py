"""What an audit found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from models.accepted import Kind, Run, unpack
from models.event import Event
from models.words import number_of


@dataclass
class DocumentCounts:
    """Tickets that are sold: how many have their document, could not be drawn, or had the age to be removed.

    On ``flawed`` of those made something cannot be read as it was written.
    """

    made: int = 0
    failed: int = 0
    expired: int = 0
    flawed: int = 0


@dataclass
class EventReport:
    """What was found of one event.

    ``statistics`` says whether they are those of the ledger. What was not compared is None.
    """

    event_id: str
    partition: int
    seq: int
    issued: int
    sold: int
    left: int
    purchases: int
    closed: bool
    statistics: bool | None = None
    documents: DocumentCounts | None = None
    differences: list[str] = field(default_factory=list)


@dataclass
class AuditReport:
    """What was found. ``differences`` are those that belong to no event; ``notes`` are worth knowing, and right."""

    partitions: int = 0
    commands: int = 0
    facts: int = 0
    repeated: int = 0
    events: list[EventReport] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def all_differences(self) -> list[str]:
        """Every sentence, those about events with the event's id."""
        of_events = [f"Event {event.event_id}: {what}" for event in self.events for what in event.differences]
        return [*self.differences, *of_events]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.all_differences

    @property
    def summary(self) -> str:
        """One line."""
        found = len(self.all_differences)
        sold = sum(event.sold for event in self.events)
        return (
            f"Audit: {number_of(found, 'difference') if found else 'all agree'}. "
            f"{number_of(self.commands, 'command')}, {number_of(self.facts, 'fact')} ({self.repeated} repeated), "
            f"{number_of(len(self.events), 'event')}, {number_of(sold, 'ticket')} sold, "
            f"{self._documents}"
            f"{number_of(self.partitions, 'partition')}, {self.seconds:.1f} s."
        )

    @property
    def _documents(self) -> str:
        made = [event.documents.made for event in self.events if event.documents]
        return f"{number_of(sum(made), 'document')}, " if made else ""


def strangers(topic: str, partition: int, count: int) -> list[str]:
    """A note of records that nobody of ours wrote, if there are any: every reader passes over them."""
    return [f"{topic} {partition}: {number_of(count, 'record')} that nobody of ours wrote."] if count else []


def report_event(event: Event, partition: int) -> EventReport:
    """An event of the ledger's fold; every ticket must have one live owner, or be left."""
    owned = [run for run, _ in _live_runs(event)]
    report = EventReport(
        event_id=event.event_id,
        partition=partition,
        seq=event.seq,
        issued=event.issued,
        sold=event.sold,
        left=sum(last - first + 1 for first, last in event.queue),
        purchases=len({request_id for _, request_id in _live_runs(event)}),
        closed=event.closed,
    )
    if report.sold + report.left != report.issued:
        report.differences.append(f"{report.sold} sold and {report.left} left are not {report.issued} issued.")
    if wrong := _not_once(sorted([*owned, *event.queue]), event.issued):
        report.differences.append(f"ticket {wrong} has not exactly one owner.")
    return report


def _live_runs(event: Event) -> Iterator[tuple[Run, str]]:
    for request_id, packed in event.accepted.items():
        accepted = unpack(packed)
        if accepted.kind == Kind.PURCHASE and not accepted.cancelled_by:
            for run in accepted.runs:
                yield run, request_id


def _not_once(runs: Iterable[Run], issued: int) -> int | None:
    """The first ticket that is in no run or in two; None if each of them is in one."""
    expected = 1
    for first, last in runs:
        if first != expected:
            return min(first, expected)
        expected = last + 1
    return None if expected == issued + 1 else min(expected, issued + 1)
