"""The pool draws on processes of its own; what happens to one of them happens to one ticket."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import psutil
import pytest

from boxoffice.documents.drawing import Draw
from boxoffice.documents.errors import DrawingError
from boxoffice.documents.pool import Pool
from boxoffice.rendering import EventPage, TicketPage, render_ticket
from tests.support import drawers
from tests.support.drawers import SPOILT

EVENT = EventPage("42", "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")


def page(number: int = 1) -> TicketPage:
    return TicketPage(EVENT, f"42-{number:06d}", "b-77", f"r-{number}", f"BX1:{number}")


def drawing_processes() -> list[psutil.Process]:
    """The processes that draw, and the server that they are forked from."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "multiprocessing.forkserver" in " ".join(child.cmdline())]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(2, timeout_s=0.5)
    yield pool
    await pool.stop()


async def test_what_is_drawn_there_is_what_would_be_drawn_here(pool: Pool) -> None:
    drawn = await asyncio.gather(*(pool.draw(page(number)) for number in range(50)))
    for number, one in enumerate(drawn):
        expected = render_ticket(page(number))
        assert (one.pdf, one.flaws) == (expected.pdf, tuple(expected.flaws))
        assert one.sha256 == hashlib.sha256(expected.pdf).hexdigest()


@pytest.mark.parametrize(
    ("drawer", "reason"),
    [
        (drawers.hanging, "it took longer than 0.5 s"),
        (drawers.crashing, "its process ended with status 9"),
        (drawers.raising, "ValueError: this one cannot be drawn"),
    ],
)
async def test_one_that_cannot_be_drawn_fails_alone(drawer: Draw, reason: str) -> None:
    pool = Pool(2, timeout_s=0.5, draw=drawer)
    outcomes = await asyncio.gather(*(pool.draw(page(number)) for number in range(1, 31)), return_exceptions=True)
    await pool.stop()
    failed = {number: outcome for number, outcome in enumerate(outcomes, 1) if isinstance(outcome, BaseException)}
    assert list(failed) == [int(SPOILT)]
    assert isinstance(failed[int(SPOILT)], DrawingError)
    assert str(failed[int(SPOILT)]) == reason


async def test_each_of_many_that_crash_at_once_says_how() -> None:
    pool = Pool(4, timeout_s=30, draw=drawers.crashing)
    spoilt = [pool.draw(page(int(SPOILT))) for _ in range(200)]
    outcomes = await asyncio.gather(*spoilt, return_exceptions=True)
    await pool.stop()
    assert {str(outcome) for outcome in outcomes} == {"its process ended with status 9"}


async def test_processes_that_were_killed_while_nothing_was_drawn_cost_nothing(pool: Pool) -> None:
    await asyncio.gather(*(pool.draw(page(number)) for number in range(10)))
    for child in drawing_processes():
        child.kill()
    await asyncio.sleep(0.2)
    assert len(await asyncio.gather(*(pool.draw(page(number)) for number in range(10)))) == 10


async def test_who_gives_up_leaves_the_pool_to_others() -> None:
    pool = Pool(1, timeout_s=60, draw=drawers.stuck)
    drawing = asyncio.create_task(pool.draw(page()))
    await asyncio.sleep(1)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    again = asyncio.create_task(pool.draw(page()))
    await asyncio.sleep(1)
    # It hangs too, in a process of its own.
    assert not again.done()
    await pool.stop()
    with pytest.raises(DrawingError, match="its process ended"):
        await again


async def test_none_of_its_processes_is_left_when_it_has_stopped() -> None:
    pool = Pool(2, timeout_s=1)
    await asyncio.gather(*(pool.draw(page(number)) for number in range(10)))
    server = drawing_processes()[0]
    assert len(server.children()) == 2
    await pool.stop()
    _, left = psutil.wait_procs(server.children(), timeout=5)
    assert left == []
