"""Who gets tickets and who gets none: categories, lines, opening times, limits, and what is left."""

from __future__ import annotations

import pytest

from models.facts import at_text
from models.reasons import Reason
from tests.unit.desk import TEN_OCLOCK_MS, Desk, Members, about, category, lines, names, refusal
from tests.unit.strategies import HOME

STALLS, BALCONY = category("stalls", 4, 4500), category("balcony", 3, 1500)


@pytest.fixture
def desk() -> Desk:
    """Four tickets of the stalls, then three of the balcony."""
    return Desk(categories=[STALLS, BALCONY])


# Categories


def test_an_event_with_categories_is_created_as_they_were_given() -> None:
    created = Desk(categories=[STALLS, BALCONY], hold_s=600).event.created
    assert created["categories"] == [STALLS, BALCONY]
    assert created["hold_s"] == 600
    assert not {"capacity", "price"} & created.keys()


def test_tickets_are_numbered_through_category_after_category(desk: Desk) -> None:
    assert desk.left("stalls") == names(1, 2, 3, 4)
    assert desk.left("balcony") == names(5, 6, 7)
    assert desk.event.currency == "EUR"


def test_each_category_has_its_own_queue(desk: Desk) -> None:
    assert desk.buy("r-1", 2, category="balcony")["tickets"] == names(5, 6)
    assert desk.buy("r-2", 1, category="stalls")["tickets"] == names(1)
    desk.cancel("x-1", "r-1")
    assert desk.left("balcony") == names(7, 5, 6)
    assert desk.left("stalls") == names(2, 3, 4)


def test_a_purchase_of_several_lines_gets_all_of_them_and_says_what_each_costs(desk: Desk) -> None:
    assert desk.buy("r-1", lines=lines(balcony=2, stalls=1), buyer="b-77") == {
        "type": "purchase_confirmed",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "purchase": "r-1",
        "buyer": "b-77",
        "quantity": 3,
        "tickets": names(5, 6, 1),
        "lines": [
            {"category": "balcony", "quantity": 2, "price": 1500, "tickets": names(5, 6)},
            {"category": "stalls", "quantity": 1, "price": 4500, "tickets": names(1)},
        ],
        "amount": 7500,
        "currency": "EUR",
        "source": {"partition": HOME, "offset": 1},
        "at": at_text(TEN_OCLOCK_MS + 1),
        "decided_by": "local",
    }


def test_of_several_lines_all_are_sold_or_none(desk: Desk) -> None:
    assert refusal(desk.buy("r-1", lines=lines(stalls=2, balcony=4))) == ("purchase_rejected", Reason.NOT_ENOUGH_LEFT)
    assert (desk.figures("stalls"), desk.figures("balcony")) == ((4, 0, 0), (3, 0, 0))


def test_a_purchase_that_names_no_category_is_of_general() -> None:
    desk = Desk(categories=[STALLS, category("general", 2, 100)])
    assert desk.buy("r-1", 2)["tickets"] == names(5, 6)
    assert desk.buy("r-1", 2, category="general")["tickets"] == names(5, 6)


def test_an_event_that_names_no_category_has_general_alone() -> None:
    desk = Desk(capacity=3)
    assert desk.buy("r-1", category="general")["lines"][0]["category"] == "general"
    assert desk.buy("r-2", lines=lines(general=1))["tickets"] == names(2)
    assert refusal(desk.buy("r-3", category="stalls")) == ("purchase_rejected", Reason.UNKNOWN_CATEGORY)


@pytest.mark.parametrize(
    "wanted", [{}, {"category": "general"}, {"lines": lines(stalls=1, roof=1)}, {"lines": lines(general=1)}]
)
def test_unknown_category_is_the_reason_for_one_that_the_event_does_not_name(desk: Desk, wanted: Members) -> None:
    assert refusal(desk.buy("r-1", 1, **wanted)) == ("purchase_rejected", Reason.UNKNOWN_CATEGORY)


def test_a_refused_purchase_says_what_was_asked_for(desk: Desk) -> None:
    refused = desk.buy("r-1", lines=lines(stalls=5, roof=2))
    assert (refused["quantity"], refused["lines"]) == (7, lines(stalls=5, roof=2))
    of_one = desk.buy("r-2", 9, category="balcony")
    assert (of_one["quantity"], of_one["lines"]) == (9, lines(balcony=9))
    assert "lines" not in desk.buy("r-3", 9)


