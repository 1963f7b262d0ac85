"""Workers come, go and die under load, offsets are reset, Redis is gone: every command is answered, once, in order."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess

import pytest
from confluent_kafka import Producer

from boxoffice.kafka import clients
from tests.faults.groups import delete_group, reset_group
from tests.support.office import NewOffice, Office
from tests.support.servers import NewRedis, kill_and_pause
from tests.support.workload import Sent, commands, creations, event_ids

SEED = 20261122


def workload(seed: int, count: int, events: int = 20) -> list[Sent]:
    ids = event_ids(seed, events)
    return [*creations(ids, capacity=max(50, count // events)), *commands(seed, ids, count)]


def publish_by_kcat(office: Office, records: list[Sent], partitioner: str) -> None:
    """Publish as a shell script would: a line a record, key and value."""
    lines = b"".join(b"%b\t%b\n" % (record.key or b"", record.value) for record in records)
    command = [
        *("kcat", "-P", "-b", office.settings.kafka.bootstrap_servers, "-t", office.requests),
        *("-K", "\t", "-Z", "-X", f"topic.partitioner={partitioner}"),
    ]
    subprocess.run(command, input=lines, check=True, timeout=60)


def publish_by_librdkafka(office: Office, records: list[Sent]) -> None:
    """Publish with librdkafka's own defaults."""
    producer = Producer({"bootstrap.servers": office.settings.kafka.bootstrap_servers, "linger.ms": 5})
    for record in records:
        producer.produce(office.requests, record.value, record.key)
    assert producer.flush(60) == 0


@pytest.mark.kcat
@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
async def test_commands_of_both_partitioners_by_kcat_are_all_answered(office: Office) -> None:
    records = workload(SEED, 20_000)
    worker = office.start()
    await office.ready(worker)
    publish_by_kcat(office, records[:10_000], "consistent_random")
    publish_by_kcat(office, records[10_000:], "murmur2_random")
    await office.answered()
    await office.agrees()
    assert await worker.stop() == 0


async def test_commands_from_librdkafka_as_it_is_are_forwarded_home(office: Office) -> None:
    """It hashes keys by CRC32: most commands lie where their event is not decided."""
    records = workload(SEED + 6, 5_000)
    worker = office.start()
    await office.ready(worker)
    await asyncio.to_thread(publish_by_librdkafka, office, records)
    await office.answered()
    await office.agrees()
    verdict = await office.verdict()
    assert verdict.summary["forwarded"] > 1_000


@pytest.mark.long
async def test_two_workers_one_joining_and_one_leaving(office: Office) -> None:
    records = workload(SEED + 1, 20_000)
    first = office.start()
    await office.ready(first)
    sending = asyncio.create_task(send_slowly(office, records))
    second = office.start()
    await office.ready(second)
    await asyncio.sleep(1)
    assert await first.stop() == 0
    await sending
    await office.answered()
    await office.agrees()
    assert await second.stop() == 0


@pytest.mark.long
async def test_a_worker_that_is_killed_and_started_again(office: Office) -> None:
    records = workload(SEED + 2, 20_000)
    workers = [office.start(), office.start()]
    for worker in workers:
        await office.ready(worker)
    sending = asyncio.create_task(send_slowly(office, records))
    for worker in workers:
        await asyncio.sleep(1)
        worker.kill()
        office.start()
    await sending
    await office.answered()
    await office.agrees()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_twenty_starts_on_a_backlog_of_5000(office: Office) -> None:
    for start in range(20):
        await office.send(workload(SEED + 10 + start, 5_000, events=4))
        worker = office.start()
        await office.answered()
        if start % 2:
            worker.kill()
        else:
            assert await worker.stop() == 0
    await agree_with_a_worker(office)


async def test_a_backlog_larger_than_the_buffer_is_sold_whole(office: Office) -> None:
    [event_id] = event_ids(SEED + 5, 1)
    await office.send([*creations([event_id], 100), *commands(SEED + 5, [event_id], 6_000)])
    worker = office.start(BOXOFFICE_BUFFER_SIZE="1000")
    await office.answered()
    verdict = await office.verdict()
    assert verdict.problems == []
    assert worker.ended() is None


@pytest.mark.long
@pytest.mark.parametrize("where", ["end", "beginning", "deleted"])
async def test_offsets_that_were_reset_change_nothing(office: Office, where: str) -> None:
    records = workload(SEED + 3, 10_000)
    await office.send(records[:5_000])
    worker = office.start()
    await office.answered()
    assert await worker.stop() == 0
    await office.send(records[5_000:])
    await (delete_group(office) if where == "deleted" else reset_group(office, where))
    office.start()
    await office.answered()
    await office.agrees()


@pytest.mark.long
async def test_redis_killed_emptied_and_hung_under_load(new_office: NewOffice, new_redis: NewRedis) -> None:
    redis = await new_redis()
    office = await new_office(redis.url)
    records = workload(SEED + 4, 20_000)
    worker = office.start()
    await office.ready(worker)
    sending = asyncio.create_task(send_slowly(office, records))
    await asyncio.sleep(1)
    await kill_and_pause(redis)
    await sending
    await office.answered()
    await office.agrees()
    assert worker.ended() is None


async def test_a_second_signal_ends_at_once(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    worker.signal(signal.SIGSTOP)
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    worker.signal(signal.SIGCONT)
    await worker.end(timeout_s=10)


async def send_slowly(office: Office, records: list[Sent], at_once: int = 500) -> None:
    """Publish over some seconds, so that things happen in between."""
    async with clients.producer(office.settings.kafka) as producer:
        for at in range(0, len(records), at_once):
            for record in records[at : at + at_once]:
                await producer.send(office.requests, record.value, key=record.key)
            await producer.flush()
            await asyncio.sleep(0.1)


async def agree_with_a_worker(office: Office) -> None:
    office.start()
    await office.agrees()
