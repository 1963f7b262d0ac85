"""What tickets say about their event: kept in memory, else read from Redis, else from the ledger.

An event may be changed, and a ticket says what the event was when the ticket became its buyer's, or since a change that
it was drawn again for. So what is asked for is what was said at a seq: that follows from the ledger alone, whenever
it is asked for, and a page that is made twice is the same page.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from aiokafka import TopicPartition
from pydantic_core import from_json
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from boxoffice.documents.errors import UnknownEventError
from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import header, home_partition, read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.redis.connection import RedisClient
from boxoffice.rendering import EventPage
from boxoffice.settings import Settings
from lua.keys import event_keys
from models.facts import UnreadableFactError, ce_type, read_fact
from models.members import EVENT_ID_PATTERN
from models.shapes import EventChanged, EventCreated, PurchaseConfirmed
from topics import purchase_results

log = structlog.get_logger(__name__)

_FIELDS: Final = (
    *("seq", "page_since", "name", "venue", "starts_at", "price_currency"),
    *("first_price", "price_amount", "categories"),
)
_TELLING: Final = frozenset(ce_type(kind).encode() for kind in ("event_created", "event_changed", "event_archived"))
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)
_Kept = TypeVar("_Kept")

Telling = EventCreated | EventChanged
"""The facts that tell what an event is."""


class Said(NamedTuple):
    """What an event's pages say from the fact ``since`` on."""

    since: int
    name: str
    venue: str
    starts_at: str


@dataclass
class KnownEvent:
    """What is known of an event; ``said`` in order, from its creation on if it ``is_whole``, else from some change on.

    ``categories`` are names by id, ``price`` is what a ticket cost in an event without them, as it began.
    """

    event_id: str
    said: list[Said]
    is_whole: bool
    categories: Mapping[str, str] = field(default_factory=dict)
    price: int = 0
    currency: str = ""
    is_archived: bool = False

    def knows(self, seq: int, *, whole: bool = False) -> bool:
        """Whether it is known what was said at a seq, and with ``whole`` what was said ever before."""
        return self.is_whole or (not whole and self.said[0].since <= seq)

    def at(self, seq: int) -> Said:
        """What was said at a seq, which is known."""
        return next(said for said in reversed(self.said) if said.since <= seq)

    def before(self, seq: int) -> list[int]:
        """Since when was said what was said before a seq, the newest first."""
        return [said.since for said in reversed(self.said) if said.since < seq]

    def take(self, said: Said) -> None:
        """The event was changed; what is known already, and what changes no page, is passed over."""
        last = self.said[-1]
        if said.since > last.since and said[1:] != last[1:]:
            self.said.append(said)

    def page(self, seq: int, sale: PurchaseConfirmed, ticket: str) -> EventPage:
        """What a ticket says of the event, as that was at a seq, and of what it cost."""
        said, category, price = self.at(seq), "", self.price
        for line in sale.get("lines", ()):
            if ticket in line["tickets"]:
                category, price = self.categories.get(line["category"], ""), line["price"]
        return EventPage(self.event_id, said.name, said.venue, said.starts_at, price, self.currency, category)


