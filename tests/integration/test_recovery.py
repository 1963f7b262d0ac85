"""Taking a partition over on a real ledger: what is read, what is checked, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from faust.types import TP

from boxoffice.batching import Run
from boxoffice.errors import CommandsSkippedError, LedgerError
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics
from boxoffice.selling.deciding import OwnedPartition, new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.recovery import Recovery, Refusal
from tests.support.office import Office, Record
from tests.support.servers import KafkaAddress
from tests.support.settings import changed
from tests.unit.records import creation, purchase

EVENT = "1"
COMMANDS = [creation(EVENT), *(purchase(f"r-{number}", EVENT) for number in range(9))]
LAST = len(COMMANDS) - 1


def _run(records: list[Record], first: int) -> Run:
    return Run(TP("", 0), 0, first, records[-1].offset + 1, records)


class World:
    """One partition with commands, and the ledger that answers them."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.ledger: list[Record] = []

    async def decide(self) -> None:
        """Answer all commands, as a worker does."""
        answers = new_partition(0, 1).answer(await self.office.read(self.office.requests))
        async with clients.producer(self.office.settings.kafka) as producer:
            for key, value, headers in (ledger_record(answer, 1) for answer in answers):
                await producer.send_and_wait(self.office.ledger, value, key=key, partition=0, headers=list(headers))
        self.ledger = await self.office.read(self.office.ledger)

    async def recover(self, **settings: str) -> tuple[OwnedPartition, list[Refusal]]:
        """Take the partition over, as a worker does."""
        partition = new_partition(0, 1)
        loaded = changed(self.office.settings, **settings)
        return partition, await Recovery(loaded.kafka, 1, loaded.selling.accept_loss).recover({0: partition})

    async def write_ledger_anew(self, records: Iterable[Record]) -> None:
        """Replace the ledger by these records."""
        await self._make_anew(self.office.ledger)
        async with clients.producer(self.office.settings.kafka) as producer:
            for one in records:
                await producer.send_and_wait(
                    self.office.ledger, one.value, key=one.key, partition=0, headers=list(one.headers)
                )

    async def write_commands_anew(self, commands: Iterable[dict[str, object]]) -> None:
        """Replace the commands by these."""
        await self._make_anew(self.office.requests)
        await self.write_commands(commands)

    async def write_commands(self, commands: Iterable[dict[str, object]]) -> None:
        """Add commands."""
        async with clients.producer(self.office.settings.kafka) as producer:
            for command in commands:
                await producer.send_and_wait(self.office.requests, json.dumps(command).encode(), partition=0)

    async def _make_anew(self, topic: str) -> None:
        await self.office.delete_topic(topic)
        await create_topics(self.office.settings.kafka)

    async def expire(self, topic: str, before: int) -> None:
        """Delete a topic's records below an offset, as retention does."""
        async with clients.admin(self.office.settings.kafka) as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=before)})


@pytest.fixture
async def world(kafka: KafkaAddress, prefix: str, tmp_path: Path) -> World:
    """An event and nine purchases of it, all answered."""
    office = Office(kafka.bootstrap_servers, "redis://127.0.0.1:1", prefix, tmp_path, partitions=1)
    await office.open()
    made = World(office)
    await made.write_commands(COMMANDS)
    await made.decide()
    return made


async def test_a_partition_goes_on_after_its_bookmark(world: World) -> None:
    partition, refusals = await world.recover()
    assert refusals == []
    assert partition.ledger.bookmark == LAST
    assert partition.position == LAST + 1
    assert partition.ledger_end == LAST + 1
    assert partition.ledger.inventory.events[EVENT].sold == 9


async def test_a_partition_without_a_ledger_begins_at_its_first_command(world: World) -> None:
    await world.write_ledger_anew([])
    partition, refusals = await world.recover()
    assert (refusals, partition.ledger.bookmark, partition.position) == ([], -1, 0)


