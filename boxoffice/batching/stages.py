"""A stage of a pipeline: what is handed to it waits while it works, and is then worked on all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")


class Stage(Generic[_Item]):
    """Calls ``work`` with what waits, in the order in which it was handed over; one call at a time.

    So the slower the work, the more is done at once. Whoever hands over waits while ``most_waiting`` items
    wait. What ``work`` raises must not be survived: it has to end the process itself.
    """

    def __init__(self, work: Callable[[Sequence[_Item]], Awaitable[None]], most_waiting: float = inf) -> None:
        self._work: Final = work
        self._most_waiting: Final = most_waiting
        self._waiting: list[_Item] = []
        self._room = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def put(self, item: _Item) -> None:
        """Hand an item over."""
        while len(self._waiting) >= self._most_waiting:
            self._room.clear()
            await self._room.wait()
        self._waiting.append(item)
        if self._working is None:
            self._working = asyncio.create_task(self._run())

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is at work: whoever gives it up, and what waits, ends these."""
        return [self._working] if self._working is not None else []

    async def _run(self) -> None:
        while self._waiting:
            items, self._waiting = self._waiting, []
            self._room.set()
            await self._work(items)
        self._working = None
