"""The figures in Redis: one hash for each event, and one field for each partition in ``global:stats``.

redis-py's errors are let through, also where a call took too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic_core import from_json, to_json
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from boxoffice.redis.connection import connect
from boxoffice.settings import RedisSettings
from boxoffice.statistics.figures import Figures, Totals, from_hash, to_hash
from lua.keys import event_statistics_key, global_statistics_key

_Item = TypeVar("_Item")
TIMEOUT_MS: Final = 2_000

_AT_ONCE: Final = 200
"""Events in one round trip."""
_SCAN_COUNT: Final = 5_000


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
        """Write events of a partition, and then the partition's totals; without figures an event is removed."""
        for some in _chunks(figures.items()):
            await self._pipelined([self._write_words(event_id, of_event) for event_id, of_event in some])
        key = global_statistics_key(self._prefix)
        await self._pipelined([("HSET", key, str(totals["partition"]), to_json(totals))])

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
            found_seqs = (int(reply or 0) for reply in replies)
            lost += [event_id for (event_id, seq), found in zip(some, found_seqs, strict=True) if found != seq]
        whole = totals is not None and from_json(totals)["offset"] == offset
        return None if whole and not lost else lost

    # Reading

    async def read_totals(self) -> list[Totals]:
        """Every partition's figures."""
        [found] = await self._pipelined([("HGETALL", global_statistics_key(self._prefix))])
        return [from_json(value) for _, value in sorted(_members(found).items(), key=lambda item: int(item[0]))]

    async def read_events(self) -> list[Figures]:
        """Every event's figures."""
        events: list[Figures] = []
        async for keys in self._event_keys():
            replies = await self._pipelined([("HGETALL", key) for key in keys])
            events += [from_hash(members) for reply in replies if (members := _members(reply))]
        return events

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
        failures = [reply for reply in replies if isinstance(reply, RedisError)]
        if failures:
            if isinstance(self._client, RedisCluster):
                # It asks for its nodes only when it connects.
                await self._client.aclose()
            raise failures[0]
        return list(replies)


def _members(reply: Any) -> dict[bytes, bytes]:
    """HGETALL's reply: a pipeline of a cluster leaves it a list."""
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