async def test_a_ledger_that_lost_its_tail_is_decided_again_from_there(world: World) -> None:
    await world.write_ledger_anew(world.ledger[:-4])
    partition, refusals = await world.recover()
    assert (refusals, partition.position) == ([], LAST - 3)
    again = partition.answer((await world.office.read(world.office.requests))[-4:])
    assert [ledger_record(answer, 1)[1] for answer in again] == [record.value for record in world.ledger[-4:]]


async def test_what_lies_behind_a_damaged_record_is_ignored(world: World) -> None:
    damaged = replace(world.ledger[5], value=(world.ledger[5].value or b"")[:-10])
    await world.write_ledger_anew([*world.ledger[:5], damaged, *world.ledger[6:]])
    partition, refusals = await world.recover()
    assert (refusals, partition.ledger.bookmark) == ([], 4)
    assert partition.ledger_end == len(world.ledger)


async def test_a_kept_partition_goes_on_where_it_stood(world: World) -> None:
    partition, _ = await world.recover()
    await world.write_commands([purchase("late", EVENT)])
    await world.decide()  # once more all, as another owner whose first records are repeats
    assert await Recovery(world.office.settings.kafka, 1).recover({0: partition}) == []
    assert (partition.ledger.bookmark, partition.ledger_end) == (LAST + 1, 2 * (LAST + 1) + 1)
    assert partition.settled_at == partition.ledger_end - 1


@pytest.mark.parametrize("kept", [0, 6, LAST])
async def test_a_kept_partition_does_not_go_on_over_a_ledger_that_lost_its_tail(world: World, kept: int) -> None:
    partition, _ = await world.recover()
    await world.write_ledger_anew(world.ledger[:kept])
    with pytest.raises(LedgerError, match=f"at offset {LAST} is not the record"):
        await Recovery(world.office.settings.kafka, 1).recover({0: partition})


async def test_nor_when_others_wrote_more_behind_what_is_left(world: World) -> None:
    partition, _ = await world.recover()
    await world.write_ledger_anew([*world.ledger[:-2], *[replace(world.ledger[3])] * 6])
    with pytest.raises(LedgerError, match="lost its tail"):
        await Recovery(world.office.settings.kafka, 1).recover({0: partition})


async def test_a_kept_partition_whose_ledger_lost_its_head_goes_on(world: World) -> None:
    partition, _ = await world.recover()
    await world.expire(world.office.ledger, LAST + 1)
    assert await Recovery(world.office.settings.kafka, 1).recover({0: partition}) == []
    assert (partition.ledger.bookmark, partition.ledger_end) == (LAST, LAST + 1)


async def test_repeats_and_another_owners_records_change_nothing(world: World) -> None:
    await world.write_ledger_anew([*world.ledger[:6], *world.ledger[2:8], *world.ledger[4:]])
    partition, refusals = await world.recover()
    assert (refusals, partition.ledger.bookmark) == ([], LAST)
    assert partition.ledger.inventory.events[EVENT].sold == 9


async def test_a_topic_that_was_cut_is_refused(world: World) -> None:
    await world.write_commands_anew(COMMANDS[:4])
    _, [refusal] = await world.recover()
    assert "ends at 4" in refusal.reason


async def test_a_topic_with_other_commands_is_refused(world: World) -> None:
    await world.write_commands_anew([creation(EVENT), *(purchase(f"other-{n}", EVENT) for n in range(20))])
    _, [refusal] = await world.recover()
    assert "another command" in refusal.reason


async def test_commands_that_expired_undecided_refuse_the_partition_until_the_loss_is_accepted(world: World) -> None:
    await world.write_commands([purchase(f"late-{n}", EVENT) for n in range(5)])
    await world.expire(world.office.requests, LAST + 4)
    _, [refusal] = await world.recover()
    assert f"BOXOFFICE_ACCEPT_LOSS=0:{LAST + 1}-{LAST + 3}" in refusal.reason
    partition, refusals = await world.recover(accept_loss=f"0:{LAST + 1}-{LAST + 3}")
    assert (refusals, partition.position) == ([], LAST + 4)
    answers = partition.answer(await world.office.read(world.office.requests))
    assert [(answer.first, answer.last) for answer in answers] == [(LAST + 1, LAST + 4), (LAST + 5, LAST + 5)]


