"""Facts: what the ledger's records hold, how they are written, and what is not taken for one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.commands import Command
from models.facts import (
    MAX_TIMESTAMP_MS,
    RULES_VERSION,
    NewerFactError,
    UnreadableFactError,
    at_ms,
    at_text,
    ce_id,
    ce_type,
    read_fact,
    read_range,
    same_decision,
    write_fact,
)
from models.reasons import PaymentReason, Reason
from models.shapes import MODELS, Fact
from tests.unit.desk import Desk, about, buying, category, paying
from tests.unit.strategies import opening, purchase

Members = dict[str, Any]


def _one_of_each() -> dict[str, Members]:
    """A fact of every type, as it was decided."""
    desk = Desk()
    asked: list[Command] = [
        opening(capacity=2, max_per_order=2),
        purchase("r-1", 2),
        purchase("r-2"),
        about("cancel_purchase", "x-1", purchase="r-1"),
        about("add_tickets", "a-1", count=3),
        about("remove_tickets", "a-2", count=1),
        about("change_event", "h-1", hold_s=60),
        buying("r-3"),
        paying("p-1", "r-9", "pay-1", 4500),
        about("close_event", "z-1"),
        about("close_event", "z-2"),
        about("cancel_event", "z-3"),
    ]
    facts = [desk.ask(command) for command in asked]
    desk.wait(60)
    facts += [desk.expire("e-1", "r-3"), desk.operate("archive_event", "z-4")]
    away: Fact = {
        "type": "command_forwarded",
        "event_id": "42",
        "seq": 0,
        "request_id": "r-1",
        "source": {"partition": 5, "offset": 99},
        "at": "2026-11-22T10:00:00.123Z",
        "home": 3,
    }
    unreadable: Fact = {
        "type": "command_unreadable",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "source": {"partition": 5, "offset": 100},
        "at": "2026-11-22T10:00:00.123Z",
        "reason": "no JSON object",
    }
    passed: Fact = {
        "type": "offsets_passed",
        "event_id": None,
        "seq": 0,
        "request_id": None,
        "source": {"partition": 5, "offset": 101},
        "at": "2026-11-22T10:00:00.123Z",
    }
    return {fact["type"]: cast("Members", fact) for fact in [*facts, away, unreadable, passed]}


FACTS = _one_of_each()
CONFIRMED = FACTS["purchase_confirmed"]


def read(fact: Members, **changes: Any) -> Any:
    return read_fact(json.dumps(fact | changes).encode())


def test_there_is_an_example_of_every_type() -> None:
    assert len(FACTS) == len(MODELS)


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_a_fact_is_one_line_of_json_and_survives_being_written_and_read(fact: Members) -> None:
    value = write_fact(cast("Fact", fact))
    assert b"\n" not in value
    assert json.loads(value) == fact
    assert read_fact(value) == fact


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_every_fact_has_the_members_that_all_have(fact: Members) -> None:
    assert fact.keys() >= {"type", "event_id", "seq", "request_id", "source", "at"}
    counted = fact["type"] not in {"command_forwarded", "command_unreadable", "offsets_passed"}
    assert ("decided_by" in fact) == counted
    assert (fact["seq"] > 0) == counted


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_members_that_are_not_known_are_ignored_but_those_of_an_event(fact: Members) -> None:
    if fact["type"] in ("event_created", "event_changed"):
        with pytest.raises(NewerFactError, match="it knows the event's member note"):
            read(fact, note=[1, 2])
    else:
        assert read(fact, note=[1, 2]) == fact


NEWER: dict[str, tuple[str, Members, str]] = {
    "a type": ("purchase_confirmed", {"type": "ticket_swapped", "due": "soon"}, "facts of the type ticket_swapped"),
    "a type without a decider": ("command_forwarded", {"type": "command_skipped"}, "facts of the type command_skipped"),
    "a reason of a purchase": ("purchase_rejected", {"reason": "no_voucher"}, "the reason no_voucher"),
    "a reason of another command": ("command_rejected", {"reason": "no_gate"}, "the reason no_gate"),
    "a reason of a payment": ("payment_refused", {"reason": "disputed"}, "the reason disputed"),
    "a decider": ("purchase_confirmed", {"decided_by": "replica"}, "the decider replica"),
    "rules": ("event_created", {"rules": RULES_VERSION + 1}, f"the rules {RULES_VERSION + 1}"),
    "rules and what is sold": ("event_created", {"rules": 3, "capacity": None}, "the rules 3"),
    "rules of a change": ("event_changed", {"rules": RULES_VERSION + 1}, f"the rules {RULES_VERSION + 1}"),
    "what is changed": ("event_changed", {"seats": []}, "the event's member seats"),
    "a member of a category": (
        "event_created",
        {"categories": [category("stalls", 1, 1) | {"rows": 7}]},
        "the event's member categories.rows",
    ),
    "a member of a category's price": (
        "event_changed",
        {"categories": [category("stalls", 1, 1) | {"price": {"amount": 1, "currency": "EUR", "tax": 7}}]},
        "the event's member categories.price.tax",
    ),
    "a member of the price": (
        "event_created",
        {"price": {"amount": 1, "currency": "EUR", "tax": 7}},
        "member price.tax",
    ),
    "a member of the event": ("event_created", {"seats": 600}, "the event's member seats"),
    "a form of times": ("event_created", {"starts_at_form": "week", "starts_at": "2027-W09"}, "times of the form week"),
}


@pytest.mark.parametrize(("of", "members", "what"), NEWER.values(), ids=NEWER)
def test_what_a_newer_release_wrote_is_told_from_damage(of: str, members: Members, what: str) -> None:
    with pytest.raises(NewerFactError, match=f"written by a newer release: .*{what}") as caught:
        read(FACTS[of], **members)
    assert (caught.value.event_id, caught.value.seq) == (FACTS[of]["event_id"], FACTS[of]["seq"])


@pytest.mark.parametrize("name", ["type", "event_id", "seq", "request_id", "source", "at"])
def test_what_lacks_a_member_of_every_release_is_damage(name: str) -> None:
    fact = FACTS["purchase_confirmed"] | {"type": "ticket_swapped"}
    del fact[name]
    with pytest.raises(UnreadableFactError) as caught:
        read_fact(json.dumps(fact).encode())
    assert not isinstance(caught.value, NewerFactError)


@pytest.mark.parametrize("type_", ["", "Purchase Held", "x" * 65, 7, None, ["purchase_held"]])
def test_a_type_that_no_release_would_write_is_damage(type_: Any) -> None:
    with pytest.raises(UnreadableFactError) as caught:
        read(FACTS["purchase_confirmed"], type=type_)
    assert not isinstance(caught.value, NewerFactError)


def test_a_known_fact_with_a_wrong_value_is_damage() -> None:
    wrong: list[Members] = [{"quantity": "2"}, {"tickets": []}, {"decided_by": None}]
    for members in wrong:
        with pytest.raises(UnreadableFactError) as caught:
            read(FACTS["purchase_confirmed"], **members)
        assert not isinstance(caught.value, NewerFactError)


LATER = {
    "event_created": {"max_per_order"},
    "event_changed": {"max_per_order", "hold_s"},
    "purchase_confirmed": {"purchase", "lines", "amount", "currency"},
    "purchase_cancelled": {"lines", "remaining", "refund", "currency"},
    "tickets_added": {"category"},
}
"""What facts may lack: events without limits, and those that are sold by the first rules."""


@pytest.mark.parametrize(
    ("type_", "member"),
    [(type_, member) for type_, fact in FACTS.items() for member in fact if member not in LATER.get(type_, ())],
)
def test_a_fact_that_lacks_a_member_is_unreadable(type_: str, member: str) -> None:
    fact = {name: value for name, value in FACTS[type_].items() if name != member}
    with pytest.raises(UnreadableFactError, match=member):
        read(fact)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": -1},
        {"seq": "2"},
        {"seq": 2.0},
        {"seq": 2**63},
        {"event_id": "042"},
        {"event_id": 42},
        {"event_id": None},
        {"request_id": ""},
        {"request_id": None},
        {"buyer": "b\u0000"},
        {"quantity": 0},
        {"quantity": 101},
        {"tickets": []},
        {"tickets": [f"42-{n:06d}" for n in range(1, 102)]},
        {"tickets": [1]},
        {"source": {"partition": -1, "offset": 0}},
        {"source": {"partition": 0, "offset": 2**63}},
        {"source": [0, 0]},
        {"at": "2026-11-22T10:00:00Z"},
        {"at": "2026-11-22T10:00:00.123+00:00"},
        {"decided_by": "me"},
        {"type": "purchase"},
    ],
)
def test_a_fact_that_no_worker_writes_is_unreadable(changes: Members) -> None:
    with pytest.raises(UnreadableFactError):
        read(CONFIRMED, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity": 0},
        {"capacity": -5},
        {"max_per_order": 0},
        {"starts_at": "now"},
        {"on_sale_at": "2027-02-30T10:00:00Z"},
        {"hold_s": 59},
        {"max_per_buyer": 0},
        {"categories": []},
        {"categories": [category("stalls", 1, 1)]},
        {"categories": [category("Stalls", 1, 1)]},
    ],
)
def test_an_event_that_no_worker_makes_is_unreadable(changes: Members) -> None:
    with pytest.raises(UnreadableFactError):
        read(FACTS["event_created"], **changes)


@pytest.mark.parametrize("type_", ["event_created", "event_changed"])
def test_an_event_has_categories_or_a_capacity_and_a_price(type_: str) -> None:
    fact = {name: value for name, value in FACTS[type_].items() if name not in ("capacity", "price")}
    stalls = category("stalls", 1, 1)
    assert read(fact, categories=[stalls])["categories"] == [stalls]
    others: list[Members] = [{}, {"capacity": 1}, {"categories": [stalls], "price": stalls["price"]}]
    for others_ in others:
        with pytest.raises(UnreadableFactError, match="neither categories nor capacity and price, or both"):
            read(fact, **others_)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"null", b"[]", b"\xff", b'{"type":"purchase_confirmed"'])
def test_what_is_no_fact_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(UnreadableFactError) as unreadable:
        read_fact(value)
    assert str(unreadable.value)


def test_every_reason_can_be_read() -> None:
    for reason in Reason:
        assert read(FACTS["purchase_rejected"], reason=reason)["reason"] is reason
    with pytest.raises(UnreadableFactError):
        read(FACTS["purchase_rejected"], reason="bad_luck")
    for of_payment in PaymentReason:
        assert read(FACTS["payment_refused"], reason=of_payment)["reason"] is of_payment


def test_the_largest_facts_fit_on_the_topic_many_times() -> None:
    """A hundred tickets of fifty categories, with the longest names there are."""
    ids = [f"{'x' * 30}{number}" for number in range(10, 60)]
    desk = Desk("9" * 18, categories=[category(id_, 20_000, 10**12, "😀" * 100) for id_ in ids], hold_s=60)
    command = about(
        "purchase",
        "r" * 64,
        buyer="😀" * 128,
        actor="😀" * 128,
        lines=[{"category": id_, "quantity": 2} for id_ in ids],
    )
    sold = desk.ask(command.model_copy(update={"event_id": "9" * 18}))
    assert sold["type"] == "purchase_held"
    assert len(write_fact(cast("Fact", sold))) < 20_000
    assert len(write_fact(cast("Fact", desk.inventory.events["9" * 18].created))) < 40_000


def test_whatever_another_release_claims_of_an_unreadable_command_is_read() -> None:
    """It decides nothing: a fact must not count as damaged for it."""
    claims = {"claimed_event_id": "x" * 10_000, "claimed_request_id": "\u202e"}
    assert read(FACTS["command_unreadable"], **claims) == {**FACTS["command_unreadable"], **claims}


def test_the_same_decision_differs_in_nothing_but_who_decided() -> None:
    fact = cast("Fact", CONFIRMED)
    assert same_decision(fact, cast("Fact", CONFIRMED | {"decided_by": "redis"}))
    for member in CONFIRMED.keys() - {"decided_by"}:
        assert not same_decision(fact, cast("Fact", CONFIRMED | {member: "other"}))


# Times


@pytest.mark.parametrize(
    ("timestamp_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_795_341_600_123, "2026-11-22T10:00:00.123Z"),
        (MAX_TIMESTAMP_MS, "9999-12-31T23:59:59.999Z"),
        (MAX_TIMESTAMP_MS + 1, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc_with_milliseconds_clamped_to_the_calendar(timestamp_ms: int, text: str) -> None:
    assert at_text(timestamp_ms) == text


@given(st.integers(0, MAX_TIMESTAMP_MS))
def test_a_time_survives_being_written_and_read(timestamp_ms: int) -> None:
    text = at_text(timestamp_ms)
    assert at_ms(text) == timestamp_ms
    assert datetime.fromisoformat(text).astimezone(UTC).microsecond == timestamp_ms % 1000 * 1000


# Headers


def test_the_cloudevents_type_names_the_box_office_and_a_version() -> None:
    assert ce_type("purchase_confirmed") == "boxoffice.purchase_confirmed.v1"


def test_the_cloudevents_id_is_the_event_and_seq_or_else_the_position() -> None:
    assert ce_id(cast("Fact", CONFIRMED)) == "42-2"
    assert ce_id(cast("Fact", FACTS["command_forwarded"])) == "5-99"
    assert ce_id(cast("Fact", FACTS["command_unreadable"])) == "5-100"


@pytest.mark.parametrize(
    ("header", "offsets"),
    [
        (b"0-0", (0, 0)),
        (b"7-12", (7, 12)),
        (b"9223372036854775807-9223372036854775807", (2**63 - 1, 2**63 - 1)),
    ],
)
def test_a_range_of_offsets_is_read(header: bytes, offsets: tuple[int, int]) -> None:
    assert read_range(header) == offsets


@pytest.mark.parametrize(
    "header",
    [None, b"", b"7", b"7-", b"-7", b"12-7", b"07-12", b"7-012", b" 7-12", b"7-12\n", b"7--12", b"a-b", b"\xff-1",
     b"\xd9\xa7-9", b"7-12-13", b"1-99999999999999999999"],
)  # fmt: skip
def test_a_damaged_range_is_none(header: bytes | None) -> None:
    assert read_range(header) is None
