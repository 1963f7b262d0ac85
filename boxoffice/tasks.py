"""Tasks in the background, and how they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
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


def failure_of(done: asyncio.Future[Any]) -> BaseException | None:
    """What something failed of that is done: a cancellation, too."""
    return asyncio.CancelledError() if done.cancelled() else done.exception()


@contextmanager
def others_cancellations_as(failure: Exception) -> Iterator[None]:
    """Turn a cancellation of which this task was not asked into a failure.

    Clients let out what their own tasks were ended with; whoever takes it for his own ends, and nobody is told.
    """
    try:
        yield
    except asyncio.CancelledError as cancellation:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise failure from cancellation


@asynccontextmanager
async def in_background(
    work: Coroutine[Any, Any, None], on_failure: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    """Work goes on until the block ends; ``on_failure`` is told at once what ends it before."""
    task = asyncio.create_task(work)

    def ended(done: asyncio.Task[None]) -> None:
        if (error := failure_of(done)) is not None:
            on_failure(error)

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.remove_done_callback(ended)
        await end_tasks([task])
