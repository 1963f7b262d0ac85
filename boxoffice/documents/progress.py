"""How far each ledger partition is: which facts are new, and which are dealt with.

A crash repeats what was not committed, and a worker that was replaced repeats what another does. Both are
harmless: what is made of a fact is always the same, under a name that no other fact leads to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from aiokafka import ConsumerRecord
from faust.types import TP

from boxoffice.batching import BatchConsumer
from boxoffice.documents.queue import Order
from models.facts import NewerFactError, UnreadableFactError, read_fact
from models.places import Place
from models.shapes import Fact
from models.tickets import are_tickets_of

FACTS_PER_SALE: Final = 10
"""So many times as many facts as sales are held of a partition: a sold-out event has refusals, mostly."""


@dataclass(slots=True)
class TakenLedger:
    """A ledger partition, as far as it was taken: of each event exactly seq + 1, repeats are passed over.

    Of an event that was archived nothing that follows concerns a document: it is forgotten as soon as its archiving
    cannot be taken again.
    """

    next_offset: int
    damaged: int = 0
    held: bool = False
    """It stands before a newer release's fact, at ``next_offset``, and goes no further."""
    _seqs: dict[str, int] = field(default_factory=dict)
    _facts: int = 0
    _kept_from: int = 0
    _archived: set[str] = field(default_factory=set)
    """Events whose archiving was taken, and can be taken again."""
    _recent: deque[tuple[int, str, int]] = field(default_factory=deque)
    """Offset, event and seq of each new fact from ``_kept_from`` on, so that they can be taken again."""
    _moved: dict[str, int] = field(default_factory=dict)
    """The events of which facts have lain before ``_kept_from`` since the last place was made, and their seqs."""
    _placed: int = -1
    _anew: bool = False
    _place: Place | None = None
    """One that the group has not committed yet."""

    @classmethod
    def at(cls, place: Place) -> TakenLedger:
        """One that goes on at a place."""
        return cls(place.offset, _seqs=dict(place.seqs), _facts=place.facts, _placed=place.offset)

    def __post_init__(self) -> None:
        """What lies before cannot be taken again."""
        self._kept_from = self.next_offset

    def take(self, record: ConsumerRecord[bytes, bytes]) -> Fact | None:
        """The record's fact, if it is new; none from the first on that a newer release wrote."""
        if self.held:
            return None
        self.next_offset = record.offset + 1
        try:
            fact = read_fact(record.value)
        except NewerFactError as error:
            if error.event_id is not None and error.seq == self._seqs.get(error.event_id, 0) + 1:
                self.held = True
                self.next_offset = record.offset
            return None
        except UnreadableFactError:
            self.damaged += 1
            return None
        if not _names_its_own(fact):
            self.damaged += 1
            return None
        event_id, seq = fact["event_id"], fact["seq"]
        if event_id is None or event_id in self._archived or seq != self._seqs.get(event_id, 0) + 1:
            return None
        self._seqs[event_id] = seq
        self._facts += 1
        self._recent.append((record.offset, event_id, seq))
        if fact["type"] == "event_archived":
            self._archived.add(event_id)
        return fact

    def __len__(self) -> int:
        """How many new facts can be taken again."""
        return len(self._recent)

    def settle(self, offset: int) -> None:
        """What lies before ``offset`` will not be taken again."""
        self._kept_from = max(offset, self._kept_from)
        while self._recent and self._recent[0][0] < offset:
            _, event_id, seq = self._recent.popleft()
            self._moved[event_id] = seq
            if event_id in self._archived and seq == self._seqs[event_id]:
                self._forget(event_id)

    def _forget(self, event_id: str) -> None:
        """Its archiving is its last fact that was taken."""
        self._archived.discard(event_id)
        self._facts -= self._seqs.pop(event_id)
        self._moved[event_id] = 0

    def rewind(self, offset: int) -> bool:
        """Go back to ``offset``, if so much is kept."""
        if offset < self._kept_from:
            return False
        while self._recent and self._recent[-1][0] >= offset:
            _, event_id, seq = self._recent.pop()
            self._seqs[event_id] = seq - 1
            self._archived.discard(event_id)  # or an older fact of it, of which the same is true
            self._facts -= 1
        self.next_offset = min(offset, self.next_offset)
        return True

    # The place

    def place_until(self, committed: int) -> Place | None:
        """The place to be kept, once the group has committed it; None while there is no other than before."""
        if self._place is None and (self._moved or self._kept_from > self._placed):
            self._place = Place(self._kept_from, self._facts - len(self._recent), self._moved, self._anew)
            self._moved, self._anew = {}, False
        return self._place if self._place is not None and self._place.offset <= committed else None

    def kept(self, place: Place, *, anew: bool = False) -> None:
        """The place was kept; with ``anew`` somebody else wrote there too, and all of it has to be written again."""
        self._place, self._placed = None, place.offset
        if anew:
            self.keep_anew()

    def keep_anew(self, there: Set[str] = frozenset()) -> None:
        """Keep all of the next place; ``there`` are the events that have a row, whose last one may be wrong."""
        self._place, self._placed, self._anew = None, -1, True
        self._moved = dict.fromkeys(there, 0) | self._seqs
        for _, event_id, seq in reversed(self._recent):
            self._moved[event_id] = seq - 1


