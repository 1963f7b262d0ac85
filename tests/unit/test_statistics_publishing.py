"""What is given to Redis: the figures of events, and none of those that were archived, which count all the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, cast

from boxoffice.settings import settings_from
from boxoffice.statistics.figures import Figures, Totals
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.statistics.redis_publishing import RedisPublisher
from models.figures import Status
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from tests.support.figures import row


class _Redis:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[Totals, Mapping[str, Figures | None]]] = []

    async def write(self, totals: Totals, figures: Mapping[str, Figures | None]) -> None:
        self.given.append((totals, dict(figures)))

    async def lost(self, *asked: Any) -> list[str] | None:
        *_, self.seqs = asked
        return None

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_redis_is_given_no_figures_of_an_archived_event_and_totals_with_it() -> None:
    redis = _Redis()
    settings = settings_from({"BOXOFFICE_REDIS_CHECK_INTERVAL_S": "1"}).redis
    publisher = RedisPublisher(settings, 60_000, cast(RedisFigures, cast(Any, redis)), nullcontext)
    statistics = Statistics(PartitionStatistics(3), [row("42", 5), row("7", 9)])
    publisher.adopt({3: statistics})
    try:
        await publisher._publish()
        statistics.events["42"].status = Status.ARCHIVED
        statistics.events["42"].seq = 6
        publisher.touched(3, ["42"])
        await publisher._publish()
        publisher._checked_s = -1e9
        await publisher._publish()
    finally:
        await publisher.stop()
    (first, there), (second, gone), *_ = redis.given
    assert {event_id: of is not None for event_id, of in there.items()} == {"42": True, "7": True}
    assert gone == {"42": None}
    assert (first["events"], first["archived"], first["sold"]) == (2, 0, 12)
    assert (second["events"], second["archived"], second["sold"]) == (2, 1, 12)
    # When it is looked whether Redis has lost anything, the archived event is to be gone.
    assert redis.seqs == {"42": 0, "7": 9}
