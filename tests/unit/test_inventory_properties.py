"""The rules, over random commands: what holds whatever is asked, in whatever order."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import Any, cast

from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from models.accepted import unpack
from models.again import fact_of
from models.commands import Command, ConfirmPurchase, CreateEvent, Purchase
from models.event import FoldError
from models.facts import UnreadableFactError, read_fact, write_fact
from models.inventory import Inventory, decide, fold, is_second_copy
from models.shapes import DecisionFact
from tests.unit.plain_sale import EFFECTS, counting, plain_events
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


@given(arrivals())
def test_seqs_have_no_gaps_and_every_other_answer_is_a_repeat(arrived: list[Arrival]) -> None:
    facts = sell(Inventory(HOME), arrived)
    new = counting(facts)
    for fact in cast("list[Members]", facts):
        assert fact["seq"] == 0 or fact in new


@given(arrivals())
def test_each_ticket_has_one_owner_leaves_first_in_first_out_and_goes_back_to_its_queue(arrived: list[Arrival]) -> None:
    """Of each category what was issued and not removed is left, held or sold, however it came there."""
    inventory = Inventory(HOME)
    events = plain_events(sell(inventory, arrived))
    assert events.keys() == inventory.events.keys()
    for event_id, plain in events.items():
        plain.check(inventory.events[event_id])


@given(arrivals())
def test_every_hold_ends_once_or_stands(arrived: list[Arrival]) -> None:
    """Paid for, expired or cancelled, whichever comes first."""
    facts = sell(Inventory(HOME), arrived)
    held = Counter((fact["event_id"], fact["purchase"]) for fact in counting(facts) if fact["type"] == "purchase_held")
    assert set(held.values()) <= {1}
    for event_id, plain in plain_events(facts).items():
        ended = {purchase for one, purchase in held if one == event_id} - plain.held
        assert plain.ended == Counter(dict.fromkeys(ended, 1))


@given(arrivals())
def test_a_payment_is_used_once_or_refused_for_ever(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    answered: dict[tuple[str, str], Members] = {}
    for arrival in arrived:
        fact, command = cast("Members", answer(inventory, arrival) or {}), arrival.command
        if not isinstance(command, ConfirmPurchase) or fact.get("payment") != command.payment:
            continue
        assert answered.setdefault((command.event_id, command.payment), fact) == fact
        if fact["type"] == "purchase_confirmed":
            said = fact["purchase"], fact["amount"], fact["currency"]
            assert said == (command.purchase, command.amount, command.currency)


@given(arrivals())
def test_a_purchase_that_was_refused_is_refused_for_ever_with_the_same_fact(arrived: list[Arrival]) -> None:
    """Whatever has come back meanwhile, as long as the event is not archived."""
    inventory = Inventory(HOME)
    refused: dict[str, Members] = {}
    for arrival in arrived:
        fact, command = cast("Members", answer(inventory, arrival) or {}), arrival.command
        if not fact or fact["event_id"] not in inventory.events or not isinstance(command, Purchase):
            continue
        asked = command.model_dump_json()
        if fact["type"] == "purchase_rejected" and fact["reason"] != "request_id_reused":
            assert refused.setdefault(asked, fact) == fact
        else:
            assert asked not in refused


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
    """Same seq, source, time and tickets, however much later; a purchase with the newest that has become of it."""
    inventory = Inventory(HOME)
    effects: dict[tuple[str, str], Members] = {}
    for arrival in arrived:
        fact = answer(inventory, arrival)
        if fact is None or fact["type"] not in EFFECTS:
            continue
        told = cast("Members", fact)
        effects.setdefault((told["event_id"], told["request_id"]), told)
        if told["type"] in ("purchase_confirmed", "hold_expired", "purchase_cancelled"):
            before = effects.get((told["event_id"], told["purchase"]), told)
            effects[told["event_id"], told["purchase"]] = max(before, told, key=lambda one: one["seq"])
    accepted = [
        arrival
        for arrival in arrived
        if (arrival.command.event_id, arrival.command.request_id) in effects
        and arrival.command.event_id in inventory.events
    ]
    if not accepted:
        return
    once_more = data.draw(st.sampled_from(accepted))
    repeat = Arrival(once_more.command, 10**6, 7, {"partition": HOME, "offset": 10**6})
    unchanged = state(inventory)
    again = cast("Members", answer(inventory, repeat))
    if again.get("reason") == "request_id_reused":
        seen("reused")  # the draw was the other content under this id
    else:
        assert again == effects[once_more.command.event_id, once_more.command.request_id]
        assert state(inventory) == unchanged


@given(arrivals(), commands(), st.booleans())
def test_decide_always_answers_and_changes_nothing(arrived: list[Arrival], command: Command, away: bool) -> None:
    inventory = Inventory(HOME)
    sell(inventory, arrived)
    before = state(inventory)
    arrival = Arrival(command, 10**6, 7, {"partition": 9 if away else HOME, "offset": 10**6})
    fact = cast("Members", decide(inventory, command, arrival.position))
    assert state(inventory) == before
    assert fact["event_id"] == command.event_id
    named = {fact["request_id"], fact.get("purchase"), fact.get("payment")}
    assert {command.request_id, getattr(command, "payment", command.request_id)} & named
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


STRANGE: dict[str, st.SearchStrategy[Any]] = {
    "seq": st.integers(0, 80),
    "event_id": st.sampled_from(["7", "42", "8"]),
    "request_id": st.sampled_from(["r-0", "r-1", "r-2", "c-1"]),
    "tickets": st.lists(st.sampled_from(["42-x", "7-000001", *(f"42-{n:06d}" for n in range(14))]), max_size=8),
    "remaining": st.lists(st.sampled_from(["42-x", *(f"42-{n:06d}" for n in range(14))]), max_size=3),
    "quantity": st.integers(1, 100),
    "count": st.sampled_from([1, 2, 1_000_000]),
    "purchase": st.sampled_from(["r-0", "r-1", "r-2", "c-1", "p-1"]),
    "payment": st.sampled_from(["pay-1", "pay-2", "new"]),
    "amount": st.sampled_from([0, 1, 4500, 9000]),
    "refund": st.sampled_from([0, 1, 4500, 9000]),
    "currency": st.sampled_from(["EUR", "CHF"]),
    "price": st.sampled_from([0, 4500, {"amount": 1, "currency": "EUR"}, {"amount": 1, "currency": "CHF"}]),
    "category": st.sampled_from(["general", "stalls", "balcony", "roof"]),
    "id": st.sampled_from(["general", "stalls", "balcony", "roof"]),
    "capacity": st.sampled_from([1, 12, 1_000_000]),
    "late": st.booleans(),
    "held": st.booleans(),
    "rules": st.sampled_from([-1, 0, 1, 2]),
    "hold_s": st.sampled_from([60, 86_400]),
    "max_per_buyer": st.sampled_from([1, 100]),
    "at": st.sampled_from(["2026-02-30T10:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-11-22T10:00:00.123Z"]),
    "due": st.sampled_from(["2026-02-30T10:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-11-22T10:00:00.123Z"]),
    "reason": st.sampled_from(["sold_out", "event_archived", "request_id_reused", "already_paid"]),
    "type": st.sampled_from([*sorted(EFFECTS), "purchase_rejected", "command_rejected"]),
}
"""What may stand in the place of a member, or where there was none, of the fact or of one of its objects."""


def _damage(fact: Members, data: st.DataObject) -> Members:
    """The fact with some members taken from another world, left out, or more than it had."""
    damaged: Members = deepcopy(fact)
    for _ in range(data.draw(st.integers(1, 2))):
        inside = [one for member in damaged.values() if isinstance(member, list) for one in member]
        where = data.draw(st.sampled_from([damaged, damaged, *(one for one in inside if isinstance(one, dict))]))
        match data.draw(st.sampled_from(("put", "put", "add", "remove", "repeat"))):
            case "put":
                member = data.draw(st.sampled_from(sorted(STRANGE.keys() & where.keys()) or ["type"]))
                where[member] = data.draw(STRANGE[member])
            case "add":
                member = data.draw(st.sampled_from(sorted(STRANGE)))
                where[member] = data.draw(STRANGE[member])
            case "remove":
                where.pop(data.draw(st.sampled_from(sorted(where))))
            case "repeat":
                lists = sorted(name for name, member in where.items() if isinstance(member, list) and member)
                if lists:
                    repeated = where[data.draw(st.sampled_from(lists))]
                    repeated.append(deepcopy(repeated[0]))
    return damaged


@given(arrivals(min_size=5), st.data())
def test_a_fact_that_is_refused_changes_nothing_and_one_that_is_folded_is_what_is_answered(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    """A fact that is damaged in its members but not refused leaves an inventory that adds up, and still answers."""
    inventory = Inventory(HOME)
    *first, last = arrived
    facts = sell(inventory, first)
    fact = cast("Members", decide(inventory, last.command, last.position))
    damaged = json.dumps(_damage(fact, data)).encode()
    before = state(inventory)
    try:
        read = read_fact(damaged)
        is_new = fold(inventory, read, last.offset)
    except FoldError:
        seen("refused by the fold")
        assert state(inventory) == before
    except UnreadableFactError:
        seen("refused by the reader")
    else:
        seen(f"folded: {is_new}")
        if is_new:
            _check_that_it_is_answered(inventory, cast("Members", read))
            facts.append(read)
        for event_id, plain in plain_events(facts).items():
            plain.check(inventory.events[event_id])
    decide(inventory, last.command, last.position)


def _check_that_it_is_answered(inventory: Inventory, read: Members) -> None:
    event = inventory.events.get(read["event_id"])
    if event is None or read["type"] not in EFFECTS:
        return
    accepted = unpack(event.accepted[read["request_id"]])
    # At home the source is where the command lies.
    made = cast("Members", fact_of(event, read["request_id"], accepted, HOME))
    ignored = {"source": None, "decided_by": None}
    assert {**made, **ignored} == {**read, **ignored}


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
            if fact["type"] in EFFECTS - {"event_archived"}:
                assert without_decider(again) == without_decider(fact)
    for event in folded.events.values():
        event.created["decided_by"] = event.now["decided_by"] = "local"
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
        assert inventory.events.keys() | inventory.archived.keys() == created
