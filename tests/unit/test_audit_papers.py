"""Documents that were made again: the audit goes by what was said last of a sale."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest

from boxoffice.audit.papers import Papers
from boxoffice.audit.report import DocumentCounts
from boxoffice.settings import load_settings
from boxoffice.storage.store import DocumentStore, Stored
from models.commands import Command, CreateEvent, Price, Purchase
from models.documents import document_name, made, removed
from models.event import Event, Position
from models.facts import purchase_of
from models.inventory import Inventory, decide, fold
from models.shapes import EventChanged, Fact, PurchaseConfirmed, Source
from models.tickets import ticket_name
from tests.unit.story import Story

NAME = "42/42-000001.r-1.pdf"


@pytest.fixture
def sold() -> tuple[Event, PurchaseConfirmed]:
    """An event with one sale."""
    inventory = Inventory(0)
    price = Price(amount=4500, currency="EUR")
    commands: tuple[Command, ...] = (
        CreateEvent(
            type="create_event",
            request_id="c-1",
            event_id="42",
            name="Night",
            venue="Hall",
            starts_at="2027-03-01T19:30:00Z",
            capacity=1,
            price=price,
        ),
        Purchase(request_id="r-1", event_id="42", buyer="b-77"),
    )
    facts: list[Fact] = []
    for offset, command in enumerate(commands):
        position = Position(offset, 1_795_341_600_000, Source(partition=0, offset=offset))
        facts.append(decide(inventory, command, position))
        fold(inventory, facts[-1], offset)
    sale = facts[-1]
    assert sale["type"] == "purchase_confirmed"
    return inventory.events["42"], sale


@pytest.mark.parametrize(("first_bytes", "then_bytes"), [(15_490, 15_482), (15_482, 15_490)])
def test_a_document_that_was_made_again_with_another_code_is_right(
    sold: tuple[Event, PurchaseConfirmed], first_bytes: int, then_bytes: int
) -> None:
    event, sale = sold
    papers = Papers(event)
    for size_bytes in (first_bytes, then_bytes):
        papers.take(made(sale, "42-000001", f"file:///{NAME}", size_bytes, "0" * 64))
    # Given up before, or after: what was drawn counts.
    papers.failed("42-000001", sale["seq"])
    assert papers.stored(Stored(NAME, then_bytes, datetime.now(UTC)))
    counts = papers.judge(DocumentStore(load_settings().documents), -inf, may_be_gone=False)
    assert (counts.made, counts.failed) == (1, 0)
    assert papers.problems.sentences == []


# Changes


class Desk:
    """Papers of a story, and what a documents process that has dealt with all of it has said and stored."""

    def __init__(self, story: Story) -> None:
        self.papers = Papers(story.event)

    def drawn(self, sale: PurchaseConfirmed, number: int, change: EventChanged | None = None, since: int = 1) -> None:
        """A document was announced, and lies there."""
        self.said(sale, number, change)
        self.stored(purchase_of(sale), number, since)

    def said(self, sale: PurchaseConfirmed, number: int, change: EventChanged | None = None) -> None:
        ticket = ticket_name("42", number)
        self.papers.take(made(sale, ticket, "file:///x", 7, "0" * 64, change=change))

    def stored(self, purchase: str, number: int, since: int = 1) -> None:
        document = Stored(document_name("42", ticket_name("42", number), purchase, since), 7, datetime.now(UTC))
        if not self.papers.stored(document):
            self.papers.strays([document])

    def judge(self) -> tuple[DocumentCounts, list[str]]:
        counts = self.papers.judge(DocumentStore(load_settings().documents), -inf, may_be_gone=False)
        return counts, self.papers.problems.sentences


def changed_once() -> tuple[Story, PurchaseConfirmed, EventChanged]:
    """Sold with seq 2, changed with 3."""
    story = Story()
    sale = story.buy("r-2")
    story.ask("change_event", "e-0", max_per_order=5)
    return story, sale, story.ask("change_event", "e-1", name="Late Night")


def test_a_ticket_that_was_drawn_again_is_right_and_the_page_before_is_not() -> None:
    story, sale, change = changed_once()
    desk = Desk(story)
    desk.drawn(sale, 1, change, 4)
    assert desk.judge() == (DocumentCounts(made=1), [])
    late = Desk(story)
    late.drawn(sale, 1)
    counts, problems = late.judge()
    assert counts.made == 0
    assert problems == [
        "1 ticket whose document is not announced, the first 42-000001.",
        "1 ticket whose document was not drawn again, the first 42-000001.",
    ]
    both = Desk(story)
    both.drawn(sale, 1)
    both.drawn(sale, 1, change, 4)
    assert both.judge()[1] == [
        "1 document that should be gone since a newer one is there, the first 42/42-000001.r-2@4.pdf."
    ]


def test_while_tickets_are_drawn_again_what_they_were_before_is_right() -> None:
    story, sale, change = changed_once()
    for drawn in ("before", "after", "both"):
        desk = Desk(story)
        desk.papers.renewing = True
        if drawn != "after":
            desk.drawn(sale, 1)
        if drawn != "before":
            desk.drawn(sale, 1, change, 4)
        assert desk.judge() == (DocumentCounts(made=1, renewing=drawn == "before"), [])


def test_what_is_changed_after_the_moment_is_not_judged() -> None:
    story, sale, change = changed_once()
    desk = Desk(story)
    desk.drawn(sale, 1, change, 4)
    later = story.ask("change_event", "e-2", name="Night again")
    desk.drawn(sale, 1, later, 5)
    assert desk.judge() == (DocumentCounts(made=1), [])


def test_a_page_that_the_event_never_had_is_a_stray() -> None:
    story, sale, change = changed_once()
    desk = Desk(story)
    desk.drawn(sale, 1, change, 4)
    desk.stored("r-2", 1, 3)  # that change says nothing else
    assert desk.judge()[1] == ["1 document that no sale accounts for, the first 42/42-000001.r-2@3.pdf."]


def test_of_a_hold_there_is_a_document_once_it_is_paid_for_and_what_is_given_back_has_none() -> None:
    story = Story(capacity=5, price={"amount": 4500, "currency": "EUR"}, hold_s=60)
    story.buy("r-2", quantity=2)
    held = story.buy("r-3")
    paid = story.pay("p-4", "r-2", "pay-1", 9000)
    desk = Desk(story)
    desk.drawn(paid, 1)
    desk.drawn(paid, 2)
    assert desk.judge() == (DocumentCounts(made=2), [])
    desk.stored("r-3", 3)
    assert desk.judge()[1] == ["1 document that no sale accounts for, the first 42/42-000003.r-3.pdf."]
    assert held["type"] == "purchase_held"
    part = story.ask("cancel_purchase", "x-5", purchase="r-2", tickets=["42-000001"])
    story.ask("cancel_purchase", "x-6", purchase="r-3")
    desk = Desk(story)
    desk.drawn(paid, 2)
    assert desk.judge()[1] == ["1 cancelled ticket whose document's removal is not announced, the first 42-000001."], (
        "of the hold that was given back nothing was there"
    )
    desk = Desk(story)
    desk.drawn(paid, 2)
    desk.papers.take(removed(part, "42-000001", "file:///x"))
    assert desk.judge() == (DocumentCounts(made=1), [])
    desk.stored("r-2", 1)
    assert desk.judge()[1] == ["1 document that no sale accounts for, the first 42/42-000001.r-2.pdf."]


def test_what_could_not_be_drawn_again_is_not_missed() -> None:
    story, sale, change = changed_once()
    desk = Desk(story)
    desk.drawn(sale, 1)
    desk.papers.failed("42-000001", change["seq"])
    assert desk.judge() == (DocumentCounts(failed=1), [])


def test_an_event_was_over_if_it_was_by_any_of_its_times() -> None:
    story = Story()
    story.ask("change_event", "e-1", starts_at="2028-01-01T00:00:00Z")
    papers = Papers(story.event)
    assert papers.may_be_over(30, datetime(2027, 6, 1, tzinfo=UTC))
    assert not papers.may_be_over(30, datetime(2027, 3, 2, tzinfo=UTC))