def test_one_purchase_may_be_of_a_hundred_tickets_of_fifty_categories() -> None:
    ids = [f"c-{number}" for number in range(50)]
    desk = Desk(categories=[category(id_, 2, 100) for id_ in ids])
    bought = desk.buy("r-1", lines=[{"category": id_, "quantity": 2} for id_ in reversed(ids)])
    assert (bought["quantity"], bought["amount"], len(bought["lines"])) == (100, 10_000, 50)
    assert bought["tickets"][:3] == names(99, 100, 97)
    assert desk.event.left == 0


# When it is sold


@pytest.fixture
def opening_hours() -> Desk:
    """On sale from a minute after ten to two minutes after."""
    return Desk(on_sale_at="2026-11-22T10:01:00Z", off_sale_at="2026-11-22T11:02:00+01:00", capacity=10)


def test_nothing_is_sold_before_the_sale_opens(opening_hours: Desk) -> None:
    assert refusal(opening_hours.buy("r-1")) == ("purchase_rejected", Reason.NOT_ON_SALE_YET)


def test_the_first_millisecond_of_the_sale_sells_and_its_end_does_not(opening_hours: Desk) -> None:
    desk = opening_hours
    for at_ms, sells in ((60_000 - 1, False), (60_000, True), (119_999, True), (120_000, False)):
        desk.at_ms = TEN_OCLOCK_MS - 123 + at_ms
        assert (desk.buy(f"r-{at_ms}")["type"] == "purchase_confirmed") is sells
    desk.at_ms = TEN_OCLOCK_MS + 120_000
    assert refusal(desk.buy("r-end")) == ("purchase_rejected", Reason.SALE_ENDED)


def test_the_sale_goes_by_the_brokers_clock_even_if_that_goes_back(opening_hours: Desk) -> None:
    desk = opening_hours
    desk.wait(60)
    assert desk.buy("r-1")["type"] == "purchase_confirmed"
    desk.wait(-30)
    assert refusal(desk.buy("r-2")) == ("purchase_rejected", Reason.NOT_ON_SALE_YET)


# Limits of a buyer


def test_a_buyer_has_no_more_tickets_than_the_event_allows_held_ones_too() -> None:
    desk = Desk(capacity=10, max_per_buyer=3, hold_s=600)
    assert desk.buy("r-1", 2)["type"] == "purchase_held"
    assert refusal(desk.buy("r-2", 2)) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)
    assert desk.buy("r-3", 1)["type"] == "purchase_held"
    assert desk.buy("r-4", 3, buyer="b-2")["type"] == "purchase_held"


def test_what_a_buyer_has_no_more_counts_no_more() -> None:
    desk = Desk(capacity=10, max_per_buyer=3, hold_s=60)
    desk.buy("r-1", 3)
    desk.cancel("x-1", "r-1", tickets=names(2))
    assert desk.buy("r-2", 1)["type"] == "purchase_held"
    desk.wait(60)
    desk.expire("e-1", "r-1")
    assert desk.buy("r-3", 2)["type"] == "purchase_held"
    assert refusal(desk.buy("r-4", 1)) == ("purchase_rejected", Reason.OVER_BUYER_LIMIT)


# What is left


def test_all_held_is_the_reason_while_held_tickets_may_come_back() -> None:
    desk = Desk(capacity=2, hold_s=60)
    desk.buy("r-1", 1)
    desk.buy("r-2", 1)
    assert refusal(desk.buy("r-3")) == ("purchase_rejected", Reason.ALL_HELD)
    desk.pay("p-1", "r-1", "pay-1", 4500)
    assert refusal(desk.buy("r-4")) == ("purchase_rejected", Reason.ALL_HELD)
    desk.pay("p-2", "r-2", "pay-2", 4500)
    assert refusal(desk.buy("r-5")) == ("purchase_rejected", Reason.SOLD_OUT)


def test_not_enough_left_is_the_reason_as_long_as_one_is_left() -> None:
    desk = Desk(capacity=3, hold_s=60)
    desk.buy("r-1", 2)
    assert refusal(desk.buy("r-2", 2)) == ("purchase_rejected", Reason.NOT_ENOUGH_LEFT)
    assert desk.buy("r-3", 1)["type"] == "purchase_held"


def test_of_several_lines_the_one_of_which_there_is_least_hope_says_why() -> None:
    desk = Desk(categories=[category("a", 1, 100), category("b", 1, 0), category("c", 1, 100)], hold_s=60)
    desk.buy("r-1", category="a")
    desk.buy("r-2", category="b")
    assert (desk.figures("a"), desk.figures("b")) == ((0, 1, 0), (0, 0, 1))
    assert desk.buy("r-3", lines=lines(c=2))["reason"] == Reason.NOT_ENOUGH_LEFT
    assert desk.buy("r-4", lines=lines(c=2, a=1))["reason"] == Reason.ALL_HELD
    assert desk.buy("r-5", lines=lines(c=2, a=1, b=1))["reason"] == Reason.SOLD_OUT


