"""The rules: what one partition's events are, how a command is decided, how a fact is folded.

Everything here depends on the commands before and on nothing else: no clock, no randomness, no setting.
So every owner of a partition reaches the same decision about the same command, and a ledger folds to
the same state wherever it is read. :func:`decide` changes nothing; :func:`fold` changes the state in
place, since copying a million tickets for each fact would serve nobody, and leaves it untouched where
it refuses a fact.

The rules of each command stand with others of their kind: :mod:`models.selling`, :mod:`models.holding`,
:mod:`models.cancelling`, :mod:`models.changing`, :mod:`models.archiving`. What has been answered before is
:mod:`models.again`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from models.accepted import Accepted, Kind
from models.again import answer_again, payment_again
from models.archiving import check_archiving, decide_archiving
from models.cancelling import decide_cancellation, fold_cancellation
from models.changing import (
    check_creation,
    created,
    decide_addition,
    decide_calling_off,
    decide_change,
    decide_closing,
    decide_creation,
    decide_removal,
    fold_addition,
    fold_calling_off,
    fold_change,
    fold_closing,
    fold_removal,
)
from models.commands import (
    AddTickets,
    ArchiveEvent,
    CancelEvent,
    CancelPurchase,
    ChangeEvent,
    CloseEvent,
    Command,
    ConfirmPurchase,
    CreateEvent,
    ExpireHold,
    Purchase,
    RemoveTickets,
)
from models.decisions import refused, rejected
from models.event import Event, FoldError, Position, at_ms_of
from models.facts import is_payment
from models.holding import (
    decide_confirmation,
    decide_expiry,
    fold_confirmation,
    fold_expiry,
    fold_payment_refusal,
)
from models.origins import Origins
from models.reasons import Reason
from models.selling import decide_purchase, fold_refusal, fold_sale, refusal_again
from models.shapes import DecisionFact, EventCreated, Fact, Source

Origin = tuple[int, int] | None


@dataclass(slots=True)
class Inventory:
    """The events whose home is ``partition``, and the forwarded commands that were answered, by their source partition.

    ``archived`` is all that is known of events that were archived: their seq. ``ends`` is where the partitions of
    commands end, as far as known: a source that is true lies before them for ever. What an earlier release believed of
    sources beyond them is not remembered; of a partition without an end all is.
    """

    partition: int
    events: dict[str, Event] = field(default_factory=dict)
    archived: dict[str, int] = field(default_factory=dict)
    origins: dict[int, Origins] = field(default_factory=dict)
    ends: Mapping[int, int] | None = None

    def seq_of(self, event_id: str) -> int:
        """How far an event is; 0 where there is none."""
        event = self.events.get(event_id)
        return event.seq if event is not None else self.archived.get(event_id, 0)


def is_second_copy(inventory: Inventory, origin: Source, command: Command) -> bool:
    """Whether a command forwarded from ``origin`` was answered already: a forward was repeated."""
    origins = inventory.origins.get(origin["partition"])
    return origins is not None and (origin["offset"], command.event_id, command.request_id) in origins


# Deciding


def decide(inventory: Inventory, command: Command, position: Position) -> DecisionFact:
    """The fact that answers ``command``; the same one again for a request that was answered for good before.

    The fact's ``decided_by`` is ``local``; the caller puts ``redis`` where Redis reached the same.
    """
    event = inventory.events.get(command.event_id)
    if event is None:
        return _decide_without_event(inventory, command, position)
    if command.request_id in event.accepted or event.refusals.count or event.payments:
        known, answer = _answer_before(inventory.partition, event, command)
        if known:
            return answer or refused(event, command, _reused(event, command), position)
    if type(command) is Purchase:
        return decide_purchase(event, command, position)
    event.fresh = _DECIDE[type(command)](event, command, position)
    return event.fresh


def _decide_without_event(inventory: Inventory, command: Command, position: Position) -> DecisionFact:
    archived = inventory.archived.get(command.event_id)
    if archived is not None:
        return rejected(command, Reason.EVENT_ARCHIVED, archived + 1, position)
    if isinstance(command, CreateEvent):
        return created(command, position)
    return rejected(command, Reason.UNKNOWN_EVENT, 0, position)


def _answer_before(partition: int, event: Event, command: Command) -> tuple[bool, DecisionFact | None]:
    """Whether a request, or a payment, was answered for good before; and its fact, if it asks for the same."""
    packed = event.accepted.get(command.request_id)
    if packed is not None:
        return True, answer_again(event, command, packed, partition)
    if event.refusals and (refusal := event.refusals.get(command.request_id)) is not None:
        is_purchase = isinstance(command, Purchase)
        return True, refusal_again(cast(Purchase, command), refusal, partition) if is_purchase else None
    if event.payments and isinstance(command, ConfirmPurchase) and command.payment in event.payments:
        return True, payment_again(event, command, partition)
    return False, None


def _reused(event: Event, command: Command) -> Reason:
    return Reason.REQUEST_ID_REUSED if event.knows(command.request_id) else Reason.PAYMENT_REUSED


_DECIDE: Final[dict[type[Command], Callable[[Event, Any, Position], DecisionFact]]] = {
    ConfirmPurchase: decide_confirmation,
    ExpireHold: decide_expiry,
    CancelPurchase: decide_cancellation,
    CreateEvent: decide_creation,
    ChangeEvent: decide_change,
    AddTickets: decide_addition,
    RemoveTickets: decide_removal,
    CloseEvent: decide_closing,
    CancelEvent: decide_calling_off,
    ArchiveEvent: decide_archiving,
}


# Folding

_MAY_HAVE_NO_SEQ: Final = frozenset(
    {"purchase_rejected", "command_rejected", "command_forwarded", "command_unreadable", "offsets_passed"}
)
"""The facts that may have seq 0."""


def fold(inventory: Inventory, fact: Fact, offset: int) -> bool:
    """Take a fact into the state; ``offset`` is, at home, that of the command it answers.

    Returns False for a repeat, and for a fact that leaves no state behind.

    Raises:
        FoldError: the fact cannot follow; the state is as it was.
    """
    seq = fact["seq"]
    if not seq:
        if fact["type"] not in _MAY_HAVE_NO_SEQ:
            raise FoldError(f"a fact of type {fact['type']} counts, and has seq 0")
        _remember_origin(inventory, fact)
        return False
    event = inventory.events.get(fact["event_id"])  # type: ignore[arg-type]  # None with seq 0 alone
    if event is None:
        return _fold_without_event(inventory, fact, offset)  # type: ignore[arg-type]  # the others have seq 0
    if seq <= event.seq:
        return False
    if seq > event.seq + 1:
        raise FoldError(f"event {event.event_id} is at seq {event.seq}, the fact at {seq}")
    origin = _origin(inventory, fact["source"])
    if fact["type"] == "event_archived":
        check_archiving(event, fact)
        inventory.archived[event.event_id] = seq
        del inventory.events[event.event_id]
    else:
        _fold_into(event, fact, offset, origin)  # type: ignore[arg-type]  # the others have seq 0
    event.seq = seq
    event.fence = offset
    if origin is not None:
        _remember_origin(inventory, fact)
    return True


def _fold_without_event(inventory: Inventory, fact: DecisionFact, offset: int) -> bool:
    event_id, seq = fact["event_id"], fact["seq"]
    archived = inventory.archived.get(event_id)
    if archived is not None:
        if seq <= archived:
            return False
        if seq > archived + 1 or fact.get("reason") != Reason.EVENT_ARCHIVED:
            raise FoldError(f"event {event_id} was archived, and is at seq {archived}, the fact at {seq}")
        inventory.archived[event_id] = seq
    elif fact["type"] != "event_created" or seq != 1:
        raise FoldError(f"event {event_id} does not exist at seq {seq}")
    else:
        _fold_creation(inventory, fact, offset)
    _remember_origin(inventory, fact)
    return True


def _fold_creation(inventory: Inventory, fact: EventCreated, offset: int) -> None:
    timestamp_ms = at_ms_of(fact)
    check_creation(fact)
    event = Event(fact, offset)
    event.accept(
        fact["request_id"], Accepted(Kind.CREATION, 1, offset, timestamp_ms, _origin(inventory, fact["source"]))
    )
    inventory.events[event.event_id] = event


def _origin(inventory: Inventory, source: Source) -> Origin:
    if source["partition"] == inventory.partition:
        return None
    return source["partition"], source["offset"]


def _remember_origin(inventory: Inventory, fact: Fact) -> None:
    partition, offset = fact["source"]["partition"], fact["source"]["offset"]
    if partition == inventory.partition:
        return
    if inventory.ends is None or offset < inventory.ends.get(partition, offset + 1):
        answered = offset, fact["event_id"] or "", fact["request_id"] or ""
        inventory.origins.setdefault(partition, Origins()).add(answered)


def _fold_into(event: Event, fact: DecisionFact, offset: int, origin: Origin) -> None:
    kind: str = fact["type"]
    if fact["type"] == "purchase_confirmed" and is_payment(fact):
        kind = _PAID
    fold_kind = _FOLD.get(kind)
    if fold_kind is None:
        raise FoldError(f"event {event.event_id} is created again at seq {fact['seq']}")
    fold_kind(event, fact, offset, origin)


_PAID: Final = "paid"


def _fold_nothing(*_: object) -> None:
    """It is told, and changes nothing."""


_FOLD: Final[dict[str, Callable[[Event, Any, int, Origin], None]]] = {
    "purchase_confirmed": fold_sale,
    "purchase_held": fold_sale,
    "purchase_rejected": fold_refusal,
    "command_rejected": _fold_nothing,
    _PAID: fold_confirmation,
    "payment_refused": fold_payment_refusal,
    "hold_expired": fold_expiry,
    "purchase_cancelled": fold_cancellation,
    "event_changed": fold_change,
    "tickets_added": fold_addition,
    "tickets_removed": fold_removal,
    "event_closed": fold_closing,
    "event_cancelled": fold_calling_off,
}
