"""Statistics: the fold of a ledger partition into figures, one row for each event.

Times are the facts' own, so that a ledger gives the same figures whenever it is read, and however its
records are cut into batches.

The chain takes what its header and the event's seq say is next, which is all that an honest ledger
needs. What only the rules can refuse (tickets out of turn, a purchase that is not there) shows when its
command is decided again: the partition is ``contested``, and has to be read again from its beginning
by :meth:`Statistics.by_the_rules`. So nothing may be refused here that the rules take.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from models.decisions import wanted_lines
from models.facts import NewerFactError, UnreadableFactError, at_ms, is_payment, read_fact, read_range
from models.figures import Status
from models.ledger import Ledger, Taken
from models.members import GENERAL
from models.shapes import (
    CommandRejected,
    EventChanged,
    EventCreated,
    Fact,
    HoldExpired,
    PaymentRefused,
    PurchaseCancelled,
    PurchaseConfirmed,
    PurchaseHeld,
    PurchaseRejected,
)
from models.statistics_rows import CategoryStatistics, EventStatistics, PartitionStatistics

_Lines = list[tuple[CategoryStatistics, int, int]]
"""Of each line the category, how many tickets, and what each costs."""


class Statistics:
    """The fold of one ledger partition.

    ``touched`` are the events whose rows have changed since it was emptied last; ``issued`` (without those that were
    removed), ``held`` and ``sold`` are the tickets that all events' rows add up to.
    """

    def __init__(self, row: PartitionStatistics, events: Iterable[EventStatistics] = ()) -> None:
        self.row = row
        self.events = {event.event_id: event for event in events}
        self.touched: dict[str, EventStatistics] = {}
        self.issued = self._sum("issued") - self._sum("removed")
        self.held = self._sum("held")
        self.sold = self._sum("sold")
        self.contested = False
        self._rules: Ledger | None = None

    @classmethod
    def by_the_rules(cls, ledger: Ledger) -> Statistics:
        """An empty one, to be fed from the ledger's beginning: ``ledger``, empty too, judges every record first."""
        statistics = cls(PartitionStatistics(ledger.partition))
        statistics._rules = ledger
        return statistics

    @property
    def is_whole(self) -> bool:
        """Whether the events' rows are those of the moment at which the partition's was written."""
        rows = self.events.values()
        return sum(row.seq for row in rows) == self.row.facts and all(row.offset <= self.row.offset for row in rows)

    def read(self, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        """Take the ledger's next record, if it is the chain's next."""
        taken = self._read(offset, value, read_header)
        if taken is not Taken.NEWER:
            self.row.offset = offset + 1
        return taken

    def _read(self, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        if self._rules is not None:
            return self._read_by_the_rules(self._rules, offset, value, read_header)
        commands = read_range(read_header)
        if commands is None:
            return Taken.DAMAGED
        first, last = commands
        if first != self.row.bookmark + 1:
            self.contested |= first <= self.row.bookmark
            return Taken.IGNORED
        try:
            fact = read_fact(value)
        except NewerFactError:
            return Taken.NEWER
        except UnreadableFactError:
            return Taken.DAMAGED
        if not self._fold(fact, offset):
            return Taken.DAMAGED
        self.row.bookmark = last
        return Taken.TAKEN

    def _read_by_the_rules(self, rules: Ledger, offset: int, value: bytes | None, read_header: bytes | None) -> Taken:
        taken = rules.read(value, read_header)
        if taken is Taken.TAKEN:
            assert rules.last is not None
            self._fold(rules.last, offset)
            self.row.bookmark = rules.bookmark
        return taken

    # Folding

    def _fold(self, fact: Fact, offset: int) -> bool:
        """Count a fact, or pass over a repeat; returns False where it cannot follow."""
        seq = fact["seq"]
        if not seq:
            return self._fold_uncounted(fact)
        event = self.events.get(fact["event_id"] or "")
        if event is None:
            if fact["type"] != "event_created" or seq != 1 or (event := _created(fact)) is None:
                return False
            self.events[event.event_id] = event
            self.issued += event.total("issued")
        elif seq <= event.seq:
            return True
        elif seq != event.seq + 1 or not self._fold_into(event, fact):
            return False
        event.seq = seq
        event.offset = offset + 1
        event.at = fact["at"]
        decider = fact["decided_by"]  # type: ignore[typeddict-item]  # whatever has a seq has it
        event.decided_by[decider] = event.decided_by.get(decider, 0) + 1
        self.row.facts += 1
        self.touched[event.event_id] = event
        return True

    def _fold_uncounted(self, fact: Fact) -> bool:
        match fact["type"]:
            case "command_forwarded":
                self.row.forwarded += 1
            case "command_unreadable":
                self.row.unreadable += 1
            case "purchase_rejected" | "command_rejected":
                self.row.unknown_event += 1
            case "offsets_passed":
                pass
            case _:
                return False
        return True

    def _fold_into(self, event: EventStatistics, fact: Fact) -> bool:
        match fact["type"]:
            case "purchase_rejected":
                return _fold_rejection(event, fact)
            case "command_rejected":
                return _count(event.refused, fact)
        if event.status is Status.ARCHIVED:
            return False
        if fact["type"] == "event_archived":
            event.status = Status.ARCHIVED
            return True
        timestamp_ms = _timestamp_ms(fact["at"])
        return timestamp_ms is not None and self._fold_at(event, fact, timestamp_ms)

    def _fold_at(self, event: EventStatistics, fact: Fact, timestamp_ms: int) -> bool:
        match fact["type"]:
            case "purchase_confirmed":
                return self._fold_sale(event, fact, timestamp_ms)
            case "purchase_held":
                return self._fold_hold(event, fact)
            case "hold_expired":
                return self._fold_return(event, fact, "held", "expired")
            case "purchase_cancelled":
                return self._fold_cancellation(event, fact)
            case "tickets_added":
                return self._fold_number(event, fact.get("category", GENERAL), fact["count"])
            case "tickets_removed":
                return self._fold_number(event, fact["category"], -fact["count"])
        return _fold_terms(event, fact)

    def _fold_sale(self, event: EventStatistics, fact: PurchaseConfirmed, timestamp_ms: int) -> bool:
        """Tickets are sold: at once, because they were held and are paid for, or late."""
        is_paid = is_payment(fact)
        is_late = is_paid and bool(fact.get("late"))
        was_held = is_paid and not is_late
        lines, tickets = _lines(event, fact), len(fact["tickets"])
        if lines is None or tickets != fact["quantity"] or not _are_there(lines, "held" if was_held else "remaining"):
            return False
        for category, quantity, price in lines:
            category.sold += quantity
            category.taken += quantity * price
            category.held -= quantity if was_held else 0
            category.late += quantity if is_late else 0
        self.sold += tickets
        self.held -= tickets if was_held else 0
        event.purchases += 1
        event.last_sale = fact["at"]
        if event.first_sale is None:
            event.first_sale = fact["at"]
        for window in (event.seconds, event.minutes, self.row.seconds, self.row.minutes):
            window.add(timestamp_ms, tickets)
        return True

    def _fold_hold(self, event: EventStatistics, fact: PurchaseHeld) -> bool:
        lines, tickets = _lines(event, fact), len(fact["tickets"])
        if lines is None or tickets != fact["quantity"] or not _are_there(lines, "remaining"):
            return False
        for category, quantity, _ in lines:
            category.held += quantity
        self.held += tickets
        event.holds += 1
        return True

    def _fold_cancellation(self, event: EventStatistics, fact: PurchaseCancelled) -> bool:
        was_held = bool(fact.get("held"))
        if not self._fold_return(event, fact, *(("held", "released") if was_held else ("sold", "cancelled"))):
            return False
        event.cancellations += 1
        return True

    def _fold_return(
        self, event: EventStatistics, fact: HoldExpired | PurchaseCancelled, figure: str, counted_as: str
    ) -> bool:
        """Tickets that were held, or sold, are on sale again."""
        lines = _lines(event, fact)
        if lines is None or not _are_there(lines, figure):
            return False
        tickets = len(fact["tickets"])
        for category, quantity, price in lines:
            setattr(category, figure, getattr(category, figure) - quantity)
            setattr(category, counted_as, getattr(category, counted_as) + quantity)
            category.refunded += quantity * price if figure == "sold" else 0
        if figure == "sold":
            self.sold -= tickets
        else:
            self.held -= tickets
        return True

    def _fold_number(self, event: EventStatistics, category_id: str, more: int) -> bool:
        """There are more tickets of a category, or less."""
        category = event.categories.get(category_id)
        if category is None or category.remaining + more < 0:
            return False
        if more > 0:
            category.issued += more
        else:
            category.removed -= more
        self.issued += more
        return True

    def _sum(self, figure: str) -> int:
        return sum(event.total(figure) for event in self.events.values())


def _created(fact: EventCreated) -> EventStatistics | None:
    """The row of a new event; None where the fact cannot create one."""
    if ("categories" in fact) == ("price" in fact) or ("price" in fact) != ("capacity" in fact):
        return None
    if _timestamp_ms(fact["at"]) is None:
        return None
    categories = _categories(fact)
    event = EventStatistics(
        event_id=fact["event_id"],
        name=fact["name"],
        venue=fact["venue"],
        starts_at=fact["starts_at"],
        currency=next(iter(categories.values()))[2],
        first_price=fact["price"]["amount"] if "price" in fact else None,
        categories={
            id_: CategoryStatistics(name, price, capacity) for id_, (name, price, _, capacity) in categories.items()
        },
    )
    _set_terms(event, fact)
    return event


def _fold_terms(event: EventStatistics, fact: Fact) -> bool:
    """What changes no number of tickets."""
    match fact["type"]:
        case "payment_refused":
            return _count(event.payments_refused, fact)
        case "event_changed":
            return _fold_change(event, fact)
        case "event_closed" | "event_cancelled":
            event.status = Status.CLOSED if fact["type"] == "event_closed" else Status.CANCELLED
            return True
    return False


def _fold_change(event: EventStatistics, fact: EventChanged) -> bool:
    """The event is given anew."""
    if ("price" in fact) != (event.first_price is not None) or ("price" in fact) == ("categories" in fact):
        return False
    categories = _categories(fact)
    if [*categories] != [*event.categories]:
        return False
    for category, (name, price, *_) in zip(event.categories.values(), categories.values(), strict=True):
        category.name, category.price = name, price
    _set_terms(event, fact)
    return True


def _categories(fact: EventCreated | EventChanged) -> dict[str, tuple[str, int, str, int]]:
    """Of each category its name, price, currency and capacity, by its id."""
    given: Any = fact
    named = given.get("categories")
    if named is None:
        return {GENERAL: ("", given["price"]["amount"], given["price"]["currency"], given.get("capacity", 0))}
    return {of["id"]: (of["name"], of["price"]["amount"], of["price"]["currency"], of["capacity"]) for of in named}


_TERMS: Final = ("name", "venue", "starts_at", "on_sale_at", "off_sale_at", "hold_s", "max_per_order", "max_per_buyer")


def _set_terms(event: EventStatistics, fact: EventCreated | EventChanged) -> None:
    for name in _TERMS:
        setattr(event, name, fact.get(name))


def _lines(
    event: EventStatistics, fact: PurchaseConfirmed | PurchaseHeld | HoldExpired | PurchaseCancelled
) -> _Lines | None:
    """What a fact is about; None if it does not name the event's categories, or not as many tickets as it says.

    By the rules before there are no lines: it is about the one category, at the price that the event began with.
    """
    named: Any = fact.get("lines")
    if named is None:
        if event.first_price is None:
            return None
        return [(event.categories[GENERAL], len(fact["tickets"]), event.first_price)]
    lines: _Lines = []
    for line in named:
        category = event.categories.get(line["category"])
        if category is None:
            return None
        lines.append((category, line["quantity"], line["price"]))
    return lines if sum(quantity for _, quantity, _ in lines) == len(fact["tickets"]) else None


def _are_there(lines: _Lines, figure: str) -> bool:
    """Whether each category has as many tickets of a kind."""
    return all(getattr(category, figure) >= quantity for category, quantity, _ in lines)


def _fold_rejection(event: EventStatistics, fact: PurchaseRejected) -> bool:
    _count(event.rejected, fact)
    for line in wanted_lines(fact):
        category = event.categories.get(line["category"])
        if category is not None:
            _count(category.rejected, fact)
    return True


def _count(counts: dict[str, int], fact: PurchaseRejected | CommandRejected | PaymentRefused) -> bool:
    # A plain string: as a key an enum's member would be written more slowly.
    reason = str(fact["reason"])
    counts[reason] = counts.get(reason, 0) + 1
    return True


def _timestamp_ms(at: str) -> int | None:
    """None where it is no time at which a command can have come."""
    try:
        timestamp_ms = at_ms(at)
    except ValueError:
        return None
    return timestamp_ms if timestamp_ms >= 0 else None
