"""What is kept of event-stats: the newest figures of each event, byte for byte, and no more than fits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.statistics.states import MOST_BYTES, EventStates
from models.members import MAX_CATEGORIES, MAX_PRICE_AMOUNT
from models.reasons import Reason
from tests.support.figures import states_of, written


def ids(states: EventStates, after: str | None = None, limit: int = 100) -> list[str]:
    return [state.event_id for state in states.page(after, limit)[0]]


def test_an_event_is_shown_by_the_bytes_of_its_newest_record() -> None:
    states = states_of(("42", 1))
    key, value = written("42", 5)
    assert states.take(key, value)
    state = states.get("42")
    assert state is not None
    assert (state.seq, state.body) == (5, value)
    assert states.get("7") is None


def test_a_replaced_workers_older_figures_are_not_believed_and_a_repeat_changes_nothing() -> None:
    states = states_of(("42", 5))
    version = states.version
    assert not states.take(*written("42", 4))
    assert not states.take(*written("42", 5))
    assert states.version == version
    # The same seq with other bytes is what the owner says now.
    assert states.take(*written("42", 5, name="Other Night"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"042", b"{}"),
        (b"42", b""),
        (b"42", b"tickets please"),
        (b"42", b"\xff\xfe"),
        (b"42", b'{"event_id":"42","seq":1}'),
        (b"7", written("42", 1)[1]),
        (b"42", written("42", 1)[1].replace(b",", b",\n", 1)),
        (b"42", written("42", 1)[1].replace(b",", b",\r", 1)),
        (b"42", written("42", 1)[1][:-1] + b',"more":NaN}'),
        (b"42", written("42", 1)[1][:-1] + b',"more":[-Infinity]}'),
        (b"42", written("42", 1)[1][:-1] + b',"more":"' + b"x" * MOST_BYTES + b'"}'),
    ],
)
def test_what_strangers_wrote_is_passed_over_and_counted(key: bytes | None, value: bytes) -> None:
    states = states_of(("1", 1))
    assert not states.take(key, value)
    assert (states.strange, len(states), states.version) == (1, 1, 1)


def test_the_largest_figures_that_we_write_are_shown() -> None:
    most = 2**53
    reasons = dict.fromkeys(map(str, Reason), most)
    name = "\U0001f3ad" * 200
    key, value = written("9" * 18, most, name=name, venue=name, issued=most, sold=most, rejected=reasons)
    members = json.loads(value)
    counts = {count: 2**63 - 1 for count, of in members["categories"][0].items() if isinstance(of, int)}
    money = {"amount": 10**36, "refunded": 10**36, "currency": "EUR"}
    price = {"amount": MAX_PRICE_AMOUNT, "currency": "EUR"}
    members["categories"] = [
        {"id": f"{number:032}", "name": name[:100], "price": price, **counts, "rejected": reasons, "revenue": money}
        for number in range(MAX_CATEGORIES)
    ]
    members |= counts
    for window in ("sold_by_second", "sold_by_minute"):
        members[window]["sold"] = [most] * 60
    value = json.dumps(members, ensure_ascii=False).encode()
    assert len(value) < MOST_BYTES
    assert EventStates(1).take(key, value)


def test_an_event_that_turned_out_to_be_none_is_shown_no_more_and_may_come_again() -> None:
    states = states_of(("42", 5), ("7", 1))
    assert states.take(b"42", None)
    assert not states.take(b"42", None)
    assert not states.take(b"43", None)
    assert (states.get("42"), len(states), ids(states)) == (None, 1, ["7"])
    [removed] = states.changed_since(2)
    assert states.latest("42") == removed
    assert (removed.event_id, removed.is_removed) == ("42", True)
    assert [state.event_id for state in states.newest(5)] == ["7"]
    assert states.take(*written("42", 1))
    assert (len(states), ids(states)) == (2, ["7", "42"])


def test_no_more_events_are_kept_than_fit_and_those_kept_go_on() -> None:
    states = states_of(("1", 1), ("2", 1), most_events=2)
    assert not states.take(*written("3", 1))
    assert (len(states), states.left_out) == (2, 1)
    assert states.take(*written("2", 2))


def test_changes_are_told_in_their_order_each_event_once() -> None:
    states = states_of(("1", 1), ("2", 1), ("3", 1))
    version = states.version
    states.take(*written("2", 2))
    states.take(*written("1", 2))
    states.take(*written("2", 3))
    assert [(state.event_id, state.seq) for state in states.changed_since(version)] == [("1", 2), ("2", 3)]
    assert states.changed_since(states.version) == []
    assert [state.event_id for state in states.newest(2)] == ["1", "2"]
    assert [state.event_id for state in states.changed_since(0)] == ["3", "1", "2"]


@given(
    st.sets(st.integers(0, 10**18 - 1), max_size=40),
    st.integers(1, 12),
    st.integers(0, 10**18 - 1),
)
def test_pages_together_are_all_events_by_their_numbers(numbers: set[int], limit: int, stranger: int) -> None:
    states = states_of(*((str(number), 1) for number in numbers))
    found: list[str] = []
    after, more = None, True
    while more:
        page, more = states.page(after, limit)
        found += [state.event_id for state in page]
        after = found[-1] if found else None
        assert len(page) == limit or not more
    assert [int(event_id) for event_id in found] == sorted(numbers)
    # A cursor may name an event that is gone.
    assert [int(event_id) for event_id in ids(states, str(stranger))] == sorted(n for n in numbers if n > stranger)