class EventPages:
    """The events that tickets are drawn of, as many as fit; those asked for last stay longest."""

    def __init__(self, settings: Settings, redis: RedisClient, partitions: int) -> None:
        self._settings = settings
        self._redis = redis
        self._partitions = partitions
        self._ledger = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
        self._events: OrderedDict[str, KnownEvent] = OrderedDict()
        self._changed: OrderedDict[str, list[Said]] = OrderedDict()
        """What was seen of events that are not known."""
        self._archived: OrderedDict[str, KnownEvent] = OrderedDict()
        """Events of any partition; they change no more."""
        self._nowhere: set[str] = set()
        """Names of folders that are no events'."""
        self._most = settings.documents.cache_size
        self._looking = asyncio.Lock()
        self._redis_fails = False

    def saw(self, fact: Telling) -> None:
        """Remember what an event was created, or changed to; facts go by in their order."""
        event_id = fact["event_id"]
        if event_id in self._events:
            self._events[event_id].take(_said(fact))
        elif fact["type"] == "event_created":
            self._remember(_known(fact))
        else:
            _put(self._changed, event_id, [*self._changed.get(event_id, ()), _said(fact)], self._most)

    def forget(self, event_id: str | None = None) -> None:
        """Forget an event, or all: who has not seen all facts go by cannot know what events are."""
        for kept in (self._events, self._changed):
            if event_id is None:
                kept.clear()
            else:
                kept.pop(event_id, None)

    async def of(self, event_id: str, seq: int, *, whole: bool = False) -> KnownEvent:
        """What the event's tickets say at a seq that was reached, and with ``whole`` what they ever said before.

        Waits for Kafka, if it must be asked, as long as it takes.

        Raises:
            UnknownEventError: there is no such event.
        """
        known = self._kept(event_id)
        if known is None or not known.knows(seq, whole=whole):
            # One looks, and all who wait for the same event find what it found.
            async with self._looking:
                known = self._kept(event_id)
                if known is None or not known.knows(seq, whole=whole):
                    known = await self._look(event_id, seq, whole=whole)
        return known

    async def begin_at(self, event_ids: Iterable[str]) -> dict[str, str]:
        """When events begin, as they are now; those are left out of which nobody can tell now.

        Events of which Redis says that it has none may be archived, and change no more: of these the ledger is asked.
        """
        found: dict[str, str] = {}
        gone: defaultdict[int, set[str]] = defaultdict(set)
        for event_id in event_ids:
            if event_id in self._nowhere or not _EVENT_ID.fullmatch(event_id):
                continue
            known = self._events.get(event_id) or self._archived.get(event_id) or await self._from_redis(event_id)
            if known is not None:
                found[event_id] = known.said[-1].starts_at
            elif not self._redis_fails:
                gone[home_partition(event_id, self._partitions)].add(event_id)
        for number, wanted in gone.items():
            of_home = await self._from_ledger(number, wanted)
            found |= {event_id: known.said[-1].starts_at for event_id, known in of_home.items()}
            self._nowhere |= wanted - of_home.keys()
            for known in of_home.values():
                if known.is_archived:
                    _put(self._archived, known.event_id, known, self._most)
        return found

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    def _kept(self, event_id: str) -> KnownEvent | None:
        if event_id in self._events:
            self._events.move_to_end(event_id)
        return self._events.get(event_id)

    def _remember(self, known: KnownEvent) -> KnownEvent:
        """Keep what was found, with what was seen since."""
        for said in self._changed.pop(known.event_id, ()):
            known.take(said)
        before = self._events.get(known.event_id)
        for said in before.said if before is not None else ():
            known.take(said)
        _put(self._events, known.event_id, known, self._most)
        return known

    async def _look(self, event_id: str, seq: int, *, whole: bool) -> KnownEvent:
        by_redis = await self._from_redis(event_id, seq)
        if by_redis is not None and by_redis.knows(seq, whole=whole):
            return self._remember(by_redis)
        # Who reads a ledger because Redis does not know does so once, and not for each event of it.
        wanted = None if by_redis is None else {event_id}
        found = await self._from_ledger(home_partition(event_id, self._partitions), wanted)
        if event_id not in found:
            raise UnknownEventError(event_id)
        own = found.pop(event_id)
        for known in found.values():
            self._remember(known)
        return self._remember(own)

    # Redis

    async def _from_redis(self, event_id: str, seq: int = 0) -> KnownEvent | None:
        """What Redis has of the event, unless it has not reached the seq."""
        key = event_keys(self._settings.redis.key_prefix, event_id).meta
        try:
            async with asyncio.timeout(self._settings.redis.timeout_ms / 1000):
                values = await self._redis.execute_command("HMGET", key, *_FIELDS)
        except (RedisError, OSError, TimeoutError) as error:
            self._say_whether_redis_fails(error)
            return None
        self._say_whether_redis_fails(None)
        return _known_by_redis(event_id, values, seq)

    def _say_whether_redis_fails(self, error: Exception | None) -> None:
        if error is not None and not self._redis_fails:
            log.warning("Redis is down, reading events from the ledger", error=f"{type(error).__name__}: {error}"[:200])
        elif error is None and self._redis_fails:
            log.warning("Redis answers again")
        self._redis_fails = error is not None

    # The ledger

    async def _from_ledger(self, number: int, wanted: Set[str] | None) -> dict[str, KnownEvent]:
        """The events of a partition by all that it holds: those wanted, or all."""
        retrying = AsyncRetrying(
            wait=wait_exponential(
                multiplier=self._settings.documents.first_retry_ms / 1000,
                max=self._settings.documents.longest_retry_ms / 1000,
            ),
            retry=retry_if_exception_type(UnreachableError),
        )
        return await retrying(self._search_ledger, number, wanted)

    async def _search_ledger(self, number: int, wanted: Set[str] | None) -> dict[str, KnownEvent]:
        home = TopicPartition(self._ledger, number)
        found: dict[str, KnownEvent] = {}
        async with reader(self._settings.kafka, [home]) as consumer:
            first, end = (await consumer.beginning_offsets([home]))[home], (await consumer.end_offsets([home]))[home]
            async for records in read_between(consumer, home, first, end, tell_passed_over(home.partition)):
                for record in records:
                    if header(record.headers, "ce_type") in _TELLING:
                        _take(found, record.value, wanted)
        return found


