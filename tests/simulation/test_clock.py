"""Clocks that die, repeat each other, read late and go wrong by minutes: every hold ends, none early, none is lost.

A partition is decided by the rules, by the broker's time. Beside it clocks come and go; each knows what the ledger and
the places say and nothing else. Whoever wants to see a seed again runs the test of its number.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from boxoffice.clock.expiring import record_of
from boxoffice.clock.holds import AGAIN_MS, Holds, Question
from models.accepted import State
from models.clock_places import place_in, row_of
from models.derived_ids import EXPIRY, first_id, next_id
from tests.support.one_partition import BEGIN_MS, NUMBER, OnePartition, buying, cancelling, holding, paying

SEEDS = range(60)
STEPS = 400
MARGIN_MS = 250
MOST_WRONG_MS = 300_000
HOLDS_S = {"42": 60, "7": 600}


class Clock:
    """One process: it may be wrong, slow to read, and killed at any step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wrong_by_ms = world.random.choice((0, 0, 40, -40, MOST_WRONG_MS, -MOST_WRONG_MS))
        self.unsent: list[Question] = []
        self.asked_at_ms: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        place = place_in(NUMBER, world.rows)
        self.holds = Holds(NUMBER, place.offset, None) if place is not None else Holds(NUMBER, 0)
        self.begun_to = len(world.partition.ledger)

    @property
    def is_in_step(self) -> bool:
        return self.holds.next_offset >= self.begun_to

    def read(self, most: int) -> None:
        """Take the next records."""
        for offset, value, read in self.world.partition.ledger[self.holds.next_offset :][:most]:
            self.holds.take(offset, value, read, self.world.passed_ms)

    def ask(self, most: int) -> None:
        """Decide what to ask; it is sent later, if it lives."""
        if self.is_in_step and not self.unsent:
            now_ms = self.world.now_ms + self.wrong_by_ms - MARGIN_MS
            self.unsent = self.holds.due(now_ms, self.world.passed_ms, most)
            for question in self.unsent:
                self.asked_at_ms[question.event_id, question.purchase].append(self.world.passed_ms)

    def send(self) -> None:
        """Publish what is to be asked, and hear of it."""
        for question in self.unsent:
            value = record_of(question)[1] or b""
            self.holds.landed(question, self.world.partition.send(value, self.world.now_ms))
        self.unsent = []

    def keep(self) -> None:
        """Write the place, as any clock may at any time."""
        place = self.holds.place()
        if place is not None and self.is_in_step:
            self.world.rows |= dict([row_of(place)])

    def ends(self) -> None:
        """It is killed; of a hold it asked once a second at most."""
        for at_ms in self.asked_at_ms.values():
            assert all(later - one >= AGAIN_MS for one, later in pairwise(at_ms)), at_ms


