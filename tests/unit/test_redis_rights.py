"""What each process asks of Redis is within its rights: its own code, on a server that denies all else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from boxoffice.redis.access import BY_USER, CONNECTING, commands, patterns
from boxoffice.redis.presence import Presence, ProcessState, read_presences
from boxoffice.redis.store import Code, RedisStore
from boxoffice.settings import RedisSettings, Settings, load_settings
from boxoffice.statistics.figures import Totals, totals_of_events
from boxoffice.statistics.redis_figures import RedisFigures
from lua.keys import event_keys, event_statistics_key, global_statistics_key, process_key
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from tests.integration.redis_tables import (
    Table,
    addition,
    at_home,
    cancellation,
    categories,
    creation,
    expiry,
    order,
    purchase,
    removal,
)
from tests.simulation.redis_memory import RedisMemory, as_redis_py_raises

PREFIX = "autumn-"
READING = {
    *("HGET", "HMGET", "HGETALL", "HLEN", "HSCAN", "LLEN", "LRANGE", "EXISTS", "PTTL", "SMEMBERS", "SRANDMEMBER"),
    "GETRANGE",
}
KEYLESS = {"PING", "SCRIPT", "SCAN", "INFO"}
STATE = ProcessState(
    process="any",
    host="h",
    pid=1,
    health="h:1",
    started_at="2027-03-01T19:30:00Z",
    uptime_s=1.0,
    memory_bytes=1,
    cpu_s=1.0,
    live=True,
    ready=True,
    waits_for=[],
    using_fallback=None,
)


class Guarded(RedisMemory):
    """A server that judges each command by a user's line in its ACL file, as Redis does: also those of scripts."""

    user = "nobody"

    def _execute(self, name: bytes, *arguments: bytes) -> Any:
        self._judge(name.decode().upper(), [argument.decode(errors="replace") for argument in arguments])
        own = getattr(self, f"_of_{name.decode().lower()}", None)
        return own(*arguments) if own is not None else super()._execute(name, *arguments)

    def _judge(self, command: str, arguments: Sequence[str]) -> None:
        access = BY_USER[self.user]
        named = f"{command}|{arguments[0]}" if command == "SCRIPT" else command
        if named.lower() not in commands(access):
            raise as_redis_py_raises(f"NOPERM User {self.user} has no permissions to run the '{named}' command")
        for key in keys_of(command, arguments):
            if not any(permits(pattern, key, command) for pattern in patterns(access, PREFIX)):
                raise as_redis_py_raises(f"NOPERM No permissions to access a key: {command} {key}")

    # What the simulation has no need of

    def _of_del(self, *keys: bytes) -> int:
        return self._unlink(*keys)

    def _of_pttl(self, key: bytes) -> int:
        return -1 if key in self.data else -2

    def _of_smembers(self, key: bytes) -> set[bytes]:
        return set(self._read(key, set))

    def _of_getrange(self, key: bytes, _first: bytes, _last: bytes) -> bytes:
        value = self.data.get(key, b"")
        assert isinstance(value, bytes)
        return value

    def _of_info(self, *_: bytes) -> dict[str, Any]:
        return {"maxmemory": 0, "maxmemory_policy": "noeviction"}

    def _of_scan(self, *_: bytes) -> list[bytes]:
        return list(self.data)


def keys_of(command: str, arguments: Sequence[str]) -> Sequence[str]:
    """The keys in a command."""
    if command in KEYLESS:
        return ()
    if command == "EVALSHA":
        return arguments[2 : 2 + int(arguments[1])]
    if command in {"UNLINK", "DEL", "EXISTS", "RENAME"}:
        return arguments
    return arguments[:1]


def permits(pattern: str, key: str, command: str) -> bool:
    """Whether a pattern of an ACL lets a command have a key; what follows ``%R~`` may be read alone."""
    reads_only = pattern.startswith("%R~")
    glob = re.escape(pattern.removeprefix("%R").removeprefix("~")).replace(r"\*", ".*")
    return (command in READING or not reads_only) and re.fullmatch(glob, key) is not None


