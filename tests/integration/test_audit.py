"""The audit, on ledgers that are right and on ledgers with every kind of wrong.

The ledger is written by the product's own decisions, without a worker, so that a test can spoil one
record of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from boxoffice.audit import Audit, AuditReport
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.redis.connection import connect
from boxoffice.redis.store import RedisStore, Snapshot
from boxoffice.selling.deciding import Answer, OwnedPartition, new_partition
from boxoffice.selling.publishing import ledger_record
from lua.keys import event_keys
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.unit.records import creation, purchase
from topics.purchase_results import READ_HEADER

PARTITIONS = 2
_AT_HOME_ON_0 = [str(number) for number in range(1, 99) if clients.home_partition(str(number), PARTITIONS) == 0]
EVENT, UNKNOWN = _AT_HOME_ON_0[:2]
OTHER = next(str(number) for number in range(1, 99) if clients.home_partition(str(number), PARTITIONS) == 1)
LedgerRecord = tuple[bytes | None, bytes, Any]


class Sale:
    """Two partitions with an event each, and the ledger that answers their commands."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.owned = [new_partition(number, PARTITIONS) for number in range(PARTITIONS)]
        self._decided = [0] * PARTITIONS

    async def send(self, partition: int, *commands: dict[str, Any] | bytes, **headers: bytes) -> None:
        """Publish commands on a partition, home or not."""
        async with clients.producer(self.office.settings.kafka) as producer:
            for command in commands:
                value = command if isinstance(command, bytes) else json.dumps(command).encode()
                own = [(name.replace("_", "-"), content) for name, content in headers.items()]
                await producer.send_and_wait(self.office.requests, value, partition=partition, headers=own)

    async def decide(self, spoil: Callable[[LedgerRecord], LedgerRecord | None] = lambda record: record) -> None:
        """Answer all commands as workers do, forwards included; ``spoil`` changes or drops ledger records."""
        for _ in range(PARTITIONS):  # what one forwards, the other decides
            for owned in self.owned:
                await self._decide(owned, spoil)

    async def _decide(self, owned: OwnedPartition, spoil: Callable[[LedgerRecord], LedgerRecord | None]) -> None:
        found = [record for record in await self.office.read(self.office.requests) if record.partition == owned.number]
        answers = owned.answer(found[self._decided[owned.number] :])
        self._decided[owned.number] = len(found)
        for answer in answers:
            await self._forward(owned, answer)
            record = spoil(ledger_record(answer, owned.partitions))
            if record is not None:
                await self.write(owned.number, record)

    async def _forward(self, owned: OwnedPartition, answer: Answer) -> None:
        if answer.forward is not None:
            key, value, headers = answer.forward
            async with clients.producer(self.office.settings.kafka) as producer:
                await producer.send_and_wait(
                    self.office.requests, value, key=key, partition=1 - owned.number, headers=list(headers)
                )

    async def write(self, partition: int, record: LedgerRecord) -> None:
        """Append a record to the ledger, whatever it is."""
        key, value, headers = record
        async with clients.producer(self.office.settings.kafka) as producer:
            await producer.send_and_wait(self.office.ledger, value, key=key, partition=partition, headers=list(headers))

    async def copy_to_redis(self) -> None:
        """Put every event into Redis as it is now."""
        client = connect(self.office.settings.redis)
        try:
            for owned in self.owned:
                for event in owned.ledger.inventory.events.values():
                    await RedisStore(client, self.office.settings.redis).rebuild(Snapshot.of(event, owned.number))
        finally:
            await client.aclose()

    async def redis(self, *words: str) -> Any:
        """A command to Redis."""
        client = connect(self.office.settings.redis)
        try:
            return await client.execute_command(*words)
        finally:
            await client.aclose()

    def meta_key(self, event_id: str) -> str:
        """The key of an event's meta hash."""
        return event_keys(self.office.settings.kafka.topic_prefix, event_id).meta

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete records as retention, or a careless operator, does."""
        async with clients.admin(self.office.settings.kafka) as admin:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})

    async def audit(self, *event_ids: str, wait_s: float = 0.0) -> AuditReport:
        """Compare everything, or these events."""
        return await Audit(self.office.settings, wait_s, event_ids).run()


@pytest.fixture
async def sale(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Sale]:
    """Commands of every kind, a fact for each, and Redis in step."""
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    await office.open()
    made = Sale(office)
    await made.send(0, creation(EVENT), *(purchase(f"r-{number}", EVENT) for number in range(3)))
    await made.send(0, purchase("r-0", EVENT), purchase("big", EVENT, 100), b"garbage", purchase("u", UNKNOWN))
    await made.send(1, creation(OTHER), purchase("s-1", OTHER), purchase("away", EVENT))
    await made.send(0, purchase("away-too", OTHER))
    await made.decide()
    await made.copy_to_redis()
    yield made
    office.close()


def _last(text: str) -> str:
    return text.strip().splitlines()[-1]


def _verdicts(table: str) -> dict[str, str]:
    """The last column of the rows of the audit's table."""
    rows = (line.split() for line in table.splitlines())
    return {row[0]: row[-1] for row in rows if row and row[0] in (EVENT, OTHER)}


