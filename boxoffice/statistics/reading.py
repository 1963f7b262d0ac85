"""Read the newest figures: from Redis, or its replica, and from ``event-stats`` where Redis does not have them.

What the processes say of themselves is read beside them, and documents are counted by their announcements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

from aiokafka.errors import KafkaError

from boxoffice.errors import BoxOfficeError, SettingsError
from boxoffice.redis.connection import FAILURES, RedisClient, connect
from boxoffice.redis.presence import Presences, ProcessState, read_presences
from boxoffice.settings import RedisSettings, Settings
from boxoffice.statistics.documents import Announced, DocumentCounter
from boxoffice.statistics.figures import Figures, Totals, is_archived, totals_of_all
from boxoffice.statistics.published import Published, read_topic
from boxoffice.statistics.redis_figures import InRedis, RedisFigures
from boxoffice.tasks import end_tasks
from models.figures import completed, sale_status
from models.words import number_of
from topics import event_stats, ticket_documents


@dataclass(frozen=True)
class Report:
    """Statistics as they were read at one time; ``documents`` are None where nothing counts them.

    ``events`` are those that were not archived, with all members; the totals count all.

    ``unreadable`` are the places in Redis that hold no statistics, ``lacking`` what else should be there and is not,
    in words; ``left_out`` says that the topic, which has it all, cannot be read either, and ``unsure`` that nobody
    could be asked how much there is. ``strange`` counts by topic the records that nobody of ours wrote, as far as
    records were read.
    """

    totals: Totals
    events: Sequence[Figures]
    redis_connected: bool
    processes: Presences
    documents: Announced | None
    unreadable: Sequence[str] = ()
    strange: Mapping[str, int] = field(default_factory=dict)
    lacking: Sequence[str] = ()
    left_out: bool = False
    unsure: bool = False

    @property
    def complete(self) -> bool | None:
        """Whether these are the figures of all events; None if nobody knows."""
        return False if self.left_out else None if self.unsure else True

    @property
    def using_fallback(self) -> bool | None:
        """Whether any process decides without Redis; None if nobody knows.

        Of a Redis that is down nobody can hear so, but then none decides with it.
        """
        if not self.redis_connected:
            return True
        told = [of.using_fallback for of in self.processes.states if of.using_fallback is not None]
        return any(told) if told else None

    @property
    def uptime_s(self) -> float | None:
        """For how long the process runs that runs longest; None if nobody knows of any."""
        return max((of.uptime_s for of in self.processes.states), default=None)

    @property
    def memory_bytes(self) -> int | None:
        """What all processes hold; None if nobody knows of any."""
        return sum(of.memory_bytes for of in self.processes.states) if self.processes.states else None


class Reader:
    """Reads statistics again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._figures, self._redis = _connected(settings.redis)
        self._counter = DocumentCounter(settings.kafka)
        self._counting: asyncio.Task[Announced | None] | None = None
        self._documents: Announced | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._counting is not None:
            await end_tasks([self._counting])
        await self._figures.aclose()
        await self._redis.aclose()

    async def read(self, patience_s: float | None = None) -> Report:
        """The newest statistics.

        Documents may take longer to be counted than ``patience_s``: then the report has the last count, and it
        goes on meanwhile.

        Raises:
            UnreachableError: neither Redis nor Kafka answered.
            TopicsError: Redis has none, and there is no topic either.
        """
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        in_redis, processes = await self._read_redis() or (None, Presences())
        found = in_redis or InRedis()
        spoilt = not found.totals or bool(found.unreadable)
        published = await self._read_topic(found) if spoilt else None
        if asked := bool((await asyncio.wait([self._counting], timeout=patience_s))[0]):
            self._documents = self._counting.result()
        partitions = self._counter.partitions
        lacking = _lacking(found, partitions) if found.totals else []
        if lacking and not spoilt:
            published = await self._read_topic(found)
        left_out = published is None and (spoilt or bool(lacking))
        published = published or Published()
        events = _merged(found.events, published.figures)
        return Report(
            totals_of_all(found.totals, events),
            listed(events),
            in_redis is not None,
            processes,
            self._documents,
            found.unreadable,
            _strange(published, self._documents),
            lacking,
            left_out,
            asked and partitions is None and bool(found.totals),
        )

    async def _read_redis(self) -> tuple[InRedis, Presences] | None:
        """What lies in Redis; None if it is down."""
        try:
            return await self._figures.read(), await read_presences(self._redis, self._settings.kafka.topic_prefix)
        except FAILURES:
            return None

    async def _read_topic(self, found: InRedis) -> Published | None:
        """What the topic has, where Redis has nothing, or not all, or something else; None if it cannot be read."""
        try:
            return await read_topic(self._settings.kafka)
        except BoxOfficeError:
            if not found.totals and not found.events:
                raise
            return None

    async def _count(self) -> Announced | None:
        try:
            return await self._counter.count()
        except (BoxOfficeError, KafkaError, OSError):
            return None


def _lacking(found: InRedis, partitions: int | None) -> list[str]:
    """What should be beside the totals of partitions that Redis has, as after it was emptied, in words."""
    told = {of["partition"] for of in found.totals}
    missing = [number for number in range(partitions or 0) if number not in told]
    counted = sum(figures["partition"] in told for figures in found.events)
    events = sum(of["events"] - of.get("archived", 0) for of in found.totals) - counted
    return [
        *([f"{number_of(len(missing), 'partition')} ({', '.join(map(str, missing))})"] if missing else []),
        # Those that cannot be read are told by themselves.
        *([number_of(events, "event")] if events > 0 and not found.unreadable else []),
    ]


def _merged(events: Sequence[Figures], published: Mapping[str, Figures]) -> list[Figures]:
    """What Redis has, and of the topic those that it has not."""
    return list({**published, **{figures["event_id"]: figures for figures in events}}.values())


