"""What was answered before: the same request, or payment, gets the same fact; another one may not take its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.checker.events import LIMITS, TERMS
from tests.support.checker.reading import GENERAL

if TYPE_CHECKING:
    from tests.support.checker.events import Event
    from tests.support.checker.records import Members


def answered_before(event: Event, command: Members) -> Members | None:
    """The fact that answers a request once more; None where it is new, or asks for something else by an old id."""
    known = event.answers.get(command["request_id"])
    if known is not None:
        asked, answer = known
        return answer if _asks_the_same(asked, command, answer) else None
    return _paid_before(event, command)


def taken_by_another(event: Event, command: Members) -> str | None:
    """Why a request may not be decided that was not answered before: its id, or its payment, is another's."""
    if command["request_id"] in event.answers:
        return "request_id_reused"
    is_payment = command["type"] == "confirm_purchase" and command["payment"] in event.payments
    return "payment_reused" if is_payment else None


def _paid_before(event: Event, command: Members) -> Members | None:
    """A payment is used once, or refused for ever, whichever request brings it."""
    if command["type"] != "confirm_purchase":
        return None
    fact = event.payments.get(command["payment"])
    if fact is None or fact["type"] == "payment_refused":
        return fact
    is_same = all(command[name] == fact[name] for name in ("purchase", "amount", "currency"))
    return fact if is_same else None


def _asks_the_same(asked: Members, command: Members, answer: Members) -> bool:
    if asked["type"] != command["type"] or asked["actor"] != command["actor"]:
        return False
    match command["type"]:
        case "cancel_purchase":
            return _gives_the_same_back(asked, command, answer)
        case "change_event":
            return _stands_there(command, answer)
    return asked == command


def _gives_the_same_back(asked: Members, command: Members, answer: Members) -> bool:
    """The buyer may be named the one time, and not the other; so may the tickets, if those were all that there were."""
    if asked["purchase"] != command["purchase"] or command["buyer"] not in (None, answer["buyer"]):
        return False
    if command["tickets"] is None:
        return not answer.get("remaining")
    return set(command["tickets"]) == set(answer["tickets"])


def _stands_there(command: Members, answer: Members) -> bool:
    """All that a change gives is what the event became by the change of that id."""
    left_out = {name: 0 if name in LIMITS else None for name in TERMS}
    given = [name for name in TERMS if command[name] is not None]
    if any(command[name] != answer.get(name, left_out[name]) for name in given):
        return False
    shown = answer.get("categories") or [{"id": GENERAL, "price": answer["price"]}]
    amounts = {category["id"]: category["price"]["amount"] for category in shown}
    return all(amounts.get(price["category"]) == price["amount"] for price in command["prices"] or ())
