"""A broker is lost: who asks waits for the one that takes over, and the logs say it once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from tests.faults.cluster import GOES, STAYS, Cluster, open_cluster
from tests.support.observed import Observed, get, health
from tests.support.office import Office, until
from tests.support.servers import RedisAddress
from tests.support.workload import creations, event_ids
from topics import TOPICS

if TYPE_CHECKING:
    from tests.support.servers import NewKafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

OUTAGE_S = 20
PARTITIONS = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two brokers."""
    with open_cluster(tmp_path_factory.mktemp("cluster")) as opened:
        yield opened


async def open_on_both(office: Office) -> None:
    """Create a box office's topics on both brokers, led by the one that goes."""
    async with clients.admin(office.settings.kafka) as admin:
        await admin.create_topics(
            [
                NewTopic(
                    topic.full_name(office.settings.kafka.topic_prefix),
                    -1,
                    -1,
                    {number: [GOES, STAYS] for number in range(PARTITIONS)},
                    {**topic.config, "min.insync.replicas": "1"},
                )
                for topic in TOPICS
            ]
        )


async def test_an_order_just_after_a_broker_died_waits_for_the_one_that_takes_over(
    cluster: Cluster, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    both = f"{cluster.goes.bootstrap_servers},{cluster.stays.bootstrap_servers}"
    office = Office(both, redis_server.url, prefix, tmp_path, partitions=PARTITIONS)
    await open_on_both(office)
    ids = event_ids(9, 12)
    assert len({home_partition(event_id, PARTITIONS) for event_id in ids}) > 1
    worker = office.start()
    try:
        await office.ready(worker)
        await office.send(creations(ids, 10))
        await office.answered()
        cluster.goes.kill()
        orders = [office.run("buy", event_id, "--timeout", "100") for event_id in ids[:3]]
        looks = [office.run(*command) for command in (["topics", "show"], ["event", "show", ids[0]], ["doctor"])]
        bought, looked = await asyncio.gather(asyncio.gather(*orders), asyncio.gather(*looks))
        for done in bought:
            assert done.returncode == ExitStatus.OK, done.stdout + done.stderr
        for done in looked:
            assert done.returncode != ExitStatus.UNREACHABLE, done.stdout + done.stderr
            assert "NodeNotReadyError" not in done.stdout + done.stderr
    finally:
        office.close()
        await cluster.goes.launch()


async def test_a_lost_kafka_is_said_once_and_so_is_its_return(
    new_kafka: NewKafka, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    kafka = await new_kafka()
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path)
    await office.open()
    process = office.start()
    try:
        await office.ready(process)
        await until(lambda: get(process, "/health")[0] == 200, 120, "the process to be well")
        observed = Observed(process)
        kafka.kill()
        await until(
            lambda: any(one["for_s"] > OUTAGE_S for one in health(process)["waits_for"]), 120, "Kafka to be waited for"
        )
        await kafka.launch(deadline_s=240)
        await until(lambda: get(process, "/health")[0] == 200, 240, "the process to be well again")
        await until(lambda: observed.logged("Kafka is back") != [], 30, "its log to say so")
        assert len(observed.logged("waiting for Kafka")) == len(observed.logged("Kafka is back")) == 1
        shouted = [line for line in observed.all_logged() if line["logger"].partition(".")[0] != "boxoffice"]
        assert shouted
        minutes = (at(shouted[-1]["timestamp"]) - at(shouted[0]["timestamp"])).total_seconds() // 60
        said = Counter(re.sub(r"\d+| \(lines of .*\)", "", line["message"]) for line in shouted)
        assert max(said.values()) <= 1 + minutes, said
    finally:
        office.close()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
