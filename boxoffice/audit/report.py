"""What an audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.accepted import Accepted, Kind, State, unpack
from models.event import Event, has_tickets
from models.runs import count_of
from models.words import number_of


@dataclass
class DocumentCounts:
    """Tickets that are sold: how many have their document, could not be drawn, or had the age to be removed.

    On ``flawed`` of those made something cannot be read as it was written; ``renewing`` of them are drawn again, as
    their event was changed, and are not yet.
    """

    made: int = 0
    failed: int = 0
    expired: int = 0
    flawed: int = 0
    renewing: int = 0


@dataclass
class CategoryReport:
    """Tickets of one category: ``issued`` less ``removed`` are left, held or sold."""

    id: str
    name: str
    issued: int
    removed: int
    sold: int
    held: int
    left: int


@dataclass
class EventReport:
    """What was found of one event; its figures are those of its ``categories`` together.

    ``purchases`` are confirmed, and have tickets; ``holds`` are to be paid for, and ``expired`` were not in time.
    ``statistics`` says whether they are those of the ledger. What was not compared is None.
    """

    event_id: str
    partition: int
    seq: int
    issued: int
    removed: int
    sold: int
    held: int
    left: int
    purchases: int
    holds: int
    expired: int
    closed: bool
    cancelled: bool
    categories: list[CategoryReport] = field(default_factory=list)
    statistics: bool | None = None
    documents: DocumentCounts | None = None
    differences: list[str] = field(default_factory=list)


@dataclass
class AuditReport:
    """What was found. ``differences`` are those that belong to no event; ``notes`` are worth knowing, and right.

    ``archived`` events are counted; of them nothing is left to compare but that they are gone.
    """

    partitions: int = 0
    commands: int = 0
    facts: int = 0
    repeated: int = 0
    events: list[EventReport] = field(default_factory=list)
    archived: int = 0
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
        sold, held = (sum(getattr(event, what) for event in self.events) for what in ("sold", "held"))
        events = number_of(len(self.events), "event") + (f" and {self.archived} archived" if self.archived else "")
        return (
            f"Audit: {number_of(found, 'difference') if found else 'all agree'}. "
            f"{number_of(self.commands, 'command')}, {number_of(self.facts, 'fact')} ({self.repeated} repeated), "
            f"{events}, {number_of(sold, 'ticket')} sold, {f'{held} held, ' if held else ''}"
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
    """An event of the ledger's fold: of each category all tickets must be left, held or sold, and each of them once."""
    purchases = dict(all_purchases(event))
    states = Counter(purchase.state for purchase in purchases.values())
    live = [purchase for purchase in purchases.values() if has_tickets(purchase)]
    report = EventReport(
        event_id=event.event_id,
        partition=partition,
        seq=event.seq,
        issued=event.issued,
        removed=event.removed,
        sold=event.sold,
        held=event.held,
        left=sum(count_of(category.queue) for category in event.categories),
        purchases=states[State.CONFIRMED],
        holds=states[State.HELD],
        expired=states[State.EXPIRED],
        closed=event.closed,
        cancelled=event.cancelled,
        categories=[
            CategoryReport(one.id, one.name, one.issued, one.removed, one.sold, one.held, count_of(one.queue))
            for one in event.categories
        ],
    )
    report.differences += _wrong_figures(event, report.categories, live)
    report.differences += _wrong_owners(event, live)
    return report


def all_purchases(event: Event) -> Iterator[tuple[str, Accepted]]:
    """The purchases that were not refused, whatever has become of them, by their request ids."""
    for request_id, packed in event.accepted.items():
        accepted = unpack(packed)
        if accepted.kind is Kind.PURCHASE:
            yield request_id, accepted


FAR_PAST_DUE_S: Final = 900
"""So long after a hold is due somebody should have asked for its end, or a payment is looked into."""


def overdue(event: Event, now_ms: float) -> str | None:
    """A sentence about holds that should have ended long ago; None if there are none."""
    late = [
        request_id
        for request_id, purchase in all_purchases(event)
        if purchase.state is State.HELD and purchase.due_ms + FAR_PAST_DUE_S * 1000 < now_ms
    ]
    if not late:
        return None
    return (
        f"{number_of(len(late), 'purchase')} held {FAR_PAST_DUE_S // 60} minutes after they were due and longer, the "
        f"first {late[0]}: see that the process clock runs."
    )


def _wrong_figures(event: Event, categories: Sequence[CategoryReport], purchases: Iterable[Accepted]) -> Iterator[str]:
    """What of the categories' figures does not add up, or is not what the purchases have."""
    counted: Counter[tuple[int, State]] = Counter()
    for purchase in purchases:
        for place, runs in event.by_category(purchase.runs).items():
            counted[place, purchase.state] += count_of(runs)
    for place, one in enumerate(categories):
        which = f"{one.id}: " if event.names_categories else ""
        if one.sold + one.held + one.left != one.issued - one.removed:
            yield (
                f"{which}{one.sold} sold, {one.held} held and {one.left} left are not {one.issued} issued "
                f"less {one.removed} removed."
            )
        for state, figure, what in ((State.CONFIRMED, one.sold, "sold"), (State.HELD, one.held, "held")):
            if counted[place, state] != figure:
                tickets = number_of(counted[place, state], "ticket")
                yield f"{which}purchases have {tickets} that are {what}, and {figure} are counted."


def _wrong_owners(event: Event, purchases: Iterable[Accepted]) -> Iterator[str]:
    """The first ticket that two have, or that lies in another category's queue, or that there is not."""
    for place, category in enumerate(event.categories):
        for first, _ in category.queue:
            if event.category_of(first) != place:
                yield f"ticket {first} is left in {category.id}, and belongs to another category."
                return
    queues = (run for category in event.categories for run in category.queue)
    end = 0
    for first, last in sorted([*queues, *(run for purchase in purchases for run in purchase.runs)]):
        if first <= end or last > event.issued:
            yield f"ticket {first if first <= end else last} has not exactly one owner."
            return
        end = last
