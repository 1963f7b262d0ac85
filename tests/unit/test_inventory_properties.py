"""The rules, over random commands: what holds whatever is asked, in whatever order."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, cast

from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from models.commands import Command, CreateEvent, Purchase
from models.event import FoldError
from models.facts import UnreadableFactError, read_fact, write_fact
from models.inventory import Inventory, decide, fold, is_second_copy
from models.shapes import DecisionFact, Fact
from tests.unit.strategies import (
    HOME,
    Arrival,
    answer,
    arrivals,
    commands,
    members,
    opening,
    sell,
    state,
    without_decider,
)

Members = dict[str, Any]


def counting(facts: list[Fact]) -> list[Members]:
    """The facts that a consumer takes: exactly seq + 1 of their event; repeats are ignored."""
    reached: Counter[str] = Counter()
    taken = []
    for fact in cast("list[Members]", facts):
        if fact["seq"] == reached[fact["event_id"]] + 1:
            reached[fact["event_id"]] += 1
            taken.append(fact)
    return taken


@given(arrivals())
def test_seqs_have_no_gaps_and_every_other_answer_is_a_repeat(arrived: list[Arrival]) -> None:
    facts = sell(Inventory(HOME), arrived)
    new = counting(facts)
    for fact in cast("list[Members]", facts):
        assert fact["seq"] == 0 or fact in new


@given(arrivals())
def test_there_are_never_more_tickets_than_exist_and_each_has_one_live_owner(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    existing: set[str] = set()
    owners: dict[str, str] = {}
    for fact in counting(sell(inventory, arrived)):
        event_id = fact["event_id"]
        issued = sum(ticket.startswith(f"{event_id}-") for ticket in existing)
        match fact["type"]:
            case "event_created" | "tickets_added":
                count = fact.get("capacity") or fact["count"]
                existing |= {f"{event_id}-{issued + number:06d}" for number in range(1, count + 1)}
            case "purchase_confirmed":
                assert len(fact["tickets"]) == fact["quantity"]
                for ticket in fact["tickets"]:
                    assert ticket in existing
                    assert ticket not in owners
                    owners[ticket] = fact["request_id"]
            case "purchase_cancelled":
                for ticket in fact["tickets"]:
                    assert owners.pop(ticket) == fact["purchase"]
    assert existing - owners.keys() == {
        ticket for event in inventory.events.values() for ticket in event.tickets(tuple(event.queue))
    }
    for event in inventory.events.values():
        assert event.sold == sum(ticket.startswith(event.prefix) for ticket in owners)
        assert event.left == len(event.tickets(tuple(event.queue)))


@given(arrivals())
def test_tickets_leave_first_in_first_out(arrived: list[Arrival]) -> None:
    """Cancelled tickets join the tail in the order they were sold in; added ones come behind all others."""
    queues: dict[str, list[str]] = {}
    issued: Counter[str] = Counter()
    for fact in counting(sell(Inventory(HOME), arrived)):
        event_id = fact["event_id"]
        queue = queues.setdefault(event_id, [])
        match fact["type"]:
            case "event_created" | "tickets_added":
                for _ in range(fact.get("capacity") or fact["count"]):
                    issued[event_id] += 1
                    queue.append(f"{event_id}-{issued[event_id]:06d}")
            case "purchase_confirmed":
                assert [queue.pop(0) for _ in range(fact["quantity"])] == fact["tickets"]
            case "purchase_cancelled":
                queue += fact["tickets"]


EFFECTS = {"event_created", "purchase_confirmed", "purchase_cancelled", "tickets_added", "event_closed"}


@given(arrivals())
def test_one_request_id_has_one_effect(arrived: list[Arrival]) -> None:
    effects = Counter(
        (fact["event_id"], fact["request_id"])
        for fact in counting(sell(Inventory(HOME), arrived))
        if fact["type"] in EFFECTS
    )
    assert set(effects.values()) <= {1}


@given(arrivals(), st.data())
def test_an_accepted_request_is_answered_again_with_its_own_fact(arrived: list[Arrival], data: st.DataObject) -> None:
    """Same seq, source, time and tickets, however much later; a cancelled purchase with its cancellation."""
    inventory = Inventory(HOME)
    effects: dict[tuple[str, str], Members] = {}
    for arrival in arrived:
        fact = answer(inventory, arrival)
        if fact is None or fact["type"] not in EFFECTS:
            continue
        told = cast("Members", fact)
        effects.setdefault((told["event_id"], arrival.command.request_id), told)
        if told["type"] == "purchase_cancelled":
            effects[told["event_id"], told["purchase"]] = told
    accepted = [a for a in arrived if (a.command.event_id, a.command.request_id) in effects]
    if not accepted:
        return
    once_more = data.draw(st.sampled_from(accepted))
    repeat = Arrival(once_more.command, 10**6, 7, {"partition": HOME, "offset": 10**6})
    fact = answer(inventory, repeat)
    if cast("Members", fact).get("reason") == "request_id_reused":
        seen("reused")  # the draw was the other content under this id
    else:
        assert fact == effects[once_more.command.event_id, once_more.command.request_id]


@given(arrivals(), commands(), st.booleans())
def test_decide_always_answers_and_changes_nothing(arrived: list[Arrival], command: Command, away: bool) -> None:
    inventory = Inventory(HOME)
    sell(inventory, arrived)
    before = state(inventory)
    arrival = Arrival(command, 10**6, 7, {"partition": 9 if away else HOME, "offset": 10**6})
    fact = cast("Members", decide(inventory, command, arrival.position))
    assert state(inventory) == before
    assert fact["event_id"] == command.event_id
    assert fact["request_id"] == command.request_id or fact["purchase"] == command.request_id
    assert decide(inventory, command, arrival.position) == fact


@given(arrivals())
def test_a_new_fact_tells_where_and_when_its_command_came(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    for arrival in arrived:
        if arrival.origin and is_second_copy(inventory, arrival.origin, arrival.command):
            continue
        fact = decide(inventory, arrival.command, arrival.position)
        if fold(inventory, fact, arrival.offset) or not fact["seq"]:
            assert fact["source"] == arrival.source


@given(arrivals())
def test_every_answer_survives_being_written_and_read(arrived: list[Arrival]) -> None:
    for fact in sell(Inventory(HOME), arrived):
        value = write_fact(fact)
        assert b"\n" not in value
        assert read_fact(value) == fact == json.loads(value)


@given(arrivals())
def test_facts_that_are_read_fold_to_the_state_that_decided_them(arrived: list[Arrival]) -> None:
    decided, folded = Inventory(HOME), Inventory(HOME)
    for arrival in arrived:
        fact = answer(decided, arrival)
        if fact is not None:
            fold(folded, read_fact(write_fact(fact)), arrival.offset)
    assert state(folded) == state(decided)


@given(arrivals(), st.data())
def test_a_repeated_fact_folds_to_nothing(arrived: list[Arrival], data: st.DataObject) -> None:
    inventory = Inventory(HOME)
    facts = sell(inventory, arrived)
    before = state(inventory)
    for fact in data.draw(st.lists(st.sampled_from(facts), max_size=10)):
        assert not fold(inventory, fact, 10**6)
    assert state(inventory) == before


def _damage(fact: Members, data: st.DataObject) -> Members:
    """The fact with one member taken from another world."""
    strange = {
        "seq": st.integers(0, 80),
        "event_id": st.sampled_from(["7", "42", "8"]),
        "request_id": st.sampled_from(["r-0", "r-1", "r-2", "c-1"]),
        "tickets": st.lists(st.sampled_from([f"42-{n:06d}" for n in range(14)]), max_size=8),
        "quantity": st.integers(1, 100),
        "purchase": st.sampled_from(["r-0", "r-1", "r-2", "c-1"]),
        "at": st.sampled_from(["2026-02-30T10:00:00.000Z", "1969-12-31T23:59:59.999Z"]),
        "type": st.sampled_from([*EFFECTS, "purchase_rejected", "command_rejected"]),
    }
    member = data.draw(st.sampled_from(sorted(strange.keys() & fact.keys())))
    return {**fact, member: data.draw(strange[member])}


@given(arrivals(min_size=5), st.data())
def test_a_fact_that_is_refused_changes_nothing(arrived: list[Arrival], data: st.DataObject) -> None:
    """And one that is damaged in its members but not refused leaves an inventory that still answers."""
    inventory = Inventory(HOME)
    *first, last = arrived
    sell(inventory, first)
    fact = cast("Members", decide(inventory, last.command, last.position))
    damaged = json.dumps(_damage(fact, data)).encode()
    before = state(inventory)
    try:
        fold(inventory, read_fact(damaged), last.offset)
    except FoldError:
        seen("refused by the fold")
        assert state(inventory) == before
    except UnreadableFactError:
        seen("refused by the reader")
    decide(inventory, last.command, last.position)


@given(st.integers(1, 40), st.lists(members(["purchase"]), max_size=40))
def test_a_sale_without_cancellations_hands_out_tickets_in_number_order(capacity: int, asked: list[Members]) -> None:
    inventory = Inventory(HOME)
    orders: list[Command] = [opening(capacity=capacity)]
    orders += [
        Purchase.model_validate(order | {"event_id": "42", "request_id": f"q-{number}"})
        for number, order in enumerate(asked)
    ]
    facts = sell(
        inventory,
        [Arrival(order, at, 0, {"partition": HOME, "offset": at}) for at, order in enumerate(orders)],
    )
    sold = [ticket for fact in facts for ticket in cast("Members", fact).get("tickets", [])]
    assert sold == [f"42-{number:06d}" for number in range(1, len(sold) + 1)]
    assert len(sold) <= capacity


@given(arrivals())
def test_two_owners_reach_the_same_decisions(arrived: list[Arrival]) -> None:
    one, other = Inventory(HOME), Inventory(HOME)
    for arrival in arrived:
        decided = [answer(one, arrival), answer(other, arrival)]
        assert decided[0] == decided[1]
    assert state(one) == state(other)


@given(arrivals())
def test_who_decided_is_all_that_an_owner_may_change(arrived: list[Arrival]) -> None:
    decided, folded = Inventory(HOME), Inventory(HOME)
    for arrival in arrived:
        fact = answer(decided, arrival)
        if fact is not None:
            by_redis = cast("DecisionFact", {**fact, "decided_by": "redis"})
            fold(folded, by_redis, arrival.offset)
            again = decide(folded, arrival.command, arrival.position)
            if fact["type"] in EFFECTS:
                assert without_decider(again) == without_decider(fact)
    for event in folded.events.values():
        event.created["decided_by"] = "local"
    assert state(folded) == state(decided)


@given(arrivals(opened=False))
def test_only_a_creation_makes_an_event(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    created: set[str] = set()
    for arrival in arrived:
        fact = answer(inventory, arrival)
        if fact is None:
            continue
        if isinstance(arrival.command, CreateEvent):
            created.add(arrival.command.event_id)
        assert (fact["seq"] == 0) == (arrival.command.event_id not in created)
        assert inventory.events.keys() == created
