"""Workers die at every step of a batch, stand still, come and go, and see clocks jump: all is answered, once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from redis import Redis

from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.kafka import Detour
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.errors import ExitStatus
from boxoffice.failpoints import Failpoint
from boxoffice.kafka import clients
from tests.faults.load import Load
from tests.faults.repeats import differing_repeats
from tests.faults.shared import is_in_step
from tests.support.observed import Observed
from tests.support.office import NewOffice, Office, Process, until
from tests.support.proxy import Proxy
from tests.support.servers import NewKafka, NewRedis, RedisAddress
from tests.support.workload import Sent, creations, order

SEED = 20261126
SESSION = {"BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS": "3000", "BOXOFFICE_KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
"""What is killed is replaced after this."""
DEADLINE_S = 30
PASSING = 2
"""The passing at which a worker dies: neither its first step nor its last one is done."""


def said(process: Process, message: str) -> list[dict[str, Any]]:
    """What it has logged under a message."""
    lines = [line for line in process.log_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in map(json.loads, lines) if line["message"] == message]


def event_at_each_home(office: Office) -> list[str]:
    """Whatever partitions a worker has, an event is decided on each."""
    found: dict[int, str] = {}
    for number in count(SEED * 1_000):
        if len(found) == office.settings.kafka.partitions:
            return [event_id for _, event_id in sorted(found.items())]
        found.setdefault(clients.home_partition(str(number), office.settings.kafka.partitions), str(number))
    raise AssertionError


# Dying at a point


async def empty_redis(redis: EmbeddedRedis, _: Load) -> None:
    """What it held is loaded again."""
    with Redis(host=HOST, port=redis.port) as client:
        client.flushall()


async def hang_redis(redis: EmbeddedRedis, load: Load) -> None:
    """What it missed is settled when it goes on."""
    redis.pause()
    await load.decided(100, by="local")
    redis.resume()


WAYS: dict[Failpoint, Callable[[EmbeddedRedis, Load], Awaitable[None]]] = {
    Failpoint.SETTLING: hang_redis,
    Failpoint.LOADING: empty_redis,
    Failpoint.BEFORE_REPLACING: empty_redis,
}
"""How a worker is brought to a point that sales alone do not bring it to."""


def every_point() -> list[object]:
    """One of them is tried in every run: Redis has decided what nobody else knows of."""
    return [
        pytest.param(point, id=point, marks=[] if point is Failpoint.AFTER_SCRIPT else pytest.mark.long)
        for point in Failpoint
    ]


@pytest.mark.parametrize("point", every_point())
@pytest.mark.parametrize(
    "alone", [pytest.param(True, id="alone"), pytest.param(False, id="with another", marks=pytest.mark.long)]
)
async def test_a_worker_that_dies_at_any_point_leaves_nothing_undone_or_done_twice(
    new_office: NewOffice, new_redis: NewRedis, point: Failpoint, alone: bool
) -> None:
    """It is started again, or another that was there beside it takes over."""
    redis = await new_redis()
    office = await new_office(redis.url)
    first = office.start()
    await office.ready(first)
    async with Load(office, event_at_each_home(office), SEED) as load:
        await load.each_decided_by_redis()
        if alone:
            assert await first.stop() == 0
        victim = office.start(BOXOFFICE_FAILPOINTS=f"{point}=kill@{PASSING}", **SESSION)
        if point in WAYS:
            await office.ready(victim)
            await WAYS[point](redis, load)
        assert await victim.end(DEADLINE_S) == -signal.SIGKILL
        assert [line["failpoint"] for line in said(victim, "failpoint")] == [point]
        if alone:
            office.start()
        await load.each_decided_by_redis(DEADLINE_S)
    await office.agrees()


@pytest.mark.long
async def test_a_worker_that_dies_with_half_of_a_batch_in_the_ledger_has_the_rest_decided_again(office: Office) -> None:
    """One partition's facts are all acknowledged, of the other's the first record batch of three."""
    hot, cold, *_ = event_at_each_home(office)
    orders = [order(hot, f"r-{number}") for number in range(5_000)]
    await office.send([*creations([hot, cold], 10_000), order(cold, "r-cold"), *orders])
    victim = office.start(
        BOXOFFICE_BATCH_SIZE="10000", BOXOFFICE_FAILPOINTS=f"{Failpoint.AMONG_PARTITIONS}=kill@1", **SESSION
    )
    assert await victim.end(DEADLINE_S) == -signal.SIGKILL
    published = [json.loads(record.value or b"{}")["event_id"] for record in await office.read(office.ledger)]
    assert published.count(cold) == 2
    assert 0 < published.count(hot) < len(orders)
    office.start()
    await office.answered()
    await office.agrees()


# Standing still


class Zombie:
    """A worker that stands still while another takes its partitions over, with decisions that it has not published."""

    def __init__(self, office: Office, proxy: Proxy) -> None:
        self.office = office
        self.proxy = proxy
        self.worker = office.start(
            BOXOFFICE_REDIS_URL=f"redis://{proxy.address}/0", BOXOFFICE_REDIS_TIMEOUT_MS="60000", **SESSION
        )

    async def fall_behind(self, event_id: str) -> None:
        """Decide a batch, of a hundred orders if no others come, and stand still until it is somebody else's."""
        await until(lambda: is_in_step(self.worker), DEADLINE_S, "Redis to decide for all events")
        self.proxy.hang()
        observed = Observed(self.worker)
        await self._send_at_once([order(event_id, f"held-{number}") for number in range(100)])
        await until(lambda: observed.counted("boxoffice_batch_commands_count") > 0, DEADLINE_S, "a batch to be decided")
        self.worker.signal(signal.SIGSTOP)
        await self.office.answered()

    async def _send_at_once(self, orders: list[Sent]) -> None:
        """As one record batch of their home: who reads one of them reads all."""
        home = clients.home_partition((orders[0].key or b"").decode(), self.office.settings.kafka.partitions)
        async with clients.producer(self.office.settings.kafka) as producer:
            batch = producer.create_batch()
            for one in orders:
                assert batch.append(key=one.key, value=one.value, timestamp=None)
            await (await producer.send_batch(batch, self.office.requests, partition=home))

    def go_on(self) -> None:
        """As if nothing had been."""
        self.proxy.restore()
        self.worker.signal(signal.SIGCONT)


