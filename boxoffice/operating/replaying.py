"""Which command a fact answers: what has to be asked again, elsewhere, for the same to be decided there."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import count, islice
from typing import Any, Final

from pydantic_core import to_json

from models.accepted import Accepted, Kind, State, unpack
from models.commands import Command, UnreadableCommandError, read_command
from models.event import Event, Position, has_tickets
from models.facts import at_ms, decided_alike, is_payment
from models.inventory import Inventory, decide
from models.members import GENERAL
from models.reasons import Reason
from models.runs import count_of
from models.shapes import DecisionFact
from models.tickets import ticket_name

Members = dict[str, Any]


def command_for(inventory: Inventory, fact: DecisionFact, offset: int) -> Command | None:
    """A command that the rules answer with ``fact``, by the state before it; None if there is none.

    Of a refused command other than a purchase the ledger does not hold the content: one that is refused alike takes
    its place.
    """
    position = Position(offset, at_ms(fact["at"]), fact["source"])
    common = {name: fact[name] for name in ("event_id", "request_id", "actor") if name in fact}
    for members in _members(inventory.events.get(fact["event_id"]), fact):
        try:
            command = read_command(to_json(common | members))
        except UnreadableCommandError:
            continue
        if decided_alike(decide(inventory, command, position), fact):
            return command
    return None


def _members(event: Event | None, fact: Any) -> Iterator[Members]:
    match fact["type"]:
        case "event_created":
            yield _creation(fact)
        case "purchase_confirmed" if is_payment(fact):
            yield {"type": "confirm_purchase", **_some(fact, "purchase", "payment", "amount", "currency")}
        case "purchase_confirmed" | "purchase_held" | "purchase_rejected":
            yield _purchase(fact)
        case "payment_refused":
            yield {"type": "confirm_purchase", **_some(fact, "purchase", "payment", "amount", "currency")}
        case "command_rejected":
            for content in _refused(event, fact):
                yield {"type": fact["command"], **content}
        case "event_changed" if event is not None:
            yield _change(event, fact)
        case kind if kind in _TOLD:
            command, *names = _TOLD[kind]
            yield {"type": command, **_some(fact, *names)}
        case "purchase_cancelled":  # whether it named the buyer, nobody needs to know any more
            tickets = {"tickets": fact["tickets"]} if fact.get("remaining") else {}
            yield {"type": "cancel_purchase", **_some(fact, "purchase"), **tickets}


_TOLD: Final = {
    "hold_expired": ("expire_hold", "purchase"),
    "tickets_added": ("add_tickets", "category", "count"),
    "tickets_removed": ("remove_tickets", "category", "count"),
    "event_closed": ("close_event",),
    "event_cancelled": ("cancel_event",),
    "event_archived": ("archive_event",),
}
"""Facts that say all that was asked for: the type of the command, and its members."""


def _some(fact: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: fact[name] for name in names if name in fact}


def _creation(fact: Mapping[str, Any]) -> dict[str, Any]:
    names = ("capacity", "price", "categories")
    return {"type": "create_event", **_some(fact, *_TERMS, *names)}


_TERMS: Final = (
    *("name", "venue", "starts_at", "on_sale_at", "off_sale_at"),
    *("hold_s", "max_per_order", "max_per_buyer"),
)
_LIMITS: Final = frozenset({"hold_s", "max_per_order", "max_per_buyer"})
"""What is taken away by 0."""


def _purchase(fact: Mapping[str, Any]) -> dict[str, Any]:
    """In one line of the only category, or in as many as the fact has."""
    lines = [_some(line, "category", "quantity") for line in fact.get("lines", ())]
    if not lines or [line["category"] for line in lines] == [GENERAL]:
        return {"type": "purchase", **_some(fact, "buyer", "quantity")}
    return {"type": "purchase", **_some(fact, "buyer"), "lines": lines}


def _change(event: Event, fact: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from before, and the name, which may be given as it was."""
    before: Mapping[str, Any] = event.now
    given = {name: fact[name] for name in _TERMS if name in fact and fact[name] != before.get(name)}
    given |= {name: 0 for name in _LIMITS if name in before and name not in fact}
    categories = fact.get("categories") or [{"id": GENERAL, "price": fact["price"]}]
    amounts = {category["id"]: category["price"]["amount"] for category in categories}
    prices = [
        {"category": category.id, "amount": amounts[category.id]}
        for category in event.categories
        if amounts.get(category.id, category.price) != category.price
    ]
    return {"type": "change_event", "name": fact["name"], **given, **({"prices": prices} if prices else {})}


