"""Each member of each fact, with another value, left out, or twice: it is refused, or is what is answered from then on.

Whatever is refused leaves the state as it was; whatever is folded leaves figures that add up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache, partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.accepted import unpack
from models.again import fact_of
from models.event import FoldError
from models.facts import UnreadableFactError, read_fact, write_fact
from models.inventory import fold
from models.shapes import Fact
from tests.unit.desk import Desk, Members, about, buying, category, lines, names, paying
from tests.unit.plain_sale import EFFECTS
from tests.unit.strangers import nearly
from tests.unit.strategies import HOME, state

TWO = [category("stalls", 4, 4500), category("balcony", 6, 1500)]


def of_two_categories() -> Desk:
    """r-1 holds two tickets of each category; r-2 held one and has expired; r-3 was paid for."""
    desk = Desk(categories=TWO, hold_s=60, max_per_buyer=9)
    desk.buy("r-2", category="stalls")
    desk.wait(60)
    desk.expire("e-2", "r-2")
    desk.buy("r-1", lines=lines(stalls=2, balcony=2))
    desk.buy("r-3", category="balcony", buyer="b-2")
    desk.pay("p-3", "r-3", "pay-3", 1500)
    return desk


def of_the_first_rules() -> Desk:
    """r-1 has two of ten tickets."""
    desk = Desk.of_the_first_rules()
    desk.buy("r-1", 2)
    return desk


def due() -> Desk:
    """The hold of r-1 is due."""
    desk = of_two_categories()
    desk.wait(60)
    return desk


def closed() -> Desk:
    """Nothing is held, and the sale has ended."""
    desk = of_two_categories()
    desk.cancel("x-1", "r-1")
    desk.operate("close_event", "z-1")
    return desk


NEXT: dict[str, tuple[Callable[[], Desk], Any]] = {
    "a hold": (of_two_categories, buying("r-9", lines=lines(balcony=2, stalls=1))),
    "a refusal": (of_two_categories, buying("r-9", lines=lines(balcony=2, stalls=9))),
    "a payment": (of_two_categories, paying("p-9", "r-1", "pay-9", 12_000)),
    "a late payment": (of_two_categories, paying("p-9", "r-2", "pay-9", 4500)),
    "a refused payment": (of_two_categories, paying("p-9", "r-3", "pay-9", 1500)),
    "an expiry": (due, about("expire_hold", "e-9", purchase="r-1")),
    "a cancellation of what is held": (of_two_categories, about("cancel_purchase", "x-9", purchase="r-1")),
    "a part of what is held": (
        of_two_categories,
        about("cancel_purchase", "x-9", purchase="r-1", tickets=names(3, 5)),
    ),
    "a cancellation of what was paid for": (of_two_categories, about("cancel_purchase", "x-9", purchase="r-3")),
    "a change": (of_two_categories, about("change_event", "h-9", prices=[{"category": "stalls", "amount": 1}])),
    "more tickets": (of_two_categories, about("add_tickets", "a-9", category="stalls", count=2)),
    "fewer tickets": (of_two_categories, about("remove_tickets", "a-9", category="stalls", count=2)),
    "an end": (of_two_categories, about("close_event", "z-9")),
    "the end": (of_two_categories, about("cancel_event", "z-9")),
    "an archive": (closed, about("archive_event", "z-9")),
    "a sale": (lambda: Desk(capacity=10), buying("r-9", 2, actor="till 3")),
    "a sale of the first rules": (of_the_first_rules, buying("r-9", 2)),
    "a refusal of the first rules": (of_the_first_rules, buying("r-9", 20)),
    "a cancellation of the first rules": (of_the_first_rules, about("cancel_purchase", "x-9", purchase="r-1")),
    "more tickets of the first rules": (of_the_first_rules, about("add_tickets", "a-9", count=2)),
    "a change of the first rules": (of_the_first_rules, about("change_event", "h-9", hold_s=60)),
}
"""What is in the ledger, and the command whose fact comes next."""

OTHERS: dict[str, tuple[Any, ...]] = {
    "type": (*sorted(EFFECTS), "purchase_rejected", "command_rejected"),
    "event_id": ("7",),
    "seq": (0, 1, 99),
    "request_id": ("r-1", "p-3", "c-1", "new"),
    "purchase": ("r-1", "r-2", "r-3", "c-1", "new"),
    "buyer": ("b-2", "new"),
    "quantity": (0, 1, 2, 3, 4, 100),
    "tickets": ([], names(1), names(2, 3), names(5, 5), ["tickets", "42-", "42-x"], ["42-٣"], names(*range(1, 11))),
    "remaining": ([], names(1), names(3), ["42-x"]),
    "lines": ([], lines(stalls=1), lines(roof=1)),
    "category": ("stalls", "balcony", "general", "roof"),
    "price": (0, 1, 4500, 1500, {"amount": 1, "currency": "EUR"}, {"amount": 1, "currency": "CHF"}),
    "amount": (0, 1, 4500, 12_000),
    "currency": ("CHF",),
    "payment": ("pay-3", "new"),
    "refund": (0, 1, 4500),
    "reason": ("sold_out", "event_archived", "request_id_reused", "already_paid", "no_such_purchase"),
    "late": (True, False),
    "held": (True, False),
    "count": (1, 1_000_000),
    "capacity": (0, 1, 11),
    "categories": ([], TWO[:1], [*TWO, TWO[0]], TWO[::-1]),
    "id": ("stalls", "balcony", "roof"),
    "name": ("Another",),
    "rules": (-1, 0, 1, 2),
    "hold_s": (60, 61),
    "max_per_buyer": (1,),
    "on_sale_at": ("2027-01-01T00:00:00Z",),
    "due": ("2026-02-30T10:00:00.000Z", "2026-11-22T10:00:00.000Z", "2026-11-22T10:09:00.125Z"),
    "at": ("2026-02-30T10:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-11-22T10:00:00.000Z"),
    "actor": ("new",),
}
"""What stands in the place of a member, or where none was."""


def damaged(fact: Members) -> Iterator[Members]:
    """The fact with one thing wrong, at its top or in the first of its lines or categories."""
    places: list[tuple[Any, ...]] = [(), *((name, 0) for name in ("lines", "categories") if name in fact)]
    for place in places:
        for member, others in OTHERS.items():
            for other in others:
                yield changed(fact, place, partial(_put, member, other))
        for member in at(fact, place):
            yield changed(fact, place, partial(_leave_out, member))
    for name in ("lines", "categories", "tickets", "remaining"):
        if fact.get(name):
            yield changed(fact, (name,), lambda where: where.append(deepcopy(where[0])))
            yield changed(fact, (name,), lambda where: where.reverse())
            yield changed(fact, (name,), lambda where: where.pop())


def _put(member: str, value: Any, where: Members) -> None:
    where[member] = deepcopy(value)


def _leave_out(member: str, where: Members) -> None:
    del where[member]


def at(fact: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        fact = fact[step]
    return fact


def changed(fact: Members, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Members:
    copied = deepcopy(fact)
    change(at(copied, place))
    return copied


def check(desk: Desk) -> None:
    """The figures of each category add up, and no ticket is in two places."""
    for event in desk.inventory.events.values():
        left = [ticket for one in event.categories for ticket in event.tickets(tuple(one.queue))]
        assert len(set(left)) == len(left) == event.left
        for one in event.categories:
            assert one.issued - one.removed == one.left + one.held + one.sold
            assert min(one.left, one.held, one.sold) >= 0


@pytest.mark.parametrize(("ledger", "command"), NEXT.values(), ids=NEXT)
def test_a_damaged_fact_is_refused_or_is_what_is_answered_from_then_on(
    ledger: Callable[[], Desk], command: Any
) -> None:
    desk = ledger()
    fact = desk.decided(command)
    before, outcomes = state(desk.inventory), set()
    for wrong in damaged(fact):
        inventory = deepcopy(desk.inventory)
        inventory.events["42"].draft = None
        try:
            read = read_fact(json.dumps(wrong).encode())
            is_new = fold(inventory, read, desk.offset)
        except FoldError:
            assert state(inventory) == before, wrong
            outcomes.add("refused")
        except UnreadableFactError:
            outcomes.add("unreadable")
        else:
            outcomes.add("folded")
            after = Desk()
            after.inventory = inventory
            check(after)
            event = inventory.events.get("42")
            if is_new and event is not None and read["type"] in EFFECTS and read["event_id"] == "42":
                accepted = unpack(event.accepted[read["request_id"]])
                made = fact_of(event, read["request_id"], accepted, HOME)
                assert cast("Members", made) | {"decided_by": None} == cast("Members", read) | {"decided_by": None}
    assert {"refused", "unreadable"} <= outcomes
    assert fold(desk.inventory, cast("Fact", fact), desk.offset)


@cache
def following(name: str) -> tuple[Desk, bytes]:
    """The inventory that a fact comes into, and the fact as it is written."""
    ledger, command = NEXT[name]
    desk = ledger()
    return desk, write_fact(cast("Fact", desk.decided(command)))


@given(st.sampled_from([*NEXT]), st.data())
def test_what_is_nearly_a_fact_of_ours_fails_in_no_other_way(name: str, data: st.DataObject) -> None:
    """No exception of any other kind may leave: the worker would end on each start."""
    desk, value = following(name)
    inventory, before = deepcopy(desk.inventory), state(desk.inventory)
    try:
        fold(inventory, read_fact(data.draw(nearly([value]))), desk.offset)
    except (FoldError, UnreadableFactError):
        assert state(inventory) == before
    assert state(desk.inventory) == before
