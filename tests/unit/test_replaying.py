"""Promise: for every fact that the rules can reach a command is found that they answer with it."""

from __future__ import annotations

from typing import cast

from hypothesis import given

from boxoffice.operating.replaying import command_for
from models.commands import CancelPurchase, Command, ExpireHold
from models.event import Position
from models.facts import RULES_VERSION, same_decision
from models.inventory import Inventory, decide, fold, is_second_copy
from models.reasons import Reason
from models.shapes import DecisionFact
from tests.unit.desk import Desk, names
from tests.unit.strategies import HOME, Arrival, arrivals, opening, purchase


@given(arrivals())
def test_a_command_is_found_for_every_new_fact(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    for arrival in arrived:
        if arrival.origin and is_second_copy(inventory, arrival.origin, arrival.command):
            continue
        fact = decide(inventory, arrival.command, arrival.position)
        is_new = fact["seq"] == inventory.seq_of(fact["event_id"]) + 1
        found = command_for(inventory, fact, arrival.offset) if is_new else None
        if is_new:
            assert found is not None, fact
            assert same_decision(decide(inventory, found, arrival.position), fact)
        fold(inventory, fact, arrival.offset)
        if found is not None and fact["event_id"] in inventory.events and fact["type"] != "command_rejected":
            _see_that_it_is_the_same_request(inventory, arrival, found)


def _see_that_it_is_the_same_request(inventory: Inventory, arrival: Arrival, found: Command) -> None:
    """Whoever sends the one again is answered as whoever sends the other again is."""
    later = arrival.position._replace(offset=arrival.offset + 1)
    again = [decide(inventory, command, later) for command in (arrival.command, found)]
    assert again[0] == again[1]


def test_a_creation_by_the_rules_before_is_found_too() -> None:
    inventory, created = Inventory(HOME), opening()
    fact = decide(inventory, created, Position(0, 0, {"partition": HOME, "offset": 0}))
    before = cast(DecisionFact, {**fact, "rules": 1})
    assert command_for(inventory, before, 0) == created
    assert not same_decision(fact, before)
    newer = cast(DecisionFact, {**fact, "rules": RULES_VERSION + 1})
    assert command_for(inventory, newer, 0) is None


def test_of_a_trigger_that_was_early_a_hold_is_found_that_is_not_due_either() -> None:
    """Also where others are due already, and are called as nobody would call one."""
    inventory = Inventory(HOME)
    commands: list[Command] = [opening(hold_s=60), *(purchase(f"none-{number}") for number in range(4))]
    for offset, command in enumerate(commands):
        position = Position(offset, 60_000 * (offset + 1), {"partition": HOME, "offset": offset})
        fold(inventory, decide(inventory, command, position), offset)
    asked = ExpireHold(type="expire_hold", request_id="x-1", event_id="42", purchase="none-3")
    position = Position(9, 300_000, {"partition": HOME, "offset": 9})
    fact = decide(inventory, asked, position)
    assert fact["type"] == "command_rejected"
    assert fact["reason"] == Reason.NOT_DUE
    assert command_for(inventory, fact, 9) == asked


def test_of_a_part_that_the_first_rules_do_not_give_back_a_purchase_is_found_that_has_several() -> None:
    desk = Desk.of_the_first_rules()
    for name, quantity in (("r-1", 1), ("r-2", 2)):
        desk.buy(name, quantity)
    asked = CancelPurchase(type="cancel_purchase", request_id="x-1", event_id="42", purchase="r-2", tickets=names(3))
    position = Position(9, 0, {"partition": HOME, "offset": 9})
    fact = decide(desk.inventory, asked, position)
    assert fact["type"] == "command_rejected"
    assert fact["reason"] == Reason.EARLIER_RULES
    found = command_for(desk.inventory, fact, 9)
    assert isinstance(found, CancelPurchase)
    assert (found.purchase, found.tickets) == ("r-2", names(2))
    assert same_decision(decide(desk.inventory, found, position), fact)


@given(arrivals(min_size=1))
def test_none_is_found_for_a_fact_that_the_rules_do_not_reach(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    for arrival in arrived:
        fact = decide(inventory, arrival.command, arrival.position)
        if fact["type"] == "purchase_rejected" and fact["seq"]:
            others = set(Reason) - {fact["reason"]}
            forged = cast(DecisionFact, {**fact, "reason": min(others)})
            assert command_for(inventory, forged, arrival.offset) is None
        fold(inventory, fact, arrival.offset)
