"""The rules, by example: one test for each sentence that a client could hold us to."""

from __future__ import annotations

from sys import getsizeof
from typing import Any, cast

import pytest

from models.commands import AddTickets, CancelPurchase, CloseEvent, Command
from models.event import FoldError, Position
from models.facts import at_text
from models.inventory import Inventory, decide, fold, is_second_copy
from models.origins import ORIGINS_KEPT, Origins
from models.shapes import DecisionFact, Fact, Reason
from tests.unit.strategies import HOME, opening, purchase, state

TEN_OCLOCK_MS = 1_795_341_600_123


class Desk:
    """One partition's inventory, and the next offset of its commands."""

    def __init__(self) -> None:
        self.inventory = Inventory(HOME)
        self.offset = 0

    def ask(self, command: Command, origin: tuple[int, int] | None = None) -> dict[str, Any]:
        """The answer to a command that arrives now; it is in the ledger when this returns."""
        partition, offset = origin or (HOME, self.offset)
        position = Position(self.offset, TEN_OCLOCK_MS + self.offset, {"partition": partition, "offset": offset})
        fact = decide(self.inventory, command, position)
        fold(self.inventory, fact, self.offset)
        self.offset += 1
        return cast("dict[str, Any]", fact)

    def left(self, event_id: str = "42") -> list[str]:
        """The names of the tickets in the queue, in order."""
        event = self.inventory.events[event_id]
        return event.tickets(tuple(event.queue))


@pytest.fixture
def desk() -> Desk:
    """Ten tickets of event 42 are on sale, at most four to an order."""
    desk = Desk()
    desk.ask(opening(max_per_order=4))
    return desk


def cancel(request_id: str, purchase_id: str, **buyer: str) -> CancelPurchase:
    return CancelPurchase(type="cancel_purchase", request_id=request_id, event_id="42", purchase=purchase_id, **buyer)


def add(request_id: str, count: int) -> AddTickets:
    return AddTickets(type="add_tickets", request_id=request_id, event_id="42", count=count)


def close(request_id: str = "z-1", event_id: str = "42") -> CloseEvent:
    return CloseEvent(type="close_event", request_id=request_id, event_id=event_id)


def names(*numbers: int) -> list[str]:
    return [f"42-{number:06d}" for number in numbers]


# What is accepted


def test_a_created_event_is_answered_with_all_that_was_asked() -> None:
    assert Desk().ask(opening(max_per_order=4)) == {
        "type": "event_created",
        "event_id": "42",
        "seq": 1,
        "request_id": "c-1",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10,
        "max_per_order": 4,
        "price": {"amount": 4500, "currency": "EUR"},
        "rules": 1,
        "source": {"partition": HOME, "offset": 0},
        "at": at_text(TEN_OCLOCK_MS),
        "decided_by": "local",
    }


def test_an_event_without_an_order_limit_says_nothing_of_one() -> None:
    assert "max_per_order" not in Desk().ask(opening())


def test_a_purchase_gets_the_next_tickets_and_says_whose_they_are(desk: Desk) -> None:
    assert desk.ask(purchase("r-1", 2, "b-77")) == {
        "type": "purchase_confirmed",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "buyer": "b-77",
        "quantity": 2,
        "tickets": names(1, 2),
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }


