"""A Redis server without a network: the few commands that the box office uses, and its scripts in a real Lua 5.1.

That it answers as a real one does, test_redis_memory.py sees to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from typing import Any, Final

from lupa.lua51 import LuaRuntime, lua_type
from redis._parsers.base import BaseParser
from redis.exceptions import RedisError, ResponseError

Value = bytes | list[bytes] | dict[bytes, bytes] | set[bytes]
Snapshot = tuple[dict[bytes, Value], dict[bytes, float]]
"""Keys, and when they expire."""
Word = bytes | str | int | float

_WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
_NO_SCRIPT: Final = "NOSCRIPT No matching script."
_EMPTY: Final[dict[type, Value]] = {list: [], dict: {}, set: set()}

REFUSED_WRITES: Final = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
}
"""How a server refuses each command that writes; a full one, those that may take memory."""

REFUSED_ALL: Final = {
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
}
"""How a server refuses each command."""


def as_redis_py_raises(message: str) -> RedisError:
    """The exception that a server's error reply becomes."""
    error: RedisError = BaseParser.parse_error(message)  # type: ignore[no-untyped-call]
    return error


class _ErrorReplyError(Exception):
    """What a command answers instead of a reply."""


@dataclass
class RedisMemory:
    """The keys of a server. ``refusing`` is the error that it is in; ``now_s`` tells the time for expiries."""

    now_s: Callable[[], float] = float
    data: dict[bytes, Value] = field(default_factory=dict)
    expiries_s: dict[bytes, float] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)
    refusing: str = ""
    _wrote: bool = False
    """Whether the script that runs has written: then it is not refused any more."""

    def execute(self, *words: Word) -> Any:
        """The reply to one command, as redis-py gives it: bytes, numbers and lists.

        Raises:
            RedisError: an error reply.
        """
        try:
            self._refuse(REFUSED_ALL)
            self._wrote = False
            return self._execute(*map(_bytes, words))
        except _ErrorReplyError as error:
            raise as_redis_py_raises(str(error)) from None

    def snapshot(self) -> Snapshot:
        """A copy of the keys, for :meth:`restore`."""
        return deepcopy(self.data), dict(self.expiries_s)

    def restore(self, snapshot: Snapshot) -> None:
        """Hold these keys and no other; scripts are not part of what is kept."""
        self.data, self.expiries_s = deepcopy(snapshot)
        self.scripts.clear()

    def _execute(self, name: bytes, *arguments: bytes) -> Any:
        self._expire()
        command = name.decode().upper()
        if command in _WRITES:
            if not self._wrote and (command in _TAKES_MEMORY or self.refusing != "OOM"):
                self._refuse(REFUSED_WRITES)
            self._wrote = True
        return _COMMANDS[command](self, *arguments)

    def _refuse(self, refused: Mapping[str, str]) -> None:
        if self.refusing in refused:
            raise _ErrorReplyError(refused[self.refusing])

    def _expire(self) -> None:
        for key in [key for key, at_s in self.expiries_s.items() if at_s <= self.now_s()]:
            self.data.pop(key, None)
            del self.expiries_s[key]

    def _read(self, key: bytes, kind: type) -> Any:
        value = self.data.get(key, _EMPTY[kind])
        if not isinstance(value, kind):
            raise _ErrorReplyError(_WRONG_TYPE)
        return value

    def _open(self, key: bytes, kind: type) -> Any:
        value = self._read(key, kind)
        return self.data.setdefault(key, kind()) if key not in self.data else value

    # Hashes

    def _hset(self, key: bytes, *words: bytes) -> int:
        fields: dict[bytes, bytes] = self._open(key, dict)
        before = len(fields)
        fields.update(zip(words[::2], words[1::2], strict=True))
        return len(fields) - before

    def _hget(self, key: bytes, name: bytes) -> bytes | None:
        found: bytes | None = self._read(key, dict).get(name)
        return found

    def _hmget(self, key: bytes, *names: bytes) -> list[bytes | None]:
        fields = self._read(key, dict)
        return [fields.get(name) for name in names]

    def _hlen(self, key: bytes) -> int:
        return len(self._read(key, dict))

    def _hgetall(self, key: bytes) -> dict[bytes, bytes]:
        return dict(self._read(key, dict))

    def _hscan(self, key: bytes, _cursor: bytes, *_count: bytes) -> tuple[int, dict[bytes, bytes]]:
        """All at once, as Redis does with what is small."""
        return 0, self._hgetall(key)

    # Lists

    def _rpush(self, key: bytes, *values: bytes) -> int:
        found: list[bytes] = self._open(key, list)
        found.extend(values)
        return len(found)

    def _llen(self, key: bytes) -> int:
        return len(self._read(key, list))

    def _lrange(self, key: bytes, first: bytes, last: bytes) -> list[bytes]:
        found: list[bytes] = self._read(key, list)
        return found[_slice(found, first, last)]

    def _ltrim(self, key: bytes, first: bytes, last: bytes) -> None:
        found: list[bytes] = self._read(key, list)
        found[:] = found[_slice(found, first, last)]
        if not found:
            self.data.pop(key, None)

    # Sets

    def _sadd(self, key: bytes, *members: bytes) -> int:
        found: set[bytes] = self._open(key, set)
        before = len(found)
        found.update(members)
        return len(found) - before

    def _srem(self, key: bytes, *members: bytes) -> int:
        found: set[bytes] = self._read(key, set)
        removed = found & set(members)
        found -= removed
        if not found:
            self.data.pop(key, None)
        return len(removed)

    def _srandmember(self, key: bytes, count: bytes) -> list[bytes]:
        """In no order that anybody may count on."""
        return sorted(self._read(key, set))[: int(count)]

    # Keys

    def _exists(self, *keys: bytes) -> int:
        return sum(key in self.data for key in keys)

    def _unlink(self, *keys: bytes) -> int:
        for key in keys:
            self.expiries_s.pop(key, None)
        return sum(self.data.pop(key, None) is not None for key in keys)

    def _rename(self, key: bytes, to: bytes) -> None:
        if key not in self.data:
            raise _ErrorReplyError("ERR no such key")
        self.data[to] = self.data.pop(key)
        self.expiries_s.pop(to, None)
        if key in self.expiries_s:
            self.expiries_s[to] = self.expiries_s.pop(key)

    def _expire_key(self, key: bytes, after_s: bytes) -> int:
        if key in self.data:
            self.expiries_s[key] = self.now_s() + int(after_s)
        return int(key in self.data)

    def _persist(self, key: bytes) -> int:
        return int(self.expiries_s.pop(key, None) is not None)

    def _set(self, key: bytes, value: bytes, *expiry: bytes) -> None:
        self.data[key] = value
        self.expiries_s.pop(key, None)
        if expiry:
            self.expiries_s[key] = self.now_s() + int(expiry[1]) / {b"EX": 1, b"PX": 1000}[expiry[0]]

    def _ping(self) -> bytes:
        return b"PONG"

    # Scripts

    def _script(self, subcommand: bytes, *text: bytes) -> bytes | None:
        if subcommand.upper() == b"FLUSH":
            self.scripts.clear()
            return None
        sha = sha1(text[0], usedforsecurity=False).hexdigest()
        _compiled(text[0])
        self.scripts.add(sha)
        _TEXTS[sha] = text[0]
        return sha.encode()

    def _evalsha(self, sha: bytes, key_count: bytes, *words: bytes) -> Any:
        if sha.decode() not in self.scripts:
            raise _ErrorReplyError(_NO_SCRIPT)
        keys, arguments = words[: int(key_count)], words[int(key_count) :]
        lua = _lua()
        succeeded, reply = lua.run(_compiled(_TEXTS[sha.decode()]), _Calls(self), lua.table(keys), lua.table(arguments))
        if not succeeded:
            raise _ErrorReplyError(f"{reply.decode()} script: {sha.decode()}, on @user_script:1.")
        return _from_lua(reply)

    def call_from_lua(self, *words: Any) -> tuple[bool, Any]:
        """What redis.call asks: whether it succeeded, and the reply as Lua takes it."""
        try:
            return True, _lua().value(self._execute(*map(_bytes, words)))
        except _ErrorReplyError as error:
            return False, str(error).encode()


