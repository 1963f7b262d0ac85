"""Topics are made anew, cut, damaged and written to by others: what can be mended is, and the rest is refused."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from models.words import number_of
from tests.faults.brokers import OwnBroker, StoredBatch, cut_tail, flip_byte, stored_batches
from tests.faults.shared import new_events
from tests.support.observed import Observed, get, health
from tests.support.office import POLL_S, Office, Process, until
from tests.support.workload import Sent, creations, order

Fact = dict[str, Any]

DAMAGED = "damaged ledger records: their commands are decided again"
PASSED = "passed over damaged ledger records"
HARMLESS = "others' records in the ledger, all harmless"
long = [pytest.mark.long, pytest.mark.timeout(300)]


def an_event_of_each_partition(office: Office) -> list[str]:
    """The number of an event's partition is its place."""
    _, ids = new_events(200)
    at_home = {clients.home_partition(event_id, office.settings.kafka.partitions): event_id for event_id in ids}
    return [at_home[number] for number in range(office.settings.kafka.partitions)]


def orders(event_ids: Iterable[str], name: str, count: int = 3) -> list[Sent]:
    """Purchases for each of the events."""
    return [order(event_id, f"{name}-{number}") for event_id in event_ids for number in range(count)]


async def sell_in_rounds(office: Office, event_ids: list[str], rounds: int) -> None:
    """Each round is a record batch, at least, on each partition."""
    for number in range(rounds):
        await office.send(orders(event_ids, f"round-{number}"))
        await office.answered()


async def sell_and_stop(office: Office, event_ids: list[str], rounds: int) -> None:
    """Create the events, and sell in rounds with a worker that ends in order."""
    worker = office.start()
    await office.ready(worker)
    await office.send(creations(event_ids, 100))
    await sell_in_rounds(office, event_ids, rounds)
    assert await worker.stop() == ExitStatus.OK


async def facts(office: Office) -> list[list[Fact]]:
    """What the ledger says of decisions, by partition; ``decided_by`` is left out."""
    found: list[list[Fact]] = [[] for _ in range(office.settings.kafka.partitions)]
    for record in await office.read(office.ledger):
        fact = json.loads(record.value or b"{}")
        fact.pop("decided_by", None)
        found[record.partition].append(fact)
    return found


async def until_sold(office: Office, partition: int, count: int) -> None:
    """Wait until the ledger holds so many records of a partition."""
    for _ in range(300):
        if len((await facts(office))[partition]) >= count:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"partition {partition} does not get on")


async def expire_commands(office: Office, partition: int, before: int) -> None:
    """As retention does."""
    async with clients.admin(office.settings.kafka) as admin:
        await admin.delete_records({TopicPartition(office.requests, partition): RecordsToDelete(before)})


def reasons(process: Process) -> dict[int, str]:
    """Why it has refused partitions."""
    refused = [json.loads(line) for line in process.log_text().splitlines() if '"partition refused"' in line]
    return {line["partition"]: line["reason"] for line in refused}


# Commands


