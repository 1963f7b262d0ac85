"""How much may be asked now: so many in a second, and never many more at once."""

from __future__ import annotations

from typing import Final

_AT_ONCE_S: Final = 0.1
"""So much of a second's worth may be asked in one go after a pause."""


class Pace:
    """A bucket of tokens that fills itself."""

    def __init__(self, per_second: float, now_s: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second * _AT_ONCE_S)
        self._room = self._most
        self._filled_s = now_s

    def room(self, now_s: float) -> int:
        """How many may be asked now."""
        self._room = min(self._most, self._room + (now_s - self._filled_s) * self._per_second)
        self._filled_s = now_s
        return int(self._room)

    def take(self, count: int) -> None:
        """So many are asked."""
        self._room -= count