class _Calls:
    """Keeps Lua from looking into the server: it gets one function."""

    def __init__(self, memory: RedisMemory) -> None:
        self._memory = memory

    def __call__(self, *words: Any) -> tuple[bool, Any]:
        return self._memory.call_from_lua(*words)


def _bytes(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word


def _slice(values: Sequence[bytes], first: bytes, last: bytes) -> slice:
    begin, end = int(first), int(last)
    return slice(begin if begin >= 0 else max(0, len(values) + begin), (end if end >= 0 else len(values) + end) + 1)


_WRITES: Final = frozenset({"HSET", "RPUSH", "LTRIM", "UNLINK", "RENAME", "EXPIRE", "PERSIST", "SET", "SADD", "SREM"})
_TAKES_MEMORY: Final = frozenset({"HSET", "RPUSH", "SET", "SADD"})
_COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "HSET": RedisMemory._hset,
    "HGET": RedisMemory._hget,
    "HMGET": RedisMemory._hmget,
    "HLEN": RedisMemory._hlen,
    "HGETALL": RedisMemory._hgetall,
    "HSCAN": RedisMemory._hscan,
    "RPUSH": RedisMemory._rpush,
    "LLEN": RedisMemory._llen,
    "LRANGE": RedisMemory._lrange,
    "LTRIM": RedisMemory._ltrim,
    "SADD": RedisMemory._sadd,
    "SREM": RedisMemory._srem,
    "SRANDMEMBER": RedisMemory._srandmember,
    "EXISTS": RedisMemory._exists,
    "UNLINK": RedisMemory._unlink,
    "RENAME": RedisMemory._rename,
    "EXPIRE": RedisMemory._expire_key,
    "PERSIST": RedisMemory._persist,
    "SET": RedisMemory._set,
    "PING": RedisMemory._ping,
    "SCRIPT": RedisMemory._script,
    "EVALSHA": RedisMemory._evalsha,
}

