"""How a process starts, how it ends, and what its exit status says."""

from __future__ import annotations

import json
from time import monotonic

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from tests.support.office import NewOffice, Office, until
from tests.support.servers import NewKafka, RedisAddress
from tests.support.settings import changed
from tests.support.workload import Sent, commands, creations, event_ids
from tests.unit.records import creation, purchase

SEED = 20261123


def sent(command: dict[str, object]) -> Sent:
    return Sent(str(command["event_id"]).encode(), json.dumps(command).encode())


async def test_sigterm_finishes_the_batch_commits_and_ends_with_0_within_10_s(office: Office) -> None:
    ids = event_ids(SEED, 4)
    worker = office.start()
    await office.ready(worker)
    await office.send([*creations(ids, 100), *commands(SEED, ids, 2_000)])
    begun_s = monotonic()
    assert await worker.stop() == ExitStatus.OK
    assert monotonic() - begun_s < 10
    office.start()
    await office.answered()
    verdict = await office.verdict()
    assert verdict.problems == []


async def test_missing_topics_are_refused_in_one_sentence(new_office: NewOffice, redis_server: RedisAddress) -> None:
    office = await new_office(redis_server.url)
    await office.delete_topic(office.ledger)
    worker = office.start()
    assert await worker.end(timeout_s=30) == ExitStatus.REFUSED
    assert f"Missing topics: {office.ledger}; create them with 'boxoffice topics create'." in worker.log_text()
    assert "Traceback" not in worker.log_text()


async def test_topics_of_different_counts_are_refused(office: Office) -> None:
    await office.delete_topic(office.ledger)
    await create_topics(changed(office.settings, partitions=2).kafka)
    worker = office.start()
    assert await worker.end(timeout_s=30) == ExitStatus.REFUSED
    assert "they must have the same number" in worker.log_text()


@pytest.mark.long
async def test_a_publish_that_passes_its_deadline_ends_the_process(
    new_kafka: NewKafka, redis_server: RedisAddress, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broker = await new_kafka()
    office = Office(broker.bootstrap_servers, redis_server.url, f"p{SEED}-", tmp_path_factory.mktemp("deadline"))
    ids = event_ids(SEED + 3, 2)
    try:
        await office.open()
        worker = office.start(BOXOFFICE_PUBLISH_TIMEOUT_MS="2000")
        await office.ready(worker)
        await office.send([*creations(ids, 100_000), *commands(SEED, ids, 20_000)])
        broker.pause()
        assert await worker.end(timeout_s=30) == ExitStatus.PUBLISH_FAILED
        broker.resume()
        office.start()
        await office.answered()
        verdict = await office.verdict()
        assert verdict.problems == []
    finally:
        office.close()


@pytest.mark.long
async def test_a_foreign_record_in_the_ledger_ends_the_owner_which_begins_again_from_the_chain(office: Office) -> None:
    [event_id] = event_ids(SEED + 4, 1)
    home = clients.home_partition(event_id, office.settings.kafka.partitions)
    worker = office.start()
    await office.ready(worker)
    await office.send([sent(creation(event_id)), sent(purchase("r-1", event_id))])
    await office.answered()
    [last] = [r for r in await office.read(office.ledger) if r.partition == home and b"r-1" in (r.value or b"")]
    async with clients.producer(office.settings.kafka) as producer:
        end = last.offset + 1
        forged = (
            (last.value or b"").replace(b"r-1", b"r-9").replace(b'"seq":2', b'"seq":3').replace(b"000001", b"000002")
        )
        headers = [("boxoffice-read", b"%d-%d" % (end, end))]
        await producer.send_and_wait(office.ledger, forged, key=last.key, partition=home, headers=headers)
    await office.send([sent(purchase("r-2", event_id))])
    assert await worker.end(timeout_s=30) == ExitStatus.LEDGER_DISAGREES
    again = office.start()
    # What is first in the chain is the truth for everybody; the command that it claims to answer is another one.
    await until(lambda: "partition refused" in again.log_text(), 30, "the partition to be refused")


async def test_commands_of_an_aborted_transaction_are_not_sold(office: Office) -> None:
    [event_id] = event_ids(SEED + 5, 1)
    worker = office.start()
    await office.ready(worker)
    await office.send([sent(creation(event_id))])
    async with clients.producer(office.settings.kafka, transactional_id=f"{office.requests}-upstream") as producer:
        for number in range(4):
            await producer.begin_transaction()
            value = json.dumps(purchase(f"t-{number}", event_id)).encode()
            await producer.send_and_wait(office.requests, value, key=event_id.encode())
            await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
    await office.send([sent(purchase("r-last", event_id))])
    await office.answered()
    verdict = await office.verdict()
    assert verdict.problems == []
    assert verdict.summary["confirmed"] == 3
    assert worker.ended() is None
