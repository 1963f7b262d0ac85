"""A ledger written by the product's own decisions, without a worker, on topics whose partitions become more."""

from __future__ import annotations

import json
from typing import Any

from aiokafka import TopicPartition

from boxoffice.kafka import clients
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.publishing import ledger_record
from tests.support.office import Office
from tests.unit.records import creation, purchase
from topics.purchase_results import PARTITIONS_HEADER


class SoldOffice:
    """A box office that has sold tickets of some events before its partitions become more.

    ``away`` are events that then do not lie at home any more, ``still`` others.
    """

    def __init__(self, office: Office, after: int) -> None:
        self.office = office
        self.before, self.after = office.settings.kafka.partitions, after
        event_ids = [str(number) for number in range(1, 99)]
        self.away = [one for one in event_ids if self.home(one) != clients.home_partition(one, after)]
        self.still = [one for one in event_ids if self.home(one) == clients.home_partition(one, after)]

    def home(self, event_id: str) -> int:
        """Where an event lies."""
        return clients.home_partition(event_id, self.before)

    async def sell(self, *event_ids: str, says_number: bool = True) -> None:
        """Sell a ticket of each, as a worker does; one of an earlier release does not say the number of partitions."""
        owned = {number: new_partition(number, self.before) for number in range(self.before)}
        async with clients.producer(self.office.settings.kafka) as producer:
            for event_id in event_ids:
                home = self.home(event_id)
                for command in (creation(event_id), purchase("r-1", event_id)):
                    sent = await producer.send_and_wait(
                        self.office.requests, json.dumps(command).encode(), key=event_id.encode(), partition=home
                    )
                    [record] = await self._read(self.office.requests, home, sent.offset)
                    for answer in owned[home].answer([record]):
                        key, value, headers = ledger_record(answer, self.before)
                        kept = [one for one in headers if says_number or one[0] != PARTITIONS_HEADER]
                        await producer.send_and_wait(self.office.ledger, value, key=key, partition=home, headers=kept)

    async def _read(self, topic: str, number: int, first: int) -> list[Any]:
        tp = TopicPartition(topic, number)
        found: list[Any] = []
        async with clients.reader(self.office.settings.kafka, [tp]) as consumer:
            async for records in clients.read_between(consumer, tp, first, first + 1):
                found += records
        return found

    async def raise_partitions(self, *topics: str) -> None:
        """As kafka-topics --alter does."""
        await self.office.raise_partitions(self.after, *(topics or (self.office.requests, self.office.ledger)))
