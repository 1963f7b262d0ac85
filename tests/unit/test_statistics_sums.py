"""Figures added up: the same however they were read, and after events are taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.statistics.figures import Sums, event_figures, partition_totals, totals_of_all, totals_of_events
from boxoffice.statistics.reading import _lacking
from boxoffice.statistics.redis_figures import InRedis
from models.figures import Status
from models.statistics_rows import EventStatistics, PartitionStatistics
from tests.support.figures import row

PARTITIONS = 3
events = st.builds(
    row,
    event_id=st.integers(1, 9).map(str),
    seq=st.just(1),
    currency=st.sampled_from(["EUR", "USD", "JPY"]),
    price=st.integers(0, 2),
    issued=st.just(30),
    sold=st.integers(0, 9),
    held=st.integers(0, 9),
    removed=st.integers(0, 9),
    expired=st.integers(0, 9),
    late=st.integers(0, 2),
    refunded=st.just(0),
    rejected=st.dictionaries(st.sampled_from(["sold_out", "event_closed"]), st.integers(1, 3)),
    payments_refused=st.dictionaries(st.just("sold_out"), st.integers(1, 3)),
    status=st.sampled_from(Status),
)


def _partition(event: EventStatistics) -> int:
    return int(event.event_id) % PARTITIONS


@given(st.lists(events, max_size=12), st.sets(st.integers(1, 9).map(str)))
def test_redis_and_the_topic_add_up_to_the_same(put: list[EventStatistics], taken_back: set[str]) -> None:
    sums = [Sums() for _ in range(PARTITIONS)]
    there: dict[str, Mapping[str, Any]] = {}
    for event in put:
        there[event.event_id] = figures = event_figures(event, _partition(event))
        sums[_partition(event)].put(event.event_id, figures)
    for event_id in taken_back:
        there.pop(event_id, None)
        sums[int(event_id) % PARTITIONS].put(event_id, None)
    listed = [dict(figures) for figures in there.values()]
    by_redis = totals_of_all(
        [partition_totals(of, PartitionStatistics(number)) for number, of in enumerate(sums)], listed
    )
    by_topic = totals_of_all([], listed)
    windows = {"sold_by_second", "sold_by_minute"}
    assert {name: by_redis[name] for name in by_redis if name not in windows} == {
        name: by_topic[name] for name in by_topic if name not in windows
    }
    assert set(by_redis["revenue"]) == {figures["revenue"]["currency"] for figures in listed}
    assert totals_of_events(listed)["revenue"] == by_redis["revenue"]


def _in_redis(numbers: set[int], events: list[EventStatistics]) -> InRedis:
    """What Redis has of two events, when these partitions and events are there."""
    found = InRedis()
    for number in sorted(numbers):
        sums = Sums()
        for event in TWO:
            if _partition(event) == number:
                sums.put(event.event_id, event_figures(event, number))
        found.totals.append(partition_totals(sums, PartitionStatistics(number)))
    found.events = [event_figures(event, _partition(event)) for event in events]
    return found


TWO = [row(event_id, 1) for event_id in ("1", "2")]


@pytest.mark.parametrize(
    ("numbers", "events", "lacking"),
    [
        ({0, 1, 2}, TWO, []),
        ({0, 1}, TWO[:1], ["1 partition (2)"]),
        ({0}, [], ["2 partitions (1, 2)"]),
        ({0, 1, 2}, TWO[:1], ["1 event"]),
        ({1}, [], ["2 partitions (0, 2)", "1 event"]),
        # Events without their partition's totals make up for none that are missing.
        ({0, 1}, TWO[1:], ["1 partition (2)", "1 event"]),
    ],
)
def test_what_redis_has_lost_is_noticed(numbers: set[int], events: list[EventStatistics], lacking: list[str]) -> None:
    assert _lacking(_in_redis(numbers, events), PARTITIONS) == lacking


def test_an_archived_event_is_not_missed_in_redis() -> None:
    found = _in_redis({0, 1, 2}, TWO[:1])
    archived = row("2", 2, status=Status.ARCHIVED)
    sums = Sums()
    sums.put("2", event_figures(archived, _partition(archived)))
    found.totals[_partition(archived)] = partition_totals(sums, PartitionStatistics(_partition(archived)))
    assert _lacking(found, PARTITIONS) == []
    found.events = []
    assert _lacking(found, PARTITIONS) == ["1 event"]
