"""The ledger's chain: which records count, and that a damaged ledger comes to the same state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from models.commands import Command
from models.facts import read_fact, write_fact
from models.inventory import decide, fold, is_second_copy
from models.ledger import Ledger, Taken
from tests.unit.strategies import HOME, Arrival, arrivals, opening, purchase, state

if TYPE_CHECKING:
    from collections.abc import Iterable


class LedgerRecord(NamedTuple):
    """A record on the ledger partition: its value and its ``boxoffice-read`` header."""

    value: bytes | None
    header: bytes | None


def decide_after(ledger: Ledger, arrived: Iterable[Arrival]) -> list[LedgerRecord]:
    """The records with which an owner whose ledger is this one answers the commands behind its bookmark."""
    written = []
    for arrival in arrived:
        if arrival.offset <= ledger.bookmark:
            continue
        if arrival.origin and is_second_copy(ledger.inventory, arrival.origin, arrival.command):
            continue
        fact = decide(ledger.inventory, arrival.command, arrival.position)
        fold(ledger.inventory, fact, arrival.offset)
        written.append(LedgerRecord(write_fact(fact), b"%d-%d" % (ledger.bookmark + 1, arrival.offset)))
        ledger.bookmark, ledger.last = arrival.offset, fact
    return written


def folded(records: Iterable[LedgerRecord]) -> Ledger:
    """A ledger that has read the records."""
    ledger = Ledger(HOME)
    for record in records:
        ledger.read(record.value, record.header)
    return ledger


def same(one: Ledger, other: Ledger) -> bool:
    """Whether two ledgers stand at the same place in the same state."""
    return (one.bookmark, one.last, state(one.inventory)) == (other.bookmark, other.last, state(other.inventory))


def by_redis(record: LedgerRecord) -> LedgerRecord:
    """The same record, decided by the other one."""
    return LedgerRecord((record.value or b"").replace(b'"local"', b'"redis"'), record.header)


def _damaged(record: LedgerRecord, data: st.DataObject) -> LedgerRecord:
    """The record with its value or its header made unreadable."""
    value, header = record
    bad_values = [None, b"", b"\x00\xff", (value or b"")[:-2], b"{}"]
    bad_headers = [None, b"", b"zero", b"9-", (header or b"").split(b"-")[0]]
    if data.draw(st.booleans()):
        return LedgerRecord(data.draw(st.sampled_from(bad_values)), header)
    return LedgerRecord(value, data.draw(st.sampled_from(bad_headers)))


@given(arrivals(), st.data())
def test_a_clean_ledger_folds_to_the_state_that_wrote_it(arrived: list[Arrival], data: st.DataObject) -> None:
    owner = Ledger(HOME)
    records = decide_after(owner, arrived)
    assert same(folded(records), owner)
    stop = data.draw(st.integers(0, len(records)))
    goes_on = folded(records[:stop])
    assert decide_after(goes_on, arrived) == records[stop:]


@given(arrivals(), st.data())
def test_repeats_and_a_second_owners_records_change_nothing(arrived: list[Arrival], data: st.DataObject) -> None:
    """A second owner repeats what the first one says, from wherever it began, mixed in as it comes."""
    owner = Ledger(HOME)
    records = decide_after(owner, arrived)
    begins = data.draw(st.lists(st.integers(0, len(records)), max_size=3))
    # Each owner's records stay in their order; a record can be repeated only after it was written.
    mixed = list(records)
    for begin in begins:
        place = begin
        for record in records[begin : begin + data.draw(st.integers(0, 20))]:
            place = data.draw(st.integers(max(place, _index(mixed, record)) + 1, len(mixed)))
            mixed.insert(place, record)
    ledger = Ledger(HOME)
    taken = [ledger.read(*record) for record in mixed]
    assert same(ledger, owner)
    assert taken.count(Taken.TAKEN) == len(records)
    assert Taken.DAMAGED not in taken


def _index(records: list[LedgerRecord], record: LedgerRecord) -> int:
    return next(index for index, other in enumerate(records) if other is record)


@given(arrivals(), st.data())
def test_a_second_owner_may_have_decided_with_redis(arrived: list[Arrival], data: st.DataObject) -> None:
    records = decide_after(Ledger(HOME), arrived)
    mixed = [by_redis(record) if data.draw(st.booleans()) else record for record in records]
    again = folded(mixed)
    assert decide_after(again, arrived) == []
    for event in again.inventory.events.values():
        event.created["decided_by"] = "local"
    assert state(again.inventory) == state(folded(records).inventory)


@given(arrivals(min_size=2), st.data())
def test_what_lies_behind_a_gap_is_ignored_until_it_is_decided_again(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    owner = Ledger(HOME)
    records = decide_after(owner, arrived)
    gap = data.draw(st.integers(0, len(records) - 1))
    left = records[:gap] + records[gap + data.draw(st.integers(1, 5)) :]
    ledger = Ledger(HOME)
    taken = [ledger.read(*record) for record in left]
    assert taken == [Taken.TAKEN] * gap + [Taken.IGNORED] * (len(left) - gap)
    assert same(ledger, folded(records[:gap]))
    again = decide_after(ledger, arrived)
    assert again == records[gap:]
    assert same(folded(left + again), owner)


@given(arrivals(min_size=2), st.data())
def test_what_lies_behind_a_damaged_record_is_ignored_until_it_is_decided_again(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    owner = Ledger(HOME)
    records = decide_after(owner, arrived)
    place = data.draw(st.integers(0, len(records) - 1))
    left = list(records)
    left[place] = _damaged(records[place], data)
    ledger = Ledger(HOME)
    taken = [ledger.read(*record) for record in left]
    assert taken[:place] == [Taken.TAKEN] * place
    assert taken[place] is Taken.DAMAGED
    assert set(taken[place + 1 :]) <= {Taken.IGNORED}
    assert same(ledger, folded(records[:place]))
    again = decide_after(ledger, arrived)
    assert again == records[place:]
    assert same(folded(left + again), owner)


@given(arrivals(min_size=2), st.data())
def test_a_ledger_with_every_kind_of_harm_comes_to_the_same_state(arrived: list[Arrival], data: st.DataObject) -> None:
    """Owners come and go over a ledger that loses, repeats and damages records; then one reads it whole."""
    clean = Ledger(HOME)
    decide_after(clean, arrived)
    records: list[LedgerRecord] = []
    for _ in range(data.draw(st.integers(1, 5))):
        owner = folded(records[: data.draw(st.integers(0, len(records)))])
        written = decide_after(owner, arrived)
        records += written[: data.draw(st.integers(0, len(written)))]
        match data.draw(st.sampled_from(["nothing", "cut", "damaged", "lost"])), len(records):
            case "cut", count:
                del records[data.draw(st.integers(0, count)) :]
            case "damaged", count if count:
                place = data.draw(st.integers(0, count - 1))
                records[place] = _damaged(records[place], data)
            case "lost", count if count:
                del records[data.draw(st.integers(0, count - 1))]
    before = folded(records)
    seen(f"chain broken: {before.bookmark < clean.bookmark}")
    records += decide_after(before, arrived)
    assert same(folded(records), clean)


@given(arrivals(min_size=2), st.data())
def test_the_bookmark_never_goes_back_and_every_taken_range_follows_the_last(
    arrived: list[Arrival], data: st.DataObject
) -> None:
    records = decide_after(Ledger(HOME), arrived)
    shuffled = data.draw(st.permutations(records + records))
    ledger = Ledger(HOME)
    for record in shuffled:
        before = ledger.bookmark
        taken = ledger.read(*record)
        first, last = (int(offset) for offset in (record.header or b"").split(b"-"))
        if taken is Taken.TAKEN:
            assert (first, last) == (before + 1, ledger.bookmark)
        else:
            assert ledger.bookmark == before


def test_the_first_chain_begins_at_0() -> None:
    ledger = Ledger(HOME)
    (record,) = decide_after(Ledger(HOME), [Arrival(opening(), 4, 0, {"partition": HOME, "offset": 4})])
    assert record.header == b"0-4"
    assert ledger.bookmark == -1
    assert ledger.read(record.value, b"1-4") is Taken.IGNORED
    assert ledger.read(record.value, b"4-4") is Taken.IGNORED
    assert ledger.read(*record) is Taken.TAKEN
    assert ledger.bookmark == 4
    assert ledger.last == read_fact(record.value)


def test_a_second_copy_gets_no_record_and_lies_in_the_next_ones_range() -> None:
    ledger = Ledger(HOME)
    forwarded: Any = {"partition": 5, "offset": 9}
    records = decide_after(
        ledger,
        [
            Arrival(opening(), 0, 0, {"partition": HOME, "offset": 0}),
            Arrival(purchase("r-1"), 1, 0, forwarded),
            Arrival(purchase("r-1"), 2, 0, forwarded),
            Arrival(purchase("r-2"), 3, 0, {"partition": HOME, "offset": 3}),
        ],
    )
    assert [record.header for record in records] == [b"0-0", b"1-1", b"2-3"]


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 9},
        {"seq": 0},
        {"tickets": ["42-000002"]},
        {"tickets": [f"42-{n:06d}" for n in range(1, 301)]},
        {"quantity": 2},
        {"at": "2026-02-30T10:00:00.000Z"},
        {"at": "1969-12-31T23:59:59.999Z"},
        {"request_id": "c-1"},
        {"request_id": "x" * 300},
        {"buyer": ""},
        {"event_id": "8"},
    ],
)
def test_a_record_that_cannot_follow_is_damaged_and_changes_nothing(changes: dict[str, Any]) -> None:
    """No exception of any kind may leave: the worker would end on each start."""
    ledger = Ledger(HOME)
    records = decide_after(
        ledger,
        [
            Arrival(opening(), 0, 0, {"partition": HOME, "offset": 0}),
            Arrival(purchase("r-1"), 1, 0, {"partition": HOME, "offset": 1}),
        ],
    )
    ledger = folded(records[:1])
    before = state(ledger.inventory)
    damaged = json.dumps(json.loads(records[1].value or b"") | changes).encode()
    assert ledger.read(damaged, records[1].header) is Taken.DAMAGED
    assert (ledger.bookmark, state(ledger.inventory)) == (0, before)
    assert ledger.read(*records[1]) is Taken.TAKEN


# Releases


def _sale() -> list[Arrival]:
    commands: list[Command] = [opening(capacity=5), *(purchase(f"r-{number}") for number in range(4))]
    return [
        Arrival(command, offset, 1_795_341_600_123, {"partition": HOME, "offset": offset})
        for offset, command in enumerate(commands)
    ]


def test_the_chain_stands_before_what_a_newer_release_wrote_and_takes_nothing_behind_it() -> None:
    owner = Ledger(HOME)
    records = decide_after(owner, _sale())
    newer = json.loads(records[2].value or b"") | {"reason": "no_voucher", "type": "purchase_rejected"}
    forked = [*records[:2], LedgerRecord(json.dumps(newer).encode(), records[2].header), *records[3:]]
    ledger = folded(records[:2])
    before = (ledger.bookmark, state(ledger.inventory))
    # The third of them is what an older owner still writes about the same command.
    taken = [ledger.read(record.value, record.header) for record in (*forked[2:], *records[2:])]
    assert taken[0] is Taken.NEWER
    assert ledger.newer == "written by a newer release: it knows the reason no_voucher"
    assert Taken.TAKEN not in taken
    assert (ledger.bookmark, state(ledger.inventory)) == before


def test_what_does_not_continue_the_chain_is_nobodys_release() -> None:
    owner = Ledger(HOME)
    records = decide_after(owner, _sale())
    newer = json.loads(records[2].value or b"") | {"type": "ticket_swapped"}
    ledger = folded(records)
    assert ledger.read(json.dumps(newer).encode(), records[2].header) is Taken.IGNORED
    assert ledger.newer is None
