"""Work with Kafka that is cancelled, as Ctrl-C and SIGTERM do: nothing of it goes on, at which nobody could end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from boxoffice.audit.repeating import audit_repeatedly
from boxoffice.kafka import clients
from boxoffice.settings import Settings, load_settings
from tests.support.office import Office
from tests.support.servers import KafkaAddress, NewKafka, RedisAddress
from tests.support.settings import changed
from topics import purchase_results

MOMENTS_MS = range(60)
READERS = 10

Work = Callable[[Settings], Coroutine[None, None, None]]


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> Office:
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path)
    await office.open()
    return office


async def read(settings: Settings) -> None:
    topic = purchase_results.TOPIC.full_name(settings.kafka.topic_prefix)
    partitions = clients.topic_partitions(topic, settings.kafka.partitions)
    async with clients.reader(settings.kafka, partitions) as consumer:
        await consumer.end_offsets(partitions)


async def publish(settings: Settings) -> None:
    async with clients.producer(settings.kafka) as producer:
        await (await producer.send(purchase_results.TOPIC.full_name(settings.kafka.topic_prefix), b"?", partition=0))


async def look(settings: Settings) -> None:
    async with clients.admin(settings.kafka) as admin:
        await admin.list_topics()


async def audit(settings: Settings) -> None:
    await audit_repeatedly(settings, 0.01, 1)


@pytest.mark.parametrize("work", [read, publish, look, audit])
async def test_nothing_is_left_of_what_is_cancelled_at_any_moment(office: Office, work: Work) -> None:
    settings = changed(office.settings, health_port=0)
    before = asyncio.all_tasks()
    for moment_ms in MOMENTS_MS:
        task = asyncio.create_task(work(settings))
        await asyncio.sleep(moment_ms / 1000)
        task.cancel()
        await asyncio.wait([task])
        assert asyncio.all_tasks() - before <= {task}


async def test_readers_whose_broker_is_gone_are_closed_whole_at_any_moment(new_kafka: NewKafka) -> None:
    """While a fetch waits to be tried again as well: then a reader's end was taken for that of whoever had used it."""
    broker = await new_kafka()
    kafka = changed(load_settings(), kafka_bootstrap_servers=broker.bootstrap_servers).kafka
    tp = TopicPartition("some", 0)
    async with clients.admin(kafka) as admin:
        await admin.create_topics([NewTopic(tp.topic, 1, 1)])
    before = asyncio.all_tasks()
    async with AsyncExitStack() as readers:
        for _ in range(READERS):
            reader = await readers.enter_async_context(clients.reader(kafka, [tp]))
            reader.resume(tp)
            assert await reader.getmany(tp, timeout_ms=10) == {}
        broker.kill()
        await asyncio.sleep(1)
    assert asyncio.all_tasks() == before
