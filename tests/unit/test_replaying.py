"""Promise: for every fact that the rules can reach a command is found that they answer with it."""

from __future__ import annotations

from typing import cast

from hypothesis import given

from boxoffice.operating.replaying import command_for
from models.facts import same_decision
from models.inventory import Inventory, decide, fold, is_second_copy
from models.shapes import DecisionFact, Reason
from tests.unit.strategies import HOME, Arrival, arrivals


@given(arrivals())
def test_a_command_is_found_for_every_new_fact(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    for arrival in arrived:
        if arrival.origin and is_second_copy(inventory, arrival.origin, arrival.command):
            continue
        fact = decide(inventory, arrival.command, arrival.position)
        event = inventory.events.get(fact["event_id"])
        if fact["seq"] == (event.seq if event is not None else 0) + 1:
            found = command_for(inventory, fact, arrival.offset)
            assert found is not None, fact
            assert same_decision(decide(inventory, found, arrival.position), fact)
            if fact["type"] in ("event_created", "purchase_confirmed", "tickets_added"):
                assert found == arrival.command
            elif fact["type"] == "purchase_cancelled":
                assert found == arrival.command.model_copy(update={"buyer": None})
        fold(inventory, fact, arrival.offset)


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
