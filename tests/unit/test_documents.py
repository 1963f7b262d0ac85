"""Documents by themselves: how they are named and announced, whose turn it is, what is new and what is done."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any, cast

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.batching import BatchConsumer, Record
from boxoffice.documents.announcing import announcement_record
from boxoffice.documents.progress import FACTS_PER_SALE, Progress, TakenLedger
from boxoffice.documents.queue import TURN, FairQueue, Job, Order
from models.documents import (
    UnreadableAnnouncementError,
    announcement_id,
    document_name,
    former_name,
    made,
    name_stem,
    page_in,
    purchase_in,
    read_announcement,
    removed,
    write_announcement,
)
from models.facts import write_fact
from models.places import rows_of
from models.shapes import EventChanged, PurchaseCancelled, PurchaseConfirmed
from tests.unit.records import record

LEDGER = TP("purchase-requests", 0)
"""The topic of tests.unit.records."""


def sale(event_id: str = "42", seq: int = 2, tickets: int = 1, first: int = 1) -> PurchaseConfirmed:
    return {
        "type": "purchase_confirmed",
        "event_id": event_id,
        "seq": seq,
        "request_id": f"r-{seq}",
        "buyer": "b-77",
        "quantity": tickets,
        "tickets": [f"{event_id}-{number:06d}" for number in range(first, first + tickets)],
        "source": {"partition": 0, "offset": seq},
        "at": "2026-11-22T10:00:00.123Z",
        "decided_by": "local",
    }


def cancellation(of: PurchaseConfirmed, seq: int) -> PurchaseCancelled:
    return {
        "type": "purchase_cancelled",
        "event_id": of["event_id"],
        "seq": seq,
        "request_id": f"x-{seq}",
        "purchase": of["request_id"],
        "buyer": of["buyer"],
        "tickets": of["tickets"],
        "source": {"partition": 0, "offset": seq},
        "at": "2026-11-22T10:00:01.000Z",
        "decided_by": "local",
    }


def order(fact: PurchaseConfirmed | PurchaseCancelled, offset: int = 0) -> Order:
    return Order(fact, record(offset, write_fact(fact)))


# Names and announcements


def test_a_document_s_name_tells_ticket_and_purchase() -> None:
    name = document_name("42", "42-000001", "r.1:a_-")
    assert name == "42/42-000001.r.1:a_-.pdf"
    assert name.startswith(name_stem("42", "42-000001"))
    assert purchase_in(name) == "r.1:a_-"


def test_a_name_leads_nowhere_else_whatever_the_purchase_is_called() -> None:
    for purchase in ("..", ".", "...", "a..b"):
        name = document_name("42", "42-000001", purchase)
        assert name.split("/") == ["42", f"42-000001.{purchase}.pdf"]


REQUEST_IDS = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)


@given(REQUEST_IDS, st.randoms(use_true_random=False))
def test_purchases_that_differ_in_case_alone_have_names_that_do_not(purchase: str, chance: random.Random) -> None:
    other = "".join(chance.choice((letter.lower(), letter.upper())) for letter in purchase)
    names = {document_name("42", "42-000001", one) for one in {purchase, other}}
    assert len({name.casefold() for name in names}) == len({purchase, other})
    assert [purchase_in(document_name("42", "42-000001", one)) for one in (purchase, other)] == [purchase, other]


@given(REQUEST_IDS, REQUEST_IDS)
def test_no_two_purchases_share_a_name_also_where_case_does_not_count(one: str, other: str) -> None:
    names = [document_name("42", "42-000001", purchase).casefold() for purchase in (one, other)]
    assert (names[0] == names[1]) == (one == other)


@given(REQUEST_IDS)
def test_what_has_no_capitals_is_called_as_ever_and_former_names_are_read(purchase: str) -> None:
    former = former_name("42", "42-000001", purchase)
    assert former == f"42/42-000001.{purchase}.pdf"
    assert purchase_in(former) == purchase
    assert (document_name("42", "42-000001", purchase) == former) == (purchase == purchase.lower())


@given(REQUEST_IDS, st.integers(2, 2**63 - 1))
def test_a_page_that_was_drawn_again_has_a_name_of_its_own_that_tells_since_when(purchase: str, since: int) -> None:
    first, again = (document_name("42", "42-000001", purchase, page) for page in (1, since))
    assert first == document_name("42", "42-000001", purchase)
    assert first != again
    assert again.startswith(name_stem("42", "42-000001"))
    assert [(purchase_in(name), page_in(name)) for name in (first, again)] == [(purchase, 1), (purchase, since)]


@pytest.mark.parametrize("page", ["@", "@0", "@1", "@02", "@-3", "@2x", "@2@3", f"@{10**20}"])
def test_what_nobody_writes_behind_a_name_is_no_page(page: str) -> None:
    assert page_in(f"42/42-000001.r-1{page}.pdf") == 0


def test_what_was_drawn_again_is_announced_by_the_change_and_names_the_sale() -> None:
    fact: PurchaseConfirmed = {**sale(), "request_id": "p-2", "purchase": "r-1"}
    change: EventChanged = {
        **{name: fact[name] for name in ("event_id", "source", "decided_by")},  # type: ignore[typeddict-item]
        "type": "event_changed",
        "seq": 9,
        "request_id": "e-9",
        "at": "2026-11-23T10:00:00.000Z",
    }
    first = made(fact, "42-000001", "file:///x", 7, "0" * 64)
    again = made(fact, "42-000001", "file:///x@9", 7, "0" * 64, change=change)
    assert first["request_id"] == again["request_id"] == "r-1", "the purchase's, which was held and is paid for"
    assert (first["seq"], first["at"], "sale_seq" in first) == (2, fact["at"], False)
    assert (again["seq"], again["at"], again["sale_seq"]) == (9, change["at"], 2)
    assert read_announcement(write_announcement(again)) == again
    assert announcement_id(again) == "42-000001-9"


def test_announcements_are_read_as_they_were_written_and_say_nothing_of_when_or_by_whom() -> None:
    fact = sale()
    one = made(fact, "42-000001", "file:///x/42/42-000001.r-2.pdf", 7, "0" * 64)
    other = removed(cancellation(fact, 3), "42-000001", "file:///x/42/42-000001.r-2.pdf")
    for announcement in (one, other):
        assert read_announcement(write_announcement(announcement)) == announcement
    assert made(sale(), "42-000001", one["location"], 7, "0" * 64) == one
    assert (one["at"], other["at"]) == ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:01.000Z")
    assert other["purchase"] == "r-2"


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"type":"document_made"}', b"garbage"])
def test_what_is_no_announcement_is_not_read(value: bytes | None) -> None:
    with pytest.raises(UnreadableAnnouncementError):
        read_announcement(value)


def test_an_announcement_s_record_is_a_cloud_event_and_passes_the_trace_on() -> None:
    announcement = made(sale(), "42-000001", "file:///x", 7, "0" * 64)
    key, value, headers = announcement_record(announcement, record(5, b"", headers=(("traceparent", b"00-1-2-01"),)))
    assert key == b"42"
    assert json.loads(value) == announcement
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "content-type": b"application/json",
        "ce_source": b"boxoffice/documents",
        "ce_type": b"boxoffice.document_made.v1",
        "ce_id": b"42-000001-2",
        "ce_time": b"2026-11-22T10:00:00.123Z",
        "traceparent": b"00-1-2-01",
    }


# Whose turn it is


def drain(queue: FairQueue) -> list[Job]:
    """All jobs, each done before the next is begun."""
    jobs = []
    while (job := queue.next()) is not None:
        jobs.append(job)
        queue.done(job)
    return jobs


def test_events_take_turns() -> None:
    queue = FairQueue()
    for seq in range(2, 102):
        queue.add(order(sale("1", seq, first=seq)))
    queue.add(order(sale("2")))
    jobs = drain(queue)
    assert len(jobs) == 101
    assert [job.event_id for job in jobs[: TURN + 1]] == [*["1"] * TURN, "2"]


def test_a_sale_s_tickets_are_all_begun() -> None:
    queue = FairQueue()
    queue.add(order(sale("1", tickets=20)))
    queue.add(order(sale("2", tickets=3)))
    assert sorted(job.ticket for job in drain(queue)) == sorted(
        [*sale("1", tickets=20)["tickets"], *sale("2", tickets=3)["tickets"]]
    )


def test_what_concerns_one_ticket_is_done_in_order() -> None:
    chance = random.Random(seed := 20261124)
    queue = FairQueue()
    expected: list[tuple[str, int]] = []
    begun: list[Job] = []
    done: list[tuple[str, int]] = []
    seq = 1
    for _ in range(200):
        fact = sale(str(chance.randrange(3)), seq := seq + 1, first=chance.randrange(1, 4))
        facts: list[PurchaseConfirmed | PurchaseCancelled] = [fact, cancellation(fact, seq := seq + 1)]
        for one in facts:
            queue.add(order(one))
            expected.append((one["tickets"][0], one["seq"]))
    while len(done) < len(expected):
        if chance.random() < 0.6 and (job := queue.next()) is not None:
            begun.append(job)
        elif begun:
            job = begun.pop(chance.randrange(len(begun)))
            done.append((job.ticket, job.order.fact["seq"]))
            queue.done(job)
    assert sorted(done) == sorted(expected), seed
    of_ticket: dict[str, list[int]] = {}
    for ticket, number in done:
        of_ticket.setdefault(ticket, []).append(number)
    assert all(a < b for numbers in of_ticket.values() for a, b in pairwise(numbers)), seed


def test_a_suspected_event_has_one_ticket_begun_at_a_time_until_it_is_trusted() -> None:
    queue = FairQueue()
    queue.add(order(sale("1", tickets=5)))
    queue.add(order(sale("2", tickets=2)))
    queue.suspect("1")
    first = queue.next()
    assert first is not None
    others = [queue.next(), queue.next()]
    assert [job.event_id for job in others if job] == ["2", "2"]
    assert queue.next() is None
    queue.done(first)
    second = queue.next()
    assert second is not None
    assert queue.next() is None
    queue.trust("1")
    queue.done(second)
    rest = [queue.next(), queue.next(), queue.next()]
    assert [job.event_id for job in rest if job] == ["1", "1", "1"]


def test_what_ends_after_the_queue_was_cleared_does_no_harm() -> None:
    queue = FairQueue()
    queue.add(order(sale("1", tickets=2)))
    job = queue.next()
    assert job is not None
    queue.clear()
    queue.done(job)
    assert queue.next() is None
    queue.add(order(sale("1")))
    assert len(drain(queue)) == 1


# What is new


def ledger_record(offset: int, event_id: str, seq: int) -> Record:
    return record(offset, write_fact(sale(event_id, seq)))


def test_of_an_event_exactly_the_next_fact_is_new() -> None:
    taken = TakenLedger(0)
    seqs = [1, 2, 2, 1, 3, 5, 4, 5, 3]
    new = [taken.take(ledger_record(offset, "42", seq)) is not None for offset, seq in enumerate(seqs)]
    assert new == [True, True, False, False, True, False, True, True, False]


def test_damaged_records_and_facts_that_count_nothing_are_passed_over() -> None:
    taken = TakenLedger(0)
    assert taken.take(record(0, b"garbage")) is None
    assert taken.take(ledger_record(1, "42", 0)) is None
    assert taken.take(ledger_record(2, "42", 1)) is not None
    assert (taken.damaged, taken.next_offset) == (1, 3)


def test_rewinding_takes_the_same_facts_again_as_reading_anew() -> None:
    chance = random.Random(seed := 20261125)
    reached = dict.fromkeys("123", 0)
    records = []
    for offset in range(500):
        event_id = chance.choice("123")
        repeat = chance.random() < 0.3
        seq = chance.randrange(1, reached[event_id] + 1) if repeat and reached[event_id] else reached[event_id] + 1
        reached[event_id] = max(seq, reached[event_id])
        records.append(ledger_record(offset, event_id, seq))
    expected = [TakenLedger(0)]
    new = [expected[0].take(one) for one in records]
    taken = TakenLedger(0)
    at = settled = 0
    for _ in range(200):
        to = min(at + chance.randrange(50), 500)
        assert [taken.take(one) for one in records[at:to]] == new[at:to], seed
        settled = chance.randrange(settled, to + 1)
        taken.settle(settled)
        assert not taken.rewind(settled - 1)
        at = chance.randrange(settled, to + 1)
        assert taken.rewind(at), seed
        assert taken.next_offset == at


# What is done


class _Consumer:
    """What Progress tells: where partitions start, how far they are done, which are full."""

    def __init__(self) -> None:
        self.done: dict[TP, int] = {}
        self.full: set[TP] = set()

    def start_at(self, tp: TP, offset: int) -> None:
        self.done[tp] = offset

    def on_buffer_full(self, tp: TP) -> None:
        self.full.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self.full.discard(tp)

    def done_until(self, tp: TP, offset: int) -> None:
        self.done[tp] = offset


def begun(queue_size: int = 100) -> tuple[Progress, _Consumer, TakenLedger]:
    progress, consumer, taken = Progress(queue_size), _Consumer(), TakenLedger(0)
    progress.begin(cast(BatchConsumer, consumer), {LEDGER: taken})
    return progress, consumer, taken


def archived_record(offset: int, event_id: str, seq: int, kind: str = "event_archived") -> Record:
    fact = {
        **json.loads(write_fact(sale(event_id, seq))),
        "type": kind,
        "command": "add_tickets",
        "reason": "event_archived",
    }
    return record(offset, fact)


def test_an_archived_event_is_forgotten_once_that_cannot_be_taken_again() -> None:
    taken = TakenLedger(0)
    for offset, seq in enumerate((1, 2)):
        assert taken.take(ledger_record(offset, "1", seq)) is not None
    assert taken.take(ledger_record(2, "2", 1)) is not None
    assert taken.take(archived_record(3, "1", 3)) is not None
    assert taken.take(archived_record(4, "1", 4, "command_rejected")) is None, (
        "nothing that follows concerns a document"
    )
    assert (taken._seqs, taken._facts) == ({"1": 3, "2": 1}, 4)
    assert taken.rewind(3)
    assert taken.take(archived_record(3, "1", 3)) is not None
    taken.settle(4)
    assert (taken._seqs, taken._facts) == ({"2": 1}, 1)
    place = taken.place_until(4)
    assert place is not None
    assert (place.facts, place.seqs) == (1, {"1": 0, "2": 1})
    assert [value for _, value in rows_of(0, place)[:2]] == [None, b'{"seq":1}']
    assert taken.take(archived_record(5, "1", 5, "command_rejected")) is None
    assert taken._seqs == {"2": 1}


def test_offsets_are_committed_up_to_the_first_sale_that_is_not_done() -> None:
    progress, consumer, _ = begun()
    orders = [order(sale("1", seq, tickets=2), offset=10 * seq) for seq in (1, 2, 3)]
    progress.took(LEDGER, 40, orders)
    assert (consumer.done[LEDGER], progress.tickets) == (10, 6)
    for one in (orders[1], orders[1], orders[0]):
        progress.did(one)
    assert (consumer.done[LEDGER], progress.tickets) == (10, 3)
    progress.did(orders[0])
    assert consumer.done[LEDGER] == 30
    progress.did(orders[2])
    progress.did(orders[2])
    assert (consumer.done[LEDGER], progress.tickets) == (40, 0)


def test_a_partition_that_holds_too_much_is_not_fetched_until_it_holds_half() -> None:
    progress, consumer, _ = begun(queue_size=4)
    orders = [order(sale("1", seq), offset=seq) for seq in range(4)]
    progress.took(LEDGER, 3, orders[:3])
    assert consumer.full == set()
    progress.took(LEDGER, 4, orders[3:])
    assert consumer.full == {LEDGER}
    for one in (orders[3], orders[2]):
        progress.did(one)
    assert consumer.full == {LEDGER}
    progress.did(orders[1])
    assert consumer.full == set()


def test_facts_behind_a_sale_that_hangs_are_bounded_too() -> None:
    progress, consumer, taken = begun(queue_size=4)
    hanging = order(sale("1", 1), offset=0)
    progress.took(LEDGER, 1, [hanging])
    for offset in range(1, 1 + 4 * FACTS_PER_SALE):
        assert taken.take(ledger_record(offset, "2", offset)) is not None
    progress.took(LEDGER, taken.next_offset, [])
    assert consumer.full == {LEDGER}
    progress.did(hanging)
    assert consumer.full == set()
    assert len(taken) == 0


def test_what_ends_after_the_partition_was_lost_commits_nothing() -> None:
    progress, consumer, _ = begun()
    one = order(sale(), offset=5)
    progress.took(LEDGER, 6, [one])
    consumer.done.clear()
    progress.clear()
    progress.did(one)
    assert consumer.done == {}


def test_locations_hold_no_credentials() -> None:
    from boxoffice.settings import load_settings
    from boxoffice.storage.store import DocumentStore

    for url, location in {
        "file:///srv/tickets/": "file:///srv/tickets/42/a.pdf",
        "s3://key:secret@bucket/folder": "s3://bucket/folder/42/a.pdf",
        "gs://bucket": "gs://bucket/42/a.pdf",
    }.items():
        assert DocumentStore(load_settings(documents_url=url).documents).location("42/a.pdf") == location


@pytest.mark.parametrize("url", ["", "/srv", "file://srv", "file:///", "ftp://x/y", "s3://", "s3:///x", "s3://a b"])
def test_what_is_no_store_is_refused_in_a_sentence(url: str) -> None:
    from boxoffice.errors import SettingsError
    from boxoffice.settings import load_settings

    overrides: dict[str, Any] = {"documents_url": url}
    with pytest.raises(SettingsError, match="BOXOFFICE_DOCUMENTS_URL must be file:///FOLDER"):
        load_settings(**overrides)
