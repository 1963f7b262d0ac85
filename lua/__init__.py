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


class Code(IntEnum):
    """What a script answers: first about a whole call, then about one command."""

    DECIDED = 1
    """purchase.lua: every command has its answer."""
    BEHIND = 2
    """purchase.lua: Redis has not reached the caller's seq; nothing was written."""
    MISSING = 3
    """There is no such event in Redis."""
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
    SOLD = 21
    """purchase.lua: the tickets are the buyer's, or held."""
    SHORT = 22
    """purchase.lua: not enough tickets are left."""
    COUNTED = 23
    """purchase.lua: a rejection has its seq."""
    APPLIED = 24
    """purchase.lua: what follows from a fact was done."""


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
LOAD: Final = load("load")
REPLACE: Final = load("replace")
SCRIPTS: Final = (PURCHASE, LOAD, REPLACE)
