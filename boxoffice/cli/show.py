"""How far the demo is: moving bars on a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from boxoffice.cli.tables import say

if TYPE_CHECKING:
    from rich.progress import Progress

    from boxoffice.demo import Show

_LINE_INTERVAL_S = 1.0


@contextmanager
def show_progress() -> Iterator[Show]:
    """What the demo tells how far it is."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        yield _Bars(progress)


class _Lines:
    def __init__(self) -> None:
        self._said_s = 0.0

    def step(self, what: str) -> None:
        say(f"{what} …")

    def count(self, published: int, answered: int, left: int) -> None:
        if monotonic() - self._said_s > _LINE_INTERVAL_S:
            self._said_s = monotonic()
            say(f"published {published}, answered {answered}, tickets left {left}")


class _Bars:
    def __init__(self, progress: Progress) -> None:
        from boxoffice.demo.script import CAPACITY, COMMANDS, MISPLACED

        self._progress = progress
        commands = sum(COMMANDS.values())
        self._published = progress.add_task("published", total=commands, visible=False)
        self._answered = progress.add_task("answered", total=commands + MISPLACED, visible=False)
        self._sold = progress.add_task("tickets sold", total=CAPACITY, visible=False)
        self._capacity = CAPACITY

    def step(self, what: str) -> None:
        self._progress.console.print(f"{what} …", highlight=False)

    def count(self, published: int, answered: int, left: int) -> None:
        self._progress.update(self._published, completed=published, visible=True)
        self._progress.update(self._answered, completed=answered, visible=True)
        self._progress.update(self._sold, completed=self._capacity - left, visible=True)