@pytest.mark.parametrize("living", [pytest.param(False, id="stopped", marks=long), pytest.param(True, id="living")])
async def test_a_topic_made_anew_is_refused_where_its_commands_were_decided_and_other_partitions_go_on(
    office: Office, living: bool
) -> None:
    fewer, more, untouched, *_ = an_event_of_each_partition(office)
    worker = office.start(BOXOFFICE_HEALTH_STUCK_AFTER_S="1")
    await office.ready(worker)
    await office.send([*creations([fewer, more], 100), *orders([fewer, more], "r", 5)])
    await office.answered()
    decided = await facts(office)
    if not living:
        assert await worker.stop() == ExitStatus.OK
    await office.delete_topic(office.requests)
    if living:
        await until(lambda: "not found in cluster metadata" in worker.log_text(), 30, "the worker to miss the topic")
    await create_topics(office.settings.kafka)
    await office.send([*orders([fewer], "n", 1), *orders([more], "n", 20), *creations([untouched], 100)])
    if not living:
        worker = office.start(BOXOFFICE_HEALTH_STUCK_AFTER_S="1")
    await until(lambda: set(reasons(worker)) == {0, 1}, 60, "two partitions to be refused")
    assert all("made anew." in reason for reason in reasons(worker).values())
    if not living:  # who looks at once may find it empty
        assert "ends at 1, but commands up to 5 were decided: the topic was cut or made anew." in reasons(worker)[0]
        assert "has at 5 another command than the one decided: the topic was made anew." in reasons(worker)[1]
    await until_sold(office, 2, 1)
    assert [fact["type"] for fact in (await facts(office))[2]] == ["event_created"]
    assert (await facts(office))[:2] == decided[:2]
    await asyncio.sleep(2)  # longer than it takes a partition to count as stuck
    assert get(worker, "/health/live")[0] == get(worker, "/health/ready")[0] == 200
    assert (health(worker)["status"], health(worker)["partitions"]["refused"]) == ("unwell", [0, 1])
    assert 'boxoffice_partitions{state="refused"} 2.0' in get(worker, "/metrics")[1]


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_topic_made_anew_while_a_worker_did_not_look_ends_it_and_is_then_refused(office: Office) -> None:
    [sold, *_] = an_event_of_each_partition(office)
    worker = office.start(BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS="20000")
    await office.ready(worker)
    await office.send([*creations([sold], 100), *orders([sold], "r", 5)])
    await office.answered()
    decided = await facts(office)
    worker.signal(signal.SIGSTOP)
    await office.delete_topic(office.requests)
    await create_topics(office.settings.kafka)
    await office.send(orders([sold], "n", 3))
    worker.signal(signal.SIGCONT)
    assert await worker.end(timeout_s=60) == ExitStatus.COMMANDS_SKIPPED
    assert "0 came next, 6 was expected." in worker.log_text()
    again = office.start()
    await until(lambda: 0 in reasons(again), 90, "the partition to be refused")
    assert await facts(office) == decided


@pytest.mark.parametrize("living", [pytest.param(False, id="stopped"), pytest.param(True, id="living", marks=long)])
async def test_commands_that_expired_undecided_are_refused_until_the_loss_is_accepted(
    office: Office, living: bool
) -> None:
    loser, other, *_ = an_event_of_each_partition(office)
    worker = office.start(BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS="20000")
    await office.ready(worker)
    await office.send([*creations([loser, other], 100), *orders([loser, other], "r")])
    await office.answered()
    if living:
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(1)  # until its fetch at the broker is over
    else:
        assert await worker.stop() == ExitStatus.OK
    await office.send(orders([loser, other], "late", 5))
    await expire_commands(office, 0, before=7)
    if living:
        worker.signal(signal.SIGCONT)
        assert await worker.end(timeout_s=60) == ExitStatus.COMMANDS_SKIPPED
        assert "partition 0: the commands 4-6 are gone before they were decided." in worker.log_text()
    again = office.start()
    await until(lambda: 0 in reasons(again), 90, "the partition to be refused")
    assert "lost the commands 4-6 before they were decided" in reasons(again)[0]
    await until_sold(office, 1, 9)
    assert len((await facts(office))[0]) == 4
    assert await again.stop() == ExitStatus.OK
    accepting = office.start(BOXOFFICE_ACCEPT_LOSS="0:4-5,0:6-99")
    await office.answered()
    assert '"commands lost, as accepted"' in accepting.log_text()
    assert [fact["request_id"] for fact in (await facts(office))[0][4:]] == ["late-3", "late-4"]


@pytest.mark.long
async def test_an_upstream_that_uses_transactions_is_sold_what_it_committed(office: Office) -> None:
    """A worker dies among them, and another begins behind markers, and ends behind them."""
    ids = an_event_of_each_partition(office)[:3]
    worker = office.start()
    await office.ready(worker)
    await office.send(creations(ids, 1_000))
    async with clients.producer(office.settings.kafka, transactional_id=f"{office.requests}-upstream") as producer:
        for number in range(20):
            async with asyncio.timeout(30):
                await producer.begin_transaction()
                for sent in orders(ids, f"t-{number}", 10):
                    await producer.send(office.requests, sent.value, key=sent.key)
                await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
            if number == 10:
                worker.kill()
                worker = office.start()
    await office.answered()
    assert (await office.verdict()).summary["confirmed"] == 300
    assert await worker.stop() == ExitStatus.OK
    again = office.start()
    await office.ready(again)
    await office.send(orders(ids, "last"))
    await office.answered()
    await office.agrees()
    assert again.ended() is None


# The ledger


