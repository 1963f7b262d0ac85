"""Which fact answers whose command: by the partition and the offset at which the command landed.

A ledger record says which command it answers (``boxoffice-read``), so no fact has to be parsed to find its asker, and
the same request sent twice, to two instances or to one, is answered twice. A fact may be read before the broker's
acknowledgement of its command: it is kept as long as something of ours is on its way to that partition.
"""

from __future__ import annotations

from typing import Final

from boxoffice.gateway.waiters import Outcome, Result, Waiter, Waiters

EARLY_KEPT: Final = 20_000
"""Facts, of all partitions, that are kept for commands on their way. The oldest go first: an acknowledgement is seldom
long behind the command, so they are another instance's, nearly always. Whose own has gone is told that the log holds
his command, and finds the answer by asking again."""

FOLLOWED_S: Final = 600.0
"""So long a command's fact is looked out for when its sender does not wait any more: he may ask what became of it."""

Early = dict[int, Result]


class Lane:
    """What is known of one partition's commands and answers."""

    __slots__ = ("early", "end", "on_their_way", "waiting")

    def __init__(self) -> None:
        self.on_their_way = 0
        """Batches of ours that the broker has not acknowledged."""
        self.waiting: dict[int, Waiter] = {}
        """By the offset of the command."""
        self.early: Early = {}
        """By the offset of the command, the oldest first."""
        self.end = 0
        """Behind all of ours that the broker has acknowledged."""

    @property
    def is_watched(self) -> bool:
        """Whether a fact on this partition may be for somebody here."""
        return bool(self.waiting) or self.on_their_way > 0


class Answers:
    """Brings acknowledgements and facts together, whichever comes first."""

    def __init__(self, partitions: int, waiters: Waiters, patience_s: float) -> None:
        self._patience_s = patience_s
        """How much longer than for its answer a command's acknowledgement is waited for."""
        self._lanes = [Lane() for _ in range(partitions)]
        self._waiters = waiters
        self._early = 0
        """How many early facts are kept, of all partitions."""
        self.dropped = 0
        """Early facts that there was no room for."""

    def is_watched(self, partition: int) -> bool:
        """Whether the partition's facts have to be looked at."""
        return self._lanes[partition].is_watched

    def sends(self, partition: int) -> None:
        """A batch of ours is on its way: facts may come before we know where it landed."""
        self._lanes[partition].on_their_way += 1

    def landed(self, partition: int, base_offset: int, sent: list[Waiter]) -> None:
        """The broker has acknowledged a batch: its commands lie at the base offset and behind it, in order.

        An offset below 0 is none: the batch was written before, and the broker does not know any more where.
        """
        lane = self._lanes[partition]
        lane.on_their_way -= 1
        if base_offset < 0:
            for waiter in sent:
                self._end(waiter, Result(Outcome.ACCEPTED))
            self._forget_early(lane, 0)
            return
        if base_offset < lane.end:
            self._lost_tail(lane, base_offset)
        for offset, waiter in enumerate(sent, base_offset):
            waiter.landed = offset
            if waiter.is_over:
                continue
            early = lane.early.get(offset)
            if early is not None:
                self._answer(waiter, early)
            else:
                lane.waiting[offset] = waiter
                if waiter.overdue:
                    self._waiters.remove(waiter)
                    self._follow(waiter, offset, self._waiters.swept_s)
        lane.end = base_offset + len(sent)
        self._forget_early(lane, lane.end)

    def lost(self, partition: int, sent: list[Waiter], outcome: Outcome) -> None:
        """A batch was not acknowledged, and will not be."""
        lane = self._lanes[partition]
        lane.on_their_way -= 1
        self._forget_early(lane, 0)
        for waiter in sent:
            self._end(waiter, Result(outcome))

    def stayed(self, waiters: list[Waiter]) -> None:
        """Their commands were never sent, and will not be."""
        for waiter in waiters:
            self._end(waiter, Result(Outcome.REFUSED))

    def read(self, partition: int, offset: int, fact: bytes, kind: str) -> None:
        """The ledger answers the command at an offset of the partition."""
        lane = self._lanes[partition]
        waiter = lane.waiting.pop(offset, None)
        if waiter is not None:
            self._answer(waiter, Result(Outcome.ANSWERED, fact, kind))
        elif lane.on_their_way:
            self._keep_early(lane, offset, Result(Outcome.ANSWERED, fact, kind))

    def gave_up(self, waiter: Waiter) -> None:
        """It waits no longer; what was kept for it goes."""
        self._waiters.remove(waiter)
        if waiter.landed is not None:
            self._lanes[waiter.partition].waiting.pop(waiter.landed, None)

    def sweep(self, now_s: float) -> None:
        """Tell those whose time is over how far their commands have come.

        Nobody can say what becomes of a command that the broker has not acknowledged: for that everybody waits.
        """
        for waiter in self._waiters.due(now_s):
            if waiter.landed is not None:
                self._follow(waiter, waiter.landed, now_s)
            elif waiter.overdue:
                waiter.end(Result(Outcome.UNKNOWN))
            else:
                waiter.overdue = True
                self._waiters.add(waiter, now_s + self._patience_s)

    def _follow(self, waiter: Waiter, offset: int, now_s: float) -> None:
        """Its sender waits no longer; who else wants to hear of its fact hears of it, if it comes in time."""
        if waiter.hear is not None and not waiter.is_followed:
            waiter.is_followed = True
            self._waiters.add(waiter, now_s + FOLLOWED_S)
            waiter.end(Result(Outcome.ACCEPTED))
            return
        self._lanes[waiter.partition].waiting.pop(offset, None)
        waiter.end(Result(Outcome.UNKNOWN if waiter.is_followed else Outcome.ACCEPTED))

    def end_all(self) -> None:
        """The process ends: nobody's answer is waited for any longer."""
        for waiter in self._waiters.all():
            waiter.end(Result(Outcome.UNKNOWN if waiter.landed is None else Outcome.ACCEPTED))
        for lane in self._lanes:
            lane.waiting.clear()

    def _answer(self, waiter: Waiter, answer: Result) -> None:
        """Hand a fact to whom it answers: where it is about another request, the log has lost this one's command."""
        self._end(waiter, answer if waiter.claim in answer.fact else Result(Outcome.UNKNOWN))

    def _end(self, waiter: Waiter, result: Result) -> None:
        self._waiters.remove(waiter)
        waiter.end(result)

    def _lost_tail(self, lane: Lane, base_offset: int) -> None:
        """A command landed where others lay: the log has lost what it had acknowledged, as nobody should let it."""
        for offset in [offset for offset in lane.waiting if offset >= base_offset]:
            self._end(lane.waiting.pop(offset), Result(Outcome.UNKNOWN))

    def _keep_early(self, lane: Lane, offset: int, answer: Result) -> None:
        if self._early >= EARLY_KEPT:
            self.dropped += 1
            if not lane.early:
                return
            del lane.early[next(iter(lane.early))]
            self._early -= 1
        self._early += offset not in lane.early
        lane.early[offset] = answer

    def _forget_early(self, lane: Lane, before: int) -> None:
        """What lies before an acknowledged offset was others'; without anything on its way, all of it."""
        if not lane.early:
            return
        self._early -= len(lane.early)
        if lane.on_their_way:
            lane.early = {offset: answer for offset, answer in lane.early.items() if offset >= before}
            self._early += len(lane.early)
        else:
            lane.early.clear()
