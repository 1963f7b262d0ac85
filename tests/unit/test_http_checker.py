"""The checker of HTTP logs finds each lie, and nothing where all is well."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.checker import Record
from tests.support.http_checker import Exchange, check_http

CALLER = "0123456789"
PATH = "/v1/events/42/purchases"
SENT = {"buyer": "b", "quantity": 2}
FACT: dict[str, Any] = {
    "type": "purchase_confirmed", "event_id": "42", "seq": 1, "request_id": f"{CALLER}:k", "buyer": "b", "quantity": 2,
    "tickets": ["42-000001", "42-000002"], "decided_by": "redis",
}  # fmt: skip
LOCATED = {"location": "/v1/events/42/requests/k?secret=x", "retry-after": "1"}
TELLS = {"content-type": "application/problem+json", "retry-after": "1"}


def record(members: dict[str, Any], *headers: tuple[str, bytes]) -> Record:
    return Record(0, 0, b"42", json.dumps(members).encode(), headers)


def bought(**changes: Any) -> Exchange:
    exchange = Exchange(CALLER, PATH, "k", SENT, 1.0, 2.0, 201, LOCATED, json.dumps(FACT).encode())
    return replace(exchange, **changes)


def problem(status: int, **members: Any) -> Exchange:
    return bought(status=status, headers=TELLS, body=json.dumps({"status": status, **members}).encode())


COMMAND = record({"request_id": f"{CALLER}:k"})
LEDGER = [record(FACT)]
SOLD_OUT = {**FACT, "type": "purchase_rejected", "reason": "sold_out"}


CREATED: dict[str, Any] = {"type": "event_created", "event_id": "42", "seq": 1, "request_id": "c", "rules": 2}
HELD: dict[str, Any] = {
    **FACT, "type": "purchase_held", "purchase": f"{CALLER}:k", "due": "2026-11-22T10:10:00.000Z", "amount": 7500,
    "lines": [
        {"category": "stalls", "quantity": 1, "price": 4500, "tickets": ["42-000001"]},
        {"category": "balcony", "quantity": 1, "price": 3000, "tickets": ["42-000002"]},
    ],
}  # fmt: skip
LINES = {"buyer": "b", "lines": [{"category": "stalls", "quantity": 1}, {"category": "balcony", "quantity": 1}]}
EXPIRED: dict[str, Any] = {
    "type": "hold_expired", "event_id": "42", "seq": 2, "request_id": "expire:1", "purchase": f"{CALLER}:k",
    "tickets": ["42-000001", "42-000002"],
}  # fmt: skip


def told(fact: dict[str, Any], **changes: Any) -> Exchange:
    """A caller is told a fact, as the ledger has it."""
    return bought(body=json.dumps(fact).encode(), **changes)


def refused(fact: dict[str, Any], status: int = 409, **changes: Any) -> Exchange:
    return replace(problem(status, reason=fact["reason"], fact=fact), **changes)


def test_a_hold_and_what_becomes_of_it_is_the_truth() -> None:
    late = {"begun_s": 4.0, "ended_s": 5.0}
    paid = {**HELD, "type": "purchase_confirmed", "request_id": "paid", "seq": 3, "payment": "p"}
    exchanges = [told(HELD, sent=LINES), told(EXPIRED, status=200, sent=LINES, **late)]
    exchanges += [told(paid, status=200, sent=LINES, begun_s=6.0), refused(ARCHIVED, 410, sent=LINES, begun_s=7.0)]
    ledger = [record(fact) for fact in (HELD, EXPIRED, paid, ARCHIVED)]
    assert check_http(exchanges, [COMMAND] * 4, ledger) == []


ARCHIVED = {**FACT, "type": "purchase_rejected", "reason": "event_archived", "seq": 9}


def test_what_is_done_to_events_is_the_truth() -> None:
    paths = {
        "/v1/events": "event_created",
        "/v1/events/42/change": "event_changed",
        "/v1/events/42/tickets": "tickets_added",
        "/v1/events/42/removal": "tickets_removed",
        "/v1/events/42/closing": "event_closed",
        "/v1/events/42/cancellation": "event_cancelled",
        "/v1/events/42/archiving": "event_archived",
    }
    for path, kind in paths.items():
        fact = {**CREATED, "type": kind, "request_id": f"{CALLER}:k"}
        exchange = told(fact, path=path, sent={"event_id": "42"})
        assert check_http([exchange], [COMMAND], [record(fact)]) == []
        assert check_http([replace(exchange, status=200)], [COMMAND], [record(fact)]) != []


def test_a_refusal_that_is_remembered_is_the_answer_for_ever() -> None:
    later: Any = {"begun_s": 3.0, "ended_s": 4.0}
    exchanges = [refused(SOLD_OUT), refused(SOLD_OUT, **later)]
    ledger = [record(CREATED), record(SOLD_OUT), *LEDGER]
    assert check_http(exchanges, [COMMAND] * 2, ledger) == []
    [wrong, *_] = check_http([refused(SOLD_OUT), bought(**later)], [COMMAND] * 2, ledger)
    assert wrong.startswith("two answers")
    # By the rules before, it was asked anew.
    ledger[0] = record({**CREATED, "rules": 1})
    assert check_http([refused(SOLD_OUT), bought(**later)], [COMMAND] * 2, ledger) == []


def test_nothing_is_wrong_where_all_is_well() -> None:
    exchanges = [
        bought(status=None),
        problem(503, outcome="outcome-unknown"),
        bought(status=202, body=b"", begun_s=1.5),
        bought(begun_s=2.0, ended_s=3.0),
        bought(begun_s=4.0, ended_s=5.0),
        problem(429, outcome="not-taken"),
    ]
    assert check_http(exchanges, [COMMAND] * 5, LEDGER) == []
    refused = problem(409, reason="sold_out", fact=SOLD_OUT)
    assert check_http([refused], [COMMAND], [record(SOLD_OUT)]) == []


@pytest.mark.parametrize(
    ("kind", "exchanges", "commands", "facts"),
    [
        ("a 201 without a fact in the ledger", [bought()], [COMMAND], []),
        ("a 201 without a fact in the ledger", [bought(body=b"")], [COMMAND], LEDGER),
        ("somebody else's fact", [bought(caller="another0000")], [COMMAND], LEDGER),
        ("somebody else's fact", [bought(path="/v1/events/43/purchases")], [COMMAND], LEDGER),
        ("other tickets than were asked for", [bought(sent={"buyer": "b", "quantity": 1})], [COMMAND], LEDGER),
        ("201 for what was not made", [bought(path=f"{PATH}/k/cancellation")], [COMMAND], LEDGER),
        ("201 for what was not made", [bought(status=200)], [COMMAND], LEDGER),
        ("201 for what was not made", [told(EXPIRED)], [COMMAND], [record(EXPIRED)]),
        (
            "other tickets than were asked for",
            [told({**HELD, "amount": 1}, sent=LINES)],
            [COMMAND],
            [record({**HELD, "amount": 1})],
        ),
        ("other tickets than were asked for", [told(HELD)], [COMMAND], [record(HELD)]),
        (
            "other tickets than were asked for",
            [told({**FACT, "type": "purchase_held"})],
            [COMMAND],
            [record({**FACT, "type": "purchase_held"})],
        ),
        ("no word of where to ask", [bought(headers={})], [COMMAND], LEDGER),
        ("a 202 that the log does not hold", [bought(status=202, body=b"")], [], LEDGER),
        ("lost after a 202", [bought(status=202, body=b"")], [COMMAND], []),
        ("a 202 with an answer in it", [bought(status=202)], [COMMAND], LEDGER),
        ("an answer that nobody should get", [bought(status=504)], [COMMAND], LEDGER),
        ("an answer that nobody should get", [bought(status=500)], [COMMAND], LEDGER),
        ("a refusal that is no problem+json", [bought(status=409)], [COMMAND], LEDGER),
        ("no word of whether it was taken", [problem(503)], [COMMAND], LEDGER),
        ("a problem of another status", [replace(problem(409), status=422)], [COMMAND], LEDGER),
        ("a refusal without its own fact", [problem(409, reason="sold_out")], [COMMAND], LEDGER),
        ("a refusal without a fact in the ledger", [problem(409, reason="x", fact=SOLD_OUT)], [COMMAND], LEDGER),
        (
            "a refusal with another reason's status",
            [problem(422, reason="sold_out", fact=SOLD_OUT)],
            [COMMAND],
            [record(SOLD_OUT)],
        ),
        (
            "two answers",
            [bought(), bought(body=json.dumps({**FACT, "tickets": ["42-000003", "42-000004"]}).encode())],
            [COMMAND],
            [*LEDGER, record({**FACT, "tickets": ["42-000003", "42-000004"]})],
        ),
        (
            "another answer after the first",
            [bought(), replace(problem(409, reason="sold_out", fact=SOLD_OUT), begun_s=3.0)],
            [COMMAND],
            [*LEDGER, record(SOLD_OUT)],
        ),
        ("taken, though it was told that it was not", [problem(503, outcome="not-taken")], [COMMAND], LEDGER),
        ("taken, though it was told that it was not", [problem(401)], [COMMAND], LEDGER),
    ],
)
def test_each_lie_is_found(kind: str, exchanges: list[Exchange], commands: list[Record], facts: list[Record]) -> None:
    assert any(sentence.startswith(kind) for sentence in check_http(exchanges, commands, facts))
