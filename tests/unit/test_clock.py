"""The clock by itself: which holds it knows, when it asks about them, and what it makes of the answers."""

from __future__ import annotations

import json
import tracemalloc
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.clock.buckets import Buckets
from boxoffice.clock.expiring import record_of
from boxoffice.clock.holds import AGAIN_MS, Holds, Question
from boxoffice.clock.pace import Pace
from models.clock_places import ClockPlace, place_in, row_of
from models.commands import ExpireHold, read_command
from models.derived_ids import EXPIRY, first_id, next_id
from models.facts import at_text
from models.places import UnreadablePlaceError
from tests.support.one_partition import (
    BEGIN_MS,
    NUMBER,
    OnePartition,
    buying,
    cancelling,
    holding,
    paying,
)

HOLD_MS = 600_000
DUE_MS = BEGIN_MS + HOLD_MS
ALL = 1_000
WIDTH_MS = 100
"""Of the buckets of what is asked again, and of those that are tried here."""


class Watched:
    """A partition, and the holds that a clock has folded from it."""

    def __init__(self, hold_s: int = HOLD_MS // 1000) -> None:
        self.partition = OnePartition()
        self.partition.ask(holding(hold_s=hold_s))
        self.holds = Holds(NUMBER, 0)
        self.passed_ms = 0

    def ask(self, command: dict[str, Any], at_ms: int = BEGIN_MS) -> str:
        """Have a command decided, and what came of it folded; returns the fact's type."""
        fact = self.partition.ask(command, at_ms)
        self.fold()
        return fact["type"]

    def fold(self) -> None:
        """Take what lies on the ledger and was not taken."""
        for offset, value, read in self.partition.ledger[self.holds.next_offset :]:
            self.holds.take(offset, value, read, self.passed_ms)

    def due(self, now_ms: int, most: int = ALL) -> list[Question]:
        """What is to be asked."""
        return self.holds.due(now_ms, self.passed_ms, most)

    def send(self, question: Question, at_ms: int) -> str:
        """Send a question and have it answered."""
        self.holds.landed(question, self.partition.send(record_of(question)[1] or b"", at_ms))
        [fact] = self.partition.decide()
        self.fold()
        return str(fact.get("reason", fact["type"]))


@pytest.fixture
def watched() -> Watched:
    return Watched()


# Which holds there are


def test_a_hold_is_asked_about_when_it_is_due_and_not_before(watched: Watched) -> None:
    assert watched.ask(buying("r-1")) == "purchase_held"
    assert watched.due(DUE_MS - 1) == []
    assert watched.due(DUE_MS) == [Question(first_id(EXPIRY, "r-1"), "42", "r-1")]


def test_the_question_is_a_command_that_expires_the_hold(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    [question] = watched.due(DUE_MS)
    key, value, headers = record_of(question)
    assert (key, headers) == (b"42", [])
    command = read_command(value)
    assert isinstance(command, ExpireHold)
    assert command.actor is None
    assert watched.send(question, DUE_MS) == "hold_expired"
    assert len(watched.holds) == 0
    assert watched.holds.unanswered == 0
    assert watched.holds.answers == {"expired": 1}
    assert watched.holds.late_ms == [0]


@pytest.mark.parametrize("ending", [paying("r-1"), cancelling("r-1")], ids=["paid", "cancelled"])
def test_what_was_paid_or_cancelled_is_not_asked_about(watched: Watched, ending: dict[str, Any]) -> None:
    watched.ask(buying("r-1"))
    watched.ask(ending)
    assert len(watched.holds) == 0
    assert watched.due(DUE_MS + HOLD_MS) == []


def test_what_was_cancelled_in_part_is_held_on(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    [held] = [json.loads(record.value or b"") for record in watched.partition.ledger[1:]]
    assert watched.ask(cancelling("r-1", "42", held["tickets"][0])) == "purchase_cancelled"
    [question] = watched.due(DUE_MS)
    assert watched.send(question, DUE_MS) == "hold_expired"


def test_a_purchase_that_is_paid_at_once_is_no_hold() -> None:
    watched = Watched()
    watched.ask({**holding("7"), "hold_s": None})
    assert watched.ask(buying("r-1", "7")) == "purchase_confirmed"
    assert len(watched.holds) == 0


def test_purchases_of_two_events_under_one_request_id_are_two_holds(watched: Watched) -> None:
    watched.ask(holding("7", hold_s=60))
    watched.ask(buying("r-1", "42"))
    watched.ask(buying("r-1", "7"))
    [early] = watched.due(BEGIN_MS + 60_000)
    assert early.event_id == "7"
    [late] = watched.due(DUE_MS)
    assert (late.event_id, late.request_id) == ("42", early.request_id)
    assert watched.holds.unanswered == 2
    assert watched.send(early, DUE_MS) == "hold_expired"
    assert len(watched.holds) == watched.holds.unanswered == 1
    assert watched.send(late, DUE_MS) == "hold_expired"
    assert len(watched.holds) == watched.holds.unanswered == 0


def test_a_hold_that_others_had_expired_is_not_asked_about(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    expiring = {"type": "expire_hold", "request_id": "by-hand", "event_id": "42", "purchase": "r-1"}
    assert watched.ask(expiring, DUE_MS + 3_000) == "hold_expired"
    assert watched.due(DUE_MS + HOLD_MS) == []
    assert watched.holds.late_ms == [3_000]
    assert not watched.holds.answers


# Whose records they are


def test_repeats_change_nothing(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    watched.ask(buying("r-2"))
    for record in watched.partition.ledger[:]:
        watched.partition.write(record.value, record.read)
    watched.fold()
    assert len(watched.holds) == 2
    assert {question.purchase for question in watched.due(DUE_MS)} == {"r-1", "r-2"}


def test_a_replaced_owner_s_repeat_of_a_hold_that_has_ended_costs_one_question(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    held = watched.partition.ledger[-1]
    watched.ask(paying("r-1"))
    watched.partition.write(held.value, held.read)
    watched.fold()
    assert watched.due(DUE_MS) == [], "it may have been asked about just now"
    watched.passed_ms += HOLD_MS + WIDTH_MS
    [question] = watched.due(DUE_MS)
    assert watched.send(question, DUE_MS) == "not_held"
    assert len(watched.holds) == watched.holds.unanswered == 0
    watched.passed_ms += HOLD_MS
    assert watched.due(DUE_MS + HOLD_MS) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"no fact",
        b"{}",
        b'{"type":"purchase_held"}',
        b'{"type":"seat_swapped","event_id":"42","seq":99,"request_id":"x","at":"2026-11-22T10:00:00.000Z",'
        b'"source":{"partition":0,"offset":1}}',
    ],
)
@pytest.mark.parametrize("read", [None, b"", b"x", b"7-3", b"500-600"])
def test_strangers_records_are_passed_over(watched: Watched, value: bytes | None, read: bytes | None) -> None:
    watched.ask(buying("r-1"))
    watched.partition.write(value, read)
    watched.fold()
    assert watched.holds.newer_at is None
    assert watched.holds.next_offset == len(watched.partition.ledger)
    watched.ask(buying("r-2"))
    assert len(watched.due(DUE_MS)) == 2


@pytest.mark.parametrize(
    "changed",
    [{"due": "2026-13-45T10:00:00.000Z"}, {"at": "2026-02-30T10:00:00.000Z"}, {"due": "0000-01-01T00:00:00.000Z"}],
)
def test_a_day_that_no_calendar_has_is_passed_over(watched: Watched, changed: dict[str, str]) -> None:
    watched.ask(buying("r-1"))
    held = json.loads(watched.partition.ledger[-1].value or b"")
    watched.partition.write(json.dumps({**held, "purchase": "r-9", **changed}).encode(), b"9-9")
    watched.fold()
    assert len(watched.holds) == 1
    assert watched.holds.damaged == 1


def test_a_hold_that_was_due_before_there_were_computers_is_asked_about_at_once(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    held = json.loads(watched.partition.ledger[-1].value or b"")
    strange = json.dumps({**held, "purchase": "r-9", "due": "0001-01-01T00:00:00.000Z"}).encode()
    watched.partition.write(strange, b"9-9")
    watched.fold()
    [question] = watched.due(BEGIN_MS)
    assert watched.send(question, BEGIN_MS) == "no_such_purchase"
    assert len(watched.holds) == 1


def test_a_newer_release_s_fact_in_the_next_one_s_place_ends_all_asking(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    newer = {**json.loads(watched.partition.ledger[-1].value or b""), "type": "seat_swapped", "seq": 3}
    watched.partition.write(json.dumps(newer).encode(), b"2-2")
    watched.partition.write(watched.partition.ledger[1].value, b"3-3")
    watched.fold()
    assert watched.holds.newer_at == watched.holds.next_offset == 2
    assert watched.due(DUE_MS + HOLD_MS) == []


# When it asks


def test_the_broker_s_time_tells_a_clock_that_is_slow_what_is_due(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    slow_ms = BEGIN_MS - 300_000
    assert watched.due(slow_ms) == []
    watched.ask(buying("r-2"), DUE_MS)
    [question] = watched.due(slow_ms)
    assert question.purchase == "r-1"
    assert watched.send(question, DUE_MS) == "hold_expired"


def test_who_was_early_asks_again_when_so_much_time_has_passed_as_the_broker_had_to_go(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    fast_ms = DUE_MS + 1
    [question] = watched.due(fast_ms)
    assert watched.send(question, DUE_MS - 20_000) == "not_due"
    assert watched.holds.answers == {"not_due": 1}
    watched.passed_ms += 19_999
    assert watched.due(fast_ms) == []
    watched.passed_ms += WIDTH_MS
    assert watched.due(fast_ms) == [question]
    assert watched.send(question, DUE_MS) == "hold_expired"


def test_no_hold_is_asked_about_twice_within_a_second(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    [question] = watched.due(DUE_MS)
    assert watched.due(DUE_MS) == [], "it is not answered yet"
    assert watched.send(question, DUE_MS - 1) == "not_due"
    watched.passed_ms += AGAIN_MS - 1
    assert watched.due(DUE_MS + AGAIN_MS) == []
    watched.passed_ms += WIDTH_MS
    assert watched.due(DUE_MS + AGAIN_MS) == [question]


def test_an_id_that_somebody_took_is_followed_by_the_next(watched: Watched) -> None:
    taken = [first_id(EXPIRY, "r-1"), next_id(first_id(EXPIRY, "r-1"))]
    for request_id in taken:
        watched.ask(buying(request_id, quantity=1))
    watched.ask(buying("r-1"))
    answers, asked = [], []
    for _ in range(3):
        [question] = [one for one in watched.due(DUE_MS) if one.purchase == "r-1"]
        asked.append(question.request_id)
        answers.append(watched.send(question, DUE_MS))
        watched.passed_ms += AGAIN_MS + WIDTH_MS
    assert answers == ["request_id_reused", "request_id_reused", "hold_expired"]
    assert asked == [*taken, next_id(taken[1])]


def test_what_is_answered_that_there_is_no_such_purchase_is_forgotten(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    held = json.loads(watched.partition.ledger[-1].value or b"")
    for members in ({"purchase": "r-9"}, {"event_id": "8"}):
        watched.partition.write(json.dumps({**held, **members}).encode(), b"9-9")
    watched.fold()
    answers = {question[1:]: watched.send(question, DUE_MS) for question in watched.due(DUE_MS)}
    assert answers == {
        ("42", "r-1"): "hold_expired",
        ("42", "r-9"): "no_such_purchase",
        ("8", "r-1"): "unknown_event",
    }
    assert len(watched.holds) == 0


def test_a_question_that_was_lost_is_asked_again_and_one_that_waits_is_not(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    [question] = watched.due(DUE_MS)
    offset = watched.partition.send(record_of(question)[1] or b"", DUE_MS)
    watched.holds.landed(question, offset)
    watched.passed_ms += 3_600_000
    assert watched.due(DUE_MS) == [], "the log answers in its order, however long it takes"
    last = json.loads(watched.partition.ledger[-1].value or b"")
    passed = {name: last[name] for name in ("at", "source")} | {"event_id": None, "seq": 0, "request_id": None}
    watched.partition.write(json.dumps({"type": "offsets_passed", **passed}).encode(), b"%d-%d" % (offset, offset))
    watched.fold()
    assert watched.due(DUE_MS) == []
    watched.passed_ms += AGAIN_MS
    assert watched.due(DUE_MS) == [question]


def test_the_earliest_are_asked_about_first_and_no_more_than_may_be() -> None:
    watched = Watched()
    for number in range(10):
        watched.ask(buying(f"r-{number}", quantity=1), BEGIN_MS + 1_000 * (9 - number))
    assert [one.purchase for one in watched.due(DUE_MS + 60_000, most=4)] == ["r-9", "r-8", "r-7", "r-6"]
    assert watched.holds.unanswered == 4
    assert [one.purchase for one in watched.due(DUE_MS + 60_000, most=ALL)] == [f"r-{n}" for n in range(5, -1, -1)]


def test_which_hold_is_due_first(watched: Watched) -> None:
    assert Watched().holds.first_due_ms is None
    watched.ask(buying("r-1"))
    watched.ask(buying("r-2"), BEGIN_MS + 5_000)
    assert watched.holds.first_due_ms == DUE_MS
    [question] = watched.due(DUE_MS)
    assert watched.holds.first_due_ms == DUE_MS, "it is asked about, and not answered"
    assert watched.send(question, DUE_MS + 9_000) == "hold_expired"
    assert watched.holds.first_due_ms == DUE_MS + 5_000


def test_a_clock_that_is_fast_does_not_take_a_hold_for_overdue_that_is_not_due(watched: Watched) -> None:
    watched.ask(buying("r-1"))
    fast_ms = DUE_MS + 300_000
    [question] = watched.due(fast_ms)
    assert watched.send(question, DUE_MS - 299_000) == "not_due"
    assert watched.holds.first_due_ms is None


# Where it begins another time


def began_at(watched: Watched) -> Holds:
    """The holds of a clock that begins at the place."""
    place = watched.holds.place()
    assert place is not None
    holds = Holds(NUMBER, place.offset, None)
    for offset, value, read in watched.partition.ledger[place.offset :]:
        holds.take(offset, value, read, 0)
    return holds


def test_a_place_loses_no_hold_and_reads_nothing_that_has_ended() -> None:
    watched = Watched()
    for number in range(20):
        watched.ask(buying(f"r-{number}", quantity=1))
    for number in (*range(7), 9, 12):
        watched.ask(paying(f"r-{number}", quantity=1))
    place = watched.holds.place()
    assert place == ClockPlace(NUMBER, 1 + 7, "42", "r-7", at_text(DUE_MS))
    again = began_at(watched)
    assert {one.purchase for one in again.due(DUE_MS, 0, ALL)} == {one.purchase for one in watched.due(DUE_MS)}


def test_without_holds_the_place_is_the_last_record(watched: Watched) -> None:
    assert Holds(NUMBER, 0).place() is None
    watched.ask(buying("r-1"))
    watched.ask(paying("r-1"))
    place = watched.holds.place()
    assert place == ClockPlace(NUMBER, 2, "42", "pay-r-1")
    assert len(began_at(watched)) == 0


def test_a_place_knows_its_record_from_another() -> None:
    watched = Watched()
    watched.ask(buying("r-1"))
    place = watched.holds.place()
    assert place is not None
    facts = [json.loads(record.value or b"") for record in watched.partition.ledger]
    assert [place.is_at(fact) for fact in facts] == [False, True]


def test_a_place_is_read_as_it_was_written() -> None:
    place = ClockPlace(NUMBER, 7, "42", "r-1", at_text(DUE_MS))
    unreadable = ClockPlace(0, 0, None, None)
    rows: dict[bytes | None, bytes] = dict([row_of(place), row_of(unreadable)])
    assert place_in(NUMBER, rows) == place
    assert place_in(0, rows) == unreadable
    assert place_in(1, rows) is None


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"{}",
        b"7",
        b'{"partition":3,"offset":-1,"event_id":null,"request_id":null,"version":1}',
        b'{"partition":4,"offset":1,"event_id":null,"request_id":null,"version":1}',
        b'{"partition":3,"offset":1,"event_id":null,"request_id":null,"version":2}',
        b'{"partition":3,"offset":1,"event_id":"x","request_id":null,"version":1}',
    ],
)
def test_a_row_that_nobody_of_ours_wrote_is_no_place(row: bytes) -> None:
    with pytest.raises(UnreadablePlaceError):
        place_in(NUMBER, {b"partition-3": row})


# Buckets, pace, memory


@given(st.lists(st.tuples(st.integers(0, 3_000), st.booleans())), st.integers(1, 5))
def test_a_bucket_gives_each_key_once_and_none_before_its_time(waiting: list[tuple[int, bool]], most: int) -> None:
    buckets = Buckets(WIDTH_MS)
    for number, (at_ms, _) in enumerate(waiting):
        buckets.add(str(number), at_ms)
    for number, (at_ms, goes) in enumerate(waiting):
        if goes:
            buckets.discard(str(number), at_ms)
    left = {str(number): at_ms for number, (at_ms, goes) in enumerate(waiting) if not goes}
    for now_ms in range(0, 3_000 + 2 * WIDTH_MS, WIDTH_MS):
        first_ms = buckets.first_ms
        assert (first_ms is None) == (not left)
        assert first_ms is None or min(left.values()) <= first_ms < min(left.values()) + WIDTH_MS
        while taken := buckets.take(now_ms, most):
            assert len(taken) <= most
            assert all(left.pop(key) <= now_ms for key in taken)
        assert all(at_ms > now_ms - WIDTH_MS for at_ms in left.values())
    assert left == {}


def test_a_bucket_that_was_emptied_takes_keys_again() -> None:
    buckets = Buckets(WIDTH_MS)
    buckets.add("a", 500)
    buckets.discard("a", 500)
    buckets.discard("a", 500)
    buckets.add("b", 500)
    assert buckets.take(500, 10) == ["b"]
    assert buckets.take(500, 10) == []
    assert buckets.first_ms is None


def test_no_more_is_asked_in_a_second_than_may_be_however_it_comes() -> None:
    random = Random(11)
    pace, now_s, asked = Pace(1_000, 0.0), 0.0, 0
    while now_s < 10:
        now_s += random.choice((*[0.001] * 8, 0.05, 0.4))
        room = pace.room(now_s)
        assert room <= 100
        pace.take(room)
        asked += room
    assert asked <= 1_000 * now_s + 100
    assert Pace(0.5, 0.0).room(100.0) == 1


def test_a_hold_takes_no_more_memory_than_is_said() -> None:
    """Ids as browsers and shops make them: a UUID, within an event of seven digits."""
    assert _bytes_each(20_000, 600) <= 280
    assert _bytes_each(20_000, 1) <= 280
    assert _bytes_each(5_000, 86_400) <= 560


def _bytes_each(count: int, within_s: int) -> float:
    """What a hold takes, of so many that are due within so long."""
    random = Random(5)
    partition = OnePartition()
    partition.ask(holding("1234567", hold_s=600))
    partition.ask(buying("first", "1234567"))
    template = json.loads(partition.ledger[-1].value or b"")
    values = []
    for _ in range(count):
        purchase = str(UUID(int=random.getrandbits(128)))
        due = at_text(DUE_MS + random.randrange(within_s * 1000))
        values.append(json.dumps({**template, "purchase": purchase, "due": due}).encode())
    holds = Holds(NUMBER, 0)
    holds.take(0, values[0], b"9-9", 0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for offset, value in enumerate(values):
        holds.take(offset, value, b"9-9", 0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(holds) == len(values)
    return (after - before) / count
