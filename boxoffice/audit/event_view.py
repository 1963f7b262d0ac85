"""One event, to look at: by the ledger, and by Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiokafka import TopicPartition
from pydantic_core import from_json
from redis.exceptions import ResponseError

from boxoffice.audit.reading import Record, Tape
from boxoffice.errors import BoxOfficeError, ExitStatus, NewerReleaseError
from boxoffice.kafka.clients import header, home_partition, reader
from boxoffice.kafka.topics import check_topics
from boxoffice.redis.clients import redis_client, unhurried
from boxoffice.redis.store import (
    EventCopy,
    RedisStore,
    Snapshot,
    differences,
    expected_copy,
)
from boxoffice.settings import KafkaSettings, Settings
from models.event import Event
from models.facts import UnreadableFactError, read_fact, read_range
from models.inventory import Inventory
from models.ledger import Ledger, Taken
from topics import purchase_results
from topics.purchase_results import READ_HEADER

_FIGURES: Final = ("issued", "removed", "sold", "held")
_NUMBERS: Final = frozenset(
    {
        *("capacity", "max_per_order", "price_amount", "rules", "seq", "fence", "partition"),
        *("rules_since", "page_since", "first_price", "hold_s", "max_per_buyer"),
        *_FIGURES,
    }
)
_MOST_DIGITS: Final = 19


class UnknownEventError(BoxOfficeError):
    """The ledger has no such event."""

    exit_status = ExitStatus.REJECTED
    remedy = "See the event's id; `boxoffice stats` lists those that there are."

    def __init__(self, event_id: str, what: str = "is not in the ledger") -> None:
        super().__init__(f"Event {event_id} {what}.")


class ArchivedEventError(BoxOfficeError):
    """The event was archived: nothing but its facts is left of it."""

    exit_status = ExitStatus.REJECTED
    remedy = "See what it was before with `boxoffice audit EVENT --at TIME`; its facts stay in the ledger."

    def __init__(self, event_id: str, seq: int) -> None:
        super().__init__(f"Event {event_id} was archived, and is at seq {seq}: workers and Redis have forgotten it.")


@dataclass(frozen=True)
class PastView:
    """An event as the ledger had it after the record at ``offset``, which says ``at``."""

    ledger: Mapping[str, Any]
    partition: int
    offset: int
    at: str


@dataclass(frozen=True)
class EventView:
    """An event by the ledger, and by Redis (None: it has none)."""

    ledger: Mapping[str, Any]
    redis: Mapping[str, Any] | None
    differences: Sequence[str]


async def view_event(settings: Settings, event_id: str) -> EventView:
    """An event as the ledger has it now, and as Redis has it.

    Raises:
        UnknownEventError: the ledger has no such event.
        ArchivedEventError: it was archived.
        UnreachableError: Kafka or Redis did not answer.
        TopicsError: the topics cannot be used.
    """
    home = home_partition(event_id, await check_topics(settings.kafka))
    event = event_in((await fold_partition(settings.kafka, home)).inventory, event_id)
    expected = expected_copy(Snapshot.of(event, home))
    async with redis_client(settings.redis) as client:
        try:
            copy = await RedisStore(client, unhurried(settings.redis)).read_event(event_id)
        except ResponseError as error:
            return EventView(_members(expected), None, [f"In Redis: {error}."])
    if copy is None:
        return EventView(_members(expected), None, [f"Redis has no event {event_id}."])
    return EventView(_members(expected), _members(copy), differences(copy, expected))


async def view_event_then(settings: KafkaSettings, event_id: str, then: int | datetime) -> PastView:
    """An event as the ledger had it after its record at offset ``then``, or after what was decided until then.

    Raises:
        UnknownEventError: the ledger had no such event.
        ArchivedEventError: it was archived by then.
        UnreachableError: Kafka did not answer.
        TopicsError: the topics cannot be used.
    """
    home = home_partition(event_id, await check_topics(settings))
    ledger, offset = Ledger(home), -1
    async with aclosing(_records(settings, home)) as records:
        async for record in records:
            if _is_later(record, then, ledger):
                break
            if _fold(ledger, record) is Taken.TAKEN:
                offset = record.offset
    event = event_in(ledger.inventory, event_id, f"was not in the ledger at {then}")
    assert ledger.last is not None, "the event is there by a fact"
    return PastView(_members(expected_copy(Snapshot.of(event, home))), home, offset, ledger.last["at"])


def event_in(inventory: Inventory, event_id: str, why_none: str = "is not in the ledger") -> Event:
    """The event of a ledger's fold.

    Raises:
        UnknownEventError: there is none, as ``why_none`` says.
        ArchivedEventError: it was archived.
    """
    if event_id in inventory.archived:
        raise ArchivedEventError(event_id, inventory.archived[event_id])
    if event_id not in inventory.events:
        raise UnknownEventError(event_id, why_none)
    return inventory.events[event_id]


def _is_later(record: Record, then: int | datetime, ledger: Ledger) -> bool:
    """Whether a record came after ``then``; of those that are none of the chain's the time says nothing."""
    if isinstance(then, int):
        return record.offset > then
    accounted = read_range(header(record.headers, READ_HEADER))
    if accounted is None or accounted[0] != ledger.bookmark + 1:
        return False
    try:
        return datetime.fromisoformat(read_fact(record.value)["at"]) > then
    except (UnreadableFactError, ValueError):
        return False