@pytest.mark.parametrize("batches", [3, None], ids=["some", "all"])
@pytest.mark.parametrize("living", [False, True], ids=["stopped", "living"])
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_what_a_ledger_lost_of_its_tail_is_decided_again_alike(
    broker: OwnBroker, suffering: Office, living: bool, batches: int | None
) -> None:
    ids = an_event_of_each_partition(suffering)
    worker = suffering.start()
    await suffering.ready(worker)
    await suffering.send(creations(ids, 100))
    await sell_in_rounds(suffering, ids, 6)
    before = await facts(suffering)
    if not living:
        assert await worker.stop() == ExitStatus.OK
    broker.kafka.kill()
    for number in range(3):
        segment = broker.segment(suffering.ledger, number)
        cut_tail(segment, batches or len(stored_batches(segment)))
    await broker.kafka.launch()
    assert all(len(left) < len(had) for left, had in zip((await facts(suffering))[:3], before[:3], strict=True))
    if living:
        await suffering.send(orders(ids, "late"))
        assert await worker.end(timeout_s=60) == ExitStatus.LEDGER_DISAGREES
        assert "lost its tail" in worker.log_text()
    again = suffering.start()
    await suffering.ready(again)
    await suffering.answered()
    await suffering.agrees()
    after = await facts(suffering)
    assert all(fact in decided for decided, had in zip(after, before, strict=True) for fact in had)
    assert again.ended() is None


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_commands_of_a_lost_tail_that_have_expired_are_refused_until_the_loss_is_accepted(
    broker: OwnBroker, suffering: Office
) -> None:
    loser, other, *_ = an_event_of_each_partition(suffering)
    await sell_and_stop(suffering, [loser, other], 5)
    broker.kafka.kill()
    end = cut_tail(broker.segment(suffering.ledger, 0), 2)
    await broker.kafka.launch()
    await suffering.read(suffering.requests)  # until the broker leads its partitions again
    await expire_commands(suffering, 0, before=end + 2)
    refusing = suffering.start()
    await until(lambda: 0 in reasons(refusing), 60, "the partition to be refused")
    await suffering.send(orders([loser, other], "late"))
    await until_sold(suffering, 1, 19)
    assert len((await facts(suffering))[0]) == end
    assert await refusing.stop() == ExitStatus.OK
    loss = f"0:{end}-{end + 1}"
    assert reasons(refusing)[0].endswith(f"set BOXOFFICE_ACCEPT_LOSS={loss}.")
    accepting = suffering.start(BOXOFFICE_ACCEPT_LOSS=loss)
    await suffering.answered()
    assert accepting.ended() is None
    assert [fact["request_id"] for fact in (await facts(suffering))[0][-3:]] == ["late-0", "late-1", "late-2"]


async def damaged_facts(broker: OwnBroker, office: Office, ids: list[str]) -> StoredBatch:
    """Sell six rounds, and damage a batch of partition 0's facts."""
    await sell_and_stop(office, ids, 6)
    # A broker that ended in order does not look at its files when it begins.
    await broker.kafka.stop()
    damaged = flip_byte(broker.segment(office.ledger, 0), 3)
    await broker.kafka.launch()
    return damaged


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_facts_that_the_disk_has_damaged_are_decided_again(broker: OwnBroker, suffering: Office) -> None:
    ids = an_event_of_each_partition(suffering)
    damaged = await damaged_facts(broker, suffering, ids)
    again = suffering.start()
    await suffering.ready(again)
    await suffering.send(orders(ids, "late"))
    await until(lambda: health(again)["lag"].get("0") == 0, 60, "the commands to be decided again")
    assert await again.stop() == ExitStatus.OK
    [told] = [json.loads(line) for line in again.log_text().splitlines() if DAMAGED in line]
    assert (told["partition"], told["records"]) == (0, damaged.records)
    third = suffering.start()
    await suffering.ready(third)
    await suffering.send(orders(ids, "last"))
    await until(lambda: health(third)["lag"].get("0") == 0, 60, "more to be decided")
    audit = await suffering.run("audit", "--wait", "30")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert f"purchase-results 0: {number_of(damaged.records, 'damaged record')}, which the chain passes over." in (
        " ".join(audit.stdout.split())
    )