def test_a_cancelled_purchase_says_whose_tickets_come_back(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    assert desk.ask(cancel("x-1", "r-1")) == {
        "type": "purchase_cancelled",
        "event_id": "42",
        "seq": 3,
        "request_id": "x-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "tickets": names(1, 2),
        "source": {"partition": HOME, "offset": 2},
        "at": at_text(TEN_OCLOCK_MS + 2),
        "decided_by": "local",
    }


def test_tickets_leave_first_in_first_out_cancelled_ones_behind_all_others(desk: Desk) -> None:
    desk.ask(purchase("r-1", 3))
    desk.ask(cancel("x-1", "r-1"))
    assert desk.left() == names(4, 5, 6, 7, 8, 9, 10, 1, 2, 3)


def test_added_tickets_are_named_on_and_join_the_tail(desk: Desk) -> None:
    desk.ask(purchase("r-1", 1))
    desk.ask(cancel("x-1", "r-1"))
    assert desk.ask(add("a-1", 2))["count"] == 2
    assert desk.left() == names(2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 11, 12)


def test_one_purchase_takes_tickets_from_several_runs_in_queue_order(desk: Desk) -> None:
    for number in range(1, 11):
        desk.ask(purchase(f"r-{number}"))
    for number in (9, 2, 3, 7):
        desk.ask(cancel(f"x-{number}", f"r-{number}"))
    assert desk.ask(purchase("r-last", 4))["tickets"] == names(9, 2, 3, 7)
    assert desk.ask(cancel("x-last", "r-last"))["tickets"] == names(9, 2, 3, 7)
    assert desk.left() == names(9, 2, 3, 7)


def test_ticket_names_have_more_digits_from_a_million_on() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1_000_000))
    desk.ask(add("a-1", 5))
    assert desk.left()[-6:] == [f"42-{number}" for number in range(1_000_000, 1_000_006)]


def test_a_close_ends_the_sale(desk: Desk) -> None:
    closed = desk.ask(close())
    assert (closed["type"], closed["seq"]) == ("event_closed", 2)
    assert desk.inventory.events["42"].closed


def test_events_do_not_touch_each_other(desk: Desk) -> None:
    desk.ask(opening("7", "c-1", capacity=1))
    desk.ask(close())
    sold = desk.ask(purchase("r-1", event_id="7"))
    assert (sold["tickets"], sold["seq"], len(desk.left())) == (["7-000001"], 2, 10)


# What is refused, and why


def refusal(fact: dict[str, Any]) -> tuple[str, str]:
    return fact["type"], fact["reason"]


def test_unknown_event_is_the_reason_where_there_is_none() -> None:
    desk = Desk()
    assert refusal(desk.ask(purchase("r-1"))) == ("purchase_rejected", Reason.UNKNOWN_EVENT)
    for command in (cancel("x-1", "r-1"), add("a-1", 1), close()):
        rejected = desk.ask(command)
        assert refusal(rejected) == ("command_rejected", Reason.UNKNOWN_EVENT)
        assert rejected["command"] == command.type


def test_a_rejection_for_an_unknown_event_has_seq_0_and_leaves_nothing_behind() -> None:
    desk = Desk()
    assert desk.ask(purchase("r-1"))["seq"] == 0
    assert desk.inventory.events == {}
    desk.ask(opening())
    assert desk.ask(purchase("r-1"))["type"] == "purchase_confirmed"


def test_event_closed_is_the_reason_against_purchases_additions_and_a_second_close(desk: Desk) -> None:
    desk.ask(close())
    assert refusal(desk.ask(purchase("r-1"))) == ("purchase_rejected", Reason.EVENT_CLOSED)
    assert refusal(desk.ask(add("a-1", 1))) == ("command_rejected", Reason.EVENT_CLOSED)
    assert refusal(desk.ask(close("z-2"))) == ("command_rejected", Reason.EVENT_CLOSED)


def test_a_purchase_can_be_cancelled_after_the_close(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    desk.ask(close())
    assert desk.ask(cancel("x-1", "r-1"))["tickets"] == names(1, 2)
    assert refusal(desk.ask(purchase("r-2"))) == ("purchase_rejected", Reason.EVENT_CLOSED)


def test_sold_out_is_the_reason_when_nothing_is_left() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1))
    desk.ask(purchase("r-1"))
    assert refusal(desk.ask(purchase("r-2"))) == ("purchase_rejected", Reason.SOLD_OUT)


