"""The figures in Redis: one hash for each event, and one field for each partition in ``global:stats``.

redis-py's errors are let through, also where a call took too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic_core import to_json
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from boxoffice.redis.connection import connect
from boxoffice.settings import RedisSettings
from boxoffice.showing.printing import told_apart
from boxoffice.statistics.figures import Figures, Totals, from_hash, read_totals_field, to_hash
from lua.keys import event_statistics_key, global_statistics_key
from models.figures import UnreadableFiguresError

_Item = TypeVar("_Item")
TIMEOUT_MS: Final = 2_000

_AT_ONCE: Final = 200
"""Events in one round trip."""
_SCAN_COUNT: Final = 5_000


@dataclass
class InRedis:
    """What lies in Redis: figures of partitions and of events, and places that hold something else."""

    totals: list[Totals] = field(default_factory=list)
    events: list[Figures] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class RedisFigures:
    """Statistics in one Redis, under one prefix.

    A call may take longer than one that a sale waits for: here nobody waits, and the loop is busy counting.
    """

    def __init__(self, settings: RedisSettings) -> None:
        timeout_ms = max(settings.timeout_ms, TIMEOUT_MS)
        self._client = connect(settings.model_copy(update={"timeout_ms": timeout_ms}))
        self._prefix = settings.key_prefix
        self._timeout_s = timeout_ms / 1000

    async def ping(self) -> None:
        """Return if Redis answers."""
        async with asyncio.timeout(self._timeout_s):
            await self._client.execute_command("EXISTS", global_statistics_key(self._prefix))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # Writing

    async def write(self, totals: Totals, figures: Mapping[str, Figures | None]) -> None:
        """Write events of a partition, and then the partition's totals; without figures an event is removed.

        That comes last: so there are never less of them than the totals say.
        """
        await self._write_events({event_id: of_event for event_id, of_event in figures.items() if of_event})
        key = global_statistics_key(self._prefix)
        await self._put([("HSET", key, str(totals["partition"]), to_json(totals))])
        await self._write_events({event_id: None for event_id, of_event in figures.items() if not of_event})

    async def _write_events(self, figures: Mapping[str, Figures | None]) -> None:
        for some in _chunks(figures.items()):
            await self._put([self._write_words(event_id, of_event) for event_id, of_event in some])

    async def _put(self, commands: Sequence[Sequence[Any]]) -> None:
        """Run commands; a key under which something else lies than a hash is ours, and is written anew."""
        replies = await self._pipelined(commands)
        refused = [words for words, reply in zip(commands, replies, strict=True) if _is_other_type(reply)]
        if refused:
            await self._pipelined([again for words in refused for again in (("DEL", words[1]), words)])

    def _write_words(self, event_id: str, figures: Figures | None) -> tuple[Any, ...]:
        key = event_statistics_key(self._prefix, event_id)
        if figures is None:
            return "DEL", key
        return "HSET", key, *(word for member in to_hash(figures).items() for word in member)

    async def lost(self, partition: int, offset: int, seqs: Mapping[str, int]) -> list[str] | None:
        """The events whose hash has another seq (0: is there) than given; None where all is there, the totals too."""
        [totals] = await self._pipelined([("HGET", global_statistics_key(self._prefix), str(partition))])
        lost = []
        for some in _chunks(seqs.items()):
            asked = [("HGET", event_statistics_key(self._prefix, event_id), "seq") for event_id, _ in some]
            replies = await self._pipelined(asked)
            lost += [event_id for (event_id, seq), reply in zip(some, replies, strict=True) if reply != _seq_field(seq)]
        return None if _is_at(partition, offset, totals) and not lost else lost

    # Reading

    async def read(self) -> InRedis:
        """Every partition's figures, and every event's."""
        found = InRedis()
        key = global_statistics_key(self._prefix)
        [totals] = await self._pipelined([("HGETALL", key)])
        if _is_other_type(totals):
            found.unreadable.append(key)
        else:
            _take_totals(found, key, _members(totals))
        before, after = event_statistics_key(self._prefix, "*").encode().split(b"*")
        async for keys in self._event_keys():
            replies = await self._pipelined([("HGETALL", key) for key in keys])
            for key_of_event, reply in zip(keys, replies, strict=True):
                event_id = key_of_event.removeprefix(before).removesuffix(after)
                _take_event(found, key_of_event, event_id.decode(errors="replace"), reply)
        return found

    async def _event_keys(self) -> AsyncIterator[list[bytes]]:
        keys: list[bytes] = []
        pattern = event_statistics_key(self._prefix, "*")
        async for key in self._client.scan_iter(match=pattern, count=_SCAN_COUNT):
            keys.append(key)
            if len(keys) == _AT_ONCE:
                yield keys
                keys = []
        if keys:
            yield keys

    # Calling

    async def _pipelined(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        async with asyncio.timeout(self._timeout_s):
            replies = await pipeline.execute(raise_on_error=False)
        failures = [reply for reply in replies if isinstance(reply, RedisError) and not _is_other_type(reply)]
        if failures:
            if isinstance(self._client, RedisCluster):
                # It asks for its nodes only when it connects.
                await self._client.aclose()
            raise failures[0]
        return list(replies)


def _take_totals(found: InRedis, key: str, members: Mapping[bytes, bytes]) -> None:
    for field_name, value in members.items():
        try:
            found.totals.append(read_totals_field(field_name, value))
        except UnreadableFiguresError:
            found.unreadable.append(f"{key} {told_apart(field_name)}")
    found.totals.sort(key=lambda totals: int(totals["partition"]))


def _take_event(found: InRedis, key: bytes, event_id: str, reply: Any) -> None:
    try:
        if _is_other_type(reply):
            raise UnreadableFiguresError(str(reply))
        # Without figures it was removed a moment ago.
        if figures := from_hash(event_id, _members(reply)):
            found.events.append(figures)
    except UnreadableFiguresError:
        found.unreadable.append(told_apart(key))


def _is_other_type(reply: Any) -> bool:
    """Whether Redis holds something else than a hash under a key of ours."""
    return isinstance(reply, RedisError) and str(reply).startswith("WRONGTYPE")


def _seq_field(seq: int) -> bytes | None:
    return b"%d" % seq if seq else None


def _is_at(partition: int, offset: int, value: Any) -> bool:
    """Whether a field of ``global:stats`` holds the partition's figures up to this offset."""
    if not isinstance(value, bytes):
        return False
    try:
        return bool(read_totals_field(b"%d" % partition, value)["offset"] == offset)
    except UnreadableFiguresError:
        return False


def _members(reply: Any) -> dict[bytes, bytes]:
    """HGETALL's reply: a pipeline of a cluster leaves it a list."""
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
