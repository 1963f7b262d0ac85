"""Many schedules, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

from tests.simulation.schedule import ScheduleError, run

ENOUGH_FAILURES = 5


def problems_with(seeds: Sequence[int]) -> list[str]:
    """What does not hold in these schedules, run on all cores until some have failed."""
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
        problems = (problem for problem in pool.map(problem_with, seeds, chunksize=10) if problem)
        found = list(islice(problems, ENOUGH_FAILURES))
        pool.shutdown(cancel_futures=True)
    return found


def problem_with(seed: int) -> str | None:
    """What does not hold in a schedule."""
    try:
        run(seed)
    except ScheduleError as error:
        return str(error)
    return None
