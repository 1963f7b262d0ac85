"""The figures on ``event-stats``: a record for each event that has changed, on the ledger's partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from boxoffice.batching import BatchProducer
from boxoffice.errors import PublishError
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.figures import stats_record
from boxoffice.statistics.publishing import EndingOnFailure, Publisher
from topics import event_stats

log = structlog.get_logger(__name__)


class TopicPublisher(Publisher):
    """Publishes on ``event-stats``."""

    def __init__(
        self,
        settings: KafkaSettings,
        interval_ms: int,
        producer: Callable[[], BatchProducer],
        ending_on_failure: EndingOnFailure,
    ) -> None:
        super().__init__(interval_ms / 1000, ending_on_failure)
        self._producer = producer
        self._timeout_s = settings.publish_timeout_ms / 1000
        self._topic = event_stats.TOPIC.full_name(settings.topic_prefix)
        # Where each partition ends, as far as is known.
        self._ends: dict[int, int] = {}

    async def _publish_changed(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                for number in list(self._changed):
                    if ids := self._changed.pop(number):
                        await self._publish_partition(number, ids)
        except TimeoutError:
            raise PublishError(f"Kafka did not acknowledge statistics within {self._timeout_s:g} s.") from None
        except KafkaError as error:
            raise PublishError(f"Kafka refused statistics: {error!r}.") from error

    async def _publish_partition(self, number: int, ids: set[str]) -> None:
        records = [stats_record(event_id, self._figures(number, event_id)) for event_id in ids]
        alone = True
        for base_offset, count in await self._producer().publish(self._topic, number, records):
            alone = alone and base_offset == self._ends.get(number, base_offset)
            self._ends[number] = base_offset + count
        if not alone:
            # Older figures of a replaced worker may lie on top of ours.
            log.warning("another worker published these statistics too: publishing again", partition=number)
            self._changed[number].update(self._owned[number].events)

    def _forget(self) -> None:
        super()._forget()
        self._ends.clear()