class World:
    """The broker's time, one partition, its buyers and its clocks."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.partition = OnePartition()
        self.rows: dict[bytes | None, bytes] = {}
        self.passed_ms = 0
        self.clocks: list[Clock] = []
        self.purchases: list[tuple[str, str]] = []
        for event_id, hold_s in HOLDS_S.items():
            self.partition.ask(holding(event_id, 300, hold_s), self.now_ms)

    @property
    def now_ms(self) -> int:
        """The broker's time."""
        return BEGIN_MS + self.passed_ms

    def step(self) -> None:
        """Somebody does something, and a little time passes."""
        self.passed_ms += self.random.choice((0, 5, 100, 700, 5_000))
        often = {self.buy: 6, self.change: 3, self.decide: 6, self.run_clocks: 9}
        seldom = dict.fromkeys((self.kill, self.start, self.repeat, self.write_anything), 1)
        weights = often | seldom
        [what] = self.random.choices(list(weights), list(weights.values()))
        what()

    def buy(self) -> None:
        event_id = self.random.choice(tuple(HOLDS_S))
        purchase = f"r-{len(self.purchases)}"
        if self.random.random() < 0.1:  # somebody has taken the ids that the clocks would ask under
            taken = first_id(EXPIRY, purchase)
            self.partition.send(buying(taken, event_id, 1), self.now_ms)
            self.purchases.append((event_id, taken))
            if self.random.random() < 0.5:
                self.partition.send(buying(next_id(taken), event_id, 1), self.now_ms)
                self.purchases.append((event_id, next_id(taken)))
        self.partition.send(buying(purchase, event_id, self.random.randint(1, 3)), self.now_ms)
        self.purchases.append((event_id, purchase))

    def change(self) -> None:
        if not self.purchases:
            return
        event_id, purchase = self.random.choice(self.purchases)
        held = self.partition.inventory.events[event_id].purchase(purchase)
        if held is None:
            return
        quantity = sum(last - first + 1 for first, last in held.runs)
        number = held.runs[0][0] if held.runs else 1
        command: dict[str, Any] = self.random.choice(
            (
                paying(purchase, event_id, max(1, quantity)),
                cancelling(purchase, event_id),
                cancelling(purchase, event_id, f"{event_id}-{number:06d}"),
            )
        )
        self.partition.send(command, self.now_ms)

    def decide(self) -> None:
        self.partition.decide(self.random.choice((1, 5, 1_000)))

    def run_clocks(self) -> None:
        for clock in self.clocks:
            for act in self.random.sample((clock.keep, clock.send, self.reading(clock), self.asking(clock)), k=3):
                act()

    def reading(self, clock: Clock) -> Any:
        return lambda: clock.read(self.random.choice((1, 7, 1_000)))

    def asking(self, clock: Clock) -> Any:
        return lambda: clock.ask(self.random.choice((1, 10, 1_000)))

    def kill(self) -> None:
        if self.clocks:
            self.clocks.pop(self.random.randrange(len(self.clocks))).ends()

    def start(self) -> None:
        if len(self.clocks) < 2:
            self.clocks.append(Clock(self))

    def repeat(self) -> None:
        """A replaced owner's records come again."""
        if self.partition.ledger:
            first = self.random.randrange(len(self.partition.ledger))
            for record in self.partition.ledger[first : first + self.random.randint(1, 5)]:
                self.partition.write(record.value, record.read)

    def write_anything(self) -> None:
        """Somebody else's record."""
        anything = self.random.choice((None, b"", b"x", b'{"type":"hold_expired","event_id":"42"}'))
        self.partition.write(anything, self.random.choice((None, b"1-1", b"900-900", b"-")))

    def still_held(self) -> list[tuple[str, str]]:
        """The holds that have not ended, by the rules."""
        events = self.partition.inventory.events
        found = ((event_id, one, events[event_id].purchase(one)) for event_id, one in self.purchases)
        return [(event_id, one) for event_id, one, held in found if held is not None and held.state is State.HELD]

    def calm_down(self) -> None:
        """Nobody buys any more, one clock lives, and time passes: so long that the slowest clock knows all are due."""
        while self.clocks:
            self.kill()
        self.start()
        [clock] = self.clocks
        until_ms = self.passed_ms + 1_000 * max(HOLDS_S.values()) + MOST_WRONG_MS + 20 * AGAIN_MS
        while self.passed_ms < until_ms:
            self.partition.decide()
            clock.read(1_000_000)
            clock.ask(10)
            clock.send()
            self.passed_ms += 500
        clock.ends()
        self.partition.decide()
        clock.read(1_000_000)
        assert clock.holds.unanswered == len(clock.holds) == 0


def early_by_the_ledger(partition: OnePartition) -> list[dict[str, Any]]:
    """The expiries before their time."""
    due: dict[tuple[str, str], str] = {}
    early = []
    for record in partition.ledger:
        try:
            fact = json.loads(record.value or b"")
        except ValueError:
            continue
        if fact.get("type") == "purchase_held":
            due[fact["event_id"], fact["purchase"]] = fact["due"]
        elif fact.get("type") == "hold_expired" and "at" in fact:
            early += [fact] if fact["at"] < due[fact["event_id"], fact["purchase"]] else []
    return early


@pytest.mark.parametrize("seed", SEEDS)
def test_every_hold_ends_and_none_before_it_is_due_whatever_happens_to_clocks(seed: int) -> None:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.calm_down()
    assert world.still_held() == []
    assert early_by_the_ledger(world.partition) == []


def test_the_schedules_reach_what_they_are_about() -> None:
    """Holds expire, are paid for and are cancelled; clocks are early, ask twice, and meet ids that are taken."""
    found: defaultdict[str, int] = defaultdict(int)
    for seed in SEEDS[:20]:
        world = World(seed)
        for _ in range(STEPS):
            world.step()
        world.calm_down()
        for record in world.partition.ledger:
            if record.value and record.value.startswith(b'{"type"') and b'"at"' in record.value:
                fact = json.loads(record.value)
                found[fact.get("reason") or fact["type"]] += 1
    assert all(
        found[what] > 5
        for what in (
            "hold_expired",
            "purchase_confirmed",
            "purchase_cancelled",
            "not_due",
            "not_held",
            "request_id_reused",
        )
    ), dict(found)
