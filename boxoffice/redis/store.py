"""The events in Redis: deciding there, bringing them up to the ledger, and reading them.

Redis errors are let through: they are redis-py's exceptions, also where a call took longer than
``redis_timeout_ms``. Nothing here tries again, except that scripts which Redis forgot are loaded, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

from pydantic_core import from_json, to_json
from redis.asyncio import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from boxoffice.errors import BoxOfficeError
from boxoffice.failpoints import Failpoint, passing
from boxoffice.redis.breaker import UNSERVED
from boxoffice.redis.connection import RedisClient
from boxoffice.settings import RedisSettings
from lua import LOAD, PURCHASE, REPLACE, SCRIPTS, Code, Script
from lua.answers import Kept, other_request
from lua.calls import Answer, Applied, DecideReply, agrees, decode_decisions, encode_call, expected_answer
from lua.copies import EventCopy, Snapshot, differences, expected_copy
from lua.effects import suffixes
from lua.keys import EventKeys, drill_key, event_keys, loading_keys, probe_key, rebuild_key
from models.event import Event
from models.members import GENERAL

__all__ = [
    "Answer",
    "Code",
    "DecideCall",
    "DecideReply",
    "EventCopy",
    "EventKeepsChangingError",
    "EventPosition",
    "RedisStore",
    "Snapshot",
    "agrees",
    "differences",
    "expected_answer",
    "expected_copy",
]

_Item = TypeVar("_Item")

_UNREACHED: Final = (RedisConnectionError, RedisTimeoutError)

_READ_ATTEMPTS: Final = 5
_POSITIONS_PER_CALL: Final = 500
_RECORDS_PER_SLICE: Final = 500
_PROBE_EXPIRY_MS: Final = 1_000
_MOST_ASKED: Final = 1_000
_NO_KEY: Final = -2
"""PTTL's answer."""


class EventKeepsChangingError(BoxOfficeError):
    """An event was sold from whenever it was read."""

    remedy = "Try again when less is sold of the event."


@dataclass(frozen=True, slots=True)
class DecideCall:
    """What the table has decided for one event, in order; ``seq`` is what it had reached before all of this.

    ``backlog`` are facts that Redis may have missed: it takes them first.
    """

    event: Event
    seq: int
    decided: Sequence[Applied]
    backlog: Sequence[Applied] = ()


class EventPosition(NamedTuple):
    """How far an event is in Redis: what its meta says, and how many tickets lie in the queues, and records."""

    seq: int
    fence: int
    sold: int
    held: int
    left: int
    records: int
    rules_since: int = 0
    """The seq from which on it is sold by the present rules, as the table's event has it."""


class Asked(NamedTuple):
    """What an operator asks the workers for: to decide without Redis, and to rebuild events (some of them, if many)."""

    drill: bool
    rebuild: frozenset[str]


