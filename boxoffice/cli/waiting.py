"""Whoever has to wait for a server sees for which."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Timer
from typing import TYPE_CHECKING, Any, Final, TypeVar

from boxoffice.cli.tables import note

if TYPE_CHECKING:
    from boxoffice.settings import Settings

_Result = TypeVar("_Result")

_NOTE_AFTER_S: Final = 5.0
"""Where no terminal is, nothing is said of what is quick."""


def look_settings() -> Settings:
    """The settings of a command that only looks: a server that hangs is to be told soon."""
    from boxoffice.settings import load_settings

    settings = load_settings()
    timeout_ms = min(settings.kafka.request_timeout_ms, settings.kafka.look_timeout_ms)
    return replace(settings, kafka=settings.kafka.model_copy(update={"request_timeout_ms": timeout_ms}))


def looked(work: Coroutine[Any, Any, _Result], settings: Settings) -> _Result:
    """The result of work that asks Kafka."""
    with telling(f"waiting for Kafka at {settings.kafka.bootstrap_servers}"):
        return asyncio.run(work)


@contextmanager
def telling(what: str, note_after_s: float | None = _NOTE_AFTER_S) -> Iterator[Callable[[str], None]]:
    """Says on a terminal at once what is being done, elsewhere in a line if it takes long; None says nothing there.

    What is yielded is told what is being done next.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        # Every encoding has the characters of this spinner.
        with Console(stderr=True).status(what, spinner="line") as status:
            yield status.update
        return
    doing = [what]
    timer = Timer(note_after_s or 0, lambda: note(f"{doing[-1][:1].upper()}{doing[-1][1:]} ..."))
    timer.daemon = True
    if note_after_s is not None:
        timer.start()
    try:
        yield doing.append
    finally:
        timer.cancel()
