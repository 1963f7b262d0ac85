"""Random commands for some events, most of which ask for what can be: a sale with all that happens to one."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any, Final

from models.accepted import Accepted, State
from models.commands import Command, Purchase
from models.event import Event
from tests.integration.redis_tables import (
    BEGINS_MS,
    Table,
    addition,
    archiving,
    calling_off,
    cancellation,
    categories,
    change,
    closing,
    creation,
    expiry,
    order,
    payment,
    purchase,
    removal,
)

BUYERS: Final = ("b-1", 'Zoë "the\\fan"', "\u2028 b,2 ]}")
CATEGORY_IDS: Final = ("general", "stalls", "box-1", "0_x")
HOLD_S: Final = 60
HALF_HOLDS_MS: Final = (0, 1, 1_000, 40_000)
"""How much later the next command comes: holds end after some of them."""


class Commands:
    """The commands that come next, for the events that a table knows; ``now_ms`` is when the newest of them came.

    Events of ``first_rules`` are created as the first releases could.
    """

    def __init__(
        self, chance: random.Random, event_ids: Sequence[str], first_rules: Collection[str], table: Table
    ) -> None:
        self.random = chance
        self.now_ms = BEGINS_MS
        self._event_ids, self._first_rules, self._table = event_ids, first_rules, table
        self._asked: list[Command] = []

    def next(self) -> Command:
        self.now_ms += self.random.choice(HALF_HOLDS_MS)
        if self._asked and self.random.random() < 0.05:
            return self.random.choice(self._asked)
        command = self._next(self.random.choice(self._event_ids))
        self._asked.append(command)
        return command

    def _next(self, event_id: str) -> Command:
        event, roll = self._table.inventory.events.get(event_id), self.random.random()
        new_id = f"{self.random.choice('rxac')}-{self.random.randrange(120)}"
        if event is None:
            return self._creation(event_id, new_id) if roll < 0.5 else purchase(new_id, 1, event_id)
        if roll < 0.45:
            return self._purchase(event_id, new_id)
        if roll < 0.85:
            return self._about_a_purchase(event, new_id)
        return self._about_the_event(event, new_id)

    def _creation(self, event_id: str, new_id: str) -> Command:
        choose = self.random.choice
        members: dict[str, Any] = choose(({}, {}, {"max_per_order": 4}))
        members["capacity"] = self.random.randint(1, 25)
        if event_id not in self._first_rules:
            members |= choose(({}, {"hold_s": HOLD_S}, {"hold_s": HOLD_S}))
            members |= choose(({}, {}, {"max_per_buyer": 12}))
            if self.random.random() < 0.6:
                del members["capacity"]
                some = self.random.sample(CATEGORY_IDS, self.random.randint(1, 4))
                capacities: dict[str, Any] = {id_: self.random.randint(1, 9) for id_ in some}
                members["categories"] = categories(choose((0, 4500)), **capacities)
        return creation(event_id, new_id, **members)

    def _purchase(self, event_id: str, new_id: str) -> Purchase:
        choose, roll = self.random.choice, self.random.random()
        if roll < 0.5:
            return purchase(new_id, choose((1, 1, 2, 2, 3, 4, 5)), event_id, choose(BUYERS))
        if roll < 0.8:
            return purchase(
                new_id, choose((1, 2)), event_id, choose(BUYERS), category=choose(CATEGORY_IDS), actor="desk"
            )
        quantities: dict[str, Any] = {
            id_: choose((1, 1, 2, 3)) for id_ in self.random.sample(CATEGORY_IDS, choose((1, 2, 3)))
        }
        return order(new_id, event_id, choose(BUYERS), **quantities)

    def _about_a_purchase(self, event: Event, new_id: str) -> Command:
        choose, roll, event_id = self.random.choice, self.random.random(), event.event_id
        bought = [(id_, found) for id_ in event.accepted if (found := event.purchase(id_)) is not None]
        held = [(id_, found) for id_, found in bought if found.state is State.HELD]
        if not bought or roll < 0.05:
            return cancellation(new_id, choose(("x-1", "a-1", "never", new_id)), event_id)
        id_, found = choose(held if held and roll < 0.7 else bought)
        if roll < 0.35:
            amount = choose((event.amount_of(found.runs, event.lines_of(found)),) * 5 + (1,))
            return payment(new_id, id_, amount, event_id, by=f"pay-{self.random.randrange(90)}")
        if roll < 0.6:
            return expiry(new_id, id_, event_id)
        return self._cancellation(event, new_id, id_, found)

    def _cancellation(self, event: Event, new_id: str, id_: str, found: Accepted) -> Command:
        members: dict[str, Any] = self.random.choice(
            ({}, {"buyer": found.buyer}, {"buyer": self.random.choice(BUYERS)})
        )
        tickets = event.tickets(found.runs)
        if self.random.random() < 0.5:
            members["tickets"] = self.random.sample(tickets, self.random.randint(1, len(tickets)))
        return cancellation(new_id, id_, event.event_id, **members)

    def _about_the_event(self, event: Event, new_id: str) -> Command:
        choose, roll, event_id = self.random.choice, self.random.random(), event.event_id
        category: dict[str, Any] = choose(({}, {"category": choose(CATEGORY_IDS)}))
        if (event.closed or event.cancelled) and roll < 0.4:
            return archiving(new_id, event_id)
        if roll < 0.3:
            return addition(new_id, self.random.randint(1, 6), event_id, **category)
        if roll < 0.5:
            return removal(new_id, self.random.randint(1, 4), event_id, **category)
        if roll < 0.85:
            return self._change(event_id, new_id)
        if roll < 0.9:
            return closing(new_id, event_id)
        if roll < 0.93:
            return calling_off(new_id, event_id)
        return creation(event_id, new_id)

    def _change(self, event_id: str, new_id: str) -> Command:
        choose = self.random.choice
        return change(
            new_id,
            event_id,
            **choose(({}, {"name": 'Night "2"'}, {"venue": "Kleine Halle"})),
            **choose(({}, {"hold_s": 0}, {"hold_s": HOLD_S}, {"max_per_buyer": choose((0, 8))})),
            **choose(({}, {"prices": [{"category": choose(CATEGORY_IDS), "amount": choose((0, 70, 4500))}]})),
            **choose(({}, {}, {"on_sale_at": "1970-01-02T00:00:00Z"}, {"max_per_order": choose((0, 5))})),
        )