class _Run(NamedTuple):
    """A script to be run for an event."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[bytes | str | int]

    @property
    def words(self) -> tuple[bytes | str | int, ...]:
        return "EVALSHA", self.script.sha1, len(self.keys), *self.keys, *self.arguments


class RedisStore:
    """The events in one Redis, under one prefix."""

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self._client = client
        self._prefix = settings.key_prefix
        self._timeout_ms = settings.timeout_ms
        self._load_chunk_size = settings.load_chunk_size
        self._loading_expiry_s = settings.loading_expiry_s
        # What was loaded for an event when Redis did not answer any more.
        self._unanswered: dict[str, EventKeys] = {}
        # A pool with no connection left raises what looks like a dead server.
        self._connections = asyncio.Semaphore(settings.pool_size)

    async def ping(self) -> None:
        """Return if Redis answers; if it is a cluster, each of its primaries."""
        async with self._call():
            if isinstance(self._client, RedisCluster):
                await self._client.ping(target_nodes=RedisCluster.PRIMARIES)
            else:
                await self._client.ping()

    async def probe(self) -> Asked:
        """Return if Redis also takes writes: one that is full or read-only answers a ping."""
        if isinstance(self._client, RedisCluster):
            await self.ping()
        async with self._call():
            written, drill, rebuild = await self._pipelined(
                (
                    ("SET", probe_key(self._prefix), "", "PX", _PROBE_EXPIRY_MS),
                    ("EXISTS", drill_key(self._prefix)),
                    ("SRANDMEMBER", rebuild_key(self._prefix), _MOST_ASKED),
                )
            )
        if isinstance(written, RedisError):
            raise written
        # What else may lie under these keys asks for nothing.
        return Asked(drill == 1, frozenset(map(_text, rebuild)) if isinstance(rebuild, list | set) else frozenset())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # Deciding and settling

    async def decide(self, calls: Sequence[DecideCall]) -> list[DecideReply | RedisError]:
        """Redis' decisions, or the error that one event met, in one round trip.

        Raises:
            RedisError: Redis was not reached, or not in time; it may have decided or not.
        """
        runs = [[self._purchase_run(call)] for call in calls]
        async with self._call():
            replies = await self._run(runs)
        return [
            reply if isinstance(reply, RedisError) else _behind(call.backlog, decode_decisions(reply))
            for call, [reply] in zip(calls, replies, strict=True)
        ]

    def _purchase_run(self, call: DecideCall) -> _Run:
        asked = encode_call(call.event, call.seq, call.backlog, call.decided)
        keys = event_keys(self._prefix, call.event.event_id, asked.categories)
        return _Run(PURCHASE, keys.all, (asked.argument,))

    async def settle(self, event: Event, facts: Sequence[Applied]) -> DecideReply:
        """Apply facts, in order; those that Redis has are skipped."""
        reply = await self._run_one(self._purchase_run(DecideCall(event, facts[0].fact["seq"] - 1, (), facts)))
        passing(Failpoint.SETTLING)
        return decode_decisions(reply)

    async def forget(self, event_ids: Iterable[str]) -> None:
        """Take away all that serves these events, as far as what is there says what that is."""
        for some in _chunks(event_ids, _POSITIONS_PER_CALL):
            async with self._call():
                found = await self._pipelined(
                    ("HGET", event_keys(self._prefix, one).meta, "categories") for one in some
                )
                named = [_categories(kept) for kept in map(_readable, found)]
                keys = [event_keys(self._prefix, one, of_it).all for one, of_it in zip(some, named, strict=True)]
                for reply in await self._pipelined(("UNLINK", *all_of_it) for all_of_it in keys):
                    _readable(reply)

    # What an operator asks the workers for

    async def begin_drill(self, duration_s: int) -> None:
        """Let workers decide without Redis for so long."""
        await self._ask("SET", drill_key(self._prefix), "", "EX", duration_s)

    async def end_drill(self) -> bool:
        """Let Redis decide again; returns whether it did not."""
        return bool(await self._ask("DEL", drill_key(self._prefix)))

    async def drill_ends_in_s(self) -> float | None:
        """For how long the drill still goes on; None if there is none."""
        left_ms = int(await self._ask("PTTL", drill_key(self._prefix)))
        return max(left_ms, 0) / 1000 if left_ms != _NO_KEY else None

    async def ask_for_rebuild(self, event_ids: Iterable[str]) -> None:
        """Ask the owners of these events to rebuild them."""
        for some in _chunks(event_ids, _MOST_ASKED):
            await self._ask("SADD", rebuild_key(self._prefix), *some)

    async def rebuild_done(self, event_ids: Iterable[str]) -> None:
        """These were rebuilt, or nobody waits for them any more."""
        for some in _chunks(event_ids, _MOST_ASKED):
            await self._ask("SREM", rebuild_key(self._prefix), *some)

    async def to_rebuild(self) -> frozenset[str]:
        """The events whose rebuild was asked for and not yet done."""
        return frozenset(map(_text, await self._ask("SMEMBERS", rebuild_key(self._prefix))))

    # Rebuilding

    async def rebuild(self, event: Snapshot, *, force: bool = False) -> Code:
        """Put the snapshot in the place of what Redis holds, unless that has a higher seq; with ``force``, even then.

        It is loaded beside the live keys, in steps between which Redis serves others, and then
        switched in. Keys of a load that fails expire.
        """
        live = event_keys(self._prefix, event.event_id, event.categories)
        loading = loading_keys(self._prefix, event.event_id, uuid4().hex, event.categories)
        if event.event_id in self._unanswered:
            # Its switch may be on its way still: it must not put an older state in the place of this one.
            await self._ask("UNLINK", *self._unanswered[event.event_id].all)
            del self._unanswered[event.event_id]
        try:
            await self._load(loading, loading.meta, list(chain.from_iterable(event.meta().items())))
            tickets = [await self._load_queue(loading, event, place) for place in range(len(event.categories))]
            records = await self._load_records(loading, event)
            passing(Failpoint.BEFORE_REPLACING)
            run = _Run(REPLACE, (*live.all, *loading.all), (event.seq, int(force), records, *tickets))
            reply = await self._run_one(run)
        except ResponseError:
            # Out of memory, say: what was loaded must not take more of it until it expires.
            with suppress(RedisError):
                await self._ask("UNLINK", *loading.all)
            raise
        except UNSERVED:
            self._unanswered[event.event_id] = loading
            raise
        return Code(reply[0])

    async def _load_queue(self, loading: EventKeys, event: Snapshot, place: int) -> int:
        loaded = 0
        for names in _chunks(event.tickets(place), self._load_chunk_size):
            await self._load(loading, loading.queues[place], names)
            loaded += len(names)
        return loaded

    async def _load_records(self, loading: EventKeys, event: Snapshot) -> int:
        loaded = 0
        words: list[str] = []
        for records in _chunks(event.records(), min(_RECORDS_PER_SLICE, self._load_chunk_size)):
            words += chain.from_iterable(records)
            loaded += len(records)
            if len(words) >= 2 * self._load_chunk_size:
                await self._load(loading, loading.purchases, words)
                words = []
            await asyncio.sleep(0)
        if words:
            await self._load(loading, loading.purchases, words)
        return loaded

    async def _load(self, loading: EventKeys, key: str, words: Sequence[str]) -> None:
        """One step, after which the expiry of all that was loaded begins again."""
        place = loading.all.index(key) + 1
        await self._run_one(_Run(LOAD, loading.all, (place, to_json(words), self._loading_expiry_s)))
        passing(Failpoint.LOADING)
        await asyncio.sleep(0)

    # Reading

    async def positions(self, events: Iterable[Event]) -> dict[str, EventPosition | None]:
        """How far events are in Redis; None where Redis has no such event, or nothing that can be read."""
        found: dict[str, EventPosition | None] = {}
        for some in _chunks(events, _POSITIONS_PER_CALL):
            asked = [self._position_words(event) for event in some]
            async with self._call():
                replies = iter(await self._pipelined(chain.from_iterable(asked)))
            for event, words in zip(some, asked, strict=True):
                found[event.event_id] = _position(list(islice(replies, len(words))))
        return found

    def _position_words(self, event: Event) -> list[tuple[str, ...]]:
        keys = event_keys(self._prefix, event.event_id, (category.id for category in event.categories))
        figures = [f"{figure}{suffix}" for suffix in suffixes(event) for figure in ("sold", "held")]
        return [
            ("HMGET", keys.meta, "seq", "fence", "rules_since", *figures),
            ("HLEN", keys.purchases),
            *(("LLEN", queue) for queue in keys.queues),
        ]

    async def read_event(self, event_id: str) -> EventCopy | None:
        """All that Redis keeps of an event, as it was at one seq; None where there is no such event.

        Raises:
            EventKeepsChangingError: it was sold from while it was read, time and again.
        """
        keys = event_keys(self._prefix, event_id)
        for _ in range(_READ_ATTEMPTS):
            meta = await self._read_meta(keys)
            if not meta:
                return None
            categories = _categories(meta.get("categories"))
            queues = event_keys(self._prefix, event_id, categories).queues
            tickets = [await self._read_queue(queue) for queue in queues]
            records = await self._read_records(keys)
            if await self._read_meta(keys) == meta:
                return EventCopy(event_id, meta, dict(zip(categories, tickets, strict=True)), records)
        raise EventKeepsChangingError(f"Event {event_id} is being sold from: it cannot be read in one piece.")

    async def read_request(self, event_id: str, request_id: str) -> Kept | None:
        """What is kept of a request that was accepted; None where none is.

        Raises:
            UnreadableRecordError: somebody else wrote there.
        """
        keys = event_keys(self._prefix, event_id)
        record = await self._ask("HGET", keys.purchases, request_id)
        if record is None:
            return None
        other, meta = other_request(record), await self._read_meta(keys)
        return Kept(record, meta, await self._ask("HGET", keys.purchases, other) if other is not None else None)

    async def page_since(self, event_id: str) -> int:
        """The seq since which the event's tickets say of it what they say now; 1 where it is none, or as it was."""
        kept = await self._ask("HGET", event_keys(self._prefix, event_id).meta, "page_since")
        return int(kept) if kept is not None and kept.isdigit() else 1

    async def _read_meta(self, keys: EventKeys) -> dict[str, str]:
        return _texts(await self._ask("HGETALL", keys.meta))

    async def _read_queue(self, queue: str) -> list[str]:
        tickets: list[str] = []
        while True:
            last = len(tickets) + self._load_chunk_size - 1
            names = await self._ask("LRANGE", queue, len(tickets), last)
            tickets += map(_text, names)
            if len(names) < self._load_chunk_size:
                return tickets

    async def _read_records(self, keys: EventKeys) -> dict[str, str]:
        records: dict[str, str] = {}
        cursor = 0
        while True:
            cursor, found = await self._ask("HSCAN", keys.purchases, cursor, "COUNT", self._load_chunk_size)
            records.update(_texts(found))
            if not cursor:
                return records

    # Calling

    async def _ask(self, *words: str | int) -> Any:
        async with self._call():
            return await self._client.execute_command(*words)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """Bounds what is done inside, in time and to one of the pool's connections."""
        try:
            async with asyncio.timeout(self._timeout_ms / 1000), self._connections:
                yield
        except TimeoutError:
            await self._forget_topology()
            raise RedisTimeoutError(f"Redis did not answer within {self._timeout_ms} ms") from None
        except RedisClusterException as error:
            # redis-py's only error that is no RedisError: no node is there, or none has the slot.
            await self._forget_topology()
            raise RedisConnectionError(str(error)) from error
        except _UNREACHED:
            await self._forget_topology()
            raise

    async def _forget_topology(self) -> None:
        """A cluster that lost a primary must be asked for its nodes again; redis-py does so only on a retry."""
        if isinstance(self._client, RedisCluster):
            with suppress(RedisError, OSError):
                await self._client.aclose()

    async def _run_one(self, run: _Run) -> Any:
        async with self._call():
            [[reply]] = await self._run([[run]])
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def _run(self, groups: Sequence[Sequence[_Run]]) -> list[list[Any]]:
        """The replies, or errors, to each group of runs; a group goes to one event, in order."""
        replies = await self._send(groups)
        forgotten = [place for place, of_group in enumerate(replies) if _lacks_script(of_group)]
        if forgotten:
            for script in SCRIPTS:
                await self._client.script_load(script.text)
            repeated = await self._send([groups[place] for place in forgotten])
            for place, of_group in zip(forgotten, repeated, strict=True):
                replies[place] = of_group
        return replies

    async def _send(self, groups: Sequence[Sequence[_Run]]) -> list[list[Any]]:
        replies = iter(await self._pipelined(run.words for run in chain.from_iterable(groups)))
        return [list(islice(replies, len(group))) for group in groups]

    async def _pipelined(self, commands: Iterable[Sequence[bytes | str | int]]) -> list[Any]:
        """The replies, or errors, to commands that are sent at once."""
        pipeline = self._client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        replies = await pipeline.execute(raise_on_error=False)
        await self._raise_unless_reached(replies)
        return replies

    async def _raise_unless_reached(self, replies: Sequence[Any]) -> None:
        """Of a cluster, one primary may fail and others answer; one server raises by itself."""
        failures = [reply for reply in replies if isinstance(reply, _UNREACHED)]
        if failures:
            await self._forget_topology()
        if failures and len(failures) == len(replies):
            raise failures[0]


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _behind(backlog: Sequence[Applied], reply: DecideReply) -> DecideReply:
    """What a reply says of the commands behind a backlog."""
    return reply._replace(answers=reply.answers[len(backlog) :])