def test_not_enough_left_is_the_reason_when_fewer_are_left_than_asked() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1))
    assert refusal(desk.ask(purchase("r-1", 2))) == ("purchase_rejected", Reason.NOT_ENOUGH_LEFT)
    assert desk.left() == names(1)


def test_over_order_limit_is_the_reason_above_the_events_own_limit(desk: Desk) -> None:
    assert refusal(desk.ask(purchase("r-1", 5))) == ("purchase_rejected", Reason.OVER_ORDER_LIMIT)
    assert desk.ask(purchase("r-2", 4))["type"] == "purchase_confirmed"


def test_without_an_order_limit_a_purchase_may_have_a_hundred() -> None:
    desk = Desk()
    desk.ask(opening(capacity=100))
    assert len(desk.ask(purchase("r-1", 100))["tickets"]) == 100


def test_request_id_reused_is_the_reason_for_an_id_with_other_content(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    desk.ask(cancel("x-1", "r-1"))
    desk.ask(add("a-1", 1))
    desk.ask(close())
    reused: list[Command] = [
        purchase("r-1", 1, "b-77"),
        purchase("r-1", 2, "b-78"),
        cancel("x-1", "x-1"),
        cancel("x-1", "r-1", buyer="b-78"),
        add("a-1", 2),
        opening(max_per_order=3),
        opening(),
        opening(max_per_order=4, name="Another night"),
    ]
    for command in reused:
        assert desk.ask(command)["reason"] == Reason.REQUEST_ID_REUSED


@pytest.mark.parametrize("request_id", ["c-1", "r-1", "x-1", "a-1", "z-1"])
def test_request_id_reused_is_the_reason_for_an_id_with_another_type(desk: Desk, request_id: str) -> None:
    accepted: dict[str, Command] = {
        "r-1": purchase("r-1"),
        "x-1": cancel("x-1", "r-1"),
        "a-1": add("a-1", 1),
        "z-1": close("z-1"),
    }
    for command in accepted.values():
        desk.ask(command)
    accepted["c-1"] = opening(max_per_order=4)
    for of_another_type in accepted.values():
        if of_another_type.request_id != request_id:
            renamed = of_another_type.model_copy(update={"request_id": request_id})
            rejected = desk.ask(renamed)
            assert rejected["reason"] == Reason.REQUEST_ID_REUSED
            expected = "purchase_rejected" if renamed.type == "purchase" else "command_rejected"
            assert rejected["type"] == expected


def test_event_exists_is_the_reason_for_a_second_creation(desk: Desk) -> None:
    assert refusal(desk.ask(opening(request_id="c-2"))) == ("command_rejected", Reason.EVENT_EXISTS)
    desk.ask(close())
    assert refusal(desk.ask(opening(request_id="c-2"))) == ("command_rejected", Reason.EVENT_EXISTS)


def test_no_such_purchase_is_the_reason_for_a_cancellation_of_what_was_never_sold(desk: Desk) -> None:
    desk.ask(purchase("r-1", 5))
    for never_sold in ("r-1", "r-2", "c-1"):
        assert refusal(desk.ask(cancel("x-1", never_sold))) == ("command_rejected", Reason.NO_SUCH_PURCHASE)


def test_a_stranger_is_told_the_same_as_of_a_purchase_that_is_not_there(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "b-77"))
    for buyer in ("b-78", "b-7", "b-77 "):
        refused = cancel("x-1", "r-1", buyer=buyer)
        assert refusal(desk.ask(refused)) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    desk.ask(cancel("x-2", "r-1"))
    assert refusal(desk.ask(cancel("x-3", "r-1", buyer="b-78"))) == ("command_rejected", Reason.NO_SUCH_PURCHASE)
    assert refusal(desk.ask(cancel("x-3", "r-1", buyer="b-77"))) == ("command_rejected", Reason.ALREADY_CANCELLED)