class Client:
    """As much of redis-py's client as all of ours use."""

    def __init__(self, server: Guarded) -> None:
        self._server = server

    async def execute_command(self, *words: Any) -> Any:
        return self._server.execute(*words)

    async def ping(self) -> Any:
        return self._server.execute("PING")

    async def info(self, section: str) -> Any:
        return self._server.execute("INFO", section)

    async def script_load(self, text: str) -> Any:
        return self._server.execute("SCRIPT", "LOAD", text)

    async def scan_iter(self, match: str, count: int) -> AsyncIterator[bytes]:
        glob = re.escape(match).replace(r"\*", ".*")
        for key in self._server.execute("SCAN", 0, "MATCH", match, "COUNT", count):
            if re.fullmatch(glob.encode(), key):
                yield key

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self._server)

    async def aclose(self) -> None:
        """Nothing is open."""


class Pipeline:
    """Commands that go together."""

    def __init__(self, server: Guarded) -> None:
        self._server = server
        self._commands: list[tuple[Any, ...]] = []

    def execute_command(self, *words: Any) -> None:
        self._commands.append(words)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return [self._reply(words) for words in self._commands]

    def _reply(self, words: tuple[Any, ...]) -> Any:
        try:
            return self._server.execute(*words)
        except NoPermissionError:
            raise
        except Exception as error:  # noqa: BLE001  # as a pipeline hands them back
            return error


@pytest.fixture
def settings() -> Settings:
    return load_settings(topic_prefix=PREFIX)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """One that everything here connects to."""
    guarded = Guarded()
    for place in ("boxoffice.redis.presence.connect", "boxoffice.statistics.redis_figures.connect"):
        monkeypatch.setattr(place, lambda *_, **__: Client(guarded))
    return guarded


def store_of(server: Guarded, settings: RedisSettings) -> RedisStore:
    client: Any = Client(server)
    return RedisStore(client, settings)


async def purchases(server: Guarded, settings: RedisSettings) -> None:
    """Decides, settles, rebuilds, watches, forgets."""
    store, table = store_of(server, settings), Table()
    await store.ping()
    await store.probe()
    hall = creation(categories=categories(general=300, stalls=5), hold_s=60)
    table.take(at_home([creation("7", "c-7"), hall]))
    assert await store.rebuild(table.snapshot(), force=True) is Code.REPLACED
    sold = order("r-1", general=2, stalls=1), cancellation("x-1", "r-1"), purchase("r-2"), removal("m-1", 1)
    for reply in await store.decide(list(table.take(at_home(sold, 10)).values())):
        assert not isinstance(reply, Exception), reply
        assert reply.code is Code.DECIDED
    table.take(at_home([addition("a-1", 2, category="stalls"), expiry("e-1", "r-2")], 20, 10**13))
    assert (await store.settle(table.event(), table.history["42"])).code is Code.DECIDED
    assert (await store.positions([table.event()]))["42"] is not None
    await store.rebuild_done(["42"])
    assert await store.rebuild(table.snapshot("7"), force=True) is Code.REPLACED
    await store.forget(["7"])
    assert await store.rebuild(table.snapshot(), force=True) is Code.REPLACED


async def documents(server: Guarded, settings: RedisSettings) -> None:
    """Reads an event's page."""
    key = event_keys(settings.key_prefix, "42").meta
    await Client(server).execute_command("HMGET", key, "name", "venue")


async def stats(server: Guarded, settings: RedisSettings) -> None:
    """Writes figures, over what strangers wrote too, and looks whether they are there."""
    figures = RedisFigures(settings)
    await figures.ping()
    event = Statistics(PartitionStatistics(3)).events
    assert not event
    totals: Totals = {**totals_of_events([]), "partition": 3, "offset": 1}
    await figures.write(totals, {"42": None})
    server.data[global_statistics_key(PREFIX).encode()] = b"text"
    await figures.write(totals, {})
    await figures.lost(3, 1, {"42": 7})


async def clock(server: Guarded, settings: RedisSettings) -> None:
    """Needs no Redis: it says there that it runs, and nothing else."""
    await Client(server).execute_command("SET", process_key(settings.key_prefix, "clock", "1"), b"x")


def events_on_sale() -> Table:
    table = Table()
    table.take(at_home([creation(categories=categories(general=300, stalls=5), hold_s=60)]))
    return table


async def gateway(server: Guarded, settings: RedisSettings) -> None:
    """Looks requests up, tells figures, and hands on what operators ask."""
    store = store_of(server, settings)
    await store.ping()
    await store.read_request("42", "r-2")
    await store.read_request("42", "c-1")
    await asks(store)
    await tells(server, settings)