def _strange(published: Published, documents: Announced | None) -> dict[str, int]:
    counts = {
        event_stats.TOPIC.name: published.strange,
        ticket_documents.TOPIC.name: documents.strange if documents is not None else 0,
    }
    return {topic: count for topic, count in counts.items() if count}


def listed(events: Sequence[Figures]) -> list[Figures]:
    """The events that are shown one by one, by their numbers, with all members.

    Redis has none of those that were archived: nor are they shown where the topic is read.
    """
    shown = [completed(figures) for figures in events if not is_archived(figures)]
    return sorted(shown, key=lambda figures: int(figures["event_id"]))


def _connected(settings: RedisSettings) -> tuple[RedisFigures, RedisClient]:
    """To Redis, or to its replica if there is one."""
    if not settings.replica_url.get_secret_value():
        return RedisFigures(settings), connect(settings)
    to_replica = settings.model_copy(update={"url": settings.replica_url})
    try:
        return RedisFigures(to_replica), connect(to_replica)
    except SettingsError as error:
        raise SettingsError(str(error).replace("BOXOFFICE_REDIS_URL", "BOXOFFICE_REDIS_REPLICA_URL")) from None


def members(report: Report) -> dict[str, Any]:
    """The report as JSON, for dashboards."""
    now_ms = int(time() * 1000)
    return {
        "global": _global_members(report.totals),
        "events": [_event_members(figures, now_ms) for figures in report.events],
        "system": {
            "usingFallback": report.using_fallback,
            "redisConnected": report.redis_connected,
            "uptime": report.uptime_s,
            "memoryUsage": report.memory_bytes,
            "processes": [_process_members(state) for state in report.processes.states],
            "unreadableKeys": [*report.processes.unreadable, *report.unreadable],
            "strangeRecords": report.strange,
            "complete": report.complete,
        },
        "pdf": _document_members(report.documents),
    }


def _global_members(totals: Totals) -> dict[str, Any]:
    return {
        "totalEvents": totals["events"],
        "archivedEvents": totals["archived"],
        "totalTickets": totals["issued"],
        "totalRemoved": totals["removed"],
        "totalSold": totals["sold"],
        "totalHeld": totals["held"],
        "totalRemaining": totals["remaining"],
        "totalExpired": totals["expired"],
        "totalReleased": totals["released"],
        "totalCancelled": totals["cancelled"],
        "totalLate": totals["late"],
        "rejected": totals["rejected"],
        "paymentsRefused": totals["payments_refused"],
        "decidedBy": totals["decided_by"],
        "revenue": totals["revenue"],
        "refunded": totals["refunded"],
        "soldBySecond": _window(totals["sold_by_second"]),
        "soldByMinute": _window(totals["sold_by_minute"]),
    }


def _process_members(state: ProcessState) -> dict[str, Any]:
    return {
        "process": state.process,
        "host": state.host,
        "pid": state.pid,
        "health": state.health,
        "startedAt": state.started_at,
        "uptime": state.uptime_s,
        "memoryUsage": state.memory_bytes,
        "cpuTime": state.cpu_s,
        "live": state.live,
        "ready": state.ready,
        "waitsFor": state.waits_for,
        "usingFallback": state.using_fallback,
    }


def _document_members(documents: Announced | None) -> dict[str, Any]:
    return {
        "totalTickets": documents.tickets if documents else None,
        "totalSizeMB": round(documents.size_bytes / 1_000_000, 3) if documents else None,
    }


def _event_members(figures: Figures, now_ms: int) -> dict[str, Any]:
    return {
        "eventId": figures["event_id"],
        "name": figures["name"],
        "venue": figures["venue"],
        "startsAt": figures["starts_at"],
        "status": figures["status"],
        "saleStatus": sale_status(figures, now_ms).value,
        "onSaleAt": figures["on_sale_at"],
        "offSaleAt": figures["off_sale_at"],
        "holdSeconds": figures["hold_s"],
        "maxPerOrder": figures["max_per_order"],
        "maxPerBuyer": figures["max_per_buyer"],
        "partition": figures["partition"],
        "seq": figures["seq"],
        "offset": figures["offset"],
        **_ticket_members(figures),
        "purchases": figures["purchases"],
        "holds": figures["holds"],
        "rejected": figures["rejected"],
        "refused": figures["refused"],
        "paymentsRefused": figures["payments_refused"],
        "decidedBy": figures["decided_by"],
        "revenue": figures["revenue"],
        "closed": figures["closed"],
        "firstSaleAt": figures["first_sale_at"],
        "lastSaleAt": figures["last_sale_at"],
        "soldBySecond": _window(figures["sold_by_second"]),
        "soldByMinute": _window(figures["sold_by_minute"]),
        "categories": [_category_members(category) for category in figures["categories"]],
    }


def _category_members(category: Figures) -> dict[str, Any]:
    return {
        "id": category["id"],
        "name": category["name"],
        "price": category["price"],
        **_ticket_members(category),
        "rejected": category["rejected"],
        "revenue": category["revenue"],
    }


def _ticket_members(figures: Figures) -> dict[str, int]:
    return {
        "totalTickets": figures["issued"],
        "removedTickets": figures["removed"],
        "soldTickets": figures["sold"],
        "heldTickets": figures["held"],
        "remainingTickets": figures["remaining"],
        "expiredTickets": figures["expired"],
        "releasedTickets": figures["released"],
        "cancelledTickets": figures["cancelled"],
        "lateTickets": figures["late"],
    }


def _window(window: dict[str, Any]) -> dict[str, Any]:
    return {"newestAt": window["newest_at"], "sold": window["sold"]}
