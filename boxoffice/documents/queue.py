"""What is to be done next: events take turns, and what concerns one ticket is done in order.

A hot event has thousands of sales waiting; a sale of another one is next but one all the same.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from faust.types import TP

from boxoffice.batching import Record
from models.shapes import EventChanged, PurchaseCancelled, PurchaseConfirmed

if TYPE_CHECKING:
    from boxoffice.documents.traced import TracedJob

TURN: Final = 8
"""Tickets of one event that are begun in a row: a page is laid out for the first, and filled in for the others."""


OrderedFact = PurchaseConfirmed | PurchaseCancelled | EventChanged
"""The facts that something is to be done about."""


class RenewedTickets(Protocol):
    """Some tickets that are drawn again."""

    @property
    def change(self) -> EventChanged:
        """Why."""

    @property
    def record(self) -> Record | None:
        """The change's, on the ledger."""

    def did(self, order: Order) -> None:
        """One more ticket of an order is done."""


@dataclass(slots=True, eq=False)
class Order:
    """A sale, a cancellation or a change, and how many of its subjects are begun, and done.

    With ``renewal`` the tickets of the sale, or ``some`` of them, were drawn before, and are drawn again.
    """

    fact: OrderedFact
    record: Record
    renewal: RenewedTickets | None = None
    some: Sequence[str] = ()
    begun: int = 0
    done: int = 0

    @property
    def subjects(self) -> Sequence[str]:
        """The tickets that it is about; a change is about the event as a whole."""
        if self.fact["type"] == "event_changed":
            return (self.fact["event_id"],)
        return self.some or self.fact["tickets"]

    @property
    def cause(self) -> Record:
        """The record on the ledger that it follows from."""
        return (self.renewal.record if self.renewal is not None else None) or self.record

    @property
    def tp(self) -> TP:
        """The partition that its fact lies on."""
        return TP(self.record.topic, self.record.partition)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.done == len(self.subjects)


@dataclass(slots=True, eq=False)
class Job:
    """One subject of an order: a ticket whose document is to be made or removed, or an event that was changed."""

    order: Order
    ticket: str
    traced: TracedJob | None = None
    """What writes its spans, where it is traced."""

    @property
    def event_id(self) -> str:
        """The ticket's event."""
        return self.order.fact["event_id"]


@dataclass(slots=True)
class FairQueue:
    """Orders that wait, an event's in a line of its own.

    An event is suspected after one of its tickets hung: until another is drawn only one of them is begun at
    a time, so that an event that hangs every time leaves the other processes to others.
    """

    _lines: OrderedDict[str, deque[Order | Job]] = field(default_factory=OrderedDict)
    """In the order of their turns."""
    _held: dict[str, deque[Order | Job]] = field(default_factory=dict)
    """Lines of suspected events that wait until the one ticket which is begun is done."""
    _busy: set[str] = field(default_factory=set)
    _behind: defaultdict[str, deque[Job]] = field(default_factory=lambda: defaultdict(deque))
    """Jobs that wait until another about the same ticket is done."""
    _begun: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _suspected: set[str] = field(default_factory=set)
    _turn: int = 0
    """Tickets of the first line that were begun in its turn."""

    def add(self, order: Order) -> None:
        """Put an order at the end of its event's line."""
        self._line(order.fact["event_id"]).append(order)

    def next(self) -> Job | None:
        """The next job, if any may be begun; it is begun then."""
        while self._lines:
            event_id = next(iter(self._lines))
            if event_id in self._suspected and self._begun.get(event_id):
                self._held[event_id] = self._lines.pop(event_id)
                self._turn = 0
                continue
            job = self._first(event_id)
            if job.ticket not in self._busy:
                self._busy.add(job.ticket)
                self._begun[event_id] += 1
                return job
            self._behind[job.ticket].append(job)
        return None

    def done(self, job: Job) -> None:
        """The job is done: the next one about its ticket may be begun, before the rest of its event's."""
        if job.ticket not in self._busy:
            return
        self._busy.discard(job.ticket)
        self._begun[job.event_id] -= 1
        if not self._begun[job.event_id]:
            del self._begun[job.event_id]
        if job.event_id in self._held:
            self._lines[job.event_id] = self._held.pop(job.event_id)
        if job.ticket in self._behind:
            behind = self._behind[job.ticket]
            self._line(job.event_id).appendleft(behind.popleft())
            if not behind:
                del self._behind[job.ticket]

    def suspect(self, event_id: str) -> None:
        """A ticket of the event hung."""
        self._suspected.add(event_id)

    def trust(self, event_id: str) -> None:
        """A ticket of the event was drawn."""
        self._suspected.discard(event_id)

    def clear(self) -> None:
        """Forget everything."""
        for part in (self._lines, self._held, self._busy, self._behind, self._begun, self._suspected):
            part.clear()

    def _line(self, event_id: str) -> deque[Order | Job]:
        return self._held[event_id] if event_id in self._held else self._lines.setdefault(event_id, deque())

    def _first(self, event_id: str) -> Job:
        """Take the first job out of the line whose turn it is; after its turn come all others'."""
        line = self._lines[event_id]
        job = _first_of(line)
        self._turn += 1
        if not line:
            del self._lines[event_id]
        elif self._turn >= TURN:
            self._lines.move_to_end(event_id)
        if not line or self._turn >= TURN:
            self._turn = 0
        return job


def _first_of(line: deque[Order | Job]) -> Job:
    first = line[0]
    if isinstance(first, Job):
        line.popleft()
        return first
    job = Job(first, first.subjects[first.begun])
    first.begun += 1
    if first.begun == len(first.subjects):
        line.popleft()
    return job
