"""The gateway: commands over HTTP, and their answers out of the ledger."""

from __future__ import annotations

import uvloop

from boxoffice.errors import ExitStatus
from boxoffice.gateway.running import run
from boxoffice.settings import Settings


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    uvloop.run(run(settings))
    return ExitStatus.OK
