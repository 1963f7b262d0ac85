"""Commands and their answers find each other, in whatever order things come."""

from __future__ import annotations

import pytest

from boxoffice.gateway import answers as module
from boxoffice.gateway.answers import Answers
from boxoffice.gateway.waiters import Outcome, Result, Waiter, Waiters

PATIENCE_S = 5.0


class Bench:
    """Answers of two partitions, at time 100."""

    def __init__(self) -> None:
        self.waiters = Waiters(100.0)
        self.answers = Answers(2, self.waiters, PATIENCE_S)

    def waiter(self, partition: int = 0, until_s: float = 110.0) -> Waiter:
        waiter = Waiter(partition, "r")
        self.waiters.add(waiter, until_s)
        return waiter

    def heard(self) -> tuple[Waiter, list[Result]]:
        """A request whose fact somebody else wants to hear of too."""
        results: list[Result] = []
        self.answers.sends(0)
        waiter = Waiter(0, "r", results.append)
        self.waiters.add(waiter, 110.0)
        return waiter, results

    def sent(self, count: int, partition: int = 0) -> list[Waiter]:
        self.answers.sends(partition)
        return [self.waiter(partition) for _ in range(count)]

    def read(self, *offsets: int, partition: int = 0) -> None:
        for offset in offsets:
            self.answers.read(partition, offset, b'"r" %d' % offset, "kind")


def answered(waiter: Waiter) -> bytes:
    result = waiter.result
    assert result is not None
    assert result.outcome is Outcome.ANSWERED
    return result.fact.removeprefix(b'"r" ')


async def test_facts_that_come_after_the_acknowledgement_find_their_commands() -> None:
    bench = Bench()
    sent = bench.sent(3)
    bench.answers.landed(0, 7, sent)
    bench.read(9, 6, 7, 8)
    assert [answered(waiter) for waiter in sent] == [b"7", b"8", b"9"]
    assert len(bench.waiters) == 0


async def test_facts_that_come_before_the_acknowledgement_are_kept_for_it() -> None:
    bench = Bench()
    sent = bench.sent(2)
    bench.read(5, 6, 7, 8)
    bench.answers.landed(0, 6, sent)
    assert [answered(waiter) for waiter in sent] == [b"6", b"7"]
    assert bench.answers._lanes[0].early == {}


async def test_what_comes_early_for_a_later_batch_is_kept_while_that_is_on_its_way() -> None:
    bench = Bench()
    first = bench.sent(1)
    second = bench.sent(1)
    bench.read(3, 4)
    bench.answers.landed(0, 3, first)
    assert bench.answers._lanes[0].early.keys() == {4}
    bench.answers.landed(0, 4, second)
    assert answered(second[0]) == b"4"


async def test_others_facts_are_not_kept_where_nothing_of_ours_is_on_its_way() -> None:
    bench = Bench()
    sent = bench.sent(1, partition=1)
    bench.read(1, 2, 3)
    assert not bench.answers.is_watched(0)
    assert bench.answers.is_watched(1)
    assert bench.answers._lanes[0].early == {}
    bench.answers.landed(1, 1, sent)
    bench.read(1)
    assert sent[0].waits
    bench.read(1, partition=1)
    assert answered(sent[0]) == b"1"
    assert not bench.answers.is_watched(1)


async def test_no_more_early_facts_are_kept_than_there_is_room_for_in_all_and_the_newest_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EARLY_KEPT", 2)
    bench = Bench()
    old, new, elsewhere = bench.sent(1), bench.sent(1), bench.sent(1, partition=1)
    bench.read(1, 2, 3)
    bench.read(1, partition=1)
    assert bench.answers.dropped == 2
    bench.answers.landed(0, 1, old)
    bench.answers.landed(0, 3, new)
    bench.answers.landed(1, 1, elsewhere)
    assert answered(new[0]) == b"3"
    bench.answers.sweep(200.0)
    assert old[0].result == elsewhere[0].result == Result(Outcome.ACCEPTED)
    bench.sent(1)
    bench.read(4, 5)
    assert bench.answers._lanes[0].early.keys() == {4, 5}


async def test_a_batch_that_lies_somewhere_is_accepted_and_takes_nobody_elses_facts() -> None:
    bench = Bench()
    sent = bench.sent(2)
    bench.answers.landed(0, -1, sent)
    assert {waiter.result for waiter in sent} == {Result(Outcome.ACCEPTED)}
    assert not bench.answers.is_watched(0)


async def test_a_fact_about_another_request_is_handed_to_nobody() -> None:
    bench = Bench()
    late, early = bench.sent(1), bench.sent(1)
    bench.answers.landed(0, 1, late)
    bench.answers.read(0, 1, b'{"request_id":"r2"}', "kind")
    bench.answers.read(0, 2, b'{"request_id":"somebody"}', "kind")
    bench.answers.landed(0, 2, early)
    assert late[0].result == early[0].result == Result(Outcome.UNKNOWN)
    assert len(bench.waiters) == 0


