"""Statistics: the same figures as the rules', however the ledger is cut into batches, and whatever lies in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.statistics.figures import event_figures, read_stats_record, stats_record
from models.commands import Command
from models.event import Category, Event
from models.facts import at_ms, at_text, read_fact, write_fact
from models.figures import BUCKETS
from models.ledger import Ledger, Taken
from models.members import GENERAL
from models.statistics import Statistics
from models.statistics_rows import (
    CategoryStatistics,
    EventStatistics,
    PartitionStatistics,
    UnreadableRowError,
    Window,
    added,
    read_event_row,
    read_partition_row,
    write_row,
)
from models.tickets import ticket_number
from tests.unit.strategies import HOME, TIMES_MS, Arrival, arrivals, opening, purchase
from tests.unit.test_ledger import LedgerRecord, by_redis, decide_after


def by_the_rules(records: Iterable[tuple[bytes | None, bytes | None]], partition: int = HOME) -> Ledger:
    """The rules' own fold."""
    ledger = Ledger(partition)
    for record in records:
        ledger.read(*record)
    return ledger


def figures_by_the_rules(
    records: Iterable[tuple[bytes | None, bytes | None]], partition: int = HOME
) -> dict[str, dict[str, Any]]:
    """Every event's figures, counted beside the rules' own fold, from the facts that it takes."""
    ledger = Ledger(partition)
    facts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    # Archived ones too, as they were when they were.
    events: dict[str, Event] = {}
    for record in records:
        seqs = {event_id: ledger.inventory.seq_of(event_id) for event_id in events}
        if ledger.read(*record) is Taken.TAKEN:
            events |= ledger.inventory.events
            fact = cast(dict[str, Any], ledger.last)
            if fact["seq"] and fact["seq"] == seqs.get(fact["event_id"], 0) + 1:
                facts[fact["event_id"]].append(fact)
    return {event_id: _figures(event, facts[event_id]) for event_id, event in events.items()}


