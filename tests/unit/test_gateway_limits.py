"""Rates and waiting requests of callers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway.limits import MOST_CALLERS, Rate, Waiting


def test_a_burst_passes_at_once_and_then_a_steady_pace() -> None:
    rate = Rate(per_second=10, burst=5)
    assert [rate.take("a", 100.0).passes for _ in range(7)] == [True] * 5 + [False] * 2
    assert not rate.take("a", 100.09).passes
    assert rate.take("a", 100.1).passes
    assert not rate.take("a", 100.1).passes
    assert [rate.take("a", 200.0).left for _ in range(6)] == [4, 3, 2, 1, 0, 0]


def test_who_is_refused_is_told_when_to_come_again() -> None:
    rate = Rate(per_second=4, burst=1)
    assert rate.take("a", 0.0).passes
    refused = rate.take("a", 0.1)
    assert (refused.passes, refused.left) == (False, 0)
    assert rate.take("a", 0.1 + refused.again_in_s).passes


def test_callers_have_a_pace_each_and_may_have_one_of_their_own() -> None:
    rate = Rate(per_second=1, burst=1)
    assert rate.take("a", 0.0).passes
    assert not rate.take("a", 0.5).passes
    assert rate.take("b", 0.5).passes
    assert rate.take("c", 0.0, per_second=100).passes
    assert rate.take("c", 0.01, per_second=100).passes


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200), st.integers(1, 20), st.integers(1, 50))
def test_no_more_pass_than_the_burst_and_the_pace_allow(pauses: list[float], burst: int, per_second: int) -> None:
    rate = Rate(per_second, burst)
    now_s, passed = 1_000.0, 0
    for pause in pauses:
        now_s += pause
        passed += rate.take("a", now_s).passes
    assert passed <= burst + (now_s - 1_000.0 - pauses[0]) * per_second + 1


def test_no_more_callers_are_remembered_than_there_is_room_for() -> None:
    rate = Rate(1, 1)
    for number in range(MOST_CALLERS + 10):
        rate.take(str(number), 0.0)
    assert len(rate._paid_up) == MOST_CALLERS
    assert rate.take("0", 0.0).passes
    assert not rate.take(str(MOST_CALLERS), 0.0).passes


def test_a_guess_counts_as_several_requests_and_keeps_nobody_out_for_longer_than_the_burst_takes() -> None:
    rate = Rate(per_second=10, burst=10)
    assert rate.take("a", 0.0).left == 9
    rate.charge("a", 0.0, 5)
    assert rate.take("a", 0.0).left == 3
    for _ in range(100):
        rate.charge("a", 0.0, 1_000)
    assert not rate.take("a", 0.05).passes
    assert rate.take("a", 0.1).passes
    assert rate.take("a", 1.5).left == 9
    assert rate.take("b", 0.0).passes


def test_requests_that_wait_are_bounded_in_all_and_of_each_caller() -> None:
    waiting = Waiting(most=3, most_of_one=2)
    waiting.begin("a")
    waiting.begin("a")
    assert waiting.is_full_of("a")
    assert not waiting.is_full_of("b")
    assert not waiting.is_full()
    assert waiting.fills(0.5)
    assert not waiting.fills(0.7)
    waiting.begin("b")
    assert waiting.is_full()
    waiting.end("a")
    assert not waiting.is_full()
    assert not waiting.is_full_of("a")
    for caller in ("a", "b"):
        waiting.end(caller)
    assert waiting.count == len(waiting._of) == 0