def test_the_buyer_of_a_purchase_can_cancel_it(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2, "Zoë, 2nd row"))
    cancelled = desk.ask(cancel("x-1", "r-1", buyer="Zoë, 2nd row"))
    assert (cancelled["type"], cancelled["tickets"]) == ("purchase_cancelled", names(1, 2))
    assert desk.ask(cancel("x-1", "r-1", buyer="Zoë, 2nd row")) == cancelled
    assert desk.ask(cancel("x-1", "r-1")) == cancelled


def test_already_cancelled_is_the_reason_for_a_second_cancellation(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    desk.ask(cancel("x-1", "r-1"))
    assert refusal(desk.ask(cancel("x-2", "r-1"))) == ("command_rejected", Reason.ALREADY_CANCELLED)


def test_a_rejection_of_a_purchase_says_who_asked_for_how_many(desk: Desk) -> None:
    assert desk.ask(purchase("r-1", 5, "b-77")) == {
        "type": "purchase_rejected",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "reason": "over_order_limit",
        "buyer": "b-77",
        "quantity": 5,
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }


def test_rejections_take_a_seq_too(desk: Desk) -> None:
    asked: list[Command] = [purchase("r-1", 5), cancel("x-1", "r-9"), opening(request_id="c-2")]
    assert [desk.ask(command)["seq"] for command in asked] == [2, 3, 4]
    assert desk.ask(purchase("r-2"))["seq"] == 5


# The order of the checks


def test_a_reused_id_is_told_before_the_close(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    desk.ask(close())
    assert desk.ask(purchase("r-1", 2))["reason"] == Reason.REQUEST_ID_REUSED


def test_the_close_is_told_before_the_order_limit(desk: Desk) -> None:
    desk.ask(close())
    assert desk.ask(purchase("r-1", 5))["reason"] == Reason.EVENT_CLOSED


def test_the_order_limit_is_told_before_what_is_left() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1, max_per_order=1))
    assert desk.ask(purchase("r-1", 2))["reason"] == Reason.OVER_ORDER_LIMIT
    desk.ask(purchase("r-2", 1))
    assert desk.ask(purchase("r-3", 2))["reason"] == Reason.OVER_ORDER_LIMIT


def test_the_close_is_told_before_sold_out() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1))
    desk.ask(purchase("r-1"))
    desk.ask(close())
    assert desk.ask(purchase("r-2"))["reason"] == Reason.EVENT_CLOSED


# The same request again


def test_a_repeated_request_gets_the_same_tickets(desk: Desk) -> None:
    first = desk.ask(purchase("r-1", 2))
    desk.ask(purchase("r-2"))
    desk.ask(close())
    before = state(desk.inventory)
    assert desk.ask(purchase("r-1", 2)) == first
    assert state(desk.inventory) == before


def test_every_accepted_command_is_answered_again_with_its_own_fact(desk: Desk) -> None:
    asked: list[Command] = [purchase("r-1"), purchase("r-2"), cancel("x-1", "r-1"), add("a-1", 3), close()]
    first = [desk.ask(command) for command in asked]
    created = {**desk.inventory.events["42"].created}
    assert [desk.ask(command) for command in asked[1:]] == first[1:]
    assert desk.ask(opening(max_per_order=4)) == created


