"""Records of ``event-stats`` as the statistics process writes them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from boxoffice.statistics.figures import event_figures, stats_record
from boxoffice.statistics.states import EventStates
from models.members import GENERAL
from models.statistics_rows import CategoryStatistics, EventStatistics
from tests.support.office import Office

ISSUED = 1_000


def row(event_id: str, seq: int, **members: Any) -> EventStatistics:
    """An event's row, of one category; as many tickets are sold as it has facts beside its creation.

    Members that a category has are given to that.
    """
    sold = members.get("sold", min(seq - 1, ISSUED))
    price = members.pop("price", 4_500)
    counts = {"issued": ISSUED, "sold": sold, "taken": sold * price}
    counts |= {name: members.pop(name) for name in [*members] if name in _OF_CATEGORY}
    of_event = {
        "name": "Night",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "currency": "EUR",
        "first_price": price,
        "at": "2026-11-22T10:00:00.000Z",
        **members,
    }
    categories = {GENERAL: CategoryStatistics("", price, **counts)}
    return EventStatistics(**{"event_id": event_id, "seq": seq, "categories": categories, **of_event})


_OF_CATEGORY = {field.name for field in fields(CategoryStatistics)} - {"name", "price", "rejected"}


def written(event_id: str, seq: int, **members: Any) -> tuple[bytes, bytes]:
    """Key and value of a record."""
    key, value, _ = stats_record(event_id, event_figures(row(event_id, seq, **members), 0))
    assert key is not None
    assert value is not None
    return key, value


def states_of(*events: tuple[str, int], most_events: int = 100) -> EventStates:
    """States that have read a record of each of these, all that there are."""
    states = EventStates(most_events)
    for event_id, seq in events:
        assert states.take(*written(event_id, seq))
    states.is_whole = True
    return states


async def publish(office: Office, *rows: EventStatistics) -> None:
    """Put figures on the topic, in this order."""
    topic = f"{office.settings.kafka.topic_prefix}event-stats"
    async with clients.producer(office.settings.kafka) as producer:
        for one in rows:
            home = home_partition(one.event_id, office.settings.kafka.partitions)
            key, value, headers = stats_record(one.event_id, event_figures(one, home))
            await producer.send(topic, value, key=key, partition=home, headers=list(headers))
        await producer.flush()
