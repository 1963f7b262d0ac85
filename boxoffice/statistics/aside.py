"""Read statistics in a thread of its own: for a process that must not wait while documents are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final

from boxoffice.errors import BoxOfficeError
from boxoffice.settings import Settings
from boxoffice.statistics.reading import Reader, members

FRESH_S: Final = 1.0
"""What was read so lately is told again, or why it was not: however many ask, it is read once."""
PATIENCE_S: Final = 2.0
"""Documents that take longer to be counted are told next time."""


class FiguresAside:
    """The newest statistics, one reading at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="figures")
        self._runner = asyncio.Runner()
        self._reader: Reader | None = None
        self._reading = asyncio.Lock()
        self._newest: Mapping[str, Any] | BoxOfficeError = {}
        self._read_at_s = -FRESH_S

    async def read(self) -> Mapping[str, Any]:
        """The figures, by the names of the design.

        Raises:
            UnreachableError: neither Redis nor Kafka answered.
            TopicsError: Redis has none, and there is no topic either.
        """
        async with self._reading:
            if monotonic() - self._read_at_s >= FRESH_S:
                self._newest = await self._in_thread(self._read)
                self._read_at_s = monotonic()
        if isinstance(self._newest, BoxOfficeError):
            raise self._newest.with_traceback(None)
        return self._newest

    async def aclose(self) -> None:
        """Close the connections."""
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def _in_thread(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _read(self) -> Mapping[str, Any] | BoxOfficeError:
        try:
            return self._runner.run(self._read_there())
        except BoxOfficeError as error:
            return error

    async def _read_there(self) -> Mapping[str, Any]:
        if self._reader is None:
            self._reader = Reader(self._settings)
        return members(await self._reader.read(PATIENCE_S))

    def _close(self) -> None:
        if self._reader is not None:
            self._runner.run(self._reader.aclose())
        self._runner.close()
