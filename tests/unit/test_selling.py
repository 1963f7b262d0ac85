"""Batches that wait for Redis go there together, up to what one batch may hold."""

from __future__ import annotations

from typing import Any, cast

import pytest

from boxoffice.selling.pipeline import Taken, portions

MOST_COMMANDS = 10


def _taken(commands: int) -> Taken:
    return Taken([], cast(Any, range(commands)), 0.0)


@pytest.mark.parametrize(
    ("waiting", "together"),
    [
        ([], []),
        ([10], [[10]]),
        ([3, 3, 4], [[3, 3, 4]]),
        ([3, 3, 5], [[3, 3], [5]]),
        ([1, 25, 1, 1], [[1], [25], [1, 1]]),
    ],
)
def test_batches_go_to_redis_together_in_order_and_bounded(waiting: list[int], together: list[list[int]]) -> None:
    """One that is longer by itself goes alone: a run is never cut."""
    found = portions([_taken(commands) for commands in waiting], MOST_COMMANDS)
    assert [[taken.commands for taken in portion] for portion in found] == together
