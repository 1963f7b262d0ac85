"""Publish the newest figures of events that have changed, now and then, without holding up the counting."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from boxoffice.statistics.figures import Figures, event_figures
from boxoffice.tasks import end_tasks
from models.statistics import Statistics

EndingOnFailure = Callable[[], AbstractContextManager[None]]


class Publisher(ABC):
    """Publishes each event's figures at most once in an interval, and always the last ones.

    What fails while publishing must end the process: ``ending_on_failure``.
    """

    def __init__(self, interval_s: float, ending_on_failure: EndingOnFailure) -> None:
        self._interval_s = interval_s
        self._ending_on_failure = ending_on_failure
        self._owned: Mapping[int, Statistics] = {}
        self._changed: defaultdict[int, set[str]] = defaultdict(set)
        self._publishing = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None

    def adopt(self, owned: Mapping[int, Statistics]) -> None:
        """Publish these partitions from now on, and first all that they have."""
        self._forget()
        self._owned = owned
        for number in owned:
            self._changed[number].update(owned[number].events)
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    def touched(self, number: int, event_ids: Iterable[str]) -> None:
        """A partition was read on; these of its events have new figures, or are none any more."""
        self._changed[number].update(event_ids)

    async def hand_over(self) -> None:
        """Publish the last figures, and nothing more of partitions that somebody else will publish."""
        with self._ending_on_failure():
            await self._publish()
        self._forget()

    async def stop(self) -> None:
        """Publish the last figures, and end."""
        if self._running is not None:
            await end_tasks([self._running])
        await self.hand_over()

    async def _run(self) -> None:
        with self._ending_on_failure():
            while True:
                await asyncio.sleep(self._interval_s)
                await self._publish()

    async def _publish(self) -> None:
        async with self._publishing:
            await self._publish_changed()

    def _figures(self, number: int, event_id: str) -> Figures | None:
        """The event's newest figures, None if it is no event any more."""
        event = self._owned[number].events.get(event_id)
        return None if event is None else event_figures(event, number)

    def _forget(self) -> None:
        self._owned = {}
        self._changed.clear()

    @abstractmethod
    async def _publish_changed(self) -> None: ...
