"""What a caller is told of a fact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boxoffice.gateway.answering import answer
from boxoffice.gateway.desk import Reply
from boxoffice.gateway.messages import Problem
from boxoffice.gateway.waiters import Outcome, Result
from models.facts import ce_type
from models.reasons import Reason

LOCATION = "/v1/events/42/requests/k"
OWN, OTHER = "Shop000000:k", "Shop000000:x"
OF_OTHERS = {Reason.NOT_DUE, Reason.PAYMENT_REUSED}
"""Only what does not come over HTTP is refused for these."""


def fact(kind: str, request_id: str = OWN, **members: Any) -> bytes:
    source = {"partition": 3, "offset": 7}
    told = {"type": kind, "request_id": request_id, "source": source, **members}
    return json.dumps(told, separators=(",", ":")).encode()


def reply(value: bytes, kind: str, partition: int = 3, offset: int = 7) -> Reply:
    return Reply(Result(Outcome.ANSWERED, value, ce_type(kind)), partition, offset)


@pytest.mark.parametrize("kind", ["purchase_confirmed", "purchase_held"])
def test_a_purchase_that_gets_tickets_is_created_and_its_body_is_the_fact_byte_for_byte(kind: str) -> None:
    value = fact(kind)
    response = answer(reply(value, kind), OWN, LOCATION)
    assert (response.status, response.body) == (201, value)
    assert dict(response.headers) == {"content-type": "application/json", "location": LOCATION}


@pytest.mark.parametrize(
    "kind",
    [
        *("purchase_confirmed", "purchase_held", "purchase_cancelled", "event_created", "event_changed"),
        *("tickets_added", "tickets_removed", "event_closed", "event_cancelled", "event_archived"),
    ],
)
def test_a_fact_that_was_decided_on_an_earlier_command_is_replayed(kind: str) -> None:
    response = answer(reply(fact(kind), kind, offset=70), OWN, LOCATION)
    assert (response.status, dict(response.headers)["idempotent-replayed"]) == (201, "true")


@pytest.mark.parametrize("kind", ["purchase_confirmed", "hold_expired", "purchase_cancelled"])
def test_a_purchase_of_which_more_has_become_is_answered_by_that_and_makes_nothing(kind: str) -> None:
    value = fact(kind, OTHER, purchase=OWN)
    response = answer(reply(value, kind, offset=70), OWN, LOCATION)
    assert (response.status, response.body) == (200, value)
    assert dict(response.headers)["idempotent-replayed"] == "true"


def test_no_buyer_can_be_called_so_that_a_fact_seems_to_be_another_request_s() -> None:
    value = fact("purchase_cancelled", OTHER, purchase=OWN, buyer=f'","request_id":"{OWN}","x":"')
    assert answer(reply(value, "purchase_cancelled", offset=70), OWN, LOCATION).status == 200


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in OF_OTHERS])
def test_every_refusal_is_a_problem_of_the_caller_with_the_fact_in_it(reason: Reason) -> None:
    value = fact("purchase_rejected", reason=reason.value)
    with pytest.raises(Problem) as raised:
        answer(reply(value, "purchase_rejected"), OWN, LOCATION)
    response = raised.value.response()
    assert response.status in (404, 409, 410, 422)
    assert json.loads(response.body)["fact"] == json.loads(value)


def test_a_command_that_a_worker_could_not_read_is_invalid() -> None:
    value = fact("command_unreadable", reason="quantity: too much")
    with pytest.raises(Problem) as raised:
        answer(reply(value, "command_unreadable"), OWN, LOCATION)
    assert (raised.value.name, raised.value.response().status) == ("invalid-body", 422)


@pytest.mark.parametrize("value", [b"what", b"[]", b"\xff", fact("purchase_given_away"), fact("x", reason="new")])
def test_what_is_no_fact_that_is_known_says_nothing_about_the_outcome(value: bytes) -> None:
    with pytest.raises(Problem) as raised:
        answer(reply(value, "purchase_given_away"), OWN, LOCATION)
    body = json.loads(raised.value.response().body)
    assert (raised.value.name, body["outcome"]) == ("outcome-unknown", "outcome-unknown")


@pytest.mark.parametrize(
    ("outcome", "name", "told"),
    [(Outcome.REFUSED, "not-taken", "not-taken"), (Outcome.UNKNOWN, "outcome-unknown", "outcome-unknown")],
)
def test_without_a_fact_nothing_was_created_and_it_is_said_whether_it_may_be(
    outcome: Outcome, name: str, told: str
) -> None:
    with pytest.raises(Problem) as raised:
        answer(Reply(Result(outcome), 3, None), OWN, LOCATION)
    response = raised.value.response()
    assert (response.status, raised.value.name, json.loads(response.body)["outcome"]) == (503, name, told)
    assert dict(response.headers)["retry-after"] == "1"


def test_a_command_that_the_log_holds_is_accepted_with_where_to_ask() -> None:
    response = answer(Reply(Result(Outcome.ACCEPTED), 3, 7), OWN, LOCATION)
    assert (response.status, response.body) == (202, b"")
    assert dict(response.headers) == {"location": LOCATION, "retry-after": "1"}