async def open_with_zombie(
    new_office: NewOffice, redis: EmbeddedRedis, proxy: Proxy
) -> tuple[Office, Zombie, Process, str]:
    """A box office with a worker that is to fall behind, one that is to take over, and an event of the first's."""
    office = await new_office(redis.url)
    ids = event_at_each_home(office)
    zombie, heir = Zombie(office, proxy), office.start()
    await until(lambda: shared_by(office, zombie.worker, heir), DEADLINE_S, "both to have partitions")
    await office.send(creations(ids, 1_000))
    await office.answered()
    return office, zombie, heir, ids[said(zombie.worker, "partitions ready")[-1]["partitions"][0]]


def shared_by(office: Office, *workers: Process) -> bool:
    """Whether the workers have each some of the partitions, and all of them together."""
    ready = [said(worker, "partitions ready") for worker in workers]
    owned = [lines[-1]["partitions"] for lines in ready if lines]
    return len(owned) == len(workers) and all(owned) and sum(map(len, owned)) == office.settings.kafka.partitions


async def test_a_worker_that_stood_still_repeats_what_the_other_said_and_goes_on(
    new_office: NewOffice, new_redis: NewRedis
) -> None:
    redis = await new_redis()
    with Proxy(redis.port) as proxy:
        office, zombie, heir, event_id = await open_with_zombie(new_office, redis, proxy)
        await zombie.fall_behind(event_id)
        zombie.go_on()
        await until(lambda: shared_by(office, zombie.worker, heir), DEADLINE_S, "both to have partitions again")
        [told] = said(zombie.worker, "others' records in the ledger, all harmless")
        assert told["records"] == 100
        summary = await office.agrees()
        assert summary["ledger"]["ignored"] == 100
        assert await differing_repeats(office) == []
        assert zombie.worker.ended() is heir.ended() is None


@pytest.mark.long
async def test_a_worker_that_stood_still_under_load_ends_where_the_other_has_gone_further(
    new_office: NewOffice, new_redis: NewRedis
) -> None:
    redis = await new_redis()
    with Proxy(redis.port) as proxy:
        office, zombie, heir, event_id = await open_with_zombie(new_office, redis, proxy)
        # The zombie's event is there already: it is one of those that hold nothing.
        async with Load(office, [str(SEED), event_id], SEED) as load:
            await zombie.fall_behind(event_id)
            await load.decided(200)
            zombie.go_on()
            assert await zombie.worker.end(DEADLINE_S) == ExitStatus.LEDGER_DISAGREES
            [told] = said(zombie.worker, "the process ends without committing")
            assert "did not write and would not have written" in told["error"]
            office.start()
            await load.each_decided_by_redis()
        summary = await office.agrees()
        assert summary["ledger"]["ignored"] > 0
        assert await differing_repeats(office) == []
        assert heir.ended() is None


# Coming and going


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(1, id="8 s"),
        pytest.param(3, id="24 s", marks=[pytest.mark.long, pytest.mark.timeout(240)]),
    ],
)
async def test_workers_that_come_go_and_die_every_two_seconds_leave_nothing_undone(office: Office, rounds: int) -> None:
    workers = [office.start(**SESSION)]
    await office.ready(workers[0])
    async with Load(office, event_at_each_home(office), SEED) as load:
        for change in ("come", "go", "come", "die") * rounds:
            if change == "come":
                workers.append(office.start(**SESSION))
            elif change == "go":
                # One that has not begun yet ends by the signal itself.
                assert await workers.pop(0).stop() in {0, -signal.SIGTERM}
            else:
                workers.pop(0).kill()
            await asyncio.sleep(2)
        await load.each_decided_by_redis(60)
        assert [worker.ended() for worker in workers] == [None]
    await office.agrees()


# Taking over


@pytest.mark.long
async def test_a_worker_says_how_far_it_is_with_a_ledger_that_takes_long_to_read(
    new_kafka: NewKafka, redis_server: RedisAddress, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten megabytes, which the broker sends slowly."""
    beside = free_port()
    with Proxy(beside) as proxy:
        broker = await new_kafka(detour=Detour(beside, proxy.port))
        office = Office(broker.bootstrap_servers, redis_server.url, prefix, tmp_path_factory.mktemp("slow"), 1)
        try:
            await office.open()
            await office.send([*creations(["1"], 100_000), *(order("1", f"r-{number}") for number in range(20_000))])
            first = office.start()
            await office.answered()
            assert await first.stop() == 0
            proxy.delay(0.03)
            heir = office.start(BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS=proxy.address)
            await office.ready(heir)
            [read] = said(heir, "ledgers read")
            assert (read["partitions"], read["facts"]) == (1, 20_001)
            progress = said(heir, "reading the ledger")
            assert progress, f"{read['seconds']} s without a word"
            offsets = [line["offset"] for line in progress]
            assert offsets == sorted(set(offsets))
            assert all((line["partition"], line["end"]) == (0, 20_001) for line in progress)
        finally:
            office.close()
