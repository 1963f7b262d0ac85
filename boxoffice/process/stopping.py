"""How a process that is no Faust worker is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from threading import Timer
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Ends in order at the first SIGTERM or SIGINT; at once at the second, or when that takes too long."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._tell, number)

    def _tell(self, number: signal.Signals) -> None:
        if self.told.is_set():
            os._exit(128 + number)
        self.told.set()
        # A thread, since it may be the event loop that does not go on.
        timer = Timer(self._timeout_s, self._end_late, [number])
        timer.daemon = True
        timer.start()

    def _end_late(self, number: signal.Signals) -> None:
        try:
            log.critical("did not stop in time and ends at once", seconds=self._timeout_s)
            sys.stdout.flush()
        finally:
            os._exit(128 + number)
