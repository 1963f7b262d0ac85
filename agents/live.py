"""The live process: what events sell, streamed to whoever watches."""

from __future__ import annotations

import uvloop

from boxoffice.errors import ExitStatus
from boxoffice.live.running import run
from boxoffice.settings import Settings


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
        SettingsError: nothing can listen on its port.
    """
    uvloop.run(run(settings))
    return ExitStatus.OK
