"""The documents' place: whatever was dealt with when, what is kept is where a start may go on, or nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from boxoffice.batching import Record
from boxoffice.documents.making import _start, _within
from boxoffice.documents.progress import TakenLedger
from models.places import Place, UnreadablePlaceError, place_from, rows_of
from tests.unit.test_documents import ledger_record

NUMBER = 3


def applied(rows: dict[bytes | None, bytes], written: Sequence[tuple[bytes, bytes | None]]) -> None:
    """What a compacted topic holds after rows were written."""
    for key, value in written:
        rows.pop(key, None)
        if value is not None:
            rows[key] = value


def ledger(chance: random.Random, count: int) -> list[Record]:
    """Facts of some events, with repeats, as a replaced worker and a request that came again leave them."""
    reached: dict[str, int] = {}
    records = []
    for offset in range(count):
        event_id = chance.choice(("7", "42", "43", "1000"))
        seq = reached.get(event_id, 0)
        seq = chance.randrange(1, seq + 1) if seq and chance.random() < 0.3 else seq + 1
        reached[event_id] = max(seq, reached.get(event_id, 0))
        records.append(ledger_record(offset, event_id, seq))
    return records


def read_to(records: Sequence[Record], offset: int) -> Mapping[str, int]:
    taken = TakenLedger(0)
    for record in records[:offset]:
        taken.take(record)
    return taken._seqs


def test_a_place_is_read_as_it_was_written() -> None:
    rows: dict[bytes | None, bytes] = {}
    applied(rows, rows_of(NUMBER, Place(10, 7, {"42": 5, "7": 2})))
    assert place_from(NUMBER, rows) == Place(10, 7, {"42": 5, "7": 2})
    applied(rows, rows_of(NUMBER, Place(12, 9, {"7": 4})))
    assert place_from(NUMBER, rows) == Place(12, 9, {"42": 5, "7": 4})
    assert place_from(NUMBER, {}) is None


class Worker:
    """A partition's documents process: it takes facts, deals with them, commits, keeps places, dies, starts again."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.records = ledger(self.chance, 300)
        fresh = TakenLedger(0)
        self.new = [fresh.take(record) is not None for record in self.records]
        self.rows: dict[bytes | None, bytes] = {}
        self.taken = TakenLedger(0)
        self.at = self.done = self.committed = 0

    def take(self) -> None:
        to = min(self.at + self.chance.randrange(20), len(self.records))
        assert [self.taken.take(record) is not None for record in self.records[self.at : to]] == self.new[self.at : to]
        self.at = to

    def deal(self) -> None:
        self.done = self.chance.randrange(self.done, self.at + 1)
        self.taken.settle(self.done)

    def commit(self) -> None:
        self.committed = self.done

    def keep(self) -> None:
        place = self.taken.place_until(self.committed)
        if place is None:
            return
        assert place.offset <= self.committed <= self.done
        applied(self.rows, rows_of(NUMBER, place))
        self.taken.kept(place, anew=self.chance.random() < 0.2)
        kept = place_from(NUMBER, self.rows)
        assert kept is not None
        assert (kept.offset, kept.facts) == (place.offset, place.facts)
        assert kept.seqs == read_to(self.records, place.offset)

    def rewind(self) -> None:
        assert self.taken.rewind(self.done)
        self.at = self.committed = self.done

    def die_and_start(self) -> None:
        if self.rows and self.chance.random() < 0.3:
            self.rows.pop(self.chance.choice(sorted(key for key in self.rows if key is not None)))
        found = None
        with suppress(UnreadablePlaceError):
            found = place_from(NUMBER, self.rows)
        start = _start(self.chance.choice((self.committed, None)), found, 0, len(self.records))
        assert start <= self.done
        goes_on = found is not None and found.offset <= start
        self.taken = TakenLedger.at(found) if found is not None and goes_on else TakenLedger(0)
        for record in self.records[self.taken.next_offset : start]:
            self.taken.take(record)
        self.taken.settle(start)
        if not goes_on:
            self.taken.keep_anew({key.decode() for key in self.rows if key and key.isdigit()})
        assert self.taken._seqs == read_to(self.records, start)
        self.at = self.done = self.committed = start


@pytest.mark.parametrize("seed", range(40))
def test_what_is_kept_is_where_a_start_goes_on_and_never_ahead_of_what_was_dealt_with(seed: int) -> None:
    worker = Worker(seed)
    steps = (worker.take, worker.take, worker.deal, worker.deal, worker.commit, worker.keep, worker.rewind)
    for _ in range(400):
        worker.chance.choice((*steps, worker.die_and_start))()


@pytest.mark.parametrize("anew", [False, True])
def test_rows_that_a_crash_cut_short_are_no_place(anew: bool) -> None:
    before: dict[bytes | None, bytes] = {}
    applied(before, rows_of(NUMBER, Place(10, 7, {"42": 5, "7": 2})))
    # With the event that goes, what is there adds up at every cut.
    written = rows_of(NUMBER, Place(20, 7, {"43": 2, "7": 0} if anew else {"42": 6, "43": 2}, anew))
    for cut in range(len(written)):
        rows = dict(before)
        applied(rows, written[:cut])
        if not cut:
            assert place_from(NUMBER, rows) == place_from(NUMBER, before)
            continue
        with pytest.raises(UnreadablePlaceError):
            place_from(NUMBER, rows)


@pytest.mark.parametrize(
    "change",
    [
        {b"42": b'{"seq":6}'},
        {b"42": b'{"seq":"5"}'},
        {b"42": b"garbage"},
        {b"43": b'{"seq":1}'},
        {b"partition-3": b"{}"},
        {b"partition-3": b'{"partition":4,"offset":10,"facts":7,"version":1}'},
        {b"partition-3": b'{"partition":3,"offset":10,"facts":7,"version":2}'},
        {b"partition-3": b'{"partition":3,"offset":-1,"facts":7,"version":1}'},
    ],
)
def test_rows_that_nobody_of_ours_wrote_are_no_place(change: dict[bytes | None, bytes]) -> None:
    rows: dict[bytes | None, bytes] = {}
    applied(rows, rows_of(NUMBER, Place(10, 7, {"42": 5, "7": 2})))
    with pytest.raises(UnreadablePlaceError):
        place_from(NUMBER, {**rows, **change})


def test_rows_under_strange_keys_are_passed_over() -> None:
    rows: dict[bytes | None, bytes] = {None: b"x", b"\xff": b"x", b"042": b'{"seq":1}', b"partition-4": b"{}"}
    applied(rows, rows_of(NUMBER, Place(10, 7, {"42": 7})))
    assert place_from(NUMBER, rows) == Place(10, 7, {"42": 7})


@pytest.mark.parametrize(
    ("committed", "kept", "start"),
    [
        (None, None, 0),
        (7, None, 7),
        (7, 5, 7),
        # Somebody has set the group back: documents are to be made again.
        (5, 7, 5),
        (None, 7, 7),
        # A ledger that was made anew.
        (30, 7, 7),
        (30, 30, 0),
        (None, 30, 0),
    ],
)
def test_a_start_goes_on_where_the_group_is_and_else_at_the_place(
    committed: int | None, kept: int | None, start: int
) -> None:
    place = Place(kept) if kept is not None else None
    assert _start(committed, _within(place, 0, 20), 0, 20) == start
