"""Ctrl-C and SIGTERM: the first stops in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_STOPPING = (signal.SIGINT, signal.SIGTERM)


async def until_told_to_stop(work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """The work's result; None if a signal ended it, which lets it clean up first."""
    working = asyncio.ensure_future(work)
    told = False

    def stop(number: int) -> None:
        nonlocal told
        if told:
            # The children ask the kernel to be killed with their parent.
            os._exit(128 + number)
        told = True
        working.cancel()

    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop, number)
    try:
        return await working
    except asyncio.CancelledError:
        if told:
            return None
        raise
