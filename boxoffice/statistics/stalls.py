"""End a process that gets nowhere although facts wait: started again, it goes on where its rows say.

A recovery of Faust's tables can wait for ever, for a record that does not come or a signal that came too
early, and then nothing is counted while everything looks alive. One such wait is ended here, since starting again
would not help: a transaction's marker at the changelog's end, which holds no record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, Final, cast

import faust
from faust.types import TP

from boxoffice.batching import BatchConsumer
from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.tasks import end_tasks

_LOOK_INTERVAL_S: Final = 1.0


class StalledError(BoxOfficeError):
    """The process got nowhere although facts waited."""

    exit_status = ExitStatus.AGENT_FAILED
    remedy = "Nothing: the supervisor starts the process again. If it happens again, look at the brokers."


class StallWatch:
    """Looks every second whether the process gets on."""

    def __init__(
        self, app: faust.App, after_s: float, ending_on_failure: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._app = app
        self._after_s = after_s
        self._ending_on_failure = ending_on_failure
        self._watching: asyncio.Task[None] | None = None
        self._markers = _Markers(app)

    def start(self) -> None:
        """Watch from now on, from the first assignment: recoveries come after it."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        if self._watching is not None:
            await end_tasks([self._watching])

    async def _watch(self) -> None:
        with self._ending_on_failure():
            before, since_s = self._progress(), monotonic()
            while True:
                await asyncio.sleep(_LOOK_INTERVAL_S)
                await self._markers.pass_over()
                progress = self._progress()
                if progress != before or not self._something_waits():
                    before, since_s = progress, monotonic()
                elif monotonic() - since_s > self._after_s:
                    raise StalledError(f"Nothing was counted for {self._after_s:g} s although facts wait: {progress}.")

    def _progress(self) -> tuple[object, ...]:
        """What changes as long as rows are recovered or facts counted."""
        recovered = cast(Any, self._app.tables).recovery.active_offsets
        counted = {tp.partition: position for tp, (position, _) in self._positions().items()}
        return self._app.rebalancing_count, sum(offset or 0 for offset in recovered.values()), counted

    def _something_waits(self) -> bool:
        return self._app.rebalancing or any(position < end for position, end in self._positions().values())

    def _positions(self) -> dict[TP, tuple[int, int]]:
        return cast(BatchConsumer, self._app.consumer).positions()


class _Markers:
    """Markers at the end of a changelog, where a recovery waits for a record.

    Faust looks for them only if it uses transactions itself; anybody who may write there can put one.
    """

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._waited_at: dict[TP, int | None] = {}

    async def pass_over(self) -> None:
        """Let a recovery end that was read to the end, and waited there through two looks for what was read."""
        tables = cast(Any, self._app.tables)
        recovery = tables.recovery
        waits_at: dict[TP, int | None] = {}
        if recovery.in_recovery and tables.changelog_queue.empty():
            for tp, last in [*recovery.active_highwaters.items()]:
                recovered = recovery.active_offsets.get(tp)
                if recovered is not None and recovered < last < (await self._app.consumer.position(tp) or 0):
                    waits_at[tp] = recovered
        for tp, recovered in waits_at.items():
            if self._waited_at.get(tp) == recovered == recovery.active_offsets.get(tp):
                recovery.active_offsets[tp] = recovery.active_highwaters[tp]
        self._waited_at = waits_at
