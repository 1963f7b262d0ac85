"""Promise: looking for a topic makes none, and a topic that would lose sales is refused by its name."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from time import monotonic

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.metadata import MetadataRequest

from boxoffice.errors import ExitStatus, TopicsError
from boxoffice.kafka import clients
from boxoffice.kafka.topics import SALE, check_topics, describe_topics, most_batch_bytes
from boxoffice.operating.doctor import examine
from boxoffice.operating.findings import State
from boxoffice.settings import KafkaSettings
from tests.support.office import PROCESSES, Office
from tests.support.servers import NewKafka, RedisAddress
from tests.support.workload import creations, order
from topics import TOPICS, dead_letters


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_on_a_broker_with_kafkas_defaults_asking_makes_no_topics_and_creating_makes_them_right(
    new_kafka: NewKafka, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    broker = await new_kafka(properties={"auto.create.topics.enable": "true"})
    office = Office(broker.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    settings = office.settings.kafka
    try:
        refused = ("buy 42", "results", "audit", "dead-letters list")
        assert "missing" in (await office.run("topics", "show")).stdout
        for command in ("doctor", *refused, *(f"run {process}" for process in PROCESSES)):
            done = await office.run(*command.split())
            assert done.returncode not in (ExitStatus.OK, ExitStatus.AGENT_FAILED), (command, done.stderr)
            assert "Traceback" not in done.stderr, command
        await _ask_clients_for(settings, office.ledger)
        # Who knows no better still makes one; what was to be made before it would be there by now.
        await _make_by_asking(office, f"{prefix}made")
        assert await _topics(office) == [f"{prefix}made"]
        assert (await office.run("topics", "create")).returncode == ExitStatus.OK
        for process in PROCESSES:
            await office.ready(office.start(process, BOXOFFICE_HEALTH_PORT="0"))
        await office.send([*creations(["42"], 10), order("42", "r-1")])
        await office.answered()
        assert (await office.run("topics", "show")).returncode == ExitStatus.OK
        names = {definition.full_name(prefix) for definition in TOPICS}
        assert set(await _topics(office)) - {f"{prefix}made"} == names
    finally:
        office.close()


async def _topics(office: Office) -> list[str]:
    async with clients.admin(office.settings.kafka) as admin:
        return sorted(name for name in await admin.list_topics() if not name.startswith("__"))


async def _make_by_asking(office: Office, topic: str) -> None:
    """Ask for a topic as aiokafka itself does, and wait until it is there."""
    deadline_s = monotonic() + 30
    async with clients.admin(office.settings.kafka) as admin:
        await admin._send_request(MetadataRequest([topic]))
    while topic not in await _topics(office):
        assert monotonic() < deadline_s
        await asyncio.sleep(0.1)


async def _ask_clients_for(settings: KafkaSettings, topic: str) -> None:
    """As a consumer and a producer do that are given a topic that is not there."""
    async with clients.reader(settings, [TopicPartition(topic, 0)]) as consumer:
        assert consumer.partitions_for_topic(topic) is None
        await consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
        consumer.unsubscribe()
        consumer.subscribe([topic])
        await consumer._client.force_metadata_update()
    async with clients.producer(settings) as producer:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(producer.partitions_for(topic), 2)


@pytest.mark.parametrize(
    ("topic", "setting", "value", "harm"),
    [
        ("ledger", "cleanup.policy", "compact", "facts would be removed"),
        ("ledger", "retention.ms", "604800000", "facts would expire"),
        ("ledger", "retention.bytes", "1000000", "facts would be removed"),
        ("ledger", "max.message.bytes", "100000", "a record may take 131072"),
        ("requests", "cleanup.policy", "compact", "commands would be removed before they are decided"),
        ("requests", "message.timestamp.type", "CreateTime", "the clocks of clients would decide"),
    ],
)
async def test_a_topic_that_would_lose_sales_is_refused_by_name(
    office: Office, topic: str, setting: str, value: str, harm: str
) -> None:
    name = getattr(office, topic)
    await _alter(office, name, **{setting: value})
    with pytest.raises(TopicsError, match=f"{name} has {setting}={value}, not .*: {harm}"):
        await check_topics(office.settings.kafka)
    told = [finding for finding in (await examine(office.settings, 0)).findings if setting in finding.sentence]
    assert [(finding.state, finding.advice) for finding in told] == [(State.PROBLEM, "Alter it with kafka-configs.sh.")]


async def test_dead_letters_that_take_no_large_record_stop_no_sale_and_are_told(office: Office) -> None:
    await _alter(office, office.dead_letters, **{"max.message.bytes": "70000"})
    assert await check_topics(office.settings.kafka) == office.settings.kafka.partitions
    with pytest.raises(TopicsError, match="a record may take 131072"):
        await check_topics(office.settings.kafka, dead_letters.TOPIC)
    told = [one for one in (await examine(office.settings, 0)).findings if "max.message.bytes" in one.sentence]
    assert [finding.state for finding in told] == [State.PROBLEM]


async def test_a_broker_that_takes_smaller_batches_than_ours_is_told_where_topics_are_created(
    new_kafka: NewKafka, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    """What a topic inherits counts as what it says itself."""
    broker = await new_kafka(properties={"message.max.bytes": "500000"})
    office = Office(broker.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    created = await office.run("topics", "create")
    assert created.returncode == ExitStatus.DIFFERS
    told = f"{office.ledger} has max.message.bytes=500000, not 900000 or more: processes that start now write smaller"
    assert told in " ".join(created.stdout.split())
    assert f"{office.requests} has" not in created.stdout
    assert told in " ".join((await office.run("doctor")).stdout.split())
    assert await most_batch_bytes(office.settings.kafka, SALE) == 500_000


@pytest.mark.parametrize("living", [False, True])
async def test_a_worker_goes_on_where_a_topic_takes_smaller_batches_than_it_makes(office: Office, living: bool) -> None:
    worker = office.start()
    await office.ready(worker)
    await office.send(creations(["42"], 10_000))
    await office.answered()
    worker.signal(signal.SIGSTOP)
    await office.send([order("42", f"r-{number}") for number in range(2_000)])
    await _alter(office, office.ledger, **{"max.message.bytes": "140000"})
    if not living:
        worker.kill()
    else:
        worker.signal(signal.SIGCONT)
        assert await worker.end(timeout_s=60) == ExitStatus.PUBLISH_FAILED
        assert "MessageSizeTooLarge" in worker.log_text()
    again = office.start()
    await office.answered()
    assert again.ended() is None
    assert (await office.verdict()).summary["confirmed"] == 2_000


async def test_a_setting_that_no_sale_depends_on_is_told_and_not_refused(office: Office) -> None:
    await _alter(office, office.requests, **{"retention.ms": "1209600000"})
    assert await check_topics(office.settings.kafka) == office.settings.kafka.partitions
    told = await office.run("topics", "show", "--json")
    assert told.returncode == ExitStatus.DIFFERS
    [requests] = [topic for topic in json.loads(told.stdout) if topic["topic"] == office.requests]
    assert requests["differences"] == [f"{office.requests} has retention.ms=1209600000, not 604800000."]
    assert (requests["differs_in"], requests["stops_sale"]) == (["retention.ms"], False)


async def _alter(office: Office, topic: str, **settings: str) -> None:
    """Alter a topic's settings, and wait until that is to be seen."""
    [needed] = [definition.config for definition in TOPICS if topic.endswith(definition.name)]
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={**needed, **settings})
    async with clients.admin(office.settings.kafka) as admin:
        await admin.alter_configs([resource])
    deadline_s = monotonic() + 30
    while True:
        [report] = [one for one in await describe_topics(office.settings.kafka) if one.name == topic]
        if report.existing and all(report.existing.config[name] == value for name, value in settings.items()):
            return
        assert monotonic() < deadline_s
        await asyncio.sleep(0.1)
