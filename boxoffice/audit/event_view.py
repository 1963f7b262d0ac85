"""One event, to look at: by the ledger, and by Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from boxoffice.audit.reading import Tape
from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka import header, home_partition, reader
from boxoffice.redis_store import (
    EventCopy,
    RedisStore,
    Snapshot,
    differences,
    expected_copy,
)
from boxoffice.servers import redis_client, unhurried
from boxoffice.settings import Settings
from boxoffice.topic_admin import check_topics
from models.ledger import Ledger
from topics import purchase_results
from topics.purchase_results import READ_HEADER

_NUMBERS: Final = frozenset(
    {"capacity", "max_per_order", "price_amount", "rules", "issued", "sold", "seq", "fence", "partition"}
)


class UnknownEventError(BoxOfficeError):
    """The ledger has no such event."""

    exit_status = ExitStatus.REJECTED

    def __init__(self, event_id: str) -> None:
        super().__init__(f"Event {event_id} is not in the ledger.")


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
        UnreachableError: Kafka or Redis did not answer.
        TopicsError: the topics cannot be used.
    """
    partitions = await check_topics(settings)
    snapshot = await fold_event(settings, event_id, partitions)
    if snapshot is None:
        raise UnknownEventError(event_id)
    expected = expected_copy(snapshot)
    async with redis_client(settings) as client:
        copy = await RedisStore(client, unhurried(settings)).read_event(event_id)
    if copy is None:
        return EventView(_members(expected), None, [f"Redis has no event {event_id}."])
    return EventView(_members(expected), _members(copy), differences(copy, expected))


def _members(copy: EventCopy) -> dict[str, Any]:
    members: dict[str, Any] = {"event_id": copy.event_id}
    members |= {name: int(text) if name in _NUMBERS and text.isdecimal() else text for name, text in copy.meta.items()}
    return members | {"left": len(copy.tickets), "requests": len(copy.records)}


async def fold_event(settings: Settings, event_id: str, partitions: int) -> Snapshot | None:
    """The event, folded from its home's ledger; None if there is none."""
    home = home_partition(event_id, partitions)
    partition = TopicPartition(purchase_results.TOPIC.full_name(settings.topic_prefix), home)
    ledger = Ledger(home)
    async with reader(settings, [partition]) as consumer:
        tape = Tape(consumer, partition, (await consumer.beginning_offsets([partition]))[partition])
        while run := await tape.next_run():
            for record in run:
                ledger.read(record.value, header(record.headers, READ_HEADER))
    event = ledger.inventory.events.get(event_id)
    return Snapshot.of(event, home) if event is not None else None