def _refused(event: Event | None, fact: Any) -> Iterator[Members]:
    """Contents of a command, of which one is refused for the reason that the fact says.

    Of two that differ one is none that the request id, or the payment, stands for already.
    """
    match fact["command"]:
        case "create_event":
            # The same request id with the event's own content is the creation itself, and is answered again.
            whole = _creation(event.created) if event is not None else _NEW_EVENT
            yield from ({**whole, "name": name} for name in _NAMES)
        case "change_event":
            yield from ({"name": name} for name in _NAMES)
            yield from ({"prices": [{"category": one, "amount": 0}]} for one in _unknown_categories(event))
        case "add_tickets" | "remove_tickets":
            yield from _refused_counts(event)
        case "confirm_purchase":
            yield from _refused_payments(event)
        case "expire_hold" | "cancel_purchase":
            yield from ({"purchase": one} for one in _unused(event.accepted if event is not None else ()))
            if event is not None:
                yield from _refused_of_purchase(event, fact)
        case _:
            yield {}


_NAMES: Final = ("refused", "Refused")
_NEW_EVENT: Final[Members] = {
    "name": "refused",
    "venue": "refused",
    "starts_at": "2027-01-01T00:00:00Z",
    "capacity": 1,
    "price": {"amount": 0, "currency": "XXX"},
}


def _unused(taken: Container[str]) -> Iterator[str]:
    """Two names that nothing has."""
    return islice((name for number in count() if (name := f"none-{number}") not in taken), 2)


def _unknown_categories(event: Event | None) -> Iterator[str]:
    return _unused([category.id for category in event.categories] if event is not None else ())


def _refused_counts(event: Event | None) -> Iterator[Members]:
    yield from ({"count": 1, "category": category} for category in _unknown_categories(event))
    for category in event.categories if event is not None else ():
        # What the request id stands for has one count.
        yield from ({"count": number, "category": category.id} for number in (1, 2))
        yield from ({"count": category.left + more, "category": category.id} for more in (1, 2))


def _refused_payments(event: Event | None) -> Iterator[Members]:
    """Payments of nobody; and by the id of one that has paid for something else."""
    if event is None:
        yield {"purchase": "none", "payment": "none", **_NOTHING}
        return
    purchases, payment = list(_unused(event.accepted)), next(_unused(event.payments))
    yield from ({"purchase": one, "payment": payment, **_NOTHING} for one in purchases)
    for used, request_id in event.payments.items():
        if unpack(event.accepted[request_id]).kind is Kind.CONFIRMATION:
            yield {"purchase": purchases[0], "payment": used, **_NOTHING}
            return


_NOTHING: Final[Members] = {"amount": 0, "currency": "XXX"}


def _refused_of_purchase(event: Event, fact: Any) -> Iterator[Members]:
    """The first purchase that is refused for the reason."""
    is_suited = _SUITED.get((fact["command"], fact["reason"]))
    if is_suited is None:
        return
    at = at_ms(fact["at"])
    for request_id, packed in event.accepted.items():
        purchase = unpack(packed)
        if purchase.kind is Kind.PURCHASE and is_suited(purchase, at):
            yield {"purchase": request_id, **_tickets_refused(event, purchase, fact["reason"])}
            return


def _tickets_refused(event: Event, purchase: Accepted, reason: Reason) -> Members:
    """The tickets that a cancellation named, where it was refused for them."""
    if reason == Reason.NO_SUCH_TICKET:
        return {"tickets": [ticket_name(event.event_id, 0)]}
    return {"tickets": event.tickets(purchase.runs)[:1]} if reason == Reason.EARLIER_RULES else {}


_SUITED: Final[dict[tuple[str, str], Callable[[Accepted, int], bool]]] = {
    ("expire_hold", Reason.NOT_HELD): lambda purchase, _: purchase.state is not State.HELD,
    ("expire_hold", Reason.NOT_DUE): lambda purchase, at: purchase.state is State.HELD and at < purchase.due_ms,
    ("cancel_purchase", Reason.ALREADY_CANCELLED): lambda purchase, _: purchase.state is State.CANCELLED,
    ("cancel_purchase", Reason.NOT_HELD): lambda purchase, _: purchase.state is State.EXPIRED,
    ("cancel_purchase", Reason.NO_SUCH_TICKET): lambda purchase, _: has_tickets(purchase),
    ("cancel_purchase", Reason.EARLIER_RULES): lambda purchase, _: (
        has_tickets(purchase) and count_of(purchase.runs) > 1
    ),
}
"""Which purchases lead to a refusal, by the command and the reason, at a time in ms."""
