"""Ending tasks in the background."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from boxoffice import tasks


async def passing_over(times: int) -> None:
    for _ in range(times):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_that_passes_over_cancellations_is_ended(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(tasks, "PATIENCE_S", 0.01)
    task = asyncio.create_task(passing_over(times))
    await asyncio.sleep(0)
    await tasks.end_tasks([task])
    assert task.cancelled()


async def test_what_ended_or_failed_before_is_left_as_it_is() -> None:
    failed, done = (asyncio.ensure_future(one) for one in (asyncio.wait_for(asyncio.sleep(1), 0), asyncio.sleep(0)))
    await asyncio.wait([failed, done])
    await tasks.end_tasks([failed, done])
    assert isinstance(failed.exception(), TimeoutError)
    assert not done.cancelled()


async def test_work_in_the_background_that_was_cancelled_by_others_is_told_of() -> None:
    told: list[BaseException] = []

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with tasks.in_background(cancelled(), told.append):
        await asyncio.sleep(0.01)
    async with tasks.in_background(asyncio.sleep(60), told.append):
        await asyncio.sleep(0)
    assert [type(one) for one in told] == [asyncio.CancelledError]
