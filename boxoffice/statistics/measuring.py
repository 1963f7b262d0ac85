"""What all events add up to by category and by currency, as metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Final

from boxoffice import metrics
from boxoffice.statistics.publishing import EndingOnFailure, Publisher
from models.money import decimals
from models.statistics_rows import EventStatistics

INTERVAL_S: Final = 2.0
MOST_CATEGORIES: Final = 50
"""Shown one by one, those of which most is sold or held; a series lasts, and categories may be called anything."""
OTHERS: Final = "other"
"""All other categories together."""

_AT_ONCE: Final = 1_000
"""Events that are added up before others get their turn."""
_STATES: Final = ("remaining", "held", "sold", "expired")

Sum = tuple[str, str, int]
"""What it is of, in which state, and how much."""


class MetricsPublisher(Publisher):
    """Shows in this process' metrics what the partitions add up to that it owns."""

    def __init__(self, ending_on_failure: EndingOnFailure, interval_s: float = INTERVAL_S) -> None:
        super().__init__(interval_s, ending_on_failure)
        self._of: dict[tuple[int, str], tuple[Sum, ...]] = {}
        self._tickets: Counter[tuple[str, str]] = Counter()
        self._money: Counter[tuple[str, str]] = Counter()

    async def _publish_changed(self) -> None:
        for number in list(self._changed):
            for place, event_id in enumerate(self._changed.pop(number), start=1):
                owned = self._owned.get(number)
                self._put(number, event_id, owned.events.get(event_id) if owned is not None else None)
                if place % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        self._show()

    def _put(self, number: int, event_id: str, event: EventStatistics | None) -> None:
        """Let an event count with what it has now, and no more with what it had."""
        for of, state, amount in self._of.pop((number, event_id), ()):
            self._sums(state)[of, state] -= amount
        if event is not None:
            self._of[number, event_id] = found = tuple(_sums_of(event))
            for of, state, amount in found:
                self._sums(state)[of, state] += amount

    def _sums(self, state: str) -> Counter[tuple[str, str]]:
        return self._tickets if state in _STATES else self._money

    def _show(self) -> None:
        metrics.CATEGORY_TICKETS.clear()
        for (category, state), tickets in _shortened(self._tickets).items():
            metrics.CATEGORY_TICKETS.labels(category, state).set(tickets)
        for (currency, sum_of), amount in self._money.items():
            gauge = metrics.REVENUE if sum_of == "revenue" else metrics.REFUNDED
            gauge.labels(currency).set(amount / 10 ** decimals(currency))

    def _forget(self) -> None:
        super()._forget()
        self._of.clear()
        self._tickets.clear()
        self._money.clear()
        for gauge in (metrics.CATEGORY_TICKETS, metrics.REVENUE, metrics.REFUNDED):
            gauge.clear()


def _sums_of(event: EventStatistics) -> Iterator[Sum]:
    for id_, category in event.categories.items():
        for state in _STATES:
            yield id_, state, getattr(category, state)
    yield event.currency, "revenue", event.total("revenue")
    yield event.currency, "refunded", event.total("refunded")


def _shortened(tickets: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """The tickets of the largest categories, and of all others together."""
    gone: Counter[str] = Counter()
    for (category, state), count in tickets.items():
        gone[category] += count if state in ("held", "sold") else 0
    shown = {category for category, _ in gone.most_common(MOST_CATEGORIES)}
    found: Counter[tuple[str, str]] = Counter()
    for (category, state), count in tickets.items():
        found[category if category in shown else OTHERS, state] += count
    return found