# What is right


async def test_a_sound_sale_agrees_and_the_summary_is_the_last_line(sale: Sale) -> None:
    done = sale.office.boxoffice("audit", "--wait", "5")
    assert done.returncode == ExitStatus.OK, done.stdout + done.stderr
    assert _last(done.stdout).startswith("Audit: all agree. ")
    assert _verdicts(done.stdout) == {EVENT: "yes", OTHER: "yes"}


async def test_the_json_form_holds_what_the_table_does(sale: Sale) -> None:
    done = sale.office.boxoffice("audit", "--json", "--wait", "5")
    found = json.loads(done.stdout)
    assert (done.returncode, found["agrees"]) == (ExitStatus.OK, True)
    assert {event["event_id"]: (event["issued"], event["sold"], event["left"]) for event in found["events"]} == {
        EVENT: (10, 4, 6),
        OTHER: (10, 2, 8),
    }
    assert (found["commands"], found["facts"], found["repeated"]) == (14, 14, 1)
    assert found["summary"] == done.stderr.strip()


async def test_nothing_sold_yet_agrees(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> None:
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    await office.open()
    assert (await Audit(office.settings, 0.0).run()).agrees


async def test_a_fact_published_again_is_a_repeat_and_agrees(sale: Sale) -> None:
    for record in await sale.office.read(sale.office.ledger):
        again = record.value.replace(b'"decided_by":"local"', b'"decided_by":"redis"') if record.value else b""
        await sale.write(record.partition, (record.key, again, record.headers))
    report = await sale.audit()
    assert report.all_differences == []
    assert report.repeated == 1 + 14


async def test_a_forward_that_was_sent_twice_agrees(sale: Sale) -> None:
    [forward] = [
        record
        for record in await sale.office.read(sale.office.requests)
        if clients.header(record.headers, "boxoffice-origin") == b"1:2"
    ]
    assert forward.value is not None
    await sale.send(0, forward.value, boxoffice_origin=b"1:2")
    assert (await sale.audit()).all_differences == []
    await sale.send(0, purchase("later", EVENT))
    await sale.decide()
    await sale.copy_to_redis()
    assert (await sale.audit()).all_differences == []


async def test_a_damaged_record_whose_command_was_answered_again_is_only_noted(sale: Sale) -> None:
    def damaged_first(record: LedgerRecord) -> LedgerRecord:
        spoilt.append(record)
        return record[0], record[1][:20], record[2]

    spoilt: list[LedgerRecord] = []
    await sale.send(0, purchase("next", EVENT))
    await sale.decide(damaged_first)
    await sale.write(0, (None, b"{}", [(READ_HEADER, b"no range")]))
    await sale.write(0, spoilt[0])
    await sale.copy_to_redis()
    report = await sale.audit()
    assert report.all_differences == []
    assert report.notes[-1] == "purchase-results 0: 2 damaged records, which the chain passes over."


async def test_commands_that_have_expired_need_no_proof(sale: Sale) -> None:
    await sale.delete_before(sale.office.requests, 0, 6)
    await sale.delete_before(sale.office.requests, 1, 3)
    assert (await sale.audit()).all_differences == []


async def test_aborted_commands_need_no_answer(sale: Sale) -> None:
    settings = sale.office.settings
    async with AIOKafkaProducer(
        **clients.client_options(settings.kafka), transactional_id=settings.kafka.topic_prefix
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(sale.office.requests, json.dumps(purchase("no", EVENT)).encode(), partition=0)
        await producer.abort_transaction()
        assert (await sale.audit()).all_differences == []
        async with producer.transaction():
            await producer.send_and_wait(sale.office.requests, json.dumps(purchase("yes", EVENT)).encode(), partition=0)
    await sale.decide()
    await sale.copy_to_redis()
    report = await sale.audit()
    assert report.all_differences == []
    assert sum(event.sold for event in report.events) == 7


async def test_answers_and_copies_that_come_within_the_wait_are_waited_for(sale: Sale) -> None:
    await sale.send(0, purchase("late", EVENT))
    auditing = asyncio.create_task(sale.audit(wait_s=30))
    await sale.decide()
    await asyncio.sleep(0.5)  # the copy lags behind the ledger
    assert not auditing.done()
    await sale.copy_to_redis()
    assert (await auditing).all_differences == []


# What is wrong


async def test_a_command_without_an_answer_differs(sale: Sale) -> None:
    await sale.send(0, purchase("alone", EVENT), b"garbage")
    done = sale.office.boxoffice("audit", "--wait", "0.5")
    assert done.returncode == ExitStatus.DIFFERS
    assert "purchase-requests 0: no answer to 2 commands, the first at offset 10." in done.stdout
    assert _last(done.stdout).startswith("Audit: 1 difference. ")


async def test_an_answer_against_the_rules_differs(sale: Sale) -> None:
    def refused(record: LedgerRecord) -> LedgerRecord:
        fact = json.loads(record[1])
        del fact["tickets"], fact["lines"]
        return record[0], json.dumps({**fact, "type": "purchase_rejected", "reason": "sold_out"}).encode(), record[2]

    await sale.send(0, purchase("wronged", EVENT))
    await sale.decide(refused)
    [difference, *_] = (await sale.audit()).differences
    assert "purchase-results 0:10 says" in difference
    assert "sold_out" in difference
    assert "should say" in difference


async def test_a_fact_repeated_differently_differs(sale: Sale) -> None:
    records = await sale.office.read(sale.office.ledger)
    one = next(record for record in records if b"purchase_confirmed" in (record.value or b""))
    other = {**json.loads(one.value or b""), "buyer": "b-thief"}
    await sale.write(one.partition, (one.key, json.dumps(other).encode(), one.headers))
    [difference] = (await sale.audit()).all_differences
    assert "says what the ledger's chain does not" in difference
    assert "b-thief" in difference


async def test_an_answer_without_a_command_differs(sale: Sale) -> None:
    fact = {
        "type": "purchase_rejected",
        "reason": "unknown_event",
        "event_id": "7",
        "seq": 0,
        "request_id": "forged",
        "buyer": "b",
        "quantity": 1,
        "source": {"partition": 0, "offset": 10},
        "at": "2026-11-22T10:00:00.000Z",
        "decided_by": "redis",
    }
    await sale.write(0, (b"7", json.dumps(fact).encode(), [(READ_HEADER, b"10-10")]))
    assert (await sale.audit()).all_differences == [
        "purchase-results 0:10 answers a command at 0:10, where there is none."
    ]


async def test_a_ledger_that_lost_its_beginning_differs(sale: Sale) -> None:
    await sale.delete_before(sale.office.ledger, 0, 2)
    differences = (await sale.audit(wait_s=0)).all_differences
    assert "purchase-results 0 begins at offset 2: what was before is lost." in differences


async def test_a_forward_that_never_arrived_differs(sale: Sale) -> None:
    await sale.send(1, purchase("gone", EVENT))
    owned = sale.owned[1]
    [answer] = owned.answer((await sale.office.read(sale.office.requests))[-1:])
    await sale.write(1, ledger_record(answer, owned.partitions))
    assert (await sale.audit()).all_differences == [
        "From partition 1 to 0, 2 commands went, and 1 were answered there."
    ]


async def test_forged_origins_are_noted_and_accuse_no_sale(sale: Sale) -> None:
    """One that could be true, one of a command that was forwarded, one that no partition has, and one believed once."""
    for number, origin in enumerate((b"1:0", b"1:2", b"1:%d" % (2**63 - 1), b"1:%d" % 2**40)):
        await sale.send(0, purchase(f"forged-{number}", EVENT), boxoffice_origin=origin)
    sale.owned[0].ledger.ends = {1: 2**40 + 1}
    await sale.send(1, purchase("honest", EVENT))
    await sale.decide()
    await sale.decide()
    await sale.copy_to_redis()
    report = await sale.audit()
    assert report.all_differences == []
    assert report.notes[-1] == (
        "purchase-requests 0: 2 commands with a boxoffice-origin on partition 1, which did not forward them."
    )


async def test_a_redis_that_differs_is_told_field_by_field(sale: Sale) -> None:
    await sale.redis("HSET", sale.meta_key(EVENT), "sold", "9")
    done = sale.office.boxoffice("audit", "--wait", "0.5")
    assert done.returncode == ExitStatus.DIFFERS
    assert f"Event {EVENT}: in Redis: sold is '9', and should be '4'." in done.stdout
    assert _verdicts(done.stdout) == {EVENT: "no", OTHER: "yes"}


async def test_an_event_that_redis_lacks_differs(sale: Sale) -> None:
    await sale.redis("DEL", *event_keys(sale.office.settings.kafka.topic_prefix, EVENT).all)
    assert (await sale.audit()).all_differences == [f"Event {EVENT}: not in Redis."]


async def test_an_event_that_only_redis_has_differs(sale: Sale) -> None:
    await sale.redis("HSET", sale.meta_key("777"), "seq", "1")
    assert (await sale.audit()).all_differences == ["Event 777 is in Redis, and not in the ledger."]


async def test_a_key_of_another_type_differs_instead_of_failing(sale: Sale) -> None:
    await sale.redis("DEL", sale.meta_key(EVENT))
    await sale.redis("SET", sale.meta_key(EVENT), "mine")
    [difference] = (await sale.audit()).all_differences
    assert difference.startswith(f"Event {EVENT}: in Redis: ")


# Some events, and none


async def test_only_the_events_asked_for_are_compared(sale: Sale) -> None:
    await sale.redis("DEL", *event_keys(sale.office.settings.kafka.topic_prefix, EVENT).all)
    assert (await sale.audit(OTHER)).all_differences == []
    report = await sale.audit(EVENT)
    assert [event.event_id for event in report.events] == [EVENT]
    assert not report.agrees


async def test_an_event_that_does_not_exist_differs(sale: Sale) -> None:
    assert (await sale.audit("123456")).all_differences == ["Event 123456 is not in the ledger."]


@pytest.mark.parametrize(
    "unreachable", [{"kafka_bootstrap_servers": "127.0.0.1:1"}, {"redis_url": "redis://127.0.0.1:1"}]
)
async def test_an_unreachable_server_is_status_5(sale: Sale, unreachable: dict[str, str]) -> None:
    sale.office.settings = changed(sale.office.settings, **unreachable)
    done = sale.office.boxoffice("audit")
    assert done.returncode == ExitStatus.UNREACHABLE
    [variable] = unreachable
    assert f"BOXOFFICE_{variable.upper()}" in done.stderr
    assert done.stderr.count("\n") == 1