async def test_where_the_log_has_lost_its_tail_nobody_is_told_that_it_holds_his_command() -> None:
    bench = Bench()
    kept, lost, new = bench.sent(1), bench.sent(2), bench.sent(1)
    bench.answers.landed(0, 7, kept)
    bench.answers.landed(0, 8, lost)
    bench.answers.landed(0, 8, new)
    assert [waiter.result for waiter in lost] == [Result(Outcome.UNKNOWN)] * 2
    bench.read(7, 8)
    assert (answered(kept[0]), answered(new[0])) == (b"7", b"8")


async def test_who_has_a_command_that_never_left_is_told_that_it_was_not_taken() -> None:
    bench = Bench()
    stayed = [bench.waiter()]
    bench.answers.stayed(stayed)
    assert stayed[0].result == Result(Outcome.REFUSED)
    assert len(bench.waiters) == 0


async def test_who_waited_long_enough_is_told_that_the_log_holds_his_command() -> None:
    bench = Bench()
    [waiter] = sent = bench.sent(1)
    bench.answers.landed(0, 1, sent)
    bench.answers.sweep(109.8)
    assert waiter.waits
    bench.answers.sweep(110.2)
    assert waiter.result == Result(Outcome.ACCEPTED)
    assert not bench.answers.is_watched(0)


async def test_an_acknowledgement_is_waited_for_beyond_the_answer() -> None:
    bench = Bench()
    late, never = bench.sent(1), bench.sent(1)
    bench.answers.sweep(110.2)
    assert late[0].waits
    bench.answers.landed(0, 1, late)
    assert late[0].result == Result(Outcome.ACCEPTED)
    bench.answers.sweep(115.5)
    assert never[0].result == Result(Outcome.UNKNOWN)
    bench.answers.landed(0, 2, never)
    assert bench.answers._lanes[0].waiting == {}


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNKNOWN])
async def test_a_batch_that_was_lost_ends_its_requests_and_no_others(outcome: Outcome) -> None:
    bench = Bench()
    lost, other = bench.sent(2), bench.sent(1)
    bench.answers.lost(0, lost, outcome)
    assert {waiter.result for waiter in lost} == {Result(outcome)}
    bench.answers.landed(0, 1, other)
    bench.read(1)
    assert answered(other[0]) == b"1"


async def test_a_sender_who_goes_away_leaves_nothing_behind() -> None:
    bench = Bench()
    [waiter] = sent = bench.sent(1)
    bench.answers.landed(0, 1, sent)
    waiter.go()
    bench.answers.gave_up(waiter)
    assert len(bench.waiters) == 0
    assert not bench.answers.is_watched(0)


async def test_everybody_is_told_when_the_process_ends() -> None:
    bench = Bench()
    landed, flying = bench.sent(1), bench.sent(1)
    bench.answers.landed(0, 1, landed)
    bench.answers.end_all()
    assert landed[0].result == Result(Outcome.ACCEPTED)
    assert flying[0].result == Result(Outcome.UNKNOWN)


async def test_a_fact_that_comes_when_its_sender_waits_no_longer_is_heard_of() -> None:
    bench = Bench()
    waiter, results = bench.heard()
    bench.answers.landed(0, 1, [waiter])
    bench.answers.sweep(110.2)
    assert waiter.result == Result(Outcome.ACCEPTED)
    assert bench.answers.is_watched(0)
    bench.read(1)
    assert results == [Result(Outcome.ACCEPTED), Result(Outcome.ANSWERED, b'"r" 1', "kind")]
    assert waiter.result == Result(Outcome.ACCEPTED)
    assert not bench.answers.is_watched(0)
    assert len(bench.waiters) == 0


async def test_so_is_the_fact_of_a_command_whose_sender_did_not_wait_at_all() -> None:
    bench = Bench()
    waiter, results = bench.heard()
    waiter.overdue = True
    bench.answers.landed(0, 1, [waiter])
    assert waiter.result == Result(Outcome.ACCEPTED)
    bench.answers.sweep(110.2)
    bench.read(1)
    assert results == [Result(Outcome.ACCEPTED), Result(Outcome.ANSWERED, b'"r" 1', "kind")]
    assert not bench.answers.is_watched(0)


async def test_a_fact_is_not_looked_out_for_for_ever() -> None:
    bench = Bench()
    waiter, results = bench.heard()
    bench.answers.landed(0, 1, [waiter])
    bench.answers.sweep(110.2)
    bench.answers.sweep(110.0 + module.FOLLOWED_S)
    assert bench.answers.is_watched(0)
    bench.answers.sweep(110.4 + module.FOLLOWED_S)
    assert results == [Result(Outcome.ACCEPTED), Result(Outcome.UNKNOWN)]
    assert not bench.answers.is_watched(0)
    assert len(bench.waiters) == 0


async def test_nor_when_nobody_wants_to_hear_of_it_any_more() -> None:
    bench = Bench()
    waiter, _ = bench.heard()
    waiter.hear = lambda _: bench.answers.gave_up(waiter)
    bench.answers.landed(0, 1, [waiter])
    bench.answers.sweep(110.2)
    assert not bench.answers.is_watched(0)
    assert len(bench.waiters) == 0
