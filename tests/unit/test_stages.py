"""A stage works on all that waits, in order, one call at a time; and does not let more wait than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from boxoffice.batching import Stage
from boxoffice.tasks import end_tasks


class Work:
    """Notes what it is called with; each call lasts until it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.running = 0
        self.let_go = asyncio.Semaphore(0)

    async def __call__(self, items: Sequence[int]) -> None:
        self.calls.append(list(items))
        self.running += 1
        assert self.running == 1
        await self.let_go.acquire()
        self.running -= 1


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_item_does_not_wait_for_others() -> None:
    work = Work()
    await Stage(work, 3).put(1)
    await _settle()
    assert work.calls == [[1]]


async def test_what_came_during_the_work_is_done_next_and_together() -> None:
    work = Work()
    stage = Stage(work, 3)
    for item in range(4):
        await stage.put(item)
        await _settle()
    work.let_go.release()
    await _settle()
    assert work.calls == [[0], [1, 2, 3]]


async def test_whoever_hands_over_waits_while_too_much_waits() -> None:
    work = Work()
    stage = Stage(work, 2)
    await stage.put(0)
    await _settle()
    handing = asyncio.create_task(_put_all(stage, [1, 2, 3]))
    await _settle()
    assert not handing.done()
    work.let_go.release()
    await _settle()
    assert handing.done()
    assert work.calls == [[0], [1, 2]]


async def test_it_begins_again_after_it_had_nothing_to_do() -> None:
    work = Work()
    stage = Stage(work, 2)
    for item in range(3):
        await stage.put(item)
        await _settle()
        work.let_go.release()
        await _settle()
    assert work.calls == [[0], [1], [2]]


async def _put_all(stage: Stage[int], items: Sequence[int]) -> None:
    for item in items:
        await stage.put(item)


async def test_a_stop_gives_up_what_is_worked_on_and_what_waits() -> None:
    work = Work()
    stage = Stage(work)
    for item in range(2):
        await stage.put(item)
        await _settle()
    await end_tasks(stage.tasks)
    work.let_go.release()
    await _settle()
    assert work.calls == [[0]]