_TEXTS: Final[dict[str, bytes]] = {}

_PRELUDE: Final = b"""
local decode = ...
cjson = {decode = decode}

local function checked(succeeded, reply)
  if succeeded then return reply end
  error({err = reply}, 0)
end

local server
redis = {call = function(...) return checked(server(...)) end}
function redis.pcall(...)
  local succeeded, reply = server(...)
  return succeeded and reply or {err = reply}
end

return function(script, calls, keys, arguments)
  server = calls
  local succeeded, reply = pcall(script, keys, arguments)
  if succeeded then return true, reply end
  return false, type(reply) == 'table' and reply.err or 'ERR ' .. tostring(reply)
end
"""


class _Lua:
    """One interpreter for all simulated servers: a script keeps nothing between two calls."""

    def __init__(self) -> None:
        self.runtime = LuaRuntime(encoding=None, source_encoding=b"utf-8", unpack_returned_tuples=True)
        self.table = self.runtime.table_from
        self.run = self.runtime.execute(_PRELUDE, self._decode)

    def _decode(self, text: bytes) -> Any:
        return self._of_json(json.loads(text))

    def _of_json(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, list):
            return self.table([self._of_json(item) for item in value])
        if isinstance(value, dict):
            return self.table({name.encode(): self._of_json(member) for name, member in value.items()})
        return value

    def value(self, reply: Any) -> Any:
        """A reply as Lua takes it: nil is false there."""
        if isinstance(reply, list):
            return self.table([False if item is None else item for item in reply])
        return False if reply is None else reply


@cache
def _lua() -> _Lua:
    return _Lua()


@cache
def _compiled(text: bytes) -> Any:
    return _lua().runtime.execute(b"return function(KEYS, ARGV) " + text + b"\nend")


def _from_lua(reply: Any) -> Any:
    """A script's result as a reply: an array ends at its first nil, numbers lose their fractions."""
    if lua_type(reply) == "table":
        found: list[Any] = []
        while (item := reply[len(found) + 1]) is not None:
            found.append(_from_lua(item))
        return found
    if isinstance(reply, float):
        return int(reply)
    return None if reply is False else reply


__all__ = ["REFUSED_ALL", "REFUSED_WRITES", "RedisMemory", "ResponseError", "as_redis_py_raises"]
