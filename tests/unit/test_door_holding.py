"""Whose a ticket is by the ledger: a code is worth the sale that it names, for as long as that holds."""

from __future__ import annotations

import re

import pytest

from boxoffice.door.errors import BadCodeError, CancelledTicketError, NeverSoldError, NotPaidError, SoldAgainError
from boxoffice.door.holding import Held, _Read, judge
from models.codes import Claim
from models.commands import CancelPurchase, Command, CreateEvent, Price, Purchase
from models.event import Event, Position
from models.facts import at_text, write_fact
from models.inventory import Inventory, decide, fold
from models.ledger import Ledger
from models.shapes import Source
from tests.unit.records import record
from tests.unit.story import HOME as STORY_HOME
from tests.unit.story import Story, holding
from topics.purchase_results import READ_HEADER

AT_MS = 1_795_341_600_000


def event_after(*commands: Command) -> Event:
    """Two tickets on sale with seq 1, and what was done with them."""
    created = CreateEvent(
        type="create_event",
        request_id="c-1",
        event_id="42",
        name="Night",
        venue="Hall",
        starts_at="2027-03-01T19:30:00Z",
        capacity=2,
        price=Price(amount=4500, currency="EUR"),
    )
    inventory = Inventory(0)
    for offset, command in enumerate((created, *commands)):
        position = Position(offset, AT_MS + offset, Source(partition=0, offset=offset))
        fold(inventory, decide(inventory, command, position), offset)
    return inventory.events["42"]


def buy(request_id: str, quantity: int = 1) -> Purchase:
    return Purchase(request_id=request_id, event_id="42", buyer=f"b-{request_id}", quantity=quantity)


def cancel(purchase: str) -> CancelPurchase:
    return CancelPurchase(type="cancel_purchase", request_id=f"x-{purchase}", event_id="42", purchase=purchase)


def refusal(event: Event | None, number: int, seq: int) -> BadCodeError:
    with pytest.raises(BadCodeError) as refused:
        judge(event, Claim(1, "42", number, seq))
    return refused.value


def test_a_sold_ticket_is_held_by_its_purchase() -> None:
    event = event_after(buy("r-1"), buy("r-2"))
    assert judge(event, Claim(1, "42", 1, 2)) == Held("r-1", at_text(AT_MS + 1))
    assert judge(event, Claim(1, "42", 2, 3)) == Held("r-2", at_text(AT_MS + 2))


def test_every_ticket_of_a_purchase_is_held_by_it() -> None:
    event = event_after(buy("r-1", 2))
    assert {judge(event, Claim(1, "42", number, 2)).purchase for number in (1, 2)} == {"r-1"}


def test_a_cancelled_ticket_is_nobody_s_until_it_is_sold_again_and_then_the_new_owner_s() -> None:
    commands: list[Command] = [buy("r-1"), buy("r-2"), cancel("r-1")]
    refused = refusal(event_after(*commands), 1, 2)
    assert type(refused) is CancelledTicketError
    assert str(refused).startswith("Cancelled with seq 4: ")

    again = event_after(*commands, buy("r-3"))
    refused = refusal(again, 1, 2)
    assert type(refused) is SoldAgainError
    assert str(refused).startswith("Sold again with seq 5, after it was cancelled with seq 4: ")
    assert judge(again, Claim(1, "42", 1, 5)).purchase == "r-3"
    assert judge(again, Claim(1, "42", 2, 3)).purchase == "r-2", "the other ticket is as it was"

    twice = event_after(*commands, buy("r-3"), cancel("r-3"))
    assert [str(refusal(twice, 1, seq)).partition(":")[0] for seq in (2, 5)] == [
        "Cancelled with seq 4",
        "Cancelled with seq 6",
    ]


