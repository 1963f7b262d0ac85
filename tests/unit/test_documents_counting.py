"""Documents are counted by their announcements, whatever order those come in, and however often."""

from __future__ import annotations

import random

from boxoffice.statistics.documents import Announced
from models.documents import DocumentAnnouncement, made, removed
from models.shapes import PurchaseCancelled, PurchaseConfirmed

SEED = 20261124


def sold(seq: int, ticket: str, size_bytes: int) -> DocumentAnnouncement:
    fact: PurchaseConfirmed = {
        "type": "purchase_confirmed",
        "event_id": "42",
        "seq": seq,
        "request_id": f"r-{seq}",
        "buyer": "b",
        "quantity": 1,
        "tickets": [ticket],
        "source": {"partition": 0, "offset": seq},
        "at": "2026-11-22T10:00:00.000Z",
        "decided_by": "redis",
    }
    return made(fact, ticket, f"file:///{ticket}.r-{seq}.pdf", size_bytes, "0" * 64)


def cancelled(seq: int, ticket: str, purchase_seq: int) -> DocumentAnnouncement:
    fact: PurchaseCancelled = {
        "type": "purchase_cancelled",
        "event_id": "42",
        "seq": seq,
        "request_id": f"x-{seq}",
        "purchase": f"r-{purchase_seq}",
        "buyer": "b",
        "tickets": [ticket],
        "source": {"partition": 0, "offset": seq},
        "at": "2026-11-22T10:00:00.000Z",
        "decided_by": "redis",
    }
    return removed(fact, ticket, f"file:///{ticket}.r-{purchase_seq}.pdf")


def test_a_ticket_has_what_was_announced_last_of_it_in_whatever_order_it_comes() -> None:
    announcements = [
        sold(2, "42-000001", 10_000),
        sold(3, "42-000002", 20_000),
        cancelled(4, "42-000001", 2),
        sold(5, "42-000003", 30_000),
        cancelled(6, "42-000003", 5),
        sold(7, "42-000001", 40_000),
    ]
    chance = random.Random(SEED)
    for _ in range(200):
        announced = Announced()
        for one in chance.sample(announcements * 2, 2 * len(announcements)):
            announced.take(one)
        assert (announced.tickets, announced.size_bytes) == (2, 60_000)
