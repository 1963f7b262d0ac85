"""Read the newest figures: from Redis, or its replica, and from ``event-stats`` where Redis does not have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from boxoffice.errors import SettingsError
from boxoffice.kafka import read_between, reader, topic_partitions
from boxoffice.settings import Settings
from boxoffice.statistics.figures import Figures, Totals, totals_of_events, totals_of_partitions
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.statistics.redis_publishing import FAILURES
from boxoffice.topic_admin import check_topics
from topics import event_stats


@dataclass(frozen=True)
class Processes:
    """What processes say of themselves; None where nobody was asked."""

    using_fallback: bool | None = None
    uptime_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Documents:
    """Tickets that were drawn."""

    tickets: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Report:
    """Statistics as they were read at one time."""

    totals: Totals
    events: Sequence[Figures]
    redis_connected: bool
    processes: Processes = Processes()
    documents: Documents = Documents()


class Reader:
    """Reads statistics again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = _figures_in_redis(settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def read(self) -> Report:
        """The newest statistics.

        Raises:
            UnreachableError: neither Redis nor Kafka answered.
            TopicsError: Redis has none, and there is no topic either.
        """
        try:
            partitions = await self._redis.read_totals()
            events = await self._redis.read_events()
        except FAILURES:
            return await self._read_topic(redis_connected=False)
        if not partitions:
            return await self._read_topic(redis_connected=True)
        return Report(totals_of_partitions(partitions), _in_order(events), redis_connected=True)

    async def _read_topic(self, *, redis_connected: bool) -> Report:
        events = _in_order(list((await read_topic(self._settings)).values()))
        return Report(totals_of_events(events), events, redis_connected)


async def read_topic(settings: Settings) -> dict[str, Figures]:
    """The newest figures of each event on ``event-stats``.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topic is not there.
    """
    found: dict[str, Figures] = {}
    count = await check_topics(settings, event_stats.TOPIC)
    partitions = topic_partitions(event_stats.TOPIC.full_name(settings.topic_prefix), count)
    async with reader(settings, partitions) as consumer:
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for tp in partitions:
            async for records in read_between(consumer, tp, starts[tp], ends[tp]):
                for record in records:
                    _take(found, (record.key or b"").decode(), record.value)
    return found


def _take(found: dict[str, Figures], event_id: str, value: bytes | None) -> None:
    if value is None:
        found.pop(event_id, None)
        return
    figures: Figures = from_json(value)
    # A replaced worker's last words are older than what its successor said before.
    if event_id not in found or found[event_id]["seq"] <= figures["seq"]:
        found[event_id] = figures


def _in_order(events: list[Figures]) -> list[Figures]:
    return sorted(events, key=lambda figures: int(figures["event_id"]))


def _figures_in_redis(settings: Settings) -> RedisFigures:
    """Those of the replica, if there is one."""
    if not settings.redis_replica_url.get_secret_value():
        return RedisFigures(settings)
    try:
        return RedisFigures(settings.model_copy(update={"redis_url": settings.redis_replica_url}))
    except SettingsError as error:
        raise SettingsError(str(error).replace("BOXOFFICE_REDIS_URL", "BOXOFFICE_REDIS_REPLICA_URL")) from None


def members(report: Report) -> dict[str, Any]:
    """The report as JSON, for dashboards."""
    totals, documents = report.totals, report.documents
    return {
        "global": {
            "totalEvents": totals["events"],
            "totalTickets": totals["issued"],
            "totalSold": totals["sold"],
            "totalRemaining": totals["remaining"],
            "totalCancelled": totals["cancelled"],
            "rejected": totals["rejected"],
            "decidedBy": totals["decided_by"],
            "revenue": totals["revenue"],
            "soldBySecond": _window(totals["sold_by_second"]),
            "soldByMinute": _window(totals["sold_by_minute"]),
        },
        "events": [_event_members(figures) for figures in report.events],
        "system": {
            "usingFallback": report.processes.using_fallback,
            "redisConnected": report.redis_connected,
            "uptime": report.processes.uptime_s,
            "memoryUsage": report.processes.memory_bytes,
        },
        "pdf": {"totalTickets": documents.tickets, "totalSizeMB": round(documents.size_bytes / 1_000_000, 3)},
    }


def _event_members(figures: Figures) -> dict[str, Any]:
    return {
        "eventId": figures["event_id"],
        "name": figures["name"],
        "partition": figures["partition"],
        "seq": figures["seq"],
        "offset": figures["offset"],
        "totalTickets": figures["issued"],
        "soldTickets": figures["sold"],
        "remainingTickets": figures["remaining"],
        "cancelledTickets": figures["cancelled"],
        "purchases": figures["purchases"],
        "rejected": figures["rejected"],
        "refused": figures["refused"],
        "decidedBy": figures["decided_by"],
        "revenue": figures["revenue"],
        "closed": figures["closed"],
        "firstSaleAt": figures["first_sale_at"],
        "lastSaleAt": figures["last_sale_at"],
        "soldBySecond": _window(figures["sold_by_second"]),
        "soldByMinute": _window(figures["sold_by_minute"]),
    }


def _window(window: dict[str, Any]) -> dict[str, Any]:
    return {"newestAt": window["newest_at"], "sold": window["sold"]}
