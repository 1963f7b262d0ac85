"""The gateway's desk on a real Kafka: commands get the ledger's answers, whoever else writes there."""

from __future__ import annotations

import asyncio
import json

from boxoffice.gateway.desk import Desk, Order, open_desk
from boxoffice.gateway.waiters import Outcome, Result
from boxoffice.kafka.clients import home_partition
from tests.support.asking import reply_to
from tests.support.office import Office
from tests.support.workload import creations


def order(event_id: str, request_id: str, quantity: int = 1) -> bytes:
    return json.dumps(
        {"type": "purchase", "event_id": event_id, "request_id": request_id, "buyer": "b", "quantity": quantity}
    ).encode()


async def ask(desk: Desk, event_id: str, request_id: str, wait_s: float = 30) -> Result:
    return (await reply_to(desk, Order(event_id, request_id, order(event_id, request_id), []), wait_s)).result


def _raise(error: BaseException) -> None:
    raise AssertionError(error)


async def test_each_command_is_told_its_own_fact_and_both_of_two_copies_the_same(office: Office) -> None:
    office.start()
    events = [str(number) for number in range(1, 8)]
    await office.send(creations(events, 1_000))
    await office.answered()
    async with open_desk(office.settings.kafka, _raise) as one, open_desk(office.settings.kafka, _raise) as two:
        asked = [(event, f"r-{number}") for number in range(300) for event in events]
        results = await asyncio.gather(*(ask(one, *each) for each in asked), *(ask(two, *each) for each in asked))
    for (event_id, request_id), first, second in zip(asked, results[: len(asked)], results[len(asked) :], strict=True):
        assert (first.outcome, second.outcome) == (Outcome.ANSWERED, Outcome.ANSWERED)
        facts = [json.loads(result.fact) for result in (first, second)]
        assert {fact["request_id"] for fact in facts} == {request_id}
        assert {fact["event_id"] for fact in facts} == {event_id}
        assert facts[0]["tickets"] == facts[1]["tickets"]
        assert first.kind == "boxoffice.purchase_confirmed.v1"
    await office.agrees()


async def test_who_waits_too_long_is_told_that_the_log_holds_his_command(office: Office) -> None:
    async with open_desk(office.settings.kafka, _raise) as desk:
        result = await ask(desk, "1", "r-1", wait_s=1)
        assert result == Result(Outcome.ACCEPTED)
        office.start()
        again = await ask(desk, "1", "r-1", wait_s=60)
        assert again.outcome is Outcome.ANSWERED
        assert json.loads(again.fact)["reason"] == "unknown_event"


async def test_a_command_whose_home_has_moved_is_followed_there_or_accepted_where_nobody_here_reads(
    office: Office,
) -> None:
    before, after = office.settings.kafka.partitions, 9
    ids = [str(number) for number in range(200)]
    moved = [event for event in ids if home_partition(event, before) != home_partition(event, after)]
    known = next(event for event in moved if home_partition(event, after) < before)
    unknown = next(event for event in moved if home_partition(event, after) >= before)
    async with open_desk(office.settings.kafka, _raise) as desk:
        # The ledger is empty, so workers accept it.
        await office.raise_partitions(after, office.requests, office.ledger)
        office.start()
        [created, _] = creations([known, unknown], 5)
        reply = await reply_to(desk, Order(known, f"create-{known}", created.value, []), 60)
        assert json.loads(reply.result.fact)["type"] == "event_created"
        assert json.loads(reply.result.fact)["source"] == {"partition": reply.partition, "offset": reply.offset}
        for _ in range(2):
            result = await ask(desk, known, "r-1")
            assert json.loads(result.fact)["tickets"] == [f"{known}-000001"]
        assert await ask(desk, unknown, "r-1") == Result(Outcome.ACCEPTED)
