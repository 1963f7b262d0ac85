"""A quiet week: retention removes what needed no answer, and nothing looks lost."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from boxoffice.kafka.clients import admin, client_options, home_partition, reader
from tests.support.observed import health_and_status
from tests.support.office import POLL_S, Office
from tests.support.workload import order

EVENT = "42"
CREATED = {
    "type": "create_event",
    "request_id": "c-1",
    "event_id": EVENT,
    "name": "Night at the Opera",
    "venue": "Main Hall",
    "starts_at": "2027-03-01T19:30:00Z",
    "capacity": 10,
    "price": {"amount": 4500, "currency": "EUR"},
}
QUICK = {"BOXOFFICE_TAIL_INTERVAL_S": "0.5"}


class Quiet:
    """The event's partition, which ends with a transaction's marker."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.home = home_partition(EVENT, office.settings.kafka.partitions)
        self.requests = TopicPartition(office.requests, self.home)

    async def send_in_a_transaction(self, *values: bytes) -> None:
        """The marker behind them takes an offset."""
        options = client_options(self.office.settings.kafka)
        async with (
            AIOKafkaProducer(**options, transactional_id=self.office.settings.kafka.topic_prefix) as producer,
            producer.transaction(),
        ):
            for value in values:
                await producer.send_and_wait(self.office.requests, value, partition=self.home)

    async def bounds(self) -> tuple[int, int]:
        """Where the partition begins and ends."""
        async with reader(self.office.settings.kafka, [self.requests]) as consumer:
            starts = await consumer.beginning_offsets([self.requests])
            return starts[self.requests], (await consumer.end_offsets([self.requests]))[self.requests]

    async def is_accounted_for(self) -> None:
        """Wait until the ledger accounts for every offset, the marker's too."""
        deadline_s = monotonic() + 60
        while True:
            ranges = [
                dict(record.headers)["boxoffice-read"]
                for record in await self.office.read(self.office.ledger)
                if record.partition == self.home
            ]
            if ranges and int(ranges[-1].partition(b"-")[2]) == (await self.bounds())[1] - 1:
                return
            assert monotonic() < deadline_s, ranges
            await asyncio.sleep(POLL_S)

    async def expire(self) -> None:
        """What retention does after a week: all is gone, and the partition begins where it ends."""
        _, end = await self.bounds()
        async with admin(self.office.settings.kafka) as client:
            await client.delete_records({self.requests: RecordsToDelete(before_offset=end)})
        while await self.bounds() != (end, end):
            await asyncio.sleep(POLL_S)

    async def sells(self, request_id: str) -> None:
        """Another purchase is answered."""
        bought = await self.office.run("buy", EVENT, "1", "--buyer", "b", "--request-id", request_id, "--timeout", "60")
        assert bought.returncode == 0, bought.stdout + bought.stderr


async def test_markers_that_expired_were_no_commands_for_a_worker_that_starts(office: Office) -> None:
    quiet = Quiet(office)
    first = office.start(**QUICK)
    await quiet.send_in_a_transaction(json.dumps(CREATED).encode(), order(EVENT, "r-1").value)
    await quiet.is_accounted_for()
    assert await first.stop() == 0
    await quiet.expire()
    again = office.start(**QUICK)
    await office.ready(again)
    assert health_and_status(again)[1]["partitions"]["refused"] == []
    await quiet.sells("r-2")
    await quiet.is_accounted_for()
    audit = await office.run("audit", "--wait", "30")
    assert audit.returncode == 0, audit.stdout + audit.stderr


async def test_markers_that_expire_under_a_living_worker_are_no_loss(office: Office) -> None:
    quiet = Quiet(office)
    worker = office.start(**QUICK)
    await quiet.send_in_a_transaction(json.dumps(CREATED).encode())
    await quiet.is_accounted_for()
    await quiet.expire()
    await quiet.sells("r-1")
    assert worker.ended() is None
    assert "refused=[]" in worker.log_text().replace('"refused": []', "refused=[]")