def test_a_purchase_that_was_cancelled_since_is_answered_with_its_cancellation(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    cancelled = desk.ask(cancel("x-1", "r-1"))
    assert desk.ask(purchase("r-1", 2)) == cancelled
    assert cancelled["purchase"] == "r-1"


def test_a_rejection_is_not_remembered_and_asking_again_is_a_new_attempt() -> None:
    desk = Desk()
    desk.ask(opening(capacity=1))
    desk.ask(purchase("r-1"))
    refused = desk.ask(purchase("r-2"))
    desk.ask(cancel("x-1", "r-1"))
    accepted = desk.ask(purchase("r-2"))
    assert (refused["seq"], accepted["seq"]) == (3, 5)
    assert accepted["tickets"] == names(1)


def test_a_refused_id_may_come_back_with_other_content(desk: Desk) -> None:
    desk.ask(purchase("r-1", 5))
    assert desk.ask(purchase("r-1", 4))["type"] == "purchase_confirmed"


def test_request_ids_belong_to_their_event(desk: Desk) -> None:
    desk.ask(opening("7", "c-1"))
    desk.ask(purchase("r-1", 1))
    assert desk.ask(purchase("r-1", 2, event_id="7"))["tickets"] == ["7-000001", "7-000002"]


def test_changing_an_answer_does_not_change_the_event(desk: Desk) -> None:
    """The caller writes into it who decided."""
    again = desk.ask(opening(max_per_order=4))
    before = state(desk.inventory)
    again["decided_by"] = "redis"
    assert state(desk.inventory) == before


# Forwarded commands


def test_a_forwarded_command_is_answered_with_the_position_it_was_produced_at(desk: Desk) -> None:
    assert desk.ask(purchase("r-1"), (5, 99))["source"] == {"partition": 5, "offset": 99}


def test_a_forwarded_request_is_answered_again_with_its_first_position(desk: Desk) -> None:
    first = desk.ask(purchase("r-1"), (5, 99))
    assert desk.ask(purchase("r-1"), (5, 120)) == first
    assert desk.ask(purchase("r-1")) == first


def test_every_kind_of_forwarded_command_keeps_its_position() -> None:
    desk = Desk()
    asked: list[Command] = [opening(), purchase("r-1"), cancel("x-1", "r-1"), add("a-1", 1), close()]
    first = [desk.ask(command, (5, offset)) for offset, command in enumerate(asked)]
    assert [fact["source"]["offset"] for fact in first] == [0, 1, 2, 3, 4]
    repeated = [desk.ask(command) for command in asked]
    assert repeated == [first[0], first[2], *first[2:]]


def is_known(desk: Desk, request_id: str, partition: int, offset: int, event_id: str = "42") -> bool:
    source: Any = {"partition": partition, "offset": offset}
    return is_second_copy(desk.inventory, source, purchase(request_id, event_id=event_id))


def test_a_copy_that_was_answered_is_a_second_copy(desk: Desk) -> None:
    assert not is_known(desk, "r-1", 5, 99)
    desk.ask(purchase("r-1"), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    assert not is_known(desk, "r-1", 5, 98)
    assert not is_known(desk, "r-1", 5, 100)
    assert not is_known(desk, "r-1", 6, 99)


def test_another_command_that_names_the_same_origin_is_none(desk: Desk) -> None:
    """Somebody forges the place of a command that is still on its way."""
    desk.ask(purchase("forged"), (5, 99))
    assert not is_known(desk, "r-1", 5, 99)
    assert not is_known(desk, "forged", 5, 99, "7")
    assert not is_known(desk, "a-1", 5, 99)
    desk.ask(purchase("r-1"), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    assert is_known(desk, "forged", 5, 99)


def test_forged_origins_hide_nothing_until_as_many_lie_ahead_as_are_remembered(desk: Desk) -> None:
    for number in range(ORIGINS_KEPT - 1):
        desk.ask(purchase(f"f-{number}", event_id="8"), (5, 2**63 - 1 - number))
    assert not is_known(desk, "r-1", 5, 7)
    desk.ask(purchase("r-1"), (5, 7))
    assert is_known(desk, "r-1", 5, 7)


def test_a_second_copy_is_known_however_much_was_answered_since(desk: Desk) -> None:
    """An owner that was stopped wakes up, and repeats what it once forwarded."""
    for offset in range(3 * ORIGINS_KEPT):
        desk.ask(purchase(f"r-{offset}", 5), (5, 2 * offset))
    assert all(is_known(desk, f"r-{offset}", 5, 2 * offset) for offset in range(3 * ORIGINS_KEPT))
    assert len(list(desk.inventory.origins[5])) == ORIGINS_KEPT
    assert not is_known(desk, "r-new", 5, 6 * ORIGINS_KEPT)


def test_the_lowest_of_the_remembered_never_falls(desk: Desk) -> None:
    lowest = []
    for offset in [*range(100, 100 + ORIGINS_KEPT), 3, 2**40, 4, 200, 5]:
        if not is_known(desk, f"r-{offset}", 5, offset):
            desk.ask(purchase(f"r-{offset}", event_id="8"), (5, offset))
        lowest.append(next(iter(desk.inventory.origins[5])))
    assert lowest == sorted(lowest)


def test_a_source_behind_the_end_of_its_partition_is_not_remembered() -> None:
    """An earlier release believed it: a ledger that holds it heals when it is folded."""
    facts = [
        Desk().ask(purchase(request_id, event_id="8"), source)
        for request_id, source in (("r-1", (5, 99)), ("forged", (5, 2**63 - 1)), ("r-2", (5, 100)), ("r-3", (6, 7)))
    ]
    inventory = Inventory(HOME, ends={5: 100})
    for offset, fact in enumerate(facts):
        assert not fold(inventory, cast("Fact", fact), offset)
    assert list(inventory.origins[5]) == [(99, "8", "r-1")]
    assert list(inventory.origins[6]) == [(7, "8", "r-3")]


def test_64_origins_of_the_longest_names_take_the_memory_that_is_promised() -> None:
    """docs/operations.md says so."""
    origins = Origins()
    for number in range(2 * ORIGINS_KEPT):
        origins.add((2**62 + number, str(10**17 + number), f"{number:064d}"))
    size = sum(getsizeof(answered) + sum(map(getsizeof, answered)) for answered in origins)
    assert size + getsizeof(list(origins)) <= 19 * 1024


def test_a_rejection_answers_a_copy_as_well(desk: Desk) -> None:
    desk.ask(purchase("r-1", 5), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    desk.ask(purchase("r-1", event_id="7"), (5, 100))
    assert is_known(desk, "r-1", 5, 100, "7")


def test_second_copies_are_known_over_all_events(desk: Desk) -> None:
    desk.ask(opening("7"), (5, 99))
    desk.ask(purchase("r-1"), (5, 98))
    assert list(desk.inventory.origins[5]) == [(98, "42", "r-1"), (99, "7", "c-1")]


def test_the_origin_of_a_repeat_is_not_remembered(desk: Desk) -> None:
    """Its answer carries the first position, and the ledger is all that a successor has."""
    desk.ask(purchase("r-1"), (5, 99))
    desk.ask(purchase("r-1"), (5, 120))
    assert list(desk.inventory.origins[5]) == [(99, "42", "r-1")]


# What the fold refuses


def confirmed(desk: Desk, **members: Any) -> Fact:
    """The fact that would sell the next ticket, with other members."""
    position = Position(desk.offset, TEN_OCLOCK_MS, {"partition": HOME, "offset": desk.offset})
    return cast("Fact", {**decide(desk.inventory, purchase("r-new"), position), **members})


def cancelled(desk: Desk, **members: Any) -> Fact:
    """The fact that would cancel r-1, with other members."""
    position = Position(desk.offset, TEN_OCLOCK_MS, {"partition": HOME, "offset": desk.offset})
    return cast("Fact", {**decide(desk.inventory, cancel("x-new", "r-1"), position), **members})


def refuses(desk: Desk, fact: Fact, why: str) -> None:
    before = state(desk.inventory)
    with pytest.raises(FoldError, match=why):
        fold(desk.inventory, fact, desk.offset)
    assert state(desk.inventory) == before


def test_a_fact_behind_a_gap_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, seq=3), "is at seq 1, the fact at 3")


def test_a_fact_of_an_event_that_does_not_exist_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, event_id="8"), "event 8 does not exist")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "event_id": "8", "seq": 2}), "at seq 2")