async def damaged_commands(broker: OwnBroker, office: Office, ids: list[str]) -> StoredBatch:
    """Damage two batches of partition 0's commands, one decided and one that waits; returns the latter.

    Of each event seven commands were decided, and fifteen wait.
    """
    await sell_and_stop(office, ids, 2)
    for number in range(5):
        await office.send(orders(ids, f"waiting-{number}"))
    await broker.kafka.stop()
    flip_byte(broker.segment(office.requests, 0), 1)
    damaged = flip_byte(broker.segment(office.requests, 0), -2)
    await broker.kafka.launch()
    return damaged


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_commands_that_the_disk_has_damaged_stop_their_partition_alone_until_the_loss_is_accepted(
    broker: OwnBroker, suffering: Office
) -> None:
    ids = an_event_of_each_partition(suffering)
    damaged = await damaged_commands(broker, suffering, ids)
    last = damaged.first_offset + damaged.records - 1
    refusing = suffering.start()
    await until(lambda: 0 in reasons(refusing), 60, "the partition to be refused")
    await suffering.send(orders(ids, "late"))
    for number in range(1, suffering.settings.kafka.partitions):
        await until_sold(suffering, number, 7 + 15 + 3)
    await until_sold(suffering, 0, damaged.first_offset)
    assert len((await facts(suffering))[0]) == damaged.first_offset
    told = health(refusing)["partitions"]
    assert told == {"ready": [1, 2, 3, 4, 5], "refused": [0], "newer_release": [], "waiting": []}
    assert await refusing.stop() == ExitStatus.OK
    loss = f"0:{damaged.first_offset}-{last}"
    assert reasons(refusing)[0].endswith(f"are damaged; to go on without them, set BOXOFFICE_ACCEPT_LOSS={loss}.")
    accepting = suffering.start(BOXOFFICE_ACCEPT_LOSS=loss)
    await suffering.ready(accepting)
    await until_sold(suffering, 0, 7 + 15 + 3 - damaged.records)
    audit = await suffering.run("audit", "--wait", "30")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert "damaged commands, which nobody can judge." in " ".join(audit.stdout.split())
    # What lies behind the loss needs it no more.
    assert await accepting.stop() == ExitStatus.OK
    after = suffering.start()
    await suffering.ready(after)
    await suffering.send(orders(ids, "last"))
    await until_sold(suffering, 0, 7 + 15 + 3 + 3 - damaged.records)
    assert not reasons(after)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_documents_and_statistics_pass_over_facts_that_the_disk_has_damaged(
    broker: OwnBroker, suffering: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    ids = an_event_of_each_partition(suffering)
    await damaged_facts(broker, suffering, ids)
    stats, documents = suffering.start("stats"), suffering.start("documents")
    await until(lambda: PASSED in stats.log_text() and PASSED in documents.log_text(), 60, "both to pass over it")
    again = suffering.start()
    await suffering.ready(again)
    await suffering.send(orders(ids, "late"))
    audit = await suffering.run("audit", "--wait", "60")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert (again.ended(), stats.ended(), documents.ended()) == (None, None, None)


async def started_sale(office: Office) -> tuple[Process, str]:
    """A worker that has answered commands 0 to 3 of partition 0, and their event."""
    [event_id, *_] = an_event_of_each_partition(office)
    worker = office.start()
    await office.ready(worker)
    await office.send([*creations([event_id], 100), *orders([event_id], "r")])
    await office.answered()
    return worker, event_id


@pytest.mark.long
@pytest.mark.parametrize("what", ["garbage", "a repeat"])
async def test_what_others_write_beside_the_chain_is_noticed_and_harmless(office: Office, what: str) -> None:
    worker, event_id = await started_sale(office)
    [*_, last] = [record for record in await office.read(office.ledger) if record.partition == 0]
    observed = Observed(worker)
    if what == "garbage":
        await write_to_ledger(office, b"garbage", [])
    else:
        await write_to_ledger(office, last.value or b"", list(last.headers))
    await office.send(orders([event_id], "s"))
    await office.answered()
    await until(lambda: bool(observed.logged(HARMLESS)), 30, "the worker to look")
    [told] = observed.logged(HARMLESS)
    assert (told["partition"], told["records"]) == (0, 1)
    assert await worker.stop() == ExitStatus.OK
    await another_goes_on(office, event_id, damaged=what == "garbage")


@pytest.mark.long
async def test_garbage_in_the_place_of_the_next_fact_ends_the_owner_and_the_next_one_passes_over_it(
    office: Office,
) -> None:
    worker, event_id = await started_sale(office)
    await write_to_ledger(office, b"garbage", [("boxoffice-read", b"4-4")])
    await office.send(orders([event_id], "s"))
    assert await worker.end(timeout_s=30) == ExitStatus.LEDGER_DISAGREES
    await another_goes_on(office, event_id, damaged=True)


async def another_goes_on(office: Office, event_id: str, *, damaged: bool) -> None:
    """Another worker folds what is there, says whether it is whole, and sells; all is as it should be."""
    worker = office.start()
    await office.ready(worker)
    await office.send(orders([event_id], "t"))
    await office.answered()
    assert (DAMAGED in worker.log_text()) is damaged
    assert worker.ended() is None
    verdict = await office.verdict(harmed=True)
    assert verdict.problems == []
    assert verdict.summary["confirmed"] == 9
    audit = office.boxoffice("audit", "--wait", "30")
    assert audit.returncode == ExitStatus.OK, audit.stdout + audit.stderr


async def write_to_ledger(office: Office, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """As somebody who should not be allowed to: behind the facts of partition 0."""
    async with clients.producer(office.settings.kafka) as producer:
        await producer.send_and_wait(office.ledger, value, key=b"1", partition=0, headers=headers)


def forged(fact: Fact) -> bytes:
    """A well-formed fact that no worker has decided."""
    members = {name: fact[name] for name in ("event_id", "request_id", "buyer", "quantity", "at")}
    rejection = {**members, "type": "purchase_rejected", "seq": 5, "request_id": "s-0", "reason": "sold_out"}
    return json.dumps({**rejection, "source": {"partition": 0, "offset": 4}, "decided_by": "redis"}).encode()


@pytest.mark.long
async def test_a_foreign_fact_that_does_not_follow_is_passed_over_and_named_by_those_who_check(
    office: Office,
) -> None:
    worker, event_id = await started_sale(office)
    observed = Observed(worker)
    await write_to_ledger(office, forged((await facts(office))[0][-1]), [("boxoffice-read", b"5-5")])
    await office.send(orders([event_id], "s"))
    await office.answered()
    await until(lambda: bool(observed.logged(HARMLESS)), 30, "the worker to look")
    assert worker.ended() is None
    [problem] = (await office.verdict()).problems
    assert problem.startswith("The ledger record at (0, 4) repeats another otherwise: ")
    audit = office.boxoffice("audit", "--wait", "30")
    assert audit.returncode == ExitStatus.DIFFERS
    assert "purchase-results 0:4 says what the ledger's chain does not" in " ".join(audit.stdout.split())


async def test_a_foreign_fact_that_follows_is_in_the_ledger_and_named_by_those_who_check(office: Office) -> None:
    """Its writer answered a command before the owner did: the owner stops, and everything goes on from the chain."""
    worker, event_id = await started_sale(office)
    await write_to_ledger(office, forged((await facts(office))[0][-1]), [("boxoffice-read", b"4-4")])
    await office.send(orders([event_id], "s", 1))
    assert await worker.end(timeout_s=30) == ExitStatus.LEDGER_DISAGREES
    assert "a record that this worker did not write and would not have written." in worker.log_text()
    again = office.start()
    await office.ready(again)
    await office.send(orders([event_id], "t"))
    await office.answered()
    assert again.ended() is None
    assert reasons(again) == {}
    by_request = {fact["request_id"]: fact for fact in reversed((await facts(office))[0])}
    assert by_request["s-0"]["type"] == "purchase_rejected"
    assert [by_request[f"t-{number}"]["seq"] for number in range(3)] == [6, 7, 8]
    assert by_request["t-0"]["tickets"] == [f"{event_id}-000004"]
    problems = (await office.verdict()).problems
    assert problems[0].startswith("The ledger record at (0, 4), for offset 4: ")
    audit = office.boxoffice("audit", "--wait", "30")
    assert audit.returncode == ExitStatus.DIFFERS
    told = " ".join(audit.stdout.split())
    assert 'purchase-results 0:4 says {"event_id"' in told
    assert "purchase-results 0:5 says what the ledger's chain does not" in told
    assert "Audit: 2 differences." in told
