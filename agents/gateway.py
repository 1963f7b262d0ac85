"""The gateway: commands over HTTP, and their answers out of the ledger."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

import structlog

from boxoffice.errors import ExitStatus
from boxoffice.gateway.running import run
from boxoffice.process.open_files import allow_connections
from boxoffice.settings import Settings
from boxoffice.statistics.aside import FiguresAside

log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    wanted = settings.gateway.most_connections
    if (allowed := allow_connections(wanted)) < wanted:
        log.warning("the system allows fewer connections than the settings", allowed=allowed, wanted=wanted)
    if sys.platform == "win32":
        asyncio.run(_run(settings))
    else:
        import uvloop

        uvloop.run(_run(settings))
    return ExitStatus.OK


async def _run(settings: Settings) -> None:
    # The gateway and the statistics know nothing of each other.
    async with aclosing(FiguresAside(settings)) as figures:
        await run(settings, figures.read)
