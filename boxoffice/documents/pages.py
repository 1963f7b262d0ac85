"""What tickets say about their event: kept in memory, else read from Redis, else from the ledger."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from boxoffice.documents.errors import UnknownEventError
from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import header, home_partition, read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.redis.connection import RedisClient
from boxoffice.rendering import EventPage
from boxoffice.settings import Settings
from lua.keys import event_keys
from models.facts import UnreadableFactError, ce_type, read_fact
from models.shapes import EventCreated, Fact
from topics import purchase_results

log = structlog.get_logger(__name__)

_FIELDS: Final = ("name", "venue", "starts_at", "price_amount", "price_currency")
_CREATED: Final = ce_type("event_created").encode()


class EventPages:
    """The pages of events, as many as fit; those asked for last stay longest."""

    def __init__(self, settings: Settings, redis: RedisClient, partitions: int) -> None:
        self._settings = settings
        self._redis = redis
        self._partitions = partitions
        self._ledger = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
        self._pages: OrderedDict[str, EventPage] = OrderedDict()
        self._looking = asyncio.Lock()
        self._redis_fails = False

    def saw(self, created: EventCreated) -> None:
        """Remember an event that went by."""
        self._remember(_page(created))

    async def of(self, event_id: str) -> EventPage:
        """What the event's tickets say; waits for Kafka, if it must be asked, as long as it takes.

        Raises:
            UnknownEventError: there is no such event.
        """
        page = self._kept(event_id)
        if page is None:
            # One looks, and all who wait for the same event find what it found.
            async with self._looking:
                page = self._kept(event_id) or await self._look(event_id)
        return page

    async def at_hand(self, event_id: str) -> EventPage | None:
        """What is known of the event without asking the ledger; None where that is nothing."""
        return self._pages.get(event_id) or await self._from_redis(event_id)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    def _kept(self, event_id: str) -> EventPage | None:
        if event_id in self._pages:
            self._pages.move_to_end(event_id)
        return self._pages.get(event_id)

    def _remember(self, page: EventPage) -> None:
        self._pages[page.event_id] = page
        self._pages.move_to_end(page.event_id)
        if len(self._pages) > self._settings.documents.cache_size:
            self._pages.popitem(last=False)

    async def _look(self, event_id: str) -> EventPage:
        page = await self._from_redis(event_id) or await self._from_ledger(event_id)
        if page is None:
            raise UnknownEventError(event_id)
        self._remember(page)
        return page

    async def _from_redis(self, event_id: str) -> EventPage | None:
        key = event_keys(self._settings.redis.key_prefix, event_id).meta
        try:
            async with asyncio.timeout(self._settings.redis.timeout_ms / 1000):
                values = await self._redis.execute_command("HMGET", key, *_FIELDS)
        except (RedisError, OSError, TimeoutError) as error:
            self._say_whether_redis_fails(error)
            return None
        self._say_whether_redis_fails(None)
        return _page_of_values(event_id, values)

    def _say_whether_redis_fails(self, error: Exception | None) -> None:
        if error is not None and not self._redis_fails:
            log.warning("Redis is down, reading events from the ledger", error=f"{type(error).__name__}: {error}"[:200])
        elif error is None and self._redis_fails:
            log.warning("Redis answers again")
        self._redis_fails = error is not None

    async def _from_ledger(self, event_id: str) -> EventPage | None:
        retrying = AsyncRetrying(
            wait=wait_exponential_jitter(
                initial=self._settings.documents.first_retry_ms / 1000,
                max=self._settings.documents.longest_retry_ms / 1000,
            ),
            retry=retry_if_exception_type(UnreachableError),
        )
        return await retrying(self._search_ledger, event_id)

    async def _search_ledger(self, event_id: str) -> EventPage | None:
        """Read the event's home from the beginning until it was created; the others on the way are kept too."""
        home = TopicPartition(self._ledger, home_partition(event_id, self._partitions))
        async with reader(self._settings.kafka, [home]) as consumer:
            first, end = (await consumer.beginning_offsets([home]))[home], (await consumer.end_offsets([home]))[home]
            async for records in read_between(consumer, home, first, end, tell_passed_over(home.partition)):
                for record in records:
                    if header(record.headers, "ce_type") == _CREATED and (fact := _fact(record.value)):
                        self.saw(fact)
                        if fact["event_id"] == event_id:
                            return _page(fact)
        return None


def _fact(value: bytes | None) -> EventCreated | None:
    try:
        fact: Fact = read_fact(value)
    except UnreadableFactError:
        return None
    return fact if fact["type"] == "event_created" else None


def _page(created: EventCreated) -> EventPage:
    return EventPage(
        event_id=created["event_id"],
        name=created["name"],
        venue=created["venue"],
        starts_at=created["starts_at"],
        amount=created["price"]["amount"],
        currency=created["price"]["currency"],
    )


def _page_of_values(event_id: str, values: Sequence[Any]) -> EventPage | None:
    """The page of a ``meta`` hash; None where Redis has no such event, or only parts of it."""
    try:
        name, venue, starts_at, amount, currency = (value.decode() for value in values)
        return EventPage(event_id, name, venue, starts_at, int(amount), currency)
    except (AttributeError, ValueError):
        return None
