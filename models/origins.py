"""Which forwarded commands were answered at their home: what tells the second copy of a forward from the first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

ORIGINS_KEPT: Final = 64
"""Origins remembered of each source partition, the highest: at most 300 bytes each, 19 KiB of a partition."""

Answered = tuple[int, str, str]
"""The offset at which a command was found on its source partition, its event and its request id."""


class Origins:
    """The highest origins of one source partition that were answered, each with the command that was answered.

    A command is known if it is among them; or if as many are remembered as may be, and it lies below them all.

    *No second copy is decided.* What was answered is among the remembered or, once they are full, below
    them: their lowest never falls. So it does not matter how far back a copy comes from, or how many do.

    *No first copy is passed over.* A partition's commands are forwarded in order; whoever begins again, or was
    stopped and goes on, repeats what was forwarded before. So a first copy lies above all that was answered from its
    partition. A forged origin takes one place, and hides only a command of the same event and request id that
    lies just there. Others are hidden by nothing less than :data:`ORIGINS_KEPT` forged ones that all lie
    between them and the end of their partition, and only until its forwards have passed those.
    """

    __slots__ = ("_highest",)

    def __init__(self) -> None:
        self._highest: list[Answered] = []

    def __contains__(self, answered: Answered) -> bool:
        at = bisect_left(self._highest, answered)
        if at < len(self._highest) and self._highest[at] == answered:
            return True
        return at == 0 and len(self._highest) >= ORIGINS_KEPT

    def __iter__(self) -> Iterator[Answered]:
        return iter(self._highest)

    def add(self, answered: Answered) -> None:
        """Remember what was answered, unless it is known."""
        if answered in self:
            return
        self._highest.insert(bisect_left(self._highest, answered), answered)
        if len(self._highest) > ORIGINS_KEPT:
            del self._highest[0]
