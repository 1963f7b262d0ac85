"""Promise: whatever becomes of the topics' partitions, what was sold is not sold again, and everybody says why.

The ledger is written by the product's own decisions, with a number of partitions that the topics then lose.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.metadata import MetadataRequest

from boxoffice.errors import ExitStatus, PartitionsChangedError, TopicsError
from boxoffice.kafka import clients
from boxoffice.kafka.homes import look_at_ledger
from boxoffice.kafka.topics import check_count, check_topics, describe_topics
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import KafkaSettings
from tests.support.office import PROCESSES, Office
from tests.support.servers import KafkaAddress, NewKafka, RedisAddress
from tests.support.settings import changed
from tests.support.workload import creations, order
from tests.unit.records import creation, purchase
from topics import TOPICS
from topics.purchase_results import PARTITIONS_HEADER

BEFORE, AFTER = 12, 24
_HOMES = {str(number): clients.home_partition(str(number), BEFORE) for number in range(1, 99)}
AWAY = [event for event, home in _HOMES.items() if clients.home_partition(event, AFTER) != home]
STILL = [event for event, home in _HOMES.items() if clients.home_partition(event, AFTER) == home]


class SoldOffice:
    """A box office that has sold tickets of some events with 12 partitions."""

    def __init__(self, office: Office) -> None:
        self.office = office

    async def sell(self, *event_ids: str, says_number: bool = True) -> None:
        """Sell a ticket of each, as a worker does; one of an earlier release does not say the number of partitions."""
        owned = {number: new_partition(number, BEFORE) for number in range(BEFORE)}
        async with clients.producer(self.office.settings.kafka) as producer:
            for event_id in event_ids:
                home = _HOMES[event_id]
                for command in (creation(event_id), purchase("r-1", event_id)):
                    sent = await producer.send_and_wait(
                        self.office.requests, json.dumps(command).encode(), key=event_id.encode(), partition=home
                    )
                    [record] = await self._read(self.office.requests, home, sent.offset)
                    for answer in owned[home].answer([record]):
                        key, value, headers = ledger_record(answer, BEFORE)
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
        await self.office.raise_partitions(AFTER, *(topics or (self.office.requests, self.office.ledger)))


@pytest.fixture
async def sold(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> AsyncIterator[SoldOffice]:
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=BEFORE)
    await office.open()
    yield SoldOffice(office)
    office.close()


async def test_a_worker_refuses_a_ledger_of_another_number_and_says_which(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0])
    await sold.raise_partitions()
    worker = sold.office.start()
    assert await worker.end() == ExitStatus.REFUSED
    assert "was written with 12 partitions and has 24 now" in worker.log_text()
    assert "boxoffice topics grow --to 24" in worker.log_text()
    assert "Traceback" not in worker.log_text()


async def test_the_header_tells_also_where_all_events_happen_to_lie_at_home(sold: SoldOffice) -> None:
    await sold.sell(STILL[0])
    await sold.raise_partitions()
    with pytest.raises(PartitionsChangedError, match="was written with 12 partitions and has 24 now"):
        await check_topics(sold.office.settings.kafka)


@pytest.mark.parametrize("says_number", [True, False])
async def test_a_box_office_that_keeps_its_number_is_not_refused(sold: SoldOffice, says_number: bool) -> None:
    await sold.sell(*AWAY[:8], *STILL[:8], says_number=says_number)
    assert await check_topics(sold.office.settings.kafka) == BEFORE


async def test_an_empty_box_office_may_have_any_number(sold: SoldOffice) -> None:
    await sold.raise_partitions()
    assert await check_topics(sold.office.settings.kafka) == AFTER


async def test_a_ledger_of_an_earlier_release_is_judged_by_where_its_events_lie(sold: SoldOffice) -> None:
    await sold.sell(*AWAY[:8], says_number=False)
    await sold.raise_partitions()
    otherwise = await look_at_ledger(sold.office.settings.kafka, AFTER)
    assert otherwise is not None
    assert otherwise.written == BEFORE
    with pytest.raises(PartitionsChangedError, match="The partitions were raised"):
        await check_topics(sold.office.settings.kafka)


async def test_what_others_wrote_behind_the_facts_says_nothing(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0])
    nonsense: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"hello", []),
        (None, []),
        (b"[]", [(PARTITIONS_HEADER, b"twelve")]),
        (b"{}", [(PARTITIONS_HEADER, b"0")]),
        (b"{}", [(PARTITIONS_HEADER, b"9" * 40)]),
        (b"{}", [(PARTITIONS_HEADER, b"")]),
    ]
    async with clients.producer(sold.office.settings.kafka) as producer:
        for value, headers in nonsense:
            await producer.send_and_wait(sold.office.ledger, value, b"", _HOMES[AWAY[0]], headers=headers)
    assert await check_topics(sold.office.settings.kafka) == BEFORE
    await sold.raise_partitions()
    with pytest.raises(PartitionsChangedError, match="was written with 12"):
        await check_topics(sold.office.settings.kafka)


@pytest.mark.parametrize("grown", ["requests", "ledger"])
async def test_one_topic_alone_that_was_raised_is_refused(sold: SoldOffice, grown: str) -> None:
    await sold.sell(AWAY[0])
    await sold.raise_partitions(getattr(sold.office, grown))
    worker = sold.office.start()
    assert await worker.end() == ExitStatus.REFUSED
    assert "they must have the same number" in worker.log_text()
    told = sold.office.boxoffice("doctor", "--json", "--watch", "0.1")
    assert told.returncode == ExitStatus.DIFFERS
    assert "they must have the same number" in told.stdout


async def test_whoever_takes_a_partition_over_refuses_an_event_that_is_not_at_home(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0], says_number=False)
    await sold.raise_partitions()
    home = _HOMES[AWAY[0]]
    recovery = Recovery(sold.office.settings.kafka, AFTER)
    with pytest.raises(PartitionsChangedError, match=f"Event {AWAY[0]} lies on partition {home} "):
        await recovery.recover({number: new_partition(number, AFTER) for number in range(AFTER)})


async def test_whoever_is_given_a_partition_that_it_does_not_know_of_refuses_all(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0])
    await sold.raise_partitions()
    recovery = Recovery(sold.office.settings.kafka, BEFORE)
    with pytest.raises(PartitionsChangedError, match="Partition 23 was assigned"):
        await recovery.recover({number: new_partition(number, BEFORE) for number in range(AFTER)})


async def test_everybody_says_that_the_partitions_were_raised(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0], STILL[0])
    await sold.raise_partitions()
    raised = f"The partitions were raised: {sold.office.ledger} was written with 12 partitions and has 24 now"
    said = {
        command: await sold.office.run(*command.split())
        for command in (
            "doctor --json --watch 0.1",
            "topics show --json",
            "topics create --json",
            "audit --json --wait 1",
        )
    }
    assert {done.returncode for done in said.values()} == {ExitStatus.DIFFERS}
    for command, done in said.items():
        assert raised in done.stdout, (command, done.stdout, done.stderr)
        assert "BOXOFFICE_PARTITIONS=24" not in done.stdout, command
        assert "command_forwarded" not in done.stdout, command
    bought = await sold.office.run("buy", AWAY[0], "--timeout", "5")
    assert bought.returncode == ExitStatus.REFUSED
    assert raised in bought.stderr
    assert len(await sold.office.read(sold.office.requests)) == 4


async def test_doctor_says_to_set_the_variable_only_where_that_is_right(sold: SoldOffice) -> None:
    await sold.sell(AWAY[0])
    sold.office.settings = changed(sold.office.settings, partitions=AFTER)
    told = await sold.office.run("doctor", "--json", "--watch", "0.1")
    advice = {finding["advice"] for finding in json.loads(told.stdout)["findings"] if "not 24" in finding["sentence"]}
    assert len(advice) == 1
    assert advice.pop().startswith("Set BOXOFFICE_PARTITIONS=12: ")


@pytest.mark.parametrize("grown", ["requests", "ledger"])
async def test_a_look_at_the_topics_sees_that_one_was_raised(sold: SoldOffice, grown: str) -> None:
    await check_count(sold.office.settings.kafka, BEFORE)
    await sold.raise_partitions(getattr(sold.office, grown))
    with pytest.raises(PartitionsChangedError, match=f"it was 12, and now .*{getattr(sold.office, grown)} has 24"):
        await check_count(sold.office.settings.kafka, BEFORE)


async def test_topics_that_are_gone_were_not_raised(office: Office) -> None:
    await office.delete_topic(office.ledger)
    await check_count(office.settings.kafka, office.settings.kafka.partitions)


@pytest.mark.long
@pytest.mark.parametrize("grown", [("requests", "ledger"), ("requests",), ("ledger",)])
async def test_a_living_worker_notices_within_a_minute(sold: SoldOffice, grown: tuple[str, ...]) -> None:
    worker = sold.office.start()
    await sold.office.ready(worker)
    await sold.office.send([*creations(AWAY[:2], 2), *(order(event_id, "r-1") for event_id in AWAY[:2])])
    await sold.office.answered()
    await sold.raise_partitions(*(getattr(sold.office, name) for name in grown))
    assert await worker.end(timeout_s=60) == ExitStatus.REFUSED
    assert "The number of partitions was changed: it was 12, and now " in worker.log_text()
    again = sold.office.start()
    assert await again.end() == ExitStatus.REFUSED


# Asking makes no topics


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


async def test_a_setting_that_no_sale_depends_on_is_told_and_not_refused(office: Office) -> None:
    await _alter(office, office.requests, **{"retention.ms": "1209600000"})
    assert await check_topics(office.settings.kafka) == office.settings.kafka.partitions
    told = await office.run("topics", "show", "--json")
    assert told.returncode == ExitStatus.DIFFERS
    [requests] = [topic for topic in json.loads(told.stdout) if topic["topic"] == office.requests]
    assert requests["differences"] == [f"{office.requests} has retention.ms=1209600000, not 604800000."]
    assert requests["stops_sale"] is False


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
