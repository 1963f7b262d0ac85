"""Events of the first rules: sold, answered and told as before, beside those of the present ones, until they change.

``recorded_rules_1.jsonl`` is a ledger that the release before wrote, with what it answered to each command when it came
again at the end; its last line is the state that it had then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from boxoffice.selling.deciding import new_partition
from models.accepted import unpack
from models.again import fact_of
from models.commands import read_command
from models.event import FoldError, Position
from models.facts import read_fact, write_fact
from models.inventory import Inventory, decide, fold
from models.ledger import Ledger, Taken
from models.reasons import Reason
from models.shapes import Fact
from tests.unit.desk import Desk, Members, about, buying, names, paying, refusal
from tests.unit.strategies import HOME, opening, state

*RECORDED, AT_THE_END = [
    json.loads(line) for line in Path(__file__).with_name("recorded_rules_1.jsonl").read_text().splitlines()
]


def command_of(recorded: Members) -> Any:
    return read_command(json.dumps(recorded["command"]).encode())


def folded() -> Ledger:
    ledger = Ledger(HOME)
    for one in RECORDED:
        assert ledger.read(one["fact"].encode(), one["read"].encode()) is Taken.TAKEN
    return ledger


# What the release before wrote


def test_a_recorded_ledger_of_the_first_rules_folds_as_before() -> None:
    ledger = folded()
    assert ledger.bookmark == RECORDED[-1]["offset"]
    found = {}
    for event in ledger.inventory.events.values():
        [category] = event.categories
        assert (event.rules, event.rules_since, category.held, category.removed) == (1, 0, 0, 0)
        found[event.event_id] = {
            "seq": event.seq,
            "fence": event.fence,
            "issued": event.issued,
            "sold": event.sold,
            "closed": event.closed,
            "queue": [list(run) for run in category.queue],
            "accepted": {
                request_id: event.accepted[request_id].hex()
                for request_id in AT_THE_END["events"][event.event_id]["accepted"]
            },
            "requests": list(event.accepted),
        }
        assert not event.refusals
    assert found == AT_THE_END["events"]
    origins = {
        str(number): [list(answered) for answered in origins] for number, origins in ledger.inventory.origins.items()
    }
    assert origins == AT_THE_END["origins"]


def test_what_the_release_before_decided_is_decided_alike() -> None:
    """But for a creation, which now makes an event of the present rules: that one is folded as it was written."""
    inventory = Inventory(HOME)
    for one in RECORDED:
        position = Position(one["offset"], one["timestamp_ms"], one["source"])
        fact = decide(inventory, command_of(one), position)
        if fact["type"] == "event_created" and fact["event_id"] not in inventory.events:
            assert {**fact, "rules": 1} == json.loads(one["fact"])
            fact = cast("Any", read_fact(one["fact"].encode()))
        else:
            assert json.loads(write_fact(fact)) == json.loads(one["fact"])
        fold(inventory, fact, one["offset"])
    assert state(inventory) == state(folded().inventory)


def test_what_came_again_is_answered_as_the_release_before_did() -> None:
    inventory = folded().inventory
    repeated = [one for one in RECORDED if "again" in one]
    assert {json.loads(one["again"])["type"] for one in repeated} == {
        *("event_created", "purchase_confirmed", "purchase_cancelled", "tickets_added", "event_closed")
    }
    for one in repeated:
        fact = decide(inventory, command_of(one), Position(10**6, 7, {"partition": HOME, "offset": 10**6}))
        assert json.loads(write_fact(fact)) == json.loads(one["again"])


# What is sold by them now


@pytest.fixture
def old() -> Desk:
    """Event 42 of the first rules; r-1 has two tickets."""
    desk = Desk.of_the_first_rules(max_per_order=4)
    desk.buy("r-1", 2)
    return desk


def test_a_refusal_of_the_first_rules_is_not_remembered(old: Desk) -> None:
    assert refusal(old.buy("r-2", 5)) == ("purchase_rejected", Reason.OVER_ORDER_LIMIT)
    assert old.buy("r-2", 4)["type"] == "purchase_confirmed"


def test_facts_of_the_first_rules_have_no_later_members(old: Desk) -> None:
    bought = old.buy("r-2")
    assert not {"purchase", "lines", "amount", "currency"} & bought.keys()
    cancelled = old.cancel("x-1", "r-2")
    assert not {"lines", "remaining", "refund", "currency"} & cancelled.keys()
    assert "category" not in old.operate("add_tickets", "a-1", count=1)


def test_what_came_later_is_asked_of_an_event_of_the_first_rules_too(old: Desk) -> None:
    assert refusal(old.buy("r-2", category="stalls")) == ("purchase_rejected", Reason.UNKNOWN_CATEGORY)
    assert old.pay("p-1", "r-1", "pay-1", 9000)["reason"] == "already_paid"
    assert refusal(old.expire("e-1", "r-1")) == ("command_rejected", Reason.NOT_HELD)
    assert old.operate("remove_tickets", "a-1", count=1)["category"] == "general"
    assert old.operate("cancel_event", "z-1")["type"] == "event_cancelled"
    assert old.operate("archive_event", "z-2")["type"] == "event_archived"


def test_events_of_both_rules_are_sold_beside_each_other(old: Desk) -> None:
    old.ask(opening("7", hold_s=60))
    for event_id, kind in (("42", "purchase_confirmed"), ("7", "purchase_held")):
        command = buying("r-9").model_copy(update={"event_id": event_id})
        assert old.ask(command)["type"] == kind


def test_earlier_rules_are_the_reason_for_which_no_part_is_given_back(old: Desk) -> None:
    """The release before takes a fact that leaves some tickets for damage: it must never meet one."""
    assert refusal(old.cancel("x-1", "r-1", tickets=names(2))) == ("command_rejected", Reason.EARLIER_RULES)
    old.operate("change_event", "h-1")
    assert old.cancel("x-1", "r-1", tickets=names(2))["remaining"] == names(1)


def test_all_tickets_by_their_names_are_the_whole_purchase_by_the_first_rules_too(old: Desk) -> None:
    cancelled = old.cancel("x-1", "r-1", tickets=names(1, 2))
    assert cancelled["tickets"] == names(1, 2)
    assert "remaining" not in cancelled


# When they change


CHANGES: dict[str, Callable[[Desk], Members]] = {
    "of its name": lambda desk: desk.operate("change_event", "h-1", name="Another night"),
    "of nothing": lambda desk: desk.operate("change_event", "h-1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_moves_an_event_to_the_present_rules_from_then_on(
    old: Desk, change: Callable[[Desk], Members]
) -> None:
    refused = old.buy("r-2", 5)
    before = {"r-1": (buying("r-1", 2), old.buy("r-1", 2)), "r-3": (buying("r-3"), old.buy("r-3"))}
    before["x-3"] = (about("cancel_purchase", "x-3", purchase="r-3"), old.cancel("x-3", "r-3"))
    before["r-3"] = (buying("r-3"), before["x-3"][1])
    before["a-1"] = (about("add_tickets", "a-1", count=3), old.operate("add_tickets", "a-1", count=3))
    created = dict(old.event.created)
    changed = change(old)
    assert (changed["rules"], old.event.rules, old.event.rules_since) == (2, 2, changed["seq"])
    after = old.buy("r-4", 2)
    assert (after["purchase"], after["amount"], after["currency"]) == ("r-4", 9000, "EUR")
    assert old.operate("add_tickets", "a-2", count=1)["category"] == "general"
    part = old.cancel("x-1", "r-1", tickets=names(1))
    assert (part["refund"], part["remaining"], part["lines"]) == (
        4500,
        names(2),
        [{"category": "general", "quantity": 1, "price": 4500}],
    )
    first = before.pop("r-1")
    assert old.ask(first[0]) == part
    for command, answered in before.values():
        assert old.ask(command) == answered
    assert old.ask(opening(max_per_order=4)) == created
    assert old.buy("r-2", 4)["seq"] > refused["seq"]
    remembered = old.buy("r-5", 5)
    assert old.buy("r-5", 5) == remembered
    assert refusal(old.buy("r-5", 4)) == ("purchase_rejected", Reason.REQUEST_ID_REUSED)


def test_every_fact_on_both_sides_of_a_change_is_made_again(old: Desk) -> None:
    facts = {"r-1": dict(old.buy("r-1", 2)), "a-1": old.operate("add_tickets", "a-1", count=1)}
    facts["h-1"] = old.operate("change_event", "h-1", hold_s=60, prices=[{"category": "general", "amount": 100}])
    facts["r-2"] = old.buy("r-2", 2)
    facts["r-3"] = old.buy("r-3", 1)
    facts["p-3"] = facts["r-3"] = old.pay("p-3", "r-3", "pay-3", 100)
    facts["p-4"] = old.pay("p-4", "r-1", "pay-4", 9000)
    facts["x-1"] = facts["r-1"] = old.cancel("x-1", "r-1")
    assert facts["x-1"]["refund"] == 9000
    assert facts["p-4"]["reason"] == "already_paid"
    for request_id, fact in facts.items():
        accepted = unpack(old.event.accepted[request_id])
        assert fact_of(old.event, request_id, accepted, HOME) == fact


def test_what_was_bought_by_the_first_rules_is_refunded_at_its_price_when_that_was_changed(old: Desk) -> None:
    old.operate("change_event", "h-1", prices=[{"category": "general", "amount": 1}])
    old.buy("r-2")
    assert old.cancel("x-1", "r-1")["refund"] == 9000
    assert old.cancel("x-2", "r-2")["refund"] == 1


def test_a_limit_for_a_buyer_counts_what_he_bought_by_the_first_rules(old: Desk) -> None:
    old.operate("change_event", "h-1", max_per_buyer=3)
    assert refusal(old.buy("r-2", 2)) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)
    assert old.buy("r-3", 1)["type"] == "purchase_confirmed"


@pytest.mark.parametrize(
    "members",
    [{"hold_s": 60}, {"max_per_buyer": 1}, {"on_sale_at": "2027-01-01T00:00:00Z"}, {"rules": 0}, {"rules": -1}],
)
def test_no_event_of_the_first_rules_has_what_came_later(members: Members) -> None:
    created = {**Desk(capacity=1).event.created, "rules": 1, **members}
    inventory = Inventory(HOME)
    with pytest.raises(FoldError, match="do not know"):
        fold(inventory, cast("Fact", created), 0)
    assert inventory == Inventory(HOME)


def test_no_event_is_changed_back_to_the_first_rules() -> None:
    desk = Desk(capacity=1)
    changed = desk.decided(about("change_event", "h-1", name="Another night")) | {"rules": 1}
    before = state(desk.inventory)
    with pytest.raises(FoldError, match="earlier rules"):
        fold(desk.inventory, cast("Fact", changed), desk.offset)
    assert state(desk.inventory) == before


@pytest.mark.parametrize("later", [{"lines": []}, {"amount": 4500}, {"purchase": "r-9"}, {"late": False}])
def test_no_sale_of_the_first_rules_says_what_came_later(old: Desk, later: Members) -> None:
    sold = old.decided(buying("r-9")) | later
    before = state(old.inventory)
    with pytest.raises(FoldError):
        fold(old.inventory, cast("Fact", sold), old.offset)
    assert state(old.inventory) == before


def test_a_worker_decides_on_behind_a_ledger_of_the_first_rules() -> None:
    owned = new_partition(HOME, 4)
    for one in RECORDED:
        assert owned.ledger.read(one["fact"].encode(), one["read"].encode()) is Taken.TAKEN
    desk = Desk()
    desk.inventory, desk.offset = owned.ledger.inventory, RECORDED[-1]["offset"] + 1
    fact = decide(desk.inventory, paying("p-1", "r-1", "pay-1", 1), Position(desk.offset, 7, RECORDED[-1]["source"]))
    assert fact["type"] in ("payment_refused", "command_rejected")
