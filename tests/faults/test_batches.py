"""The batch path by itself, under faults: the output says whether anything was lost, passed over or repeated."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.batch_app import PUBLISH_REFUSED, PUBLISH_TIMED_OUT, TOLD_TO_FAIL
from tests.support.batching import Batching
from tests.support.office import Process, until
from tests.support.servers import NewKafka

SEED = 20261124


async def test_a_failing_body_and_a_refused_publish_end_the_process_and_the_next_goes_on_without_loss(
    batching: Batching,
) -> None:
    await batching.send(1_000)
    raising = batching.start(raise_at=(1, 300), session_timeout_s=2)
    assert await raising.end(timeout_s=60) == TOLD_TO_FAIL
    assert (await batching.committed()).get(1, 0) <= 300
    refused = batching.start(too_large_at=(2, 700), session_timeout_s=2)
    assert await refused.end(timeout_s=60) == PUBLISH_REFUSED
    assert (await batching.committed()).get(2, 0) <= 700
    batching.start()
    await batching.done()
    batching.judge(died=True)


@pytest.mark.long
async def test_a_publish_that_times_out_ends_the_process_and_the_next_goes_on_without_loss(
    new_kafka: NewKafka, tmp_path: Path
) -> None:
    broker = await new_kafka()
    batching = Batching(broker.bootstrap_servers, "timed-out-", tmp_path)
    try:
        await batching.open()
        await batching.send(1_000)
        opened = tmp_path / "opened"
        failing = batching.start(opened_by=str(opened), publish_timeout_s=2, session_timeout_s=2)
        await until(lambda: "waits to be let publish" in failing.log_text(), 60, "a batch to be taken")
        broker.pause()
        opened.touch()
        assert await failing.end(timeout_s=60) == PUBLISH_TIMED_OUT
        broker.resume()
        batching.start()
        await batching.done()
        batching.judge(died=True)
    finally:
        broker.resume()
        batching.close()


@pytest.mark.long
async def test_two_and_three_workers_that_come_and_go_under_load_do_all_exactly_once(batching: Batching) -> None:
    """Overlapped, a revocation finds batches that were taken and are not acknowledged."""
    workers = []
    async with batching.load():
        for way in ("overlapped", "awaited", "overlapped"):
            workers.append(batching.start(way=way, body_takes_s=0.05))
            await batching.shared_by(*workers)
        while len(workers) > 1:
            assert await workers.pop(0).stop() == 0
            await batching.shared_by(*workers)
    await batching.done()
    batching.judge()


@pytest.mark.long
async def test_workers_that_withdraw_and_release_partitions_while_others_come_and_go_do_all_exactly_once(
    batching: Batching,
) -> None:
    workers = []
    async with batching.load():
        for way in ("overlapped", "awaited", "overlapped"):
            workers.append(batching.start(way=way, withdraw_every=5, body_takes_s=0.02))
            await batching.shared_by(*workers)
            await batching.some_written()
        while len(workers) > 1:
            assert await workers.pop(0).stop() == 0
            await batching.shared_by(*workers)
    await batching.done()
    batching.judge()


@pytest.mark.long
async def test_a_worker_that_is_killed_under_load_loses_nothing(batching: Batching) -> None:
    killed, other = batching.start(session_timeout_s=2), batching.start()
    async with batching.load():
        await batching.shared_by(killed, other)
        await batching.some_written()
        killed.kill()
        third = batching.start()
        await batching.shared_by(other, third)
    await batching.done()
    batching.judge(died=True)


@pytest.mark.long
async def test_a_broker_that_is_killed_under_load_loses_nothing_and_the_workers_go_on(
    new_kafka: NewKafka, tmp_path: Path
) -> None:
    broker = await new_kafka()
    batching = Batching(broker.bootstrap_servers, "killed-", tmp_path)
    try:
        await batching.open()
        workers = [batching.start(), batching.start()]
        async with batching.load():
            await batching.shared_by(*workers)
            await batching.some_written()
            broker.kill()
            await broker.launch()
            await batching.some_written()
        await batching.done()
        batching.judge(died=True)
        assert [worker.ended() for worker in workers] == [None, None]
    finally:
        batching.close()


async def begun(worker: Process) -> None:
    """Wait until a worker listens to signals: it has had partitions."""
    await until(lambda: "partitions [" in worker.log_text(), 60, "the worker to begin")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
@pytest.mark.parametrize("killing", [False, True], ids=["stopped", "stopped-or-killed"])
async def test_workers_come_and_go_by_chance(batching: Batching, seed: int, killing: bool) -> None:
    """Again with the same seed, the same workers come and go in the same order."""
    chance = random.Random(seed)
    workers: list[Process] = []
    async with batching.load():
        for _ in range(20):
            if not workers or (len(workers) < 3 and chance.random() < 0.6):
                way = chance.choice(["awaited", "overlapped"])
                workers.append(batching.start(way=way, body_takes_s=chance.choice([0, 0.02])))
            else:
                leaving = workers.pop(chance.randrange(len(workers)))
                if killing and chance.random() < 0.5:
                    leaving.kill()
                else:
                    await begun(leaving)
                    assert await leaving.stop() == 0
            if workers and chance.random() < 0.7:
                await batching.shared_by(*workers)
        if not workers:
            workers.append(batching.start())
        await batching.shared_by(*workers)
    await batching.done()
    batching.judge(died=killing)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_broker_that_is_killed_paused_and_restarted_again_and_again(
    new_kafka: NewKafka, tmp_path: Path
) -> None:
    broker = await new_kafka()
    batching = Batching(broker.bootstrap_servers, "suffering-", tmp_path)
    try:
        await batching.open()
        workers = [batching.start(way="overlapped"), batching.start()]
        async with batching.load():
            await batching.shared_by(*workers)
            for way in ["kill", "pause", "restart"] * 3:
                await batching.some_written()
                if way == "restart":
                    await broker.restart()
                elif way == "kill":
                    broker.kill()
                    await broker.launch()
                else:
                    broker.pause()
                    await asyncio.sleep(1)
                    broker.resume()
        await batching.done()
        batching.judge(died=True)
        assert [worker.ended() for worker in workers] == [None, None]
    finally:
        batching.close()
