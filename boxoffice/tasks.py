"""Tasks in the background, and how they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

PATIENCE_S: Final = 0.5


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; what they raise is dropped.

    Once may not be enough: before Python 3.12 ``asyncio.wait_for`` returns a result that comes together with a
    cancellation and forgets that, in redis-py too, where it sends; and whoever waits for a task that will not
    end never ends either.
    """
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=PATIENCE_S)
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def in_background(
    work: Coroutine[Any, Any, None], on_failure: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    """Work goes on until the block ends; ``on_failure`` is told at once what ends it before."""
    task = asyncio.create_task(work)

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            on_failure(error)

    task.add_done_callback(ended)
    try:
        yield
    finally:
        await end_tasks([task])