def test_a_second_creation_is_refused(desk: Desk) -> None:
    created = desk.inventory.events["42"].created
    refuses(desk, cast("Fact", {**created, "seq": 2, "request_id": "c-2"}), "created again")


@pytest.mark.parametrize(
    ("tickets", "why"),
    [
        (names(2), "the fact sells"),
        (names(1, 2), "the fact sells 2"),
        ([], "the fact sells 0"),
        (["43-000001"], "the fact sells"),
        (names(*range(1, 12)), "10 tickets left, the fact sells 11"),
    ],
)
def test_tickets_that_are_not_the_queues_head_are_refused(desk: Desk, tickets: list[str], why: str) -> None:
    refuses(desk, confirmed(desk, tickets=tickets), why)


def test_a_sale_of_another_quantity_than_its_tickets_is_refused(desk: Desk) -> None:
    refuses(desk, confirmed(desk, quantity=2), "the fact sells 1")


def test_a_second_effect_of_one_request_is_refused(desk: Desk) -> None:
    desk.ask(purchase("r-1"))
    refuses(desk, confirmed(desk, request_id="r-1"), "accepted request r-1 before")
    refuses(desk, cancelled(desk, request_id="r-1"), "accepted request r-1 before")


def test_a_cancellation_of_what_is_not_sold_is_refused(desk: Desk) -> None:
    desk.ask(purchase("r-1", 2))
    refuses(desk, cancelled(desk, purchase="r-9"), "no live purchase r-9")
    refuses(desk, cancelled(desk, purchase="c-1"), "no live purchase c-1")
    refuses(desk, cancelled(desk, tickets=names(1)), "holds other tickets")
    refuses(desk, cancelled(desk, buyer="b-9"), "holds other tickets")
    once_more = cancelled(desk)
    desk.ask(cancel("x-1", "r-1"))
    refuses(desk, cast("Fact", {**once_more, "seq": 4}), "no live purchase r-1")


