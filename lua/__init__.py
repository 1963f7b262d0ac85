"""The scripts that Redis runs, the codes they answer with, and their loader.

A script is read from the file of its name beside this module. The line ``-- include NAME`` stands for
the text of that file, and ``Code.NAME`` for the number that :class:`Code` gives: the loader puts the
table in front, on the first line, so that Redis reports a script's own line numbers.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Final, NamedTuple

from models.shapes import Reason


class Code(IntEnum):
    """What a script answers: first about a whole call, then about one command."""

    DECIDED = 1
    """purchase.lua: every command has its answer."""
    BEHIND = 2
    """purchase.lua: Redis has not reached the caller's seq; nothing was written."""
    MISSING = 3
    """There is no such event in Redis."""
    SETTLED = 4
    """settle.lua: every fact is applied."""
    DAMAGED = 5
    """What Redis holds cannot be read, or the next fact cannot follow it: rebuild the event."""
    REPLACED = 6
    """replace.lua: what was loaded is now the event."""
    NEWER = 7
    """replace.lua: what was there has a higher seq and fence, and stays."""
    INCOMPLETE = 8
    """replace.lua: part of what was loaded has expired; what was there stays."""

    DECIDED_BEFORE = 20
    """purchase.lua: applied before, and no record tells how; agrees with every fact."""
    CREATED = 21
    CONFIRMED = 22
    CANCELLED = 23
    ADDED = 24
    CLOSED = 25

    UNKNOWN_EVENT = 40
    EVENT_CLOSED = 41
    SOLD_OUT = 42
    NOT_ENOUGH_LEFT = 43
    OVER_ORDER_LIMIT = 44
    REQUEST_ID_REUSED = 45
    EVENT_EXISTS = 46
    NO_SUCH_PURCHASE = 47
    ALREADY_CANCELLED = 48


REASONS: Final[dict[Code, Reason]] = {Code[reason.name]: reason for reason in Reason}
"""The codes that refuse a command, and why."""


class Script(NamedTuple):
    """A script as Redis gets it, and the SHA-1 by which Redis knows it."""

    name: str
    text: str
    sha1: str


_INCLUDE: Final = re.compile(r"^-- include (\S+)$", re.MULTILINE)


def source(name: str) -> str:
    """A Lua file as it was written."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _with_includes(name: str) -> str:
    return _INCLUDE.sub(lambda line: _with_includes(line[1]), source(name))


@cache
def load(name: str) -> Script:
    """The script ``name``.lua, with what it includes and with the codes."""
    codes = ",".join(f"{code.name}={code.value}" for code in Code)
    text = f"local Code={{{codes}}} {_with_includes(f'{name}.lua')}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


PURCHASE: Final = load("purchase")
SETTLE: Final = load("settle")
LOAD: Final = load("load")
REPLACE: Final = load("replace")
SCRIPTS: Final = (PURCHASE, SETTLE, LOAD, REPLACE)
