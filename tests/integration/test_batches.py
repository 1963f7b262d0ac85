"""The batch path by itself, on a real broker: what is read, where it starts, what is committed, what waits."""

from __future__ import annotations

import asyncio

import pytest

from boxoffice.batching.consumer import TAKEN_AT_ONCE_BYTES
from boxoffice.batching.records import RECORD_BYTES
from tests.support.batch_app import PARTITIONS
from tests.support.batching import Batching

MIB = 1024 * 1024


async def test_gaps_of_transactions_belong_to_the_run_behind_them_and_markers_at_the_end_are_committed(
    batching: Batching,
) -> None:
    """Partition 1 holds nothing that may be read at all."""
    topic = batching.options.batched[0]
    async with batching.producer(transactional_id=topic) as producer:
        for number, aborted in enumerate([False, True, False, True, True, False, True]):
            await producer.begin_transaction()
            for partition in (0, 1) if aborted else (0,):
                await producer.send_and_wait(topic, b"%d" % number, partition=partition)
            await (producer.abort_transaction() if aborted else producer.commit_transaction())
    worker = batching.start()
    await batching.done()
    batching.judge()
    assert batching.output(0) == [0, 4, 10]
    runs = sorted({(said["first"], said["next"]) for said in batching.said(0)})
    assert [first for first, _ in runs] == [0, *(behind for _, behind in runs[:-1])]
    committed = await batching.committed()
    assert (committed[0], committed[1]) == (14, 8)
    assert await worker.stop() == 0


async def test_a_slow_body_keeps_no_more_waiting_than_it_may_and_gets_all(batching: Batching) -> None:
    """What waits may pass the limit by one fetch: a mebibyte."""
    await batching.send(6_000, partitions=[0], size_bytes=1_000)
    await batching.send(10, partitions=[1])
    worker = batching.start(buffer_size=1_000, fill_first=True)
    await batching.done()
    batching.judge()
    assert 1_000 <= max(said["held"] for said in batching.said(0)) < 1_000 + 1_100
    assert await worker.stop() == 0


async def test_a_slow_body_keeps_no_more_memory_than_it_may_and_gets_all(batching: Batching) -> None:
    """What waits may pass the limit by what is delivered at once."""
    await batching.send(2_500, partitions=[0], size_bytes=10_000)
    await batching.send(10, partitions=[1])
    worker = batching.start(buffer_bytes=2 * MIB, fill_first=True)
    await batching.done()
    batching.judge()
    held_bytes = max(said["held"] for said in batching.said(0)) * (10_000 + RECORD_BYTES)
    assert 2 * MIB - batching.options.batch_size * 11_000 <= held_bytes < 2 * MIB + TAKEN_AT_ONCE_BYTES + MIB
    assert await worker.stop() == 0


async def test_the_application_says_where_a_partition_starts_and_what_is_not_read(batching: Batching) -> None:
    await batching.send(100)
    first = batching.start(start_at=[(0, 60)], withhold=[1])
    await until_committed(batching, {0: 100, 2: 100, 3: 100, 4: 100, 5: 100})
    assert batching.output(0) == list(range(60, 100))
    assert batching.output(1) == []
    assert batching.output(2) == list(range(100))
    assert await first.stop() == 0

    # The group's offset may have been set by anyone, also too high.
    second = batching.start(start_at=[(0, 0)])
    await batching.done()
    assert batching.output(0) == [*range(60, 100), *range(100)]
    assert batching.output(1) == list(range(100))
    assert batching.output(2) == list(range(100))
    assert await second.stop() == 0


async def test_what_was_withheld_is_read_when_it_is_assigned_again(batching: Batching) -> None:
    await batching.send(10)
    first = batching.start(withhold=[1])
    await until_committed(batching, {0: 10, 2: 10, 3: 10, 4: 10, 5: 10})
    assert batching.output(1) == []
    second = batching.start()
    await batching.shared_by(first, second)
    assert await second.stop() == 0
    await batching.shared_by(first)
    await batching.send(10)
    await batching.done()
    batching.judge()


@pytest.mark.parametrize("way", ["awaited", "overlapped"])
async def test_partitions_are_withdrawn_and_released_while_the_others_flow(batching: Batching, way: str) -> None:
    """With little room: what is thrown away must be counted as gone."""
    await batching.send(300)
    bounds = {"batch_size": 50, "buffer_size": 1_000, "buffer_bytes": 1 * MIB}
    worker = batching.start(way=way, withdraw_every=2, body_takes_s=0.002, **bounds)
    async with batching.load():
        await asyncio.sleep(6)
    await batching.done()
    batching.judge()
    withdrawn = [line for line in worker.log_text().splitlines() if line.startswith("withdrawn ")]
    assert len(withdrawn) > 10
    assert set(withdrawn) == {f"withdrawn {number}" for number in range(PARTITIONS)}
    assert await worker.stop() == 0


async def test_batches_that_are_acknowledged_out_of_order_are_refused(batching: Batching) -> None:
    await batching.send(1)
    worker = batching.start(way="backwards", batch_size=1)
    await batching.done()
    batching.judge()
    assert worker.log_text().count("refused: batches must be acknowledged in the order") == PARTITIONS / 2
    assert await worker.stop() == 0


async def test_of_what_was_handed_over_no_more_is_committed_than_is_done_and_nobody_waits_for_the_rest(
    batching: Batching,
) -> None:
    await batching.send(50)
    holding = batching.start(way="handed_over", hold_at=(0, 20))
    await until_committed(batching, {0: 20, 1: 50, 2: 50, 3: 50, 4: 50, 5: 50})
    assert await holding.stop() == 0
    assert (await batching.committed())[0] == 20
    batching.start(way="handed_over")
    await batching.done()
    batching.judge()


async def test_a_lone_record_is_not_kept_waiting_for_others(batching: Batching) -> None:
    worker = batching.start(batch_size=1_000)
    await batching.shared_by(worker)
    for _ in range(3):
        await batching.send(1, partitions=[0])
        await batching.done()
    batching.judge()
    assert [said["next"] - said["first"] for said in batching.said(0)] == [1, 1, 1]


async def until_committed(batching: Batching, expected: dict[int, int]) -> None:
    """Wait until exactly so much is committed, and read what was written."""
    for _ in range(600):
        if await batching.committed() == expected:
            break
        await asyncio.sleep(0.1)
    assert await batching.committed() == expected
    await batching.read()
