"""Keys by the moment at which they are due, those of about the same moment together."""

from __future__ import annotations

from heapq import heappop, heappush


class Buckets:
    """Keys that wait for their moments. None is due before its own, and each less than ``width_ms`` later."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._keys: dict[int, dict[str, None]] = {}
        """Sets in an order that is the same each time."""
        self._numbers: list[int] = []
        """A heap; what was emptied since stays until it is its turn."""

    def add(self, key: str, at_ms: int) -> None:
        """Let a key wait."""
        number = self._number(at_ms)
        keys = self._keys.get(number)
        if keys is None:
            self._keys[number] = {key: None}
            heappush(self._numbers, number)
        else:
            keys[key] = None

    def discard(self, key: str, at_ms: int) -> None:
        """Take a key out that waits for that moment; nothing happens if it does not."""
        number = self._number(at_ms)
        keys = self._keys.get(number)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._keys[number]

    def take(self, now_ms: int, most: int) -> list[str]:
        """Take out what is due, the earliest first, at most so many."""
        taken: list[str] = []
        while len(taken) < most and (number := self._first()) is not None and number * self._width_ms <= now_ms:
            keys = self._keys[number]
            while keys and len(taken) < most:
                taken.append(keys.popitem()[0])
            if not keys:
                del self._keys[number]
        return taken

    @property
    def first_ms(self) -> int | None:
        """When the earliest is due; None while nothing waits."""
        number = self._first()
        return number * self._width_ms if number is not None else None

    def _first(self) -> int | None:
        while self._numbers:
            if self._numbers[0] in self._keys:
                return self._numbers[0]
            heappop(self._numbers)
        return None

    def _number(self, at_ms: int) -> int:
        return -(-at_ms // self._width_ms)
