"""What all events add up to by category and by currency, as metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from boxoffice import metrics
from boxoffice.statistics import measuring
from boxoffice.statistics.measuring import OTHERS, MetricsPublisher
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from tests.support.one_partition import BEGIN_MS, NUMBER, OnePartition, buying, cancelling, holding, paying


@contextmanager
def raising() -> Iterator[None]:
    yield


class Counted:
    """A partition, what is counted of it, and what is shown of that."""

    def __init__(self) -> None:
        self.partition = OnePartition()
        self.statistics = Statistics(PartitionStatistics(NUMBER))
        self.publisher = MetricsPublisher(raising, interval_s=3_600)

    async def ask(self, *commands: Mapping[str, Any], at_ms: int = BEGIN_MS) -> None:
        """Have commands decided, and count them."""
        for command in commands:
            self.partition.ask(command, at_ms)
        for offset, value, read in self.partition.ledger[self.statistics.row.offset :]:
            self.statistics.read(offset, value, read)
        self.publisher.touched(NUMBER, self.statistics.touched)
        self.statistics.touched.clear()
        await self.publisher._publish()


@pytest.fixture
async def counted() -> AsyncIterator[Counted]:
    counted = Counted()
    counted.publisher.adopt({NUMBER: counted.statistics})
    yield counted
    await counted.publisher.stop()


def tickets(category: str) -> dict[str, float]:
    """What is shown of a category, by state; nothing of what is 0."""
    [metric] = metrics.CATEGORY_TICKETS.collect()
    return {
        one.labels["state"]: one.value for one in metric.samples if one.labels["category"] == category and one.value
    }


def money() -> tuple[dict[str, float], dict[str, float]]:
    """Revenue and refunds by currency."""
    shown = [next(iter(gauge.collect())).samples for gauge in (metrics.REVENUE, metrics.REFUNDED)]
    revenue, refunded = [{one.labels["currency"]: one.value for one in samples} for samples in shown]
    return revenue, refunded


async def test_each_category_and_currency_shows_what_all_events_have(counted: Counted) -> None:
    await counted.ask(holding("42", 100, 60), holding("43", 10, 60), {**holding("44"), "hold_s": None})
    await counted.ask(*(buying(f"r-{number}", event) for number in range(3) for event in ("42", "43")))
    assert tickets("stalls") == {"remaining": 198, "held": 12}
    assert money() == ({"EUR": 0}, {"EUR": 0})
    await counted.ask(paying("r-0"), cancelling("r-1"), buying("at-once", "44", 1))
    expiring = {"type": "expire_hold", "request_id": "x", "event_id": "42", "purchase": "r-2"}
    await counted.ask(expiring, at_ms=BEGIN_MS + 60_000)
    assert tickets("stalls") == {"remaining": 201, "held": 6, "sold": 3, "expired": 2}
    assert tickets("balcony") == {"remaining": 210}
    assert money() == ({"EUR": 135.0}, {"EUR": 0})
    await counted.ask(cancelling("r-0"))
    assert money() == ({"EUR": 45.0}, {"EUR": 90.0})


async def test_what_somebody_else_counts_now_is_shown_no_more(counted: Counted) -> None:
    await counted.ask(holding("42"), buying("r-1"))
    assert tickets("stalls")
    counted.publisher.adopt({})
    await counted.publisher._publish()
    assert tickets("stalls") == {}
    assert money() == ({}, {})


async def test_an_event_that_turned_out_to_be_none_counts_no_more(counted: Counted) -> None:
    await counted.ask(holding("42"), holding("43"), buying("r-1"))
    del counted.statistics.events["42"]
    counted.publisher.touched(NUMBER, ["42"])
    await counted.publisher._publish()
    assert tickets("stalls") == {"remaining": 100}


async def test_of_many_categories_the_largest_are_shown_and_all_others_together(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOST_CATEGORIES", 1)
    await counted.ask(holding("42"), buying("r-1"))
    assert tickets("stalls") == {"remaining": 98, "held": 2}
    assert tickets("balcony") == {}
    assert tickets(OTHERS) == {"remaining": 100}
