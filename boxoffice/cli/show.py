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

    from boxoffice.demo import Reached, Show

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

    def count(self, reached: Reached) -> None:
        if monotonic() - self._said_s > _LINE_INTERVAL_S:
            self._said_s = monotonic()
            say(
                f"published {reached.published}, answered {reached.answered}, tickets sold {reached.sold}, "
                f"with a document {reached.documents}, counted {reached.counted}"
            )


class _Bars:
    def __init__(self, progress: Progress) -> None:
        from boxoffice.demo.script import CAPACITY, COMMANDS, MISPLACED

        self._progress = progress
        commands = sum(COMMANDS.values())
        self._published = progress.add_task("published", total=commands, visible=False)
        self._answered = progress.add_task("answered", total=commands + MISPLACED, visible=False)
        self._sold = progress.add_task("tickets sold", total=CAPACITY, visible=False)
        self._documents = progress.add_task("with a document", total=CAPACITY, visible=False)
        self._counted = progress.add_task("in the statistics", total=CAPACITY, visible=False)

    def step(self, what: str) -> None:
        self._progress.console.print(f"{what} …", highlight=False)

    def count(self, reached: Reached) -> None:
        for task, completed in (
            (self._published, reached.published),
            (self._answered, reached.answered),
            (self._sold, reached.sold),
            (self._documents, reached.documents),
            (self._counted, reached.counted),
        ):
            self._progress.update(task, completed=completed, visible=True)
