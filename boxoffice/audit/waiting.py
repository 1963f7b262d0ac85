"""How long an audit waits for what is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

POLL_INTERVAL_S: Final = 0.2


class Patience:
    """The time that everybody has, all in all, to catch up with the ledger."""

    def __init__(self, wait_s: float) -> None:
        self._deadline_s = monotonic() + wait_s

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return monotonic() > self._deadline_s

    async def until_nothing(self, find: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """What is found, if it has not become nothing before the time is up."""
        while found := await find():
            if self.is_over:
                break
            await asyncio.sleep(POLL_INTERVAL_S)
        return found
