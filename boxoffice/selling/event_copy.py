"""What is known of one event's copy in Redis, and what all copies of a worker add up to.

A copy is

* ``IN_STEP``: Redis decides, and its answers are compared with the table's;
* ``BEHIND``: it missed facts. Those since then are its backlog, unless it has lost more than that;
* ``SETTLING``: the backlog is being applied, in order;
* ``REBUILDING``: its keys are loaded anew from the table, and will be switched in at once; what is
  decided meanwhile joins the backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from lua.calls import Applied
from models.event import Event


class CopyState(Enum):
    """How an event's copy in Redis stands to the ledger."""

    IN_STEP = auto()
    BEHIND = auto()
    SETTLING = auto()
    REBUILDING = auto()


@dataclass(slots=True)
class Tally:
    """What many copies add up to, kept as they change: adding them up costs as much as there are events."""

    backlog_facts: int = 0
    states: Counter[CopyState] = field(default_factory=Counter)
    given_up: int = 0


class Copy:
    """One event's copy. ``lost_more``: it cannot be settled from the backlog alone."""

    __slots__ = (
        "_backlog",
        "_given_up",
        "_state",
        "_tally",
        "attempts",
        "diverged",
        "event",
        "lost_more",
        "partition",
        "redis_seq",
    )

    def __init__(self, event: Event, partition: int, redis_seq: int = 0, tally: Tally | None = None) -> None:
        self.event = event
        self.partition = partition
        self.redis_seq = redis_seq
        self.lost_more = False
        self.diverged = False
        """Redis decided otherwise, and has not agreed since."""
        self.attempts = 0
        self._given_up = False
        self._backlog: list[Applied] = []
        self._state = CopyState.IN_STEP
        self._tally = tally or Tally()
        self._tally.states[self._state] += 1

    @property
    def state(self) -> CopyState:
        """How it stands to the ledger."""
        return self._state

    @state.setter
    def state(self, state: CopyState) -> None:
        if state is not self._state:
            self._tally.states[self._state] -= 1
            self._tally.states[state] += 1
            self._state = state

    @property
    def given_up(self) -> bool:
        """Whether it cannot be healed, and the table alone decides for its event."""
        return self._given_up

    @given_up.setter
    def given_up(self, given_up: bool) -> None:
        self._tally.given_up += given_up - self._given_up
        self._given_up = given_up

    @property
    def backlog(self) -> Sequence[Applied]:
        """The facts that Redis has missed, in order."""
        return self._backlog

    def leave(self) -> None:
        """Its event is somebody else's now: whatever still becomes of it counts no more."""
        self._tally.states[self._state] -= 1
        self._tally.backlog_facts -= len(self._backlog)
        self._tally.given_up -= self._given_up
        self._tally = Tally(len(self._backlog), Counter({self._state: 1}), int(self._given_up))

    def can_decide(self, most_facts: int) -> bool:
        """Whether Redis may decide, after a backlog of so many facts at most."""
        if self.given_up or self.lost_more:
            return False
        return self._state is CopyState.IN_STEP or (
            self._state is not CopyState.REBUILDING and len(self._backlog) <= most_facts
        )

    def missed(self, facts: Iterable[Applied]) -> None:
        """Redis did not hear of these."""
        if self._state is CopyState.IN_STEP:
            self.state = CopyState.BEHIND
        if not self.lost_more or self._state is CopyState.REBUILDING:
            before = len(self._backlog)
            self._backlog.extend(facts)
            self._tally.backlog_facts += len(self._backlog) - before

    def settled(self, facts: Sequence[Applied]) -> None:
        """Redis has these, if they are still what the backlog begins with."""
        if self._backlog[: len(facts)] == facts:
            self._forget(len(facts))

    def lost(self) -> None:
        """Redis has lost more than the backlog holds."""
        self.state = CopyState.BEHIND
        self.lost_more = True
        self._forget(len(self._backlog))

    def rebuilding(self) -> None:
        """Its keys are loaded as the event is now; what is decided meanwhile joins the backlog."""
        self.state = CopyState.REBUILDING
        self.lost_more = False
        self._forget(len(self._backlog))

    def in_step(self, redis_seq: int) -> None:
        """Redis has all that it was told of. The table may be ahead, by what is still on its way there.

        Unless more was lost since Redis was asked: then the copy stays behind. And unless it is being
        rebuilt since: what is decided before the switch joins the backlog, or the switch could undo it.
        """
        if self.lost_more or self._state is CopyState.REBUILDING:
            return
        self.state = CopyState.IN_STEP
        self.redis_seq = redis_seq
        if self._backlog:
            self._forget(len(self._backlog))

    def _forget(self, count: int) -> None:
        del self._backlog[:count]
        self._tally.backlog_facts -= count
