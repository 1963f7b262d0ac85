"""Points at which a process kills itself, so that tests see what its death there leaves behind.

``BOXOFFICE_FAILPOINTS=publishing.side_records_out=kill@3`` kills it when it passes that point for the third time.
It is a setting like any other: shown by ``boxoffice settings``, and a mistake in it ends a process at its start.
"""

from __future__ import annotations

import os
import re
import signal
from enum import StrEnum

import structlog

log = structlog.get_logger(__name__)


class Failpoint(StrEnum):
    """The points, in the order in which a command comes by, and those beside its way."""

    RECOVERY = "recovery.among_records"
    """Some of a ledger's records are folded, others are not read yet."""
    BEFORE_SCRIPT = "redis.before_script"
    """A batch is decided by the table; Redis has not been asked."""
    AFTER_SCRIPT = "redis.after_script"
    """Redis has decided a batch; nothing of it is published."""
    SIDE_RECORDS_OUT = "publishing.side_records_out"
    """A batch's forwards and dead letters are acknowledged; none of its facts is published."""
    AMONG_PARTITIONS = "publishing.among_partitions"
    """The facts of one of a batch's partitions are acknowledged; those of others need not be."""
    BEFORE_ACK = "publishing.before_ack"
    """All of a batch is published; its offsets are not to be committed yet."""
    SETTLING = "settling.among_facts"
    """Redis was told a part of what it missed, and the worker has not noted it."""
    LOADING = "rebuilding.among_steps"
    """A part of an event's keys is loaded beside the live ones."""
    BEFORE_REPLACING = "rebuilding.before_replacing"
    """All of an event's keys are loaded beside the live ones, and are not switched in."""


_KILL = re.compile(r"([a-z_.]+)=kill@([1-9][0-9]{0,8})")

_passings_left: dict[Failpoint, int] = {}


def parse(text: str) -> dict[Failpoint, int]:
    """The points in ``NAME=kill@N,...``, each with the number of the passing that kills.

    Raises:
        ValueError: it is something else.
    """
    found: dict[Failpoint, int] = {}
    for part in filter(None, text.split(",")):
        match = _KILL.fullmatch(part)
        if match is None or match[1] not in set(Failpoint):
            raise ValueError(f"must be NAME=kill@N, or several of them between commas, of {', '.join(Failpoint)}")
        found[Failpoint(match[1])] = int(match[2])
    return found


def arm(text: str) -> None:
    """Let this process die as a setting says; said once, since nobody wants it by mistake."""
    _passings_left.update(parse(text))
    if _passings_left:
        log.warning("failpoints are set: this process will kill itself", failpoints=text)


def passing(point: Failpoint) -> None:
    """The process is at a point: almost always there is nothing to it."""
    if _passings_left and point in _passings_left:
        _pass(point)


def _pass(point: Failpoint) -> None:
    _passings_left[point] -= 1
    if not _passings_left[point]:
        log.critical("failpoint", failpoint=point)
        os.kill(os.getpid(), signal.SIGKILL)
