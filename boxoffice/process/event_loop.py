"""The event loop of a process that speaks HTTP: uvloop, where there is one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def run_in_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end."""
    if sys.platform == "win32":
        asyncio.run(coroutine)
    else:
        import uvloop

        uvloop.run(coroutine)
