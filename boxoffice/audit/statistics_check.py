"""Statistics, compared with the audit's own fold of the ledger.

Sales go on, and statistics come a little later than the facts. All figures say up to which offset they count. It
is waited until none is behind the fold, and each is compared with the fold as it stands there: those that
are ahead are put in order, and the fold is read on from one to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.exceptions import ResponseError

from boxoffice.audit.reading import PartitionAudit, Tape
from boxoffice.audit.report import AuditReport, EventReport, strangers
from boxoffice.audit.waiting import POLL_INTERVAL_S, Patience
from boxoffice.kafka.clients import reader
from boxoffice.redis.connection import RedisClient
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.figures import (
    Figures,
    Sums,
    Totals,
    event_figures,
    from_hash,
    is_archived,
    partition_totals,
    read_totals_field,
)
from boxoffice.statistics.published import Published
from lua.keys import event_statistics_key, global_statistics_key
from models.figures import UNTOLD_BY_EARLIER, UnreadableFiguresError
from topics import event_stats


@dataclass(frozen=True)
class _Claim:
    """Figures of an event that were published."""

    what: str
    event_id: str
    figures: Figures

    @property
    def offset(self) -> int:
        """The offset of the ledger up to which they count."""
        return _offset(self.figures)


class StatisticsCheck:
    """Compares what is in Redis and on ``event-stats``; ``offsets`` is asked where that ends."""

    def __init__(
        self,
        settings: KafkaSettings,
        redis: RedisClient,
        offsets: AIOKafkaConsumer,
        patience: Patience,
        report: AuditReport,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._offsets = offsets
        self._patience = patience
        self._report = report
        self._differences: dict[str, list[str]] = {}

    async def look(self, audit: PartitionAudit, event_ids: Sequence[str]) -> None:
        """Compare the figures of a partition, and of these of its events.

        Raises:
            UnreachableError: no broker answered.
            RedisError: Redis did not answer.
        """
        self._differences = {event_id: [] for event_id in event_ids}
        ahead: list[_Claim] = []
        if event_ids:
            await self._take_events(audit, event_ids, ahead)
        for claim in sorted(ahead, key=lambda claim: claim.offset):
            await audit.read_to_offset(claim.offset)
            self._judge(claim, audit)
        # While the process counts, totals may say an offset whose facts are not all in them yet.
        self._report.differences += await self._patience.until_nothing(partial(self._totals_now, audit))

    async def compare(self, reports: Sequence[EventReport]) -> None:
        """Put what differs into the reports of the partition's events; of those it has not seen it says nothing."""
        for report in reports:
            if report.event_id in self._differences:
                report.statistics = not self._differences[report.event_id]
                report.differences += self._differences[report.event_id]

    async def _take_events(self, audit: PartitionAudit, event_ids: Sequence[str], ahead: list[_Claim]) -> None:
        tp = TopicPartition(event_stats.TOPIC.full_name(self._settings.topic_prefix), audit.check.number)
        start = (await self._offsets.beginning_offsets([tp]))[tp]
        async with reader(self._settings, [tp]) as consumer:
            published = _PublishedNow(Tape(consumer, tp, start, self._offsets))
            for event_id in event_ids:
                await self._take("its statistics on event-stats", event_id, published.of, audit, ahead)
                if await self._is_in_redis(event_id, published, audit):
                    await self._take("its statistics in Redis", event_id, self._in_redis, audit, ahead)
            await published.read_on()
            self._report.notes += strangers(event_stats.TOPIC.name, audit.check.number, published.strange)

    async def _is_in_redis(self, event_id: str, published: _PublishedNow, audit: PartitionAudit) -> bool:
        """Whether Redis has to have an event's figures; of one that was archived they have to be gone, in time."""
        archived = is_archived(event_figures(audit.check.statistics.events[event_id], audit.check.number))
        while not (archived or is_archived(await published.of(event_id))):
            # It may be archived just now, and its figures gone before the topic says so.
            if await self._has_key(event_id) or self._patience.is_over:
                return True
            await asyncio.sleep(POLL_INTERVAL_S)
        while await self._has_key(event_id):
            if self._patience.is_over:
                self._differences[event_id].append("its statistics are still in Redis, though it was archived.")
                break
            await asyncio.sleep(POLL_INTERVAL_S)
        return False

    async def _has_key(self, event_id: str) -> bool:
        key = event_statistics_key(self._settings.topic_prefix, event_id)
        try:
            return await self._redis.execute_command("HGET", key, "seq") is not None
        except ResponseError:
            # Something else lies there: whoever takes the figures says so.
            return True

    async def _take(
        self,
        what: str,
        event_id: str,
        read: Callable[[str], Awaitable[Figures]],
        audit: PartitionAudit,
        ahead: list[_Claim],
    ) -> None:
        """Judge figures, once they had time not to be behind, where they stand with the fold; else keep them."""
        stands_at = _stands_at(audit, event_id)
        try:
            while _offset(figures := await read(event_id)) < stands_at and not self._patience.is_over:
                await asyncio.sleep(POLL_INTERVAL_S)
        except (ResponseError, UnreadableFiguresError) as error:
            self._differences[event_id].append(f"{what} cannot be read: {error}.")
            return
        claim = _Claim(what, event_id, figures)
        if claim.offset > stands_at:
            ahead.append(claim)
        else:
            self._judge(claim, audit)

    def _judge(self, claim: _Claim, audit: PartitionAudit) -> None:
        stands_at = _stands_at(audit, claim.event_id)
        expected = event_figures(audit.check.statistics.events[claim.event_id], audit.check.number)
        self._differences[claim.event_id] += _differing(claim.what, claim.figures, expected, stands_at)

    async def _in_redis(self, event_id: str) -> Figures:
        key = event_statistics_key(self._settings.topic_prefix, event_id)
        return from_hash(event_id, await self._redis.execute_command("HGETALL", key))

    async def _totals_now(self, audit: PartitionAudit) -> list[str]:
        key, statistics = global_statistics_key(self._settings.topic_prefix), audit.check.statistics
        what = f"{key} {audit.check.number}"
        try:
            totals = _read_totals(
                audit.check.number, await self._redis.execute_command("HGET", key, audit.check.number)
            )
        except (ResponseError, UnreadableFiguresError) as error:
            return [f"{what} cannot be read: {error}."]
        await audit.read_to_offset(_offset(totals))
        if not totals and not audit.judged_until:
            # Where there are no facts nobody may have looked yet.
            return []
        sums = Sums()
        for event in statistics.events.values():
            sums.put(event.event_id, event_figures(event, audit.check.number))
        expected = {**partition_totals(sums, statistics.row), "offset": _offset(totals)}
        return _differing(what, totals, expected, audit.judged_until)


