"""What Redis keeps of a request makes the fact that the same request sent again is answered with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from lua.answers import Kept, UnreadableRecordError, fact_of, other_request
from lua.copies import Snapshot
from models.event import Position
from models.inventory import Inventory, decide
from tests.unit.strategies import HOME, Arrival, answer, arrivals, without_decider

RECORD = (
    b'{"type":"purchase","seq":2,"offset":7,"source":{"partition":3,"offset":7},"at":"2026-11-22T10:00:00.123Z",'
    b'"buyer":"b-1","tickets":["42-000001"]}'
)
ELSEWHERE = Position(10**9, 1_795_341_700_000, {"partition": HOME, "offset": 10**9})


META = {"first_price": "4500", "price_currency": "EUR", "rules_since": "1"}
"""As far as purchases need it."""


def kept(snapshot: Snapshot, request_id: str) -> Kept:
    """What a store would read of a request."""
    records = {request: text.encode() for request, text in snapshot.records()}
    record = records[request_id]
    other = other_request(record)
    return Kept(record, snapshot.meta(), records[other] if other is not None else None)


@given(arrivals())
def test_of_every_accepted_request_the_fact_is_made_that_answers_it_again(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    accepted = {}
    for arrival in arrived:
        fact = answer(inventory, arrival)
        if fact is not None and fact["type"] not in ("purchase_rejected", "command_rejected"):
            accepted[arrival.command.event_id, arrival.command.request_id] = arrival.command
    for (event_id, request_id), command in accepted.items():
        event = inventory.events.get(event_id)
        if event is None or request_id not in event.accepted:
            continue  # It was archived since, or the payment had been used by another request.
        snapshot = Snapshot.of(event, HOME)
        made = fact_of(event_id, request_id, kept(snapshot, request_id))
        assert without_decider(made) == without_decider(decide(inventory, command, ELSEWHERE))
        assert made["decided_by"] == "redis"


def test_a_purchase_names_no_other_request_until_something_changes_it() -> None:
    assert other_request(RECORD) is None
    assert other_request(RECORD[:-1] + b',"by":"p-1"}') == "p-1"
    assert other_request(RECORD[:-1] + b',"cancelled_by":"x-1"}') == "x-1"


def test_a_cancellation_of_the_first_releases_names_its_purchase() -> None:
    cancellation = RECORD.replace(b'"purchase"', b'"cancellation"').replace(b'"buyer":"b-1"', b'"purchase":"r-1"')
    assert other_request(cancellation) == "r-1"
    assert other_request(cancellation.replace(b'"cancellation"', b'"purchase_cancelled"')) is None


@pytest.mark.parametrize(
    ("since", "costs"),
    [("2", {"amount": 4500, "currency": "EUR"}), ("1", {"amount": 4500, "currency": "EUR"}), ("3", {})],
)
def test_a_purchase_says_what_it_cost_if_it_was_decided_by_the_present_rules(since: str, costs: dict[str, Any]) -> None:
    made: dict[str, Any] = dict(fact_of("42", "r-1", Kept(RECORD, {**META, "rules_since": since})))
    assert {name: made[name] for name in ("amount", "currency") if name in made} == costs


DAMAGED: list[Any] = [
    b"",
    b"tickets",
    b"[1]",
    b"\xff",
    b"null",
    b"{}",
    b'{"type":"refund"}',
    RECORD.replace(b'"seq":2', b'"seq":"2"'),
    RECORD.replace(b'"seq":2', b'"seq":-1'),
    RECORD.replace(b',"tickets":["42-000001"]', b""),
    RECORD.replace(b'["42-000001"]', b"[]"),
    RECORD.replace(b'["42-000001"]', b"17"),
    RECORD.replace(b'"source":{', b'"source":{"x":'),
    RECORD[:-1] + b',"cancelled_by":"x-1"}',
    RECORD[:-1] + b',"by":"p-1"}',
    RECORD[:-1] + b',"lines":[["general",2,4500]]}',
    RECORD[:-1] + b',"lines":["general"]}',
    RECORD[:-1] + b',"lines":[["general","1",4500]]}',
    RECORD[:-1] + b',"due":7}',
    RECORD[:-1] + b',"actor":["desk"]}',
    b'{"type":"hold_expired","seq":2,"offset":7,"source":{"partition":3,"offset":7},"at":"2026-11-22T10:00:00.123Z"}',
    b'{"type":"creation","seq":1,"offset":0,"source":{"partition":3,"offset":0},"at":"2026-11-22T10:00:00.123Z"}',
]


@pytest.mark.parametrize("record", DAMAGED)
def test_what_strangers_wrote_makes_no_fact(record: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "r-1", Kept(record, META))


@pytest.mark.parametrize(
    "meta", [{}, META | {"first_price": "x"}, META | {"first_price": ""}, META | {"rules_since": "x"}]
)
def test_a_purchase_whose_event_is_damaged_makes_no_fact(meta: dict[str, str]) -> None:
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "r-1", Kept(RECORD, {"rules_since": "1"} | meta))


@pytest.mark.parametrize("other", [b"[]", b"{}", b"x", RECORD])
def test_a_purchase_whose_change_is_damaged_makes_no_fact(other: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "r-1", Kept(RECORD[:-1] + b',"by":"x-1"}', META, other))


def test_a_creation_whose_event_is_damaged_makes_no_fact() -> None:
    meta = {"name": "n", "venue": "v", "starts_at": "soon", "capacity": "many"}
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "c-1", Kept(json.dumps({"type": "creation", "seq": 1}).encode(), meta))
