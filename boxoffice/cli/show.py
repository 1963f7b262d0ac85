"""How far the demo and a download are: moving bars on a terminal, a line now and then elsewhere."""

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
    from boxoffice.embedded.jars import DownloadProgress

_LINE_INTERVAL_S = 1.0
_SAME_INTERVAL_S = 15.0
"""While nothing happens: it still runs."""
_DOWNLOAD_LINES = 10
_MB = 10**6


@contextmanager
def show_progress() -> Iterator[Show]:
    """What the demo tells how far it is."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    with _progress() as progress:
        yield _Bars(progress)


@contextmanager
def show_download() -> Iterator[DownloadProgress]:
    """What a first download tells how far it is."""
    if not sys.stdout.isatty():
        yield _DownloadLines().tell
        return
    with _progress() as progress:
        yield _DownloadBar(progress).tell


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


class _DownloadLines:
    def __init__(self) -> None:
        self._said = 0

    def tell(self, there_bytes: int, all_bytes: int) -> None:
        step = _DOWNLOAD_LINES * there_bytes // all_bytes
        if step > self._said:
            self._said = step
            say(f"Downloading Kafka, once: {there_bytes // _MB} of {all_bytes // _MB} MB")


class _DownloadBar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("Kafka, once, MB", total=None, visible=False)

    def tell(self, there_bytes: int, all_bytes: int) -> None:
        self._progress.update(self._task, completed=there_bytes // _MB, total=all_bytes // _MB, visible=True)


class _Lines:
    def __init__(self) -> None:
        self._said_s = 0.0
        self._said: Reached | None = None
        self._download = _DownloadLines()

    def step(self, what: str) -> None:
        say(f"{what} ...")

    def download(self, there_bytes: int, all_bytes: int) -> None:
        self._download.tell(there_bytes, all_bytes)

    def count(self, reached: Reached) -> None:
        interval_s = _LINE_INTERVAL_S if reached != self._said else _SAME_INTERVAL_S
        if monotonic() - self._said_s > interval_s:
            self._said_s, self._said = monotonic(), reached
            say(
                f"published {reached.published}, answered {reached.answered}, tickets held {reached.held}, "
                f"sold {reached.sold}, with a document {reached.documents}, counted {reached.counted}"
            )


class _Bars:
    def __init__(self, progress: Progress) -> None:
        from boxoffice.demo.script import CAPACITY

        self._progress = progress
        self._download = _DownloadBar(progress)
        # How many holds are paid for nobody knows before.
        self._published = progress.add_task("published", total=None, visible=False)
        self._answered = progress.add_task("answered", total=None, visible=False)
        self._held = progress.add_task("tickets held", total=CAPACITY, visible=False)
        self._sold = progress.add_task("tickets sold", total=CAPACITY, visible=False)
        self._documents = progress.add_task("with a document", total=CAPACITY, visible=False)
        self._counted = progress.add_task("in the statistics", total=CAPACITY, visible=False)

    def step(self, what: str) -> None:
        self._progress.console.print(f"{what} ...", highlight=False)

    def download(self, there_bytes: int, all_bytes: int) -> None:
        self._download.tell(there_bytes, all_bytes)

    def count(self, reached: Reached) -> None:
        for task, completed in (
            (self._published, reached.published),
            (self._answered, reached.answered),
            (self._held, reached.held),
            (self._sold, reached.sold),
            (self._documents, reached.documents),
            (self._counted, reached.counted),
        ):
            self._progress.update(task, completed=completed, visible=True)
