"""The figures in Redis. It may be down, or lose what it was given: it is brought up to date when it can be.

Of an archived event Redis keeps none: they count in the totals, and stay on ``event-stats``.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

import structlog

from boxoffice.redis.connection import FAILURES
from boxoffice.settings import RedisSettings
from boxoffice.statistics.figures import Figures, Sums, is_archived, partition_totals
from boxoffice.statistics.publishing import EndingOnFailure, Publisher
from boxoffice.statistics.redis_figures import RedisFigures
from models.statistics import Statistics

log = structlog.get_logger(__name__)


class _Given:
    """What Redis was given of a partition: each event's seq, and where the ledger stood."""

    def __init__(self) -> None:
        self.sums = Sums()
        self.seqs: dict[str, int] = {}
        self.offset = 0


class RedisPublisher(Publisher):
    """Publishes in Redis, and looks now and then whether it is still there.

    A Redis that is down costs one timeout now and then: the pauses double up to ``breaker_longest_probe_ms``.
    """

    def __init__(
        self, settings: RedisSettings, interval_ms: int, redis: RedisFigures, ending_on_failure: EndingOnFailure
    ) -> None:
        super().__init__(interval_ms / 1000, ending_on_failure)
        self._redis = redis
        self._first_pause_s = self._pause_s = settings.breaker_first_probe_ms / 1000
        self._longest_pause_s = settings.breaker_longest_probe_ms / 1000
        self._check_interval_s = settings.check_interval_s
        self._given: dict[int, _Given] = {}
        self._checked_s = monotonic()
        self._not_before_s = 0.0
        self.is_down = False

    def adopt(self, owned: Mapping[int, Statistics]) -> None:
        """Publish these partitions from now on, and first all that they have."""
        super().adopt(owned)
        self._given = {number: _Given() for number in owned}

    async def stop(self) -> None:
        """Publish the last figures, and close the connections."""
        await super().stop()
        await self._redis.aclose()

    async def _publish_changed(self) -> None:
        if monotonic() < self._not_before_s:
            return
        try:
            if self.is_down:
                await self._redis.ping()
                self._answers_again()
            for number in list(self._changed):
                await self._publish_partition(number)
            if monotonic() - self._checked_s > self._check_interval_s:
                await self._check()
        except FAILURES as error:
            self._failed(error)
        else:
            self._pause_s = self._first_pause_s

    async def _publish_partition(self, number: int) -> None:
        given, row = self._given[number], self._owned[number].row
        # Also what the batch has folded that is being counted now: the totals say how far they go.
        ids = self._changed[number] | self._owned[number].touched.keys()
        figures = {event_id: self._figures(number, event_id) for event_id in ids}
        # What is touched from here on is newer than what is sent.
        del self._changed[number]
        kept: dict[str, Figures | None] = {}
        for event_id, of_event in figures.items():
            given.sums.put(event_id, of_event)
            is_kept = of_event is not None and not is_archived(of_event)
            kept[event_id] = of_event if is_kept else None
            given.seqs[event_id] = of_event["seq"] if of_event is not None and is_kept else 0
        given.offset = row.offset
        try:
            await self._redis.write(partition_totals(given.sums, row), kept)
        except BaseException:
            self._changed[number] |= ids
            raise

    async def _check(self) -> None:
        """Look whether Redis still has what it was given."""
        self._checked_s = monotonic()
        for number, given in self._given.items():
            lost = await self._redis.lost(number, given.offset, given.seqs)
            if lost is not None:
                log.warning("Redis lost statistics: writing them again", partition=number, events=len(lost))
                self._changed[number].update(lost)

    def _failed(self, error: Exception) -> None:
        if not self.is_down:
            log.warning("Redis is down, statistics go on without", error=f"{type(error).__name__}: {error}"[:200])
        self.is_down = True
        self._not_before_s = monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._longest_pause_s)

    def _answers_again(self) -> None:
        log.warning("Redis answers again")
        self.is_down = False
        # It may have been emptied meanwhile, or be another one.
        for number, statistics in self._owned.items():
            self._changed[number].update(statistics.events)

    def _forget(self) -> None:
        super()._forget()
        self._given = {}
