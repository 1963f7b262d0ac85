"""A reader that stays open: one client for many uses, and another one as soon as it is of no use any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from boxoffice.errors import CommandsSkippedError
from boxoffice.kafka import clients
from boxoffice.kafka.clients import KeptReader, read_between
from boxoffice.settings import KafkaSettings
from tests.support.office import Office
from tests.support.servers import NewKafka, RedisAddress

RECORDS = 700
"""More than are taken at once."""


class Opened:
    """Opens readers, and remembers of each which partitions it has."""

    def __init__(self) -> None:
        self.partitions: list[list[int]] = []

    @asynccontextmanager
    async def open(
        self, settings: KafkaSettings, partitions: Iterable[TopicPartition]
    ) -> AsyncIterator[AIOKafkaConsumer]:
        assigned = list(partitions)
        self.partitions.append([tp.partition for tp in assigned])
        async with clients.reader(settings, assigned) as consumer:
            yield consumer


async def _fill(office: Office) -> None:
    async with clients.producer(office.settings.kafka) as producer:
        for number in range(2):
            sent = [await producer.send(office.requests, b"?" * 1_000, partition=number) for _ in range(RECORDS)]
            for one in sent:
                await one


async def _read(kept: KeptReader, tp: TopicPartition, first: int, end: int) -> list[int]:
    async with kept.reading([tp]) as consumer:
        return [record.offset async for records in read_between(consumer, tp, first, end) for record in records]


async def test_a_reader_stays_open_and_is_thrown_away_when_it_has_failed(office: Office) -> None:
    await _fill(office)
    first, second = TopicPartition(office.requests, 0), TopicPartition(office.requests, 1)
    opened = Opened()
    async with aclosing(KeptReader(office.settings.kafka, opened.open)) as kept:
        for begin in (5, 100, 7):
            assert await _read(kept, first, begin, begin + 3) == [begin, begin + 1, begin + 2]
        assert opened.partitions == [[0]]
        for tp in (second, first, second):
            assert await _read(kept, tp, RECORDS - 1, RECORDS) == [RECORDS - 1]
        assert opened.partitions == [[0], [0, 1]]
        with pytest.raises(CommandsSkippedError):
            async with kept.reading([first]):
                raise CommandsSkippedError("skipped")
        assert await _read(kept, second, 0, 2) == [0, 1]
    assert opened.partitions == [[0], [0, 1], [0, 1]]


async def test_nothing_is_left_of_what_was_fetched_beyond_what_was_asked_for(office: Office) -> None:
    """It would take memory for as long as the reader is open, and the next use would wait for it."""
    await _fill(office)
    tp = TopicPartition(office.requests, 0)
    async with aclosing(KeptReader(office.settings.kafka)) as kept:
        assert await _read(kept, tp, 5, 6) == [5]
        async with kept.reading([tp]) as consumer:
            fetcher: Any = consumer._fetcher
            assert not fetcher._records


async def test_a_reader_outlives_its_broker(
    new_kafka: NewKafka, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    broker = await new_kafka()
    office = Office(broker.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await office.open()
    await _fill(office)
    tp = TopicPartition(office.requests, 0)
    async with aclosing(KeptReader(office.settings.kafka)) as kept:
        assert await _read(kept, tp, 5, 6) == [5]
        broker.kill()
        await broker.launch()
        assert await _read(kept, tp, 7, 8) == [7]