def _take(found: dict[str, KnownEvent], value: bytes | None, wanted: Set[str] | None) -> None:
    """Take what a record tells of an event, if that is wanted."""
    try:
        fact = read_fact(value)
    except UnreadableFactError:
        return
    event_id = fact["event_id"] or ""
    if wanted is not None and event_id not in wanted:
        return
    known = found.get(event_id)
    if known is None:
        if fact["type"] == "event_created":
            found[event_id] = _known(fact)
    elif fact["type"] == "event_changed":
        known.take(_said(fact))
    elif fact["type"] == "event_archived":
        known.is_archived = True


def _put(kept: OrderedDict[str, _Kept], event_id: str, what: _Kept, most: int) -> None:
    """Keep something of an event; what was kept first goes where there is too much."""
    kept[event_id] = what
    kept.move_to_end(event_id)
    if len(kept) > most:
        kept.popitem(last=False)


def _said(fact: Telling) -> Said:
    since = fact["seq"] if fact["type"] == "event_changed" else 1
    return Said(since, fact["name"], fact["venue"], fact["starts_at"])


def _known(created: EventCreated) -> KnownEvent:
    """What is known as soon as an event is created; its categories never change, but for their prices."""
    categories = created.get("categories")
    price = categories[0]["price"] if categories else created["price"]
    return KnownEvent(
        created["event_id"],
        [_said(created)],
        is_whole=True,
        categories={category["id"]: category["name"] for category in categories or ()},
        price=price["amount"],
        currency=price["currency"],
    )


def _known_by_redis(event_id: str, values: Sequence[Any], seq: int) -> KnownEvent | None:
    """What a ``meta`` hash says; None where there is none, or only parts of it, or where it has not reached the seq."""
    try:
        reached, page_since, name, venue, starts_at, currency, *priced = (
            value.decode() if value is not None else "" for value in values
        )
        first_price, price, categories = priced
        if int(reached) < seq:
            return None
        since, amount = int(page_since or 1), int(first_price or price or 0)
        named = {str(category["id"]): str(category["name"]) for category in from_json(categories or "[]")}
    except (AttributeError, ValueError, TypeError, KeyError):
        return None
    if not (name and venue and starts_at and currency and (named or first_price or price)):
        return None
    said = Said(since, name, venue, starts_at)
    return KnownEvent(event_id, [said], since == 1, named, amount, currency)