@dataclass(slots=True)
class _Line:
    """A partition, and its orders from the first that is not done on; so many of them are open."""

    taken: TakenLedger
    orders: deque[Order] = field(default_factory=deque)
    open: int = 0

    @property
    def done_until(self) -> int:
        return self.orders[0].record.offset if self.orders else self.taken.next_offset

    def holds(self, share: float, queue_size: int) -> bool:
        """Whether it holds at least this share of what it may."""
        return self.open >= share * queue_size or len(self.taken) >= share * queue_size * FACTS_PER_SALE


class Progress:
    """Which orders are not done; lets the offsets before the first of them be committed.

    A partition that holds too much is not fetched until it holds half as much.
    """

    def __init__(self, queue_size: int) -> None:
        self._queue_size = queue_size
        self._consumer: BatchConsumer | None = None
        self._lines: dict[TP, _Line] = {}

    @property
    def tickets(self) -> int:
        """Tickets that were taken, and are not done."""
        orders = (order for line in self._lines.values() for order in line.orders)
        return sum(len(order.subjects) - order.done for order in orders)

    def begin(self, consumer: BatchConsumer, ledgers: dict[TP, TakenLedger]) -> None:
        """Read each partition on from where it was taken to."""
        self._consumer = consumer
        self._lines = {tp: _Line(taken) for tp, taken in ledgers.items()}
        for tp, taken in ledgers.items():
            consumer.start_at(tp, taken.next_offset)
            if taken.held:
                consumer.withhold(tp)

    def clear(self) -> None:
        """Forget what is not done: the partitions are somebody else's."""
        self._lines.clear()

    def of(self, tp: TP) -> TakenLedger | None:
        """A partition, if it is ours."""
        line = self._lines.get(tp)
        return line.taken if line is not None else None

    def took(self, tp: TP, next_offset: int, orders: list[Order]) -> None:
        """All records before ``next_offset`` were taken, and these orders are to be done."""
        line = self._lines[tp]
        if not line.taken.held:
            # Markers at the end of a run hold no record.
            line.taken.next_offset = next_offset
        line.orders.extend(orders)
        line.open += len(orders)
        self._settle(tp, line)
        if line.holds(1, self._queue_size):
            self._of_consumer.on_buffer_full(tp)

    def hold(self, tp: TP) -> None:
        """Read no further: a newer release's fact comes next."""
        self._of_consumer.withhold(tp)

    def did(self, order: Order) -> None:
        """One more ticket of an order is done."""
        order.done += 1
        line = self._lines.get(order.tp)
        if line is None or not order.is_done:
            return
        line.open -= 1
        while line.orders and line.orders[0].is_done:
            line.orders.popleft()
        self._settle(order.tp, line)
        if not line.holds(0.5, self._queue_size):
            self._of_consumer.on_buffer_drop(order.tp)

    @property
    def consumer(self) -> BatchConsumer | None:
        """Whose offsets are committed, once there is one."""
        return self._consumer

    @property
    def _of_consumer(self) -> BatchConsumer:
        assert self._consumer is not None
        return self._consumer

    def _settle(self, tp: TP, line: _Line) -> None:
        """Let the offsets before what is not done be committed."""
        line.taken.settle(line.done_until)
        self._of_consumer.done_until(tp, line.done_until)


def _names_its_own(fact: Fact) -> bool:
    """Whether a fact's tickets are called as its event's are: a document's name is made of theirs."""
    if fact["type"] != "purchase_confirmed" and fact["type"] != "purchase_cancelled":
        return True
    return are_tickets_of(fact["event_id"], fact["tickets"])
