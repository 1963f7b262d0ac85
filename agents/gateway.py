"""The gateway: commands over HTTP, and their answers out of the ledger."""

from __future__ import annotations

from contextlib import aclosing

from boxoffice.errors import ExitStatus
from boxoffice.gateway.running import run
from boxoffice.process.event_loop import run_in_loop
from boxoffice.settings import Settings
from boxoffice.statistics.aside import FiguresAside


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    run_in_loop(_run(settings))
    return ExitStatus.OK


async def _run(settings: Settings) -> None:
    async with aclosing(FiguresAside(settings)) as figures:
        await run(settings, figures.read)
