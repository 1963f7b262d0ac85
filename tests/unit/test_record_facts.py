"""What Redis keeps of a request makes the fact that the same request sent again is answered with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from lua.answers import Kept, UnreadableRecordError, creates, fact_of, other_request
from lua.copies import Snapshot
from models.event import Position
from models.inventory import Inventory, decide
from tests.unit.strategies import HOME, Arrival, answer, arrivals, without_decider

RECORD = (
    b'{"type":"purchase","seq":2,"offset":7,"source":{"partition":3,"offset":7},"at":"2026-11-22T10:00:00.123Z",'
    b'"buyer":"b-1","tickets":["42-000001"]}'
)
ELSEWHERE = Position(10**9, 1_795_341_700_000, {"partition": HOME, "offset": 10**9})


def kept(snapshot: Snapshot, request_id: str) -> Kept:
    """What a store would read of a request."""
    records = {request: text.encode() for request, text in snapshot.records()}
    record = records[request_id]
    if creates(record):
        return Kept(record, meta=snapshot.meta())
    other = other_request(record)
    return Kept(record, records[other] if other is not None else None)


@given(arrivals())
def test_of_every_accepted_request_the_fact_is_made_that_answers_it_again(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    accepted = {}
    for arrival in arrived:
        fact = answer(inventory, arrival)
        if fact is not None and fact["type"] not in ("purchase_rejected", "command_rejected"):
            accepted[arrival.command.event_id, arrival.command.request_id] = arrival.command
    for (event_id, request_id), command in accepted.items():
        snapshot = Snapshot.of(inventory.events[event_id], HOME)
        made = fact_of(event_id, request_id, kept(snapshot, request_id))
        assert without_decider(made) == without_decider(decide(inventory, command, ELSEWHERE))
        assert made["decided_by"] == "redis"


def test_a_purchase_names_no_other_request_until_it_is_cancelled() -> None:
    assert other_request(RECORD) is None
    assert other_request(RECORD[:-1] + b',"cancelled_by":"x-1"}') == "x-1"
    assert not creates(RECORD)


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
    b'{"type":"creation","seq":1,"offset":0,"source":{"partition":3,"offset":0},"at":"2026-11-22T10:00:00.123Z"}',
]


@pytest.mark.parametrize("record", DAMAGED)
def test_what_strangers_wrote_makes_no_fact(record: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "r-1", Kept(record))


def test_a_creation_whose_event_is_damaged_makes_no_fact() -> None:
    meta = {"name": "n", "venue": "v", "starts_at": "soon", "capacity": "many"}
    with pytest.raises(UnreadableRecordError):
        fact_of("42", "c-1", Kept(json.dumps({"type": "creation", "seq": 1}).encode(), meta=meta))
