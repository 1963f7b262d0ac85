"""The broker dies, hangs, loses replies and cannot write, or a worker cannot: all is answered once, and in order."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from boxoffice.embedded.ports import free_port
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from tests.faults.brokers import OwnBroker
from tests.faults.groups import committed
from tests.faults.load import Load
from tests.faults.shared import new_events
from tests.support.observed import get, health, health_and_status
from tests.support.office import PROCESSES, Office, Process, procfile_command, until
from tests.support.workload import commands, creations, order

SHORT_S, LONG_S = 5.0, 30.0
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
long = [pytest.mark.long, pytest.mark.timeout(300)]


async def kill(broker: OwnBroker, seconds: float) -> None:
    """It is gone, and comes back."""
    broker.kafka.kill()
    await asyncio.sleep(seconds)
    await broker.kafka.launch()


async def pause(broker: OwnBroker, seconds: float) -> None:
    """It accepts connections, answers nothing, and goes on."""
    broker.kafka.pause()
    await asyncio.sleep(seconds)
    broker.kafka.resume()


@pytest.mark.parametrize(
    ("be_gone", "seconds"),
    [
        pytest.param(kill, SHORT_S, id="killed, 5 s"),
        pytest.param(pause, SHORT_S, id="stopped, 5 s", marks=long),
        pytest.param(kill, LONG_S, id="killed, 30 s", marks=long),
        pytest.param(pause, LONG_S, id="stopped, 30 s", marks=long),
    ],
)
async def test_workers_outlast_a_broker_that_is_gone_and_go_on_when_it_is_back(
    broker: OwnBroker, suffering: Office, be_gone: Callable[[OwnBroker, float], Awaitable[None]], seconds: float
) -> None:
    workers = [suffering.start(), suffering.start()]
    for worker in workers:
        await suffering.ready(worker)
    seed, ids = new_events(8)
    async with Load(suffering, ids, seed) as load:
        await load.decided(400)
        await be_gone(broker, seconds)
        await load.decided(400, timeout_s=60)
    assert [worker.ended() for worker in workers] == [None, None]
    await suffering.agrees()


@pytest.mark.long
@pytest.mark.parametrize("name", PROCESSES)
async def test_a_process_that_waits_for_its_broker_lives_and_says_so(
    broker: OwnBroker, suffering: Office, tmp_path: Path, name: str
) -> None:
    broker.kafka.kill()
    process = suffering.start(name, BOXOFFICE_DOCUMENTS_URL=(tmp_path / "documents").as_uri())
    await until(lambda: "waiting for Kafka" in process.log_text(), 30, "it to wait")
    assert get(process, "/health/live")[0] == 200
    assert get(process, "/health/ready")[0] == 503
    assert get(process, "/metrics")[0] == 200
    status, told = health_and_status(process)
    assert (status, [one["server"] for one in told["waits_for"]]) == (503, ["Kafka"])
    await broker.kafka.launch()
    await suffering.ready(process)
    await until(lambda: health(process)["status"] == "ok", 30, "it to be well")
    assert health(process)["waits_for"] == []


@pytest.mark.long
async def test_a_process_that_cannot_stop_in_order_does_not_keep_its_partitions(
    broker: OwnBroker, suffering: Office
) -> None:
    _, ids = new_events(4)
    worker = suffering.start(BOXOFFICE_STOP_TIMEOUT_MS="2000")
    await suffering.ready(worker)
    await suffering.send(creations(ids, 500))
    await suffering.answered()
    broker.kafka.pause()
    worker.signal(signal.SIGTERM)
    assert await worker.end(timeout_s=15) == 128 + signal.SIGTERM
    assert "did not stop in time" in worker.log_text()
    broker.kafka.resume()
    again = suffering.start()
    await suffering.send([order(event_id, "r-1") for event_id in ids])
    await suffering.answered()
    await suffering.agrees()
    assert again.ended() is None


async def test_a_publish_that_is_acknowledged_too_late_is_not_committed_and_found_by_the_next_worker(
    broker: OwnBroker, suffering: Office
) -> None:
    _, ids = new_events(4)
    worker = suffering.start(BOXOFFICE_PUBLISH_TIMEOUT_MS="1000")
    await suffering.ready(worker)
    await suffering.send(creations(ids, 500))
    await suffering.answered()
    answered = await request_ends(suffering)
    facts = len(await suffering.read(suffering.ledger))
    broker.proxy.delay(2)
    await suffering.send([order(event_id, f"r-{number}") for event_id in ids for number in range(100)])
    assert await worker.end(timeout_s=30) == ExitStatus.PUBLISH_FAILED
    assert "Kafka did not acknowledge within 1 s." in worker.log_text()
    assert all(offset <= answered[number] for number, offset in (await committed(suffering)).items())
    assert len(await suffering.read(suffering.ledger)) > facts
    broker.proxy.restore()
    again = suffering.start()
    await suffering.answered()
    await suffering.agrees()
    assert again.ended() is None


async def request_ends(office: Office) -> dict[int, int]:
    """Where each partition of the commands ends."""
    partitions = clients.topic_partitions(office.requests, office.settings.kafka.partitions)
    async with clients.reader(office.settings.kafka, partitions) as consumer:
        ends = await consumer.end_offsets(partitions)
    return {tp.partition: end for tp, end in ends.items()}


@pytest.mark.long
async def test_connections_that_are_cut_in_the_middle_of_a_request_or_a_reply_cost_nothing_but_time(
    broker: OwnBroker, suffering: Office
) -> None:
    worker = suffering.start()
    await suffering.ready(worker)
    seed, ids = new_events(8)
    async with Load(suffering, ids, seed) as load:
        for cut in (broker.proxy.cut_requests_after, broker.proxy.cut_after):
            for size_bytes in (1, 100, 3_000):
                await load.decided(100)
                cut(size_bytes)
                await asyncio.sleep(0.5)
                broker.proxy.restore()
        await load.decided(100)
    assert worker.ended() is None
    await suffering.agrees()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
async def test_a_broker_that_cannot_write_loses_nothing(broker: OwnBroker, suffering: Office) -> None:
    """Its files may not grow any more, as on a disk that is full: it ends, and comes back when there is room."""
    worker = suffering.start()
    await suffering.ready(worker)
    seed, ids = new_events(8)
    async with Load(suffering, ids, seed) as load:
        await load.decided(400)
        pid = broker.kafka.pid
        assert pid is not None
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await until(lambda: not broker.kafka.running, 60, "the broker to give up")
        await broker.kafka.launch()
        await load.decided(400, timeout_s=60)
    assert worker.ended() is None
    await suffering.agrees()


@needs_full
async def test_a_worker_whose_log_cannot_be_written_sells_on(suffering: Office) -> None:
    """So does one without a home folder and in a folder where nothing can be written: it needs no disk."""
    port = free_port()
    left_out = ("HOME", "TMPDIR", "PYTHONUNBUFFERED")
    bare = {name: value for name, value in suffering.environment.items() if name not in left_out}
    in_proc = ["sh", "-c", 'cd /proc && exec "$@"', "sh", *procfile_command("purchases")]
    worker = Process(in_proc, {**bare, "BOXOFFICE_HEALTH_PORT": str(port)}, FULL)
    try:
        seed, ids = new_events(4)
        await suffering.send([*creations(ids, 500), *commands(seed, ids, 2_000)])
        await suffering.answered()
        await suffering.agrees()
        assert worker.ended() is None
        assert await worker.stop() == ExitStatus.OK
    finally:
        worker.kill()