def _figures(event: Event, facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sales = [fact for fact in facts if fact["type"] == "purchase_confirmed"]
    categories = [_of_category(event, category, facts) for category in event.categories]
    now = event.now
    kinds = [fact["type"].removeprefix("event_") for fact in facts]
    ended = [kind for kind in kinds if kind in ("closed", "cancelled", "archived")]
    return {
        "event_id": event.event_id,
        **{name: now.get(name) for name in ("name", "venue", "starts_at", "on_sale_at", "off_sale_at", "hold_s")},
        **{name: now.get(name) for name in ("max_per_order", "max_per_buyer")},
        "status": ended[-1] if ended else "open",
        "seq": len(facts),
        "at": facts[-1]["at"],
        **{name: sum(of[name] for of in categories) for name in TICKETS},
        "purchases": len(sales),
        "holds": sum(fact["type"] == "purchase_held" for fact in facts),
        "cancellations": sum(fact["type"] == "purchase_cancelled" for fact in facts),
        "rejected": _reasons(facts, "purchase_rejected"),
        "refused": _reasons(facts, "command_rejected"),
        "payments_refused": _reasons(facts, "payment_refused"),
        "decided_by": Counter(fact["decided_by"] for fact in facts),
        "revenue": {
            "amount": sum(_paid(event, fact) for fact in sales) - _refunded(event, facts),
            "currency": event.currency,
            "refunded": _refunded(event, facts),
        },
        "closed": event.closed or event.cancelled,
        "first_sale_at": sales[0]["at"] if sales else None,
        "last_sale_at": sales[-1]["at"] if sales else None,
        "sold_by_second": _window(sales, 1_000),
        "sold_by_minute": _window(sales, 60_000),
        "categories": categories,
    }


TICKETS = ("issued", "removed", "remaining", "held", "sold", "expired", "released", "cancelled", "late")


def _of_category(event: Event, category: Category, facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a category has now, by the rules; what has become of its tickets, by their names in the facts."""

    def tickets(*kinds: str, **members: Any) -> list[tuple[dict[str, Any], int]]:
        chosen = [fact for fact in facts if fact["type"] in kinds]
        if members:
            chosen = [fact for fact in chosen if all(bool(fact.get(name)) == of for name, of in members.items())]
        named = [(fact, ticket) for fact in chosen for ticket in fact["tickets"]]
        place = event.categories.index(category)
        return [(fact, number) for fact, t in named if event.category_of(number := ticket_number(t)) == place]

    refunded = sum(_price_of(event, fact, category.id) for fact, _ in tickets("purchase_cancelled", held=False))
    taken = sum(_price_of(event, fact, category.id) for fact, _ in tickets("purchase_confirmed"))
    asked = [fact for fact in facts if fact["type"] == "purchase_rejected" and category.id in _asked(fact)]
    return {
        "id": category.id,
        "name": category.name,
        "price": {"amount": category.price, "currency": event.currency},
        **{name: getattr(category, name) for name in ("issued", "removed", "held", "sold")},
        "remaining": category.left,
        "expired": len(tickets("hold_expired")),
        "released": len(tickets("purchase_cancelled", held=True)),
        "cancelled": len(tickets("purchase_cancelled", held=False)),
        "late": len(tickets("purchase_confirmed", late=True)),
        "rejected": _reasons(asked, "purchase_rejected"),
        "revenue": {"amount": taken - refunded, "currency": event.currency, "refunded": refunded},
    }


def _asked(fact: dict[str, Any]) -> list[str]:
    return [line["category"] for line in fact.get("lines", [{"category": GENERAL}])]


def _price_of(event: Event, fact: dict[str, Any], category: str) -> int:
    """What a ticket of a category has cost that a fact is about."""
    prices = {line["category"]: line["price"] for line in fact.get("lines", ())}
    return int(prices[category] if prices else event.first_price)


def _paid(event: Event, fact: dict[str, Any]) -> int:
    """By the rules before no fact says it."""
    return int(fact["amount"] if "amount" in fact else len(fact["tickets"]) * event.first_price)


def _refunded(event: Event, facts: Sequence[dict[str, Any]]) -> int:
    cancelled = [fact for fact in facts if fact["type"] == "purchase_cancelled"]
    return sum(f["refund"] if "refund" in f else len(f["tickets"]) * event.first_price for f in cancelled)


def _reasons(facts: Sequence[dict[str, Any]], kind: str) -> dict[str, int]:
    return Counter(str(fact["reason"]) for fact in facts if fact["type"] == kind)


def _window(sales: Sequence[dict[str, Any]], width_ms: int) -> dict[str, Any]:
    held = held_by_window([(at_ms(fact["at"]), fact["quantity"]) for fact in sales], width_ms)
    newest = max(held, default=0)
    sold = [held.get(newest - back, 0) for back in reversed(range(BUCKETS))]
    return {"newest_at": at_text(newest * width_ms) if held else None, "sold": sold}


def held_by_window(sales: Iterable[tuple[int, int]], width_ms: int) -> dict[int, int]:
    """What a window must hold: what was in reach of the newest sale when it came, and still is."""
    held: Counter[int] = Counter()
    newest = 0
    for timestamp_ms, tickets in sales:
        bucket = timestamp_ms // width_ms
        newest = max(newest, bucket)
        if newest - bucket < BUCKETS:
            held[bucket] += tickets
    return {bucket: tickets for bucket, tickets in held.items() if newest - bucket < BUCKETS}


def sold_by_bucket(window: Window) -> dict[int, int]:
    return {window.newest - back: tickets for back, tickets in enumerate(reversed(window.sold)) if tickets}


def assert_exact(statistics: Statistics, records: Sequence[LedgerRecord]) -> None:
    """The figures are those of the rules' fold."""
    expected = figures_by_the_rules(records)
    assert statistics.row.bookmark == by_the_rules(records).bookmark
    assert statistics.events.keys() == expected.keys()
    for event_id, figures in expected.items():
        found = event_figures(statistics.events[event_id], HOME)
        assert {name: found[name] for name in figures} == figures
    assert statistics.issued == sum(figures["issued"] - figures["removed"] for figures in expected.values())
    assert statistics.held == sum(figures["held"] for figures in expected.values())
    assert statistics.sold == sum(figures["sold"] for figures in expected.values())


def folded(records: Sequence[LedgerRecord], statistics: Statistics | None = None, first: int = 0) -> Statistics:
    statistics = statistics or Statistics(PartitionStatistics(HOME))
    for offset, record in enumerate(records, first):
        statistics.read(offset, *record)
    return statistics


def from_rows(statistics: Statistics) -> Statistics:
    """What a process that starts again makes of the rows."""
    again = Statistics(
        read_partition_row(write_row(statistics.row)),
        [read_event_row(write_row(event)) for event in statistics.events.values()],
    )
    assert again.is_whole
    return again


def rows(statistics: Statistics) -> tuple[PartitionStatistics, dict[str, EventStatistics]]:
    return statistics.row, statistics.events


def all_read(records: Sequence[LedgerRecord]) -> Statistics:
    """What the process makes of a ledger: if it is contested it reads it again by the rules."""
    statistics = folded(records)
    return folded(records, Statistics.by_the_rules(Ledger(HOME))) if statistics.contested else statistics


@given(arrivals(), st.data())
def test_batches_cut_anywhere_with_a_restart_at_each_give_the_same_rows(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    records = [by_redis(r) if data.draw(st.booleans()) else r for r in decide_after(Ledger(HOME), arrived)]
    whole = folded(records)
    assert_exact(whole, records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=6)))
    statistics = Statistics(PartitionStatistics(HOME))
    for first, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        statistics = folded(records[first:end], from_rows(statistics), first)
    assert rows(statistics) == rows(whole)


@given(arrivals(), st.data())
def test_repeats_and_a_second_owners_records_change_no_figure(arrived: list[Arrival], data: st.DataObject) -> None:
    records = decide_after(Ledger(HOME), arrived)
    mixed = list(records)
    for _ in range(data.draw(st.integers(0, 3))):
        begin = data.draw(st.integers(0, len(records)))
        place = data.draw(st.integers(min(begin + 20, len(mixed)), len(mixed)))
        mixed[place:place] = [by_redis(record) for record in records[begin : begin + 20]]
    statistics = folded(mixed)
    assert_exact(statistics, mixed)
    assert_exact(folded(mixed, Statistics.by_the_rules(Ledger(HOME))), mixed)


def _harmed(record: LedgerRecord, data: st.DataObject) -> LedgerRecord:
    """Unreadable, of another event or seq, with other tickets, for another buyer, of another length."""
    value, header = record
    fact = json.loads(value or b"{}")
    changes = [
        {"seq": fact["seq"] + 1},
        {"seq": 0},
        {"event_id": "43"},
        {"at": "2026-13-01T00:00:00.000Z"},
        {"request_id": "r-0"},
    ]
    if "tickets" in fact:  # Elsewhere it would be a newer release's, behind which nobody reads on.
        changes.append({"tickets": ["42-999999"], "quantity": 1})
    changed = json.dumps(fact | data.draw(st.sampled_from(changes))).encode()
    values = st.sampled_from([changed, changed, changed, None, b"", b"\x00\xff", b"{}"])
    headers = st.sampled_from([header, header, header, header, None, b"zero", b"9-"])
    return LedgerRecord(data.draw(values), data.draw(headers))


@given(arrivals(min_size=2), st.data())
def test_damaged_and_foreign_records_count_for_the_figures_as_for_the_rules(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    """As soon as the commands behind them were decided again."""
    records = decide_after(Ledger(HOME), arrived)
    harmed: set[int] = set()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(records) - 1))
        if place not in harmed:
            records[place] = _harmed(records[place], data)
            harmed.add(place)
        records += decide_after(by_the_rules(records), arrived)
    assert_exact(all_read(records), records)