@pytest.mark.parametrize(
    ("number", "seq", "known_seq"),
    [(1, 1, 3), (2, 2, 3), (1, 3, 3), (3, 2, 3), (1, 4, 3), (1, 99, 3)],
    ids=["the event's own fact", "another's sale", "a cancellation", "no such ticket", "not decided", "far ahead"],
)
def test_what_the_ledger_did_not_sell_is_never_good(number: int, seq: int, known_seq: int) -> None:
    refused = refusal(event_after(buy("r-1"), cancel("r-1")), number, seq)
    assert type(refused) is NeverSoldError
    assert re.search(rf"goes to seq {known_seq} of event 42", str(refused))


def test_a_hold_that_was_paid_for_is_good_by_its_payment_and_by_nothing_before() -> None:
    story = holding()
    sold = story.buy("r-2", lines=[{"category": "stalls", "quantity": 2}])
    assert type(refusal(story.event, 1, 2)) is NotPaidError
    paid = story.pay("p-3", "r-2", "pay-1", sold["amount"])
    assert judge(story.event, Claim(1, "42", 1, 3)) == Held("r-2", paid["at"])
    assert type(refusal(story.event, 1, 2)) is NotPaidError
    assert str(refusal(story.event, 1, 2)).startswith("Held, and not sold: ticket 42-000001 (event 42, seq 2, key 1)")
    assert type(refusal(story.event, 3, 3)) is NeverSoldError


def test_of_a_purchase_that_was_given_back_in_part_the_rest_is_good() -> None:
    story = Story()
    story.buy("r-2", quantity=3)
    story.ask("cancel_purchase", "x-3", purchase="r-2", tickets=["42-000002"])
    assert {judge(story.event, Claim(1, "42", number, 2)).purchase for number in (1, 3)} == {"r-2"}
    assert str(refusal(story.event, 2, 2)).startswith("Cancelled with seq 3: ")
    story.ask("cancel_purchase", "x-4", purchase="r-2")
    cancelled = [str(refusal(story.event, number, 2)).partition(":")[0] for number in (1, 2, 3)]
    assert cancelled == ["Cancelled with seq 4", "Cancelled with seq 3", "Cancelled with seq 4"]


def test_who_paid_late_has_other_tickets_and_a_hold_that_ended_none() -> None:
    story = Story(capacity=4, price={"amount": 4500, "currency": "EUR"}, hold_s=60)
    for number in (2, 3):
        story.buy(f"r-{number}")
    story.ask("cancel_purchase", "x-4", purchase="r-3")
    story.at_ms += 60_000
    story.ask("expire_hold", "e-5", purchase="r-2")
    assert type(refusal(story.event, 1, 2)) is NotPaidError
    story.pay("p-6", "r-2", "pay-1", 4500)
    assert judge(story.event, Claim(1, "42", 3, 6)).purchase == "r-2"
    assert [type(refusal(story.event, number, seq)) for number, seq in ((1, 2), (2, 3), (1, 6))] == [
        NotPaidError,
        NotPaidError,
        NeverSoldError,
    ]


async def test_a_ticket_of_an_archived_event_is_what_it_was() -> None:
    """The door outlasts the sale: workers have forgotten the event, and the ledger has not."""
    story = Story()
    story.buy("r-2", quantity=2)
    story.ask("cancel_purchase", "x-3", purchase="r-2", tickets=["42-000002"])
    story.ask("close_event", "z-4")
    story.ask("archive_event", "z-5")
    read = _Read(Ledger(STORY_HOME), 0)
    for offset, fact in enumerate(story.facts):
        read.take(record(offset, write_fact(fact), key=b"42", headers=((READ_HEADER, b"%d-%d" % (offset, offset)),)))
    assert read.ledger.inventory.events == {}
    assert judge(read.archived["42"], Claim(1, "42", 1, 2)).purchase == "r-2"
    assert type(refusal(read.archived["42"], 2, 2)) is CancelledTicketError


def test_of_an_event_that_is_not_there_nothing_was_sold() -> None:
    assert type(refusal(None, 1, 2)) is NeverSoldError
