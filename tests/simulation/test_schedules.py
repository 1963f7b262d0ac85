"""In whatever order things happen, whatever fails: each command is answered once, and Redis comes back to the ledger.

``BOXOFFICE_TEST_SEED=123`` replays one schedule; ``python -m tests.simulation --seed 123`` shows it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from tests.simulation.exploring import problems_with
from tests.simulation.schedule import run
from tests.support.seeds import new_seeds, seeds

FIXED: Final = 400
RANDOM: Final = 100
LONG: Final = 10_000


@pytest.mark.timeout(600)  # A minute, unless others are at work on the machine.
def test_nothing_is_lost_or_doubled_in_any_schedule() -> None:
    """The same schedules each time, and some that nobody has seen; or the one to be replayed."""
    _run_all(seeds(FIXED, RANDOM))


def test_a_schedule_comes_again_from_its_seed() -> None:
    """To the last line of what happened."""
    assert run(7) == run(7)
    assert run(7) != run(8)


@pytest.mark.long
@pytest.mark.timeout(3_600)  # Half an hour, unless others are at work on the machine.
def test_nothing_is_lost_or_doubled_in_ten_thousand_schedules() -> None:
    _run_all(new_seeds(LONG))


def _run_all(chosen: Sequence[int]) -> None:
    problems = problems_with(chosen)
    assert not problems, problems[0]