def _categories(kept: bytes | str | None) -> list[str]:
    """The ids of the categories that a meta names."""
    try:
        return [str(category["id"]) for category in from_json(kept)] if kept else [GENERAL]
    except (ValueError, TypeError, KeyError):
        return [GENERAL]  # Somebody else wrote it: it is damage, as what else is missing.


def _lacks_script(replies: Iterable[Any]) -> bool:
    return any(isinstance(reply, NoScriptError) for reply in replies)


def _readable(reply: Any) -> Any:
    """A reply; None where a key is of another type, so that nothing of it can be read.

    Raises:
        RedisError: Redis did not serve.
    """
    if not isinstance(reply, RedisError):
        return reply
    if str(reply).startswith("WRONGTYPE"):
        return None
    raise reply


def _position(replies: list[Any]) -> EventPosition | None:
    """From HMGET, HLEN and LLEN of each queue."""
    meta, records, *left = map(_readable, replies)
    with suppress(TypeError, ValueError):
        seq, fence, rules_since, *figures = meta
        # An event that is sold by the first rules does not say that nothing is held.
        sold, held = map(int, figures[::2]), (int(one or 0) for one in figures[1::2])
        return EventPosition(
            int(seq), int(fence), sum(sold), sum(held), sum(map(int, left)), int(records), int(rules_since or 0)
        )
    return None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _texts(found: dict[bytes, bytes]) -> dict[str, str]:
    return {_text(field): _text(value) for field, value in found.items()}