def test_what_only_the_rules_can_refuse_shows_when_it_is_decided_again() -> None:
    commands: list[Command] = [opening(), purchase("r-1"), purchase("r-2")]
    arrived = [Arrival(c, n, TIMES_MS[0], {"partition": HOME, "offset": n}) for n, c in enumerate(commands)]
    records = decide_after(Ledger(HOME), arrived)
    fact = cast(dict[str, Any], read_fact(records[1].value))
    forged = write_fact(cast(Any, fact | {"tickets": ["42-000002"]}))
    records[1:] = [LedgerRecord(forged, records[1].header)]
    before = folded(records)
    assert not before.contested
    records += decide_after(by_the_rules(records), arrived)
    assert folded(records).contested
    assert_exact(all_read(records), records)


@given(arrivals(opened=False, min_size=5))
def test_an_event_of_the_rules_before_is_counted_by_the_price_it_began_with(arrived: list[Arrival]) -> None:
    """Its facts say neither what they cost nor which category they are of, until it is changed."""
    created = decide_after(Ledger(HOME), [Arrival(opening(), 0, TIMES_MS[0], {"partition": HOME, "offset": 0})])
    before = (created[0].value or b"").replace(b'"rules":2', b'"rules":1')
    ledger = by_the_rules([LedgerRecord(before, created[0].header)])
    assert not ledger.inventory.events["42"].rules_since
    records = [LedgerRecord(before, created[0].header), *decide_after(ledger, arrived)]
    statistics = folded(records)
    assert not statistics.contested
    assert_exact(statistics, records)
    assert rows(from_rows(statistics)) == rows(statistics)


