"""Commands of a whole sale: every other event has two categories, and holds what is bought of it.

Whoever sends them reads the facts, as shops do: so what is held is paid for, given back in part, or left to expire.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from lua.keys import ONLY_GENERAL, EventKeys, event_keys
from tests.support.workload import Sent, commands, creations, sent

CATEGORIES = ("stalls", "balcony")
HOLD_S = 60
REMEMBERED = 300
ENDLESS = 1_000_000


def whole_creations(ids: Sequence[str], capacity: int) -> list[Sent]:
    """A create_event for each."""
    plain = creations(ids, capacity)
    return [one if number % 2 else _holding(one) for number, one in enumerate(plain)]


def whole_keys(prefix: str, ids: Sequence[str]) -> dict[str, EventKeys]:
    """The keys of each in Redis."""
    return {
        event_id: event_keys(prefix, event_id, ONLY_GENERAL if number % 2 else CATEGORIES)
        for number, event_id in enumerate(ids)
    }


def _holding(plain: Sent) -> Sent:
    members = json.loads(plain.value)
    price, capacity = members.pop("price"), members.pop("capacity")
    shares = zip(CATEGORIES, (capacity // 2, capacity - capacity // 2), strict=True)
    named = [{"id": one, "name": one.title(), "capacity": share, "price": price} for one, share in shares]
    return sent({**members, "categories": named, "hold_s": HOLD_S})


class WholeSale:
    """Chooses the commands, and is told the facts."""

    def __init__(self, seed: int, ids: Sequence[str]) -> None:
        self._chance = random.Random(seed)
        self._holding = ids[::2]
        self._plain = commands(seed, ids[1::2] or ids, ENDLESS)
        self._held: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._orders: deque[Sent] = deque(maxlen=REMEMBERED)

    def saw(self, fact: dict[str, Any]) -> None:
        """A fact that a consumer took."""
        if fact["type"] == "purchase_held":
            self._held.append(fact)

    def commands(self) -> Iterator[Sent]:
        """Without end."""
        for number, plain in enumerate(self._plain):
            if self._chance.random() < 0.5:
                yield plain
            else:
                yield self._of_holding_event(number)

    def _of_holding_event(self, number: int) -> Sent:
        choose, kind = self._chance.choice, self._chance.random()
        if kind < 0.5 or not self._held:
            return self._purchase(number)
        if kind < 0.55:
            return choose(self._orders)
        held = choose(self._held)
        about = {"event_id": held["event_id"], "purchase": held["purchase"]}
        if kind < 0.75:
            return self._payment(number, held, about)
        if kind < 0.88:
            return _command("expire_hold", f"e-{number}", **about)
        if kind < 0.96:
            some = {} if choose((True, False)) else {"tickets": held["tickets"][:1]}
            return _command("cancel_purchase", f"x-{number}", **about, **some)
        return self._change(number, held["event_id"])

    def _purchase(self, number: int) -> Sent:
        choose, event_id = self._chance.choice, self._chance.choice(self._holding)
        wanted = choose(([CATEGORIES[0]], [CATEGORIES[1]], CATEGORIES))
        lines = [{"category": category, "quantity": choose((1, 1, 2, 3))} for category in wanted]
        request_id = f"h-{number}"
        order = _command("purchase", request_id, event_id=event_id, buyer=f'b "{request_id}"', lines=lines)
        self._orders.append(order)
        return order

    def _payment(self, number: int, held: dict[str, Any], about: dict[str, str]) -> Sent:
        """Once as a rule; sometimes of another amount, or by a payment that has paid already."""
        kind = self._chance.random()
        return _command(
            "confirm_purchase",
            f"p-{number}",
            **about,
            payment=f"pay-{number if kind < 0.1 else held['purchase']}",
            amount=held["amount"] + (kind > 0.95),
            currency=held["currency"],
        )

    def _change(self, number: int, event_id: str) -> Sent:
        choose = self._chance.choice
        category = choose(CATEGORIES)
        match choose(("name", "hold", "limit", "remove", "add")):
            case "name":
                return _command("change_event", f"c-{number}", event_id=event_id, name=f"Night {number}")
            case "hold":
                return _command("change_event", f"c-{number}", event_id=event_id, hold_s=choose((60, 90, 120)))
            case "limit":
                return _command("change_event", f"c-{number}", event_id=event_id, max_per_buyer=choose((0, 3, 8)))
            case "remove":
                return _command("remove_tickets", f"d-{number}", event_id=event_id, category=category, count=2)
        return _command("add_tickets", f"a-{number}", event_id=event_id, category=category, count=3)


def _command(kind: str, request_id: str, **members: Any) -> Sent:
    return sent({"type": kind, "request_id": request_id, **members})
