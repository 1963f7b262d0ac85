"""Every fact is told in words, and every reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boxoffice.cli.reasons import OF_PAYMENTS, REASONS
from boxoffice.cli.sentences import sentence
from boxoffice.schema.examples import facts, further_facts
from models.reasons import PaymentReason, Reason
from tests.unit.story import CATEGORIES, Story, holding

BOTH = [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}]
HOUR_MS = 3_600_000


@pytest.mark.parametrize("fact", [*facts().values(), *further_facts()])
def test_every_fact_is_a_sentence_that_anybody_can_read(fact: Any) -> None:
    told = sentence(fact)
    assert told.endswith(").")
    assert told.isprintable()
    assert str(fact["request_id"] or fact["source"]["offset"]) in told


def test_every_reason_is_told() -> None:
    assert REASONS.keys() == {reason.value for reason in Reason}
    assert OF_PAYMENTS.keys() == {reason.value for reason in PaymentReason}


def test_what_becomes_of_a_held_purchase_is_told() -> None:
    story = holding()
    tickets = "42-000001, 42-000002 (stalls) at 45.00 EUR each; 42-000007 (balcony) at 30.00 EUR, 120.00 EUR together"
    held = story.buy("r-1", lines=BOTH)
    assert sentence(held) == (
        f"Held {tickets}: 120.00 EUR must be paid by 2026-11-22 10:10 UTC (request r-1, seq 2, decided by local)."
    )
    part = story.ask("cancel_purchase", "x-1", purchase="r-1", tickets=["42-000007"])
    assert sentence(part).startswith(
        "Purchase r-1 is cancelled in part: 42-000007 on sale again; it keeps 42-000001, 42-000002 (request x-1, "
    )
    assert sentence(story.pay("p-1", "r-1", "pay-1", 9000)).startswith(
        "Purchase r-1 is paid for by pay-1: 42-000001, 42-000002 (stalls) at 45.00 EUR each, 90.00 EUR together (req"
    )
    assert sentence(story.pay("p-2", "r-1", "pay-2", 9000)) == (
        "Payment pay-2 is refused, already_paid: the purchase is confirmed already; give the 90.00 EUR back "
        "(request p-2, seq 5, decided by local)."
    )
    assert sentence(story.ask("cancel_purchase", "x-2", purchase="r-1")).startswith(
        "Purchase r-1 is cancelled: 42-000001, 42-000002 on sale again, 90.00 EUR to be paid back (request x-2, "
    )


def test_a_payment_that_comes_late_is_told() -> None:
    story = holding()
    story.buy("r-1", category="stalls", quantity=1)
    story.at_ms += HOUR_MS
    assert sentence(story.ask("expire_hold", "e-1", purchase="r-1")).startswith(
        "The hold of purchase r-1 has expired: 42-000001 on sale again (request e-1, "
    )
    assert sentence(story.pay("p-1", "r-1", "pay-1", 4500)).startswith(
        "Purchase r-1 is paid for by pay-1, after its hold had expired: 42-000002 (stalls) at 45.00 EUR (request p-1, "
    )


def test_an_events_changes_are_told() -> None:
    story = Story(categories=CATEGORIES)
    told: dict[str, tuple[str, dict[str, Any]]] = {
        "is changed: 8 tickets, 6 of stalls (Stalls) at 50.00 EUR each, 2 of balcony (Balcony) at 30.00 EUR each, ": (
            "change_event",
            {"prices": [{"category": "stalls", "amount": 5000}]},
        ),
        "has 3 more tickets of balcony (": ("add_tickets", {"category": "balcony", "count": 3}),
        "has 1 ticket of stalls fewer (": ("remove_tickets", {"category": "stalls", "count": 1}),
        "is called off (": ("cancel_event", {}),
        "is archived (": ("archive_event", {}),
    }
    for number, (said, (kind, members)) in enumerate(told.items()):
        assert sentence(story.ask(kind, f"o-{number}", **members)).startswith(f"Event 42 {said}")


def test_who_asked_is_told_where_the_fact_says_it() -> None:
    fact = Story().ask("close_event", "z-1", actor="manager-1")
    assert sentence(fact) == "Event 42 is closed (request z-1, by manager-1, seq 2, decided by local)."


def test_a_fact_of_the_first_rules_is_told_as_far_as_it_says() -> None:
    fact = json.loads(
        '{"type":"purchase_cancelled","event_id":"42","seq":3,"request_id":"x-1","purchase":"r-1","buyer":"b",'
        '"tickets":["42-000001"],"source":{"partition":4,"offset":2},"at":"2026-11-22T10:00:00.123Z","decided_by":"redis"}'
    )
    assert sentence(fact) == (
        "Purchase r-1 is cancelled: 42-000001 on sale again (request x-1, seq 3, decided by redis)."
    )