@pytest.mark.parametrize(
    ("accepted", "goes_on"),
    [
        ("0:0-99999", True),
        (f"0:{LAST + 1}-{LAST + 2},0:{LAST + 3}-{LAST + 3}", True),
        (f"0:{LAST + 2}-{LAST + 9},0:3-{LAST + 2}", True),
        (f"0:{LAST + 1}-{LAST + 2}", False),
        (f"0:{LAST + 2}-{LAST + 9}", False),
        (f"0:{LAST + 1}-{LAST + 1},0:{LAST + 3}-{LAST + 9}", False),
        (f"0:{LAST + 3}-{LAST + 1}", False),
        ("1:0-99999", False),
    ],
)
async def test_a_loss_is_accepted_that_lies_within_what_was_accepted(
    world: World, accepted: str, goes_on: bool
) -> None:
    """Retention takes more while an operator writes down what it took."""
    await world.write_commands([purchase(f"late-{n}", EVENT) for n in range(5)])
    await world.expire(world.office.requests, LAST + 4)
    partition, refusals = await world.recover(accept_loss=accepted)
    assert (refusals == []) == goes_on
    if goes_on:
        assert partition.position == LAST + 4


async def test_what_can_be_read_is_not_lost_whatever_was_accepted(world: World) -> None:
    commands = await world.office.read(world.office.requests)
    async with aclosing(Recovery(world.office.settings.kafka, 1, "0:0-99999")) as recovery:
        with pytest.raises(CommandsSkippedError, match="the command at 5 was not delivered"):
            await recovery.check_gaps(0, commands[6:], 5)
        await world.expire(world.office.requests, 6)
        await recovery.check_gaps(0, commands[6:], 5)
    async with aclosing(Recovery(world.office.settings.kafka, 1, "0:6-7")) as recovery:
        with pytest.raises(CommandsSkippedError, match="the commands 5-5 are gone before they were decided"):
            await recovery.check_gaps(0, commands[6:], 5)


async def test_commands_that_expired_decided_are_no_loss(world: World) -> None:
    await world.expire(world.office.requests, LAST + 1)
    partition, refusals = await world.recover()
    assert (refusals, partition.position) == ([], LAST + 1)


async def test_a_gap_with_records_in_it_ends_the_process(world: World) -> None:
    commands = await world.office.read(world.office.requests)
    delivered = [*commands[2:5], *commands[6:]]
    assert _run(delivered, 2).has_gaps
    async with aclosing(Recovery(world.office.settings.kafka, 1)) as recovery:
        with pytest.raises(CommandsSkippedError, match="the command at 5 was not delivered"):
            await recovery.check_gaps(0, delivered, 2)


async def test_a_gap_of_transaction_markers_is_none(world: World) -> None:
    async with clients.producer(world.office.settings.kafka, transactional_id=world.office.requests) as producer:
        for number in range(3):
            await producer.begin_transaction()
            value = json.dumps(purchase(f"t-{number}", EVENT)).encode()
            await producer.send_and_wait(world.office.requests, value, partition=0)
            await (producer.abort_transaction() if number == 1 else producer.commit_transaction())
    delivered = (await world.office.read(world.office.requests))[LAST + 1 :]
    assert [record.offset for record in delivered] == [LAST + 1, LAST + 5]
    assert _run(delivered, LAST + 1).has_gaps
    async with aclosing(Recovery(world.office.settings.kafka, 1)) as recovery:
        await recovery.check_gaps(0, delivered, LAST + 1)