class _PublishedNow(Published):
    """The newest figures of a partition's events on the topic, as it is whenever somebody asks."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    async def read_on(self) -> None:
        """Take what was added since."""
        while run := await self._tape.next_run():
            for record in run:
                self.take(record)

    async def of(self, event_id: str) -> Figures:
        """An event's; empty if there are none."""
        await self.read_on()
        return self.figures.get(event_id, {})


def _offset(figures: Mapping[str, Any]) -> int:
    return int(figures.get("offset", 0))


def _stands_at(audit: PartitionAudit, event_id: str) -> int:
    """Up to which offset the fold has counted an event."""
    return audit.check.statistics.events[event_id].offset


def _read_totals(number: int, value: bytes | None) -> Totals:
    return {} if value is None else read_totals_field(b"%d" % number, value)


def _differing(what: str, found: Mapping[str, Any], expected: Mapping[str, Any], stands_at: int) -> list[str]:
    if not found:
        return [f"{what}: missing."]
    if _offset(found) < stands_at:
        return [f"{what}: they count to offset {_offset(found)} of the ledger, not to {stands_at}."]
    return [
        f"{what}: {name} is {found.get(name)!r}, and should be {expected.get(name)!r}."
        for name in sorted(found.keys() | expected.keys())
        if not _agree(name, found, expected)
    ]


def _agree(name: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a member is as it should be; what an earlier release does not tell is not asked for."""
    if name not in found:
        return name in UNTOLD_BY_EARLIER
    told, wanted = found[name], expected.get(name)
    if name == "revenue" and isinstance(wanted, dict) and "refunded" not in told:
        return all(told.get(member) == wanted[member] for member in wanted if member != "refunded")
    return bool(told == wanted)
