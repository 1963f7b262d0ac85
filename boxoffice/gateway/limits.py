"""How much one caller, or one address, may ask: a rate, and how many of its requests may wait at once.

In memory, since a sale must not depend on anything that is not the sale. So each instance allows its share, and who
spreads his requests over all of them has the whole.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

MOST_CALLERS: Final = 100_000
"""Whose pace is remembered. Beyond that the one who has not come for longest is forgotten: he may begin anew, which he
might also by waiting."""

_ROUNDING_S: Final = 1e-9


class Allowance(NamedTuple):
    """Whether a request may pass, and what is left."""

    passes: bool
    left: int
    """Requests that may follow at once."""
    again_in_s: float
    """Until the next may pass, if this one may not; else until all are there again."""


class Rate:
    """The generic cell rate algorithm (GCRA): a steady pace, with a burst that fills up again.

    One number a caller: the time at which it will have nothing to make up for. See ATM Forum TM 4.0, section 4.4.2.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._step_s = 1 / per_second
        self._tolerance_s = self._step_s * burst + _ROUNDING_S
        self._paid_up: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, now_s: float, per_second: float | None = None) -> Allowance:
        """One request of a caller, whose own pace may be another."""
        step_s = 1 / per_second if per_second else self._step_s
        tolerance_s = step_s * self.burst + _ROUNDING_S
        owed_s = self._owe(caller, now_s, step_s, tolerance_s)
        if owed_s > tolerance_s:
            return Allowance(False, 0, owed_s - tolerance_s)
        return Allowance(True, int((tolerance_s - owed_s) / step_s), owed_s)

    def admits(self, caller: str, now_s: float) -> bool:
        """The same, where nobody is told what is left."""
        return self._owe(caller, now_s, self._step_s, self._tolerance_s) <= self._tolerance_s

    def _owe(self, caller: str, now_s: float, step_s: float, tolerance_s: float) -> float:
        """What a caller has to make up for with one more request, which counts if it may pass."""
        known = self._paid_up
        paid_up = known.get(caller)
        owed_s = step_s if paid_up is None or paid_up <= now_s else paid_up - now_s + step_s
        if owed_s <= tolerance_s:
            known[caller] = now_s + owed_s
        if paid_up is not None:
            known.move_to_end(caller)
        elif len(known) > MOST_CALLERS:
            known.popitem(last=False)
        return owed_s

    def charge(self, caller: str, now_s: float, requests: int) -> None:
        """Let one request count as several more; nobody is kept out for longer than the whole burst takes."""
        step_s = self._step_s
        paid_up = max(self._paid_up.get(caller, now_s), now_s) + requests * step_s
        self._paid_up[caller] = min(paid_up, now_s + self.burst * step_s)


class Waiting:
    """How many requests wait, in all and of each caller."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most = most
        self.most_of_one = most_of_one
        self.count = 0
        self._of: dict[str, int] = {}

    def is_full(self) -> bool:
        """Whether nobody's request may wait any more."""
        return self.count >= self.most

    def fills(self, share: float) -> bool:
        """Whether so large a share of all the room is taken."""
        return self.count >= self.most * share

    def is_full_of(self, caller: str) -> bool:
        """Whether a caller's may not."""
        return self._of.get(caller, 0) >= self.most_of_one

    def begin(self, caller: str) -> None:
        """One more waits."""
        self.count += 1
        self._of[caller] = self._of.get(caller, 0) + 1

    def end(self, caller: str) -> None:
        """One less."""
        self.count -= 1
        left = self._of[caller] - 1
        if left:
            self._of[caller] = left
        else:
            del self._of[caller]
