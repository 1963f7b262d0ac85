"""Who may do what in Redis: one table, from which the lines of an ACL file are made, and documented.

A process has a user of its own, and may run the commands that it runs, on the keys on which it runs them.
``SCAN`` tells names of keys whatever the patterns say; what lies under them it does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from lua.keys import (
    drill_key,
    event_keys,
    event_statistics_key,
    global_statistics_key,
    loading_keys,
    probe_key,
    process_key,
    rebuild_key,
)
from models.members import GENERAL

Patterns = Callable[[str], Sequence[str]]
"""The patterns of some keys, under a prefix."""

_ANY: Final = "*"


def _meta(prefix: str) -> Sequence[str]:
    return (event_keys(prefix, _ANY).meta,)


def _events(prefix: str) -> Sequence[str]:
    return event_keys(prefix, _ANY, (GENERAL, _ANY)).all


def _loading(prefix: str) -> Sequence[str]:
    return loading_keys(prefix, _ANY, _ANY, (GENERAL, _ANY)).all


def _figures(prefix: str) -> Sequence[str]:
    return event_statistics_key(prefix, _ANY), global_statistics_key(prefix)


def _asked(prefix: str) -> Sequence[str]:
    return drill_key(prefix), rebuild_key(prefix)


def _drill(prefix: str) -> Sequence[str]:
    return (drill_key(prefix),)


def _rebuild(prefix: str) -> Sequence[str]:
    return (rebuild_key(prefix),)


def _probe(prefix: str) -> Sequence[str]:
    return (probe_key(prefix),)


def _processes(prefix: str) -> Sequence[str]:
    return (process_key(prefix, _ANY, _ANY),)


def _own(process: str) -> Patterns:
    return lambda prefix: (process_key(prefix, process, _ANY),)


@dataclass(frozen=True)
class Access:
    """What one user needs, and for what: commands, keys that it only reads, and keys that it writes too."""

    user: str
    does: str
    commands: Sequence[str]
    reads: Sequence[Patterns] = ()
    writes: Sequence[Patterns] = ()


CONNECTING: Final = ("ping", "select", "command", "cluster|slots", "asking")
"""What every client of ours asks, of one server or of a cluster; AUTH needs no right."""
SENTINEL: Final = ("ping", "sentinel|masters")
"""What every client asks of a Sentinel, which has users of its own."""
_PRESENT: Final = ("set", "del")
_SCRIPTED: Final = (
    *("hget", "hmget", "hset", "hlen", "llen", "lrange", "ltrim", "rpush"),
    *("exists", "expire", "persist", "rename", "unlink"),
)
"""What the scripts do: a script may do what whoever runs it may."""
_READ_EVENTS: Final = ("hget", "hgetall", "hmget", "hscan", "hlen", "llen", "lrange")
_ASK: Final = ("set", "del", "pttl", "sadd", "srem", "smembers")

ACCESS: Final[Sequence[Access]] = (
    Access(
        "purchases",
        "decides, settles and rebuilds events; sees what operators ask for",
        ("evalsha", "script|load", *_SCRIPTED, "srandmember", "srem", *_PRESENT),
        reads=(_drill,),
        writes=(_events, _loading, _rebuild, _probe, _own("purchases")),
    ),
    Access(
        "documents",
        "reads what tickets say of their event",
        ("hmget", *_PRESENT),
        reads=(_meta,),
        writes=(_own("documents"),),
    ),
    Access(
        "stats",
        "writes figures",
        ("hset", "hget", "exists", *_PRESENT),
        writes=(_figures, _own("stats")),
    ),
    Access(
        "clock",
        "says that it is there",
        _PRESENT,
        writes=(_own("clock"),),
    ),
    Access(
        "gateway",
        "looks requests up, tells figures, hands on what operators ask",
        ("hget", "hgetall", "hmget", "hlen", "llen", "scan", "getrange", "set", "del", "sadd", "srem", "smembers"),
        reads=(_events, _figures, _processes),
        writes=(_asked, _own("gateway")),
    ),
    Access(
        "live",
        "shows operators how all is",
        ("scan", "getrange", "hgetall", "pttl", "smembers", "info", *_PRESENT),
        reads=(_figures, _asked, _processes),
        writes=(_own("live"),),
    ),
    Access(
        "audit",
        "compares events and figures with the ledger",
        ("hget", "hgetall", "hscan", "lrange", "scan"),
        reads=(_events, _figures),
    ),
    Access(
        "operator",
        "runs commands: looks at everything, drills, asks for rebuilds",
        (*_READ_EVENTS, "scan", "getrange", "info", *_ASK),
        reads=(_events, _figures, _processes),
        writes=(_asked,),
    ),
)
"""Every user. Nobody else is let in: the user ``default`` is off."""

BY_USER: Final[Mapping[str, Access]] = {access.user: access for access in ACCESS}


def user_lines(prefix: str, passwords: Mapping[str, str] | None = None) -> list[str]:
    """The lines of an ACL file; a user whose password is not given is off, until somebody gives him one."""
    given = passwords or {}
    return ["user default off", *(_line(access, prefix, given.get(access.user)) for access in ACCESS)]


def admin_line(user: str, password: str) -> str:
    """The line of a user who may do everything."""
    return f"user {user} {_login(password)} ~* &* +@all"


def _line(access: Access, prefix: str, password: str | None) -> str:
    rights = [*patterns(access, prefix), "-@all", *(f"+{command}" for command in commands(access))]
    return f"user {access.user} {_login(password)} resetchannels {' '.join(rights)}"


def _login(password: str | None) -> str:
    return f"on #{sha256(password.encode()).hexdigest()}" if password is not None else "off"


def patterns(access: Access, prefix: str) -> list[str]:
    """A user's keys as Redis writes them; ``%R~`` is for reading alone."""
    return [*_patterns("%R~", access.reads, prefix), *_patterns("~", access.writes, prefix)]


def _patterns(mark: str, groups: Sequence[Patterns], prefix: str) -> Iterator[str]:
    return (f"{mark}{pattern}" for group in groups for pattern in group(prefix))


def commands(access: Access) -> list[str]:
    """All that a user may run."""
    return sorted({*CONNECTING, *access.commands})