@pytest.mark.parametrize("at", ["2026-02-30T10:00:00.000Z", "0000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z"])
def test_a_time_that_no_command_can_have_is_refused(desk: Desk, at: str) -> None:
    refuses(desk, confirmed(desk, at=at), "no time")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "event_id": "8", "at": at}), "no time")


def test_a_fact_that_counts_is_refused_with_seq_0(desk: Desk) -> None:
    refuses(desk, confirmed(desk, seq=0), "has seq 0")
    refuses(desk, cast("Fact", {**desk.inventory.events["42"].created, "seq": 0}), "has seq 0")


def test_facts_with_seq_0_leave_only_their_origin_behind(desk: Desk) -> None:
    before = state(desk.inventory)
    away: Fact = {
        "type": "command_forwarded",
        "event_id": "8",
        "seq": 0,
        "request_id": "r-1",
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS),
        "home": 5,
    }
    unreadable: Fact = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "source": {"partition": HOME, "offset": 2},
        "at": at_text(TEN_OCLOCK_MS),
        "reason": "no JSON",
    }
    assert not fold(desk.inventory, away, 1)
    assert not fold(desk.inventory, unreadable, 2)
    assert state(desk.inventory) == before


def test_the_fence_is_the_offset_of_the_last_new_fact(desk: Desk) -> None:
    event = desk.inventory.events["42"]
    desk.ask(purchase("r-1"), (5, 99))
    assert event.fence == 1
    desk.ask(purchase("r-1"))
    assert event.fence == 1
    desk.ask(purchase("r-2", 5))
    assert event.fence == 3


def test_a_fold_tells_whether_the_fact_was_new(desk: Desk) -> None:
    fact: DecisionFact = decide(
        desk.inventory, purchase("r-1"), Position(1, TEN_OCLOCK_MS, {"partition": HOME, "offset": 1})
    )
    assert fold(desk.inventory, fact, 1)
    assert not fold(desk.inventory, fact, 1)
    assert not fold(desk.inventory, fact, 2)
    assert desk.inventory.events["42"].fence == 1