# The order of the checks


def test_of_several_reasons_the_first_one_in_the_order_of_the_rules_is_told() -> None:
    desk = Desk(
        categories=[category("stalls", 4, 4500)],
        on_sale_at="2026-11-22T10:01:00Z",
        off_sale_at="2026-11-22T10:03:00Z",
        max_per_order=4,
        max_per_buyer=3,
    )
    worst: Members = {"category": "roof", "quantity": 5}
    assert desk.buy("r-early", **worst)["reason"] == Reason.NOT_ON_SALE_YET
    desk.wait(60)
    assert desk.buy("r-0", 2, category="stalls")["type"] == "purchase_confirmed"
    mended: list[tuple[Reason, Members]] = [
        (Reason.UNKNOWN_CATEGORY, worst),
        (Reason.OVER_ORDER_LIMIT, worst | {"category": "stalls"}),
        (Reason.OVER_BUYER_LIMIT, {"category": "stalls", "quantity": 3}),
        (Reason.NOT_ENOUGH_LEFT, {"category": "stalls", "quantity": 3, "buyer": "b-2"}),
    ]
    for reason, asked in mended:
        assert desk.buy(f"r-{reason}", **asked)["reason"] == reason
    assert desk.buy("r-1", 2, "b-2", category="stalls")["type"] == "purchase_confirmed"
    desk.wait(120)
    assert desk.buy("r-ended", **worst)["reason"] == Reason.SALE_ENDED
    desk.operate("close_event", "z-1")
    assert desk.buy("r-closed", **worst)["reason"] == Reason.EVENT_CLOSED
    desk.operate("cancel_event", "z-2")
    assert desk.buy("r-cancelled", **worst)["reason"] == Reason.EVENT_CANCELLED
    assert desk.buy("r-1", **worst)["reason"] == Reason.REQUEST_ID_REUSED
    desk.operate("archive_event", "z-3")
    assert desk.buy("r-1", **worst)["reason"] == Reason.EVENT_ARCHIVED


# What a command says of itself


@pytest.mark.parametrize("type_", ["purchase_confirmed", "purchase_held", "purchase_rejected"])
def test_a_purchases_fact_says_who_sent_it(type_: str) -> None:
    desk = Desk(capacity=2, hold_s=60, price={"amount": 0 if type_ == "purchase_confirmed" else 1, "currency": "EUR"})
    quantity = 3 if type_ == "purchase_rejected" else 2
    first = desk.buy("r-1", quantity, actor="till 3")
    assert (first["type"], first["actor"]) == (type_, "till 3")
    assert desk.buy("r-1", quantity, actor="till 3") == first
    assert desk.buy("r-1", quantity)["reason"] == Reason.REQUEST_ID_REUSED
    assert desk.buy("r-1", quantity, actor="till 4")["reason"] == Reason.REQUEST_ID_REUSED


@pytest.mark.parametrize(
    ("type_", "members"),
    [
        ("confirm_purchase", {"purchase": "r-1", "payment": "pay-1", "amount": 4500, "currency": "EUR"}),
        ("confirm_purchase", {"purchase": "r-9", "payment": "pay-1", "amount": 4500, "currency": "EUR"}),
        ("expire_hold", {"purchase": "r-1"}),
        ("cancel_purchase", {"purchase": "r-1"}),
        ("change_event", {"name": "Another night"}),
        ("add_tickets", {"count": 3}),
        ("remove_tickets", {"count": 3}),
        ("close_event", {}),
        ("cancel_event", {}),
    ],
)
def test_the_fact_of_any_other_command_says_who_sent_it_too(type_: str, members: Members) -> None:
    desk = Desk(capacity=10, hold_s=60)
    desk.buy("r-1")
    desk.wait(60)
    first = desk.ask(about(type_, "q-1", actor="Zoë", **members))
    assert first["actor"] == "Zoë"
    assert not first["type"].endswith("rejected")
    assert desk.ask(about(type_, "q-1", actor="Zoë", **members)) == first
    for actor in (None, "Zoe"):
        reused = desk.ask(about(type_, "q-1", actor=actor, **members))
        assert refusal(reused) == ("command_rejected", Reason.REQUEST_ID_REUSED)
        assert reused.get("actor") == actor


def test_a_creation_says_who_sent_it() -> None:
    desk = Desk(actor="Zoë")
    assert desk.event.created["actor"] == "Zoë"
