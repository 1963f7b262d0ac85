"""The live process: what events sell, streamed to whoever watches."""

from __future__ import annotations

from boxoffice.errors import ExitStatus
from boxoffice.live.running import run
from boxoffice.process.event_loop import run_in_loop
from boxoffice.settings import Settings


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
        SettingsError: nothing can listen on its port.
    """
    run_in_loop(run(settings))
    return ExitStatus.OK