def test_money_of_a_size_that_no_machine_word_holds_is_counted_and_read_again() -> None:
    row = EventStatistics(
        *("42", "Night", "Hall", "2027-03-01T19:30:00Z", "EUR", 10**12),
        {GENERAL: CategoryStatistics("", 10**12, 10, sold=1, taken=10**30, refunded=10**29)},
        seq=1,
        at="2026-11-22T10:00:00.000Z",
    )
    assert read_event_row(write_row(row)) == row
    figures = event_figures(row, HOME)
    assert read_stats_record(b"42", stats_record("42", figures)[1]) == ("42", figures)
    assert figures["revenue"] == {"amount": 10**30 - 10**29, "currency": "EUR", "refunded": 10**29}


def test_a_row_that_has_more_tickets_than_there_are_is_refused() -> None:
    commands: list[Command] = [opening(), purchase("r-1")]
    arrived = [Arrival(c, n, TIMES_MS[0], {"partition": HOME, "offset": n}) for n, c in enumerate(commands)]
    [row] = folded(decide_after(Ledger(HOME), arrived)).events.values()
    assert read_event_row(write_row(row)) == row
    row.categories[GENERAL].held = 10
    with pytest.raises(UnreadableRowError):
        read_event_row(write_row(row))


def test_a_clean_ledger_is_not_contested() -> None:
    records = decide_after(Ledger(HOME), [Arrival(opening(), 0, TIMES_MS[0], {"partition": HOME, "offset": 0})])
    assert not folded(records).contested


@given(arrivals(min_size=5), st.data())
def test_rows_of_different_moments_are_noticed(arrived: list[Arrival], data: st.DataObject) -> None:
    """A replaced worker's row over a newer one, or a batch of which only a part was written."""
    records = decide_after(Ledger(HOME), arrived)
    early = folded(records[: data.draw(st.integers(0, len(records)))])
    late = folded(records)
    for event_id, row in early.events.items():
        stale = dict(late.events) | {event_id: row}
        assert Statistics(late.row, stale.values()).is_whole == (row.seq == late.events[event_id].seq)
        ahead = dict(early.events) | {event_id: late.events[event_id]}
        assert Statistics(early.row, ahead.values()).is_whole == (row.seq == late.events[event_id].seq)


@given(st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 8)), max_size=50))
def test_a_window_holds_what_is_in_reach_of_the_newest_sale(sales: list[tuple[int, int]]) -> None:
    window = Window(1_000)
    for timestamp_ms, tickets in sales:
        window.add(timestamp_ms, tickets)
    assert sold_by_bucket(window) == held_by_window(sales, 1_000)
    assert len(window.sold) == BUCKETS


def test_windows_are_added_span_by_span() -> None:
    one, other = Window(1_000), Window(1_000)
    one.add(5_000, 3)
    other.add(7_999, 2)
    other.add(5_500, 1)
    assert sold_by_bucket(added([one, other, Window(1_000)], 1_000)) == {5: 4, 7: 2}


@pytest.mark.parametrize("value", [b"", b"{}", b'{"partition": 0, "version": 1}', b'{"partition": 0, "version": 3}'])
def test_a_row_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(UnreadableRowError):
        read_partition_row(value)
    with pytest.raises(UnreadableRowError):
        read_event_row(value)
