"""Documents that were made again: the audit goes by what was said last of a sale."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest

from boxoffice.audit.papers import Papers
from boxoffice.settings import load_settings
from boxoffice.storage.store import DocumentStore, Stored
from models.commands import Command, CreateEvent, Price, Purchase
from models.documents import made
from models.event import Event, Position
from models.inventory import Inventory, decide, fold
from models.shapes import Fact, PurchaseConfirmed, Source

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