def _members(copy: EventCopy) -> dict[str, Any]:
    """What is given of an event, and its figures: of each category, and together."""
    members: dict[str, Any] = {"event_id": copy.event_id}
    figures: dict[str, dict[str, Any]] = {category: {} for category in copy.queues}
    for name, text in copy.meta.items():
        figure, of_category, category = name.partition(":")
        if of_category and category in figures:
            figures[category][figure] = _value(figure, text)
        else:
            members[name] = _value(name, text)
    for category, queue in copy.queues.items():
        figures[category]["left"] = len(queue)
    if "categories" in members:
        members["categories"] = _with_figures(copy.meta["categories"], figures)
        members |= {figure: _total(figure, figures.values()) for figure in _FIGURES}
    return members | {"left": sum(map(len, copy.queues.values())), "requests": len(copy.records)}


def _value(name: str, text: str) -> str | int:
    number = read_number(text) if name in _NUMBERS else None
    return text if number is None else number


def _with_figures(categories: str, figures: Mapping[str, Mapping[str, Any]]) -> Any:
    """The categories of a ``meta`` with the figures of each; as they stand there where nobody of ours wrote them."""
    try:
        return [{**category, **figures[category["id"]]} for category in from_json(categories)]
    except (ValueError, TypeError, KeyError):
        return categories


def _total(figure: str, of_each: Iterable[Mapping[str, Any]]) -> int:
    return sum(of_one[figure] for of_one in of_each if isinstance(of_one.get(figure), int))


def read_number(text: str) -> int | None:
    """The number in a field of ``meta``; None where it is none, or longer than any number of ours."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


async def fold_partition(settings: KafkaSettings, number: int) -> Ledger:
    """A partition's ledger, folded to its end.

    Raises:
        NewerReleaseError: a newer release has written there.
    """
    ledger = Ledger(number)
    async with aclosing(_records(settings, number)) as records:
        async for record in records:
            _fold(ledger, record)
    return ledger


def _fold(ledger: Ledger, record: Record) -> Taken:
    taken = ledger.read(record.value, header(record.headers, READ_HEADER))
    if taken is Taken.NEWER:
        raise NewerReleaseError(record.topic, record.partition, ledger.newer or "")
    return taken


async def _records(settings: KafkaSettings, number: int) -> AsyncGenerator[Record]:
    partition = TopicPartition(purchase_results.TOPIC.full_name(settings.topic_prefix), number)
    async with reader(settings, [partition]) as consumer:
        tape = Tape(consumer, partition, (await consumer.beginning_offsets([partition]))[partition])
        while run := await tape.next_run():
            for record in run:
                yield record