async def asks(store: RedisStore) -> None:
    await store.begin_drill(5)
    await store.end_drill()
    await store.ask_for_rebuild(["42"])
    await store.to_rebuild()
    await store.rebuild_done(["42"])
    await store.positions([events_on_sale().event()])


async def tells(server: Guarded, settings: RedisSettings) -> None:
    client: Any = Client(server)
    await RedisFigures(settings).read()
    assert {state.process for state in (await read_presences(client, settings.key_prefix)).states} == {"any"}


async def live(server: Guarded, settings: RedisSettings) -> None:
    """Shows operators how all is."""
    store = store_of(server, settings)
    await store.ping()
    await Client(server).info("memory")
    await store.drill_ends_in_s()
    await store.to_rebuild()
    await tells(server, settings)


async def audit(server: Guarded, settings: RedisSettings) -> None:
    """Compares events and figures."""
    store, client = store_of(server, settings), Client(server)
    await store.ping()
    assert await store.read_event("42") is not None
    await client.execute_command("HGETALL", event_statistics_key(PREFIX, "42"))
    await client.execute_command("HGET", global_statistics_key(PREFIX), "3")
    assert [key async for key in client.scan_iter(event_keys(PREFIX, "*").meta, 10)]


async def operator(server: Guarded, settings: RedisSettings) -> None:
    """Looks at everything, and asks."""
    await audit(server, settings)
    await live(server, settings)
    await asks(store_of(server, settings))
    await documents(server, settings)


WORK = {work.__name__: work for work in (purchases, documents, stats, clock, gateway, live, audit, operator)}
SAYS_ITSELF = ("purchases", "documents", "stats", "clock", "gateway", "live")


@pytest.fixture
async def sold(server: Guarded, settings: Settings) -> Guarded:
    """A server on which was sold and counted, and where a process says that it runs."""
    server.user = "purchases"
    await purchases(server, settings.redis)
    server.data[f"{PREFIX}process:purchases:1".encode()] = STATE.model_dump_json().encode()
    return server


def test_the_table_and_the_work_name_the_same_users() -> None:
    assert set(WORK) == set(BY_USER)


@pytest.mark.parametrize("user", WORK)
async def test_each_process_does_its_work_with_its_own_rights(sold: Guarded, settings: Settings, user: str) -> None:
    sold.user = user
    await WORK[user](sold, settings.redis)
    if user in SAYS_ITSELF:
        presence = Presence(settings.redis, user, 5.0)
        await presence.say(STATE)
        assert any(key.startswith(f"{PREFIX}process:{user}:".encode()) for key in sold.data)
        await presence.take_back()


def others() -> Iterator[tuple[str, str]]:
    """Who cannot do whose work: an operator does much of what others do."""
    able = {("operator", "documents"), ("operator", "live"), ("operator", "audit"), ("gateway", "documents")}
    able |= {("purchases", "documents"), ("operator", "gateway")}
    return ((user, work) for user in WORK for work in WORK if user != work and (user, work) not in able)


@pytest.mark.parametrize(("user", "work"), list(others()))
async def test_nobody_does_anothers(sold: Guarded, settings: Settings, user: str, work: str) -> None:
    sold.user = user
    with pytest.raises(NoPermissionError):
        await WORK[work](sold, settings.redis)


@pytest.mark.parametrize("user", BY_USER)
async def test_nobody_has_a_right_that_no_work_of_his_needs(
    sold: Guarded, settings: Settings, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command is asked by somebody; what connects is left out."""
    asked: set[str] = set()
    judge = Guarded._judge

    def note(self: Guarded, command: str, arguments: Sequence[str]) -> None:
        asked.add("script|load" if command == "SCRIPT" else command.lower())
        judge(self, command, arguments)

    monkeypatch.setattr(Guarded, "_judge", note)
    sold.user = user
    sold.scripts.clear()
    await WORK[user](sold, settings.redis)
    if user in SAYS_ITSELF:
        presence = Presence(settings.redis, user, 5.0)
        await presence.say(STATE)
        await presence.take_back()
    assert set(BY_USER[user].commands) - asked - {*CONNECTING} == set()
