"""How many connections a process may have open: what systems allow unasked is meant for programs without callers."""

from __future__ import annotations

from typing import Final

import structlog

log = structlog.get_logger(__name__)

OTHER_FILES: Final = 500
"""Files of a process that are no caller's connection: libraries, logs, brokers."""


def allow_connections_of(wanted: int) -> int:
    """The same, for a process that serves: where the system allows fewer than its settings say, that is logged."""
    allowed = allow_connections(wanted)
    if allowed < wanted:
        log.warning("the system allows fewer connections than the settings", allowed=allowed, wanted=wanted)
    return max(allowed, 1)


def allow_connections(wanted: int) -> int:
    """Let this process, and those that it starts, have so many connections; returns how many the system allows."""
    try:
        import resource
    except ImportError:
        # A system without such a bound.
        return wanted
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + OTHER_FILES
    if now == resource.RLIM_INFINITY or now >= files:
        return wanted
    allowed = files if most == resource.RLIM_INFINITY else min(files, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, now), most))
    return min(wanted, allowed - OTHER_FILES)
