"""Redis cannot serve, or serves what is damaged, old or foreign: sales go on, and it is brought up to the ledger."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from boxoffice.embedded.ports import HOST, free_port
from boxoffice.errors import ExitStatus
from lua.keys import EventKeys, event_keys
from tests.faults.load import Load, returned_to_redis, shares
from tests.faults.shared import SharedOffice, new_events
from tests.faults.whole_sale import whole_keys
from tests.support.observed import Observed
from tests.support.office import until
from tests.support.servers import NewRedis
from tests.support.workload import creations, order

DOWN = "Redis is down, deciding locally"
UP = "Redis answers again"
LOST = "Redis has lost facts of an event"
OTHERWISE = "Redis decided otherwise than the ledger"
LOADED = "event loaded into Redis"
GIVEN_UP = "an event's copy in Redis cannot be healed, it goes on locally"

TIMEOUT_S = "0.5"
"""The bucket of calls that were answered within the timeout."""
DEADLINE_S = 30
SLOWLY_LOADED_KEYS = 20_000

Fault = Callable[[SharedOffice], Awaitable[None]]


# Redis cannot serve


async def kill(shared: SharedOffice) -> None:
    shared.redis.kill()


async def start_empty(shared: SharedOffice) -> None:
    await shared.redis.launch()


async def hang(shared: SharedOffice) -> None:
    shared.redis.pause()


async def go_on(shared: SharedOffice) -> None:
    shared.redis.resume()


async def refuse(shared: SharedOffice) -> None:
    shared.proxy.refuse()


async def be_slow(shared: SharedOffice) -> None:
    shared.proxy.delay(0.8)


async def swallow_replies(shared: SharedOffice) -> None:
    shared.proxy.swallow()


async def restore_network(shared: SharedOffice) -> None:
    shared.proxy.restore()


def configure(name: str, value: str) -> Fault:
    async def set_it(shared: SharedOffice) -> None:
        shared.ask("CONFIG", "SET", name, value)

    return set_it


async def follow_nobody(shared: SharedOffice) -> None:
    """A replica whose primary is gone keeps its data, and takes no writes."""
    shared.ask("REPLICAOF", HOST, free_port())


async def follow_nobody_and_say_so(shared: SharedOffice) -> None:
    shared.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    await follow_nobody(shared)


async def be_primary(shared: SharedOffice) -> None:
    shared.ask("REPLICAOF", "NO", "ONE")
    shared.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")


async def fail_to_save(shared: SharedOffice) -> None:
    """A folder lies where the file should be: the next save fails, and with it every write."""
    dump_file(shared).unlink(missing_ok=True)
    dump_file(shared).mkdir()
    shared.ask("CONFIG", "SET", "save", "3600 1")
    shared.ask("BGSAVE")
    await until(lambda: status_of_last_save(shared) == "err", DEADLINE_S, "the save to fail")


async def save_again(shared: SharedOffice) -> None:
    dump_file(shared).rmdir()
    shared.ask("BGSAVE")
    await until(lambda: status_of_last_save(shared) == "ok", DEADLINE_S, "the save to succeed")
    shared.ask("CONFIG", "SET", "save", "")
    dump_file(shared).unlink()


def dump_file(shared: SharedOffice) -> Path:
    return shared.redis.folder / "dump.rdb"


def status_of_last_save(shared: SharedOffice) -> str:
    return str(shared.ask("INFO", "persistence")["rdb_last_bgsave_status"])


async def be_busy(shared: SharedOffice) -> None:
    """Somebody's script runs for ever; after a moment others are told so."""
    shared.ask("CONFIG", "SET", "busy-reply-threshold", "50")
    with Redis(host=HOST, port=shared.redis.port, socket_timeout=0.2) as client, suppress(RedisError):
        client.eval("while true do end", 0)


async def kill_script(shared: SharedOffice) -> None:
    shared.ask("SCRIPT", "KILL")


async def load_for_long(shared: SharedOffice) -> None:
    """It was restarted, and reads a file that takes it seconds."""
    with shared.client() as client, client.pipeline(transaction=False) as filling:
        for number in range(SLOWLY_LOADED_KEYS):
            filling.set(f"filling:{number}", number)
        filling.execute()
    shared.ask("SAVE")
    shared.redis.kill()
    shared.redis.start()
    await until(lambda: is_loading(shared), DEADLINE_S, "Redis to say that it is loading")


def is_loading(shared: SharedOffice) -> bool:
    try:
        shared.ask("GET", "filling:1")
    except RedisError as error:
        return "loading" in str(error).lower()
    return False


async def finish_loading(shared: SharedOffice) -> None:
    shared.ask("CONFIG", "SET", "key-load-delay", "0")
    await shared.redis.wait_ready()
    dump_file(shared).unlink()
    shared.ask("UNLINK", *(f"filling:{number}" for number in range(SLOWLY_LOADED_KEYS)))


@dataclass(frozen=True)
class Outage:
    """A way in which Redis cannot serve.

    ``reason`` is what each worker names while it lasts, as its probes find it; ``at_first`` what it may have
    warned of instead, if another call found it before.
    """

    begin: Fault
    end: Fault
    reason: str
    at_first: str | None = None
    loses_data: bool = False


OUTAGES = {
    "killed": Outage(kill, start_empty, "ConnectionError", loses_data=True),
    "hung": Outage(hang, go_on, "TimeoutError"),
    "slow": Outage(be_slow, restore_network, "TimeoutError"),
    "refused": Outage(refuse, restore_network, "ConnectionError"),
    "swallows replies": Outage(swallow_replies, restore_network, "TimeoutError"),
    "OOM": Outage(configure("maxmemory", "1"), configure("maxmemory", "0"), "OutOfMemoryError"),
    "READONLY": Outage(follow_nobody, be_primary, "ReadOnlyError"),
    # A script is told that the primary is gone, a plain write as a probe makes it that this is a replica.
    "MASTERDOWN": Outage(follow_nobody_and_say_so, be_primary, "ReadOnlyError", at_first="MasterDownError"),
    "NOREPLICAS": Outage(
        configure("min-replicas-to-write", "1"), configure("min-replicas-to-write", "0"), "NOREPLICAS"
    ),
    "MISCONF": Outage(fail_to_save, save_again, "MISCONF"),
    "BUSY": Outage(be_busy, kill_script, "BUSY"),
    "LOADING": Outage(load_for_long, finish_loading, "BusyLoadingError", at_first="ConnectionError", loses_data=True),
}
IN_EACH_RUN = {"killed", "hung", "swallows replies", "OOM"}


@asynccontextmanager
async def outage(shared: SharedOffice, which: Outage) -> AsyncIterator[None]:
    """Redis cannot serve inside, and can again afterwards."""
    try:
        await which.begin(shared)
        yield
    finally:
        await which.end(shared)


def changes(worker: Observed) -> list[str]:
    """What it warned of."""
    return [line["message"] for line in worker.logged(DOWN, UP)]


def timeouts(worker: Observed) -> float:
    """How many batches waited for the whole timeout."""
    name = "boxoffice_redis_call_duration_seconds"
    return worker.counted(f"{name}_count") - worker.counted(f"{name}_bucket", le=TIMEOUT_S)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(which, id=name, marks=() if name in IN_EACH_RUN else pytest.mark.long)
        for name, which in OUTAGES.items()
    ],
)
async def test_sales_go_on_while_redis_cannot_serve(shared_office: SharedOffice, which: Outage) -> None:
    seed, ids = new_events(8)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
        workers = shared_office.observed()
        async with outage(shared_office, which):
            await shared_office.fallback(active=True, reason=which.reason)
            told, begun_at = [changes(worker) for worker in workers], len(load.taken)
            await load.decided(300, by="local")
            # Warned once, however long it lasts; and each time that Redis is found down costs one timeout at most.
            assert [changes(worker) for worker in workers] == told
            for worker in workers:
                assert timeouts(worker) <= worker.counted("boxoffice_fallbacks_total")
            during = load.taken[begun_at:]
        assert returned_to_redis(during) == set()
        await shared_office.in_step()
        await load.each_decided_by_redis()
        for worker in workers:
            assert all(message != next_one for message, next_one in pairwise(changes(worker)))
            # What ran although its reply was lost, or did not run, is not taken for a wrong decision.
            assert worker.counted("boxoffice_redis_divergences_total") == 0
            assert which.loses_data or worker.counted("boxoffice_event_rebuilds_total") == 0
            # A timeout besides: that of a Redis which a busy machine keeps waiting, it counts as down like any.
            named = [line["error"] for line in worker.logged(DOWN)]
            expected = {which.reason, which.at_first or which.reason, "TimeoutError"}
            assert [error for error in named if not any(one in error for one in expected)] == []
    await shared_office.agrees()


@pytest.mark.long
async def test_a_redis_whose_replies_are_cut_short_is_left_alone_for_longer_each_time(
    shared_office: SharedOffice,
) -> None:
    """It answers probes, whose replies are short, and no batch."""
    seed, ids = new_events(8)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
        workers = shared_office.observed()
        shared_office.proxy.cut_after(60)
        await load.decided(1_200, by="local")
        shared_office.proxy.restore()
        for worker in workers:
            # 3 s at delays of 0.2, 0.4, 0.8 and then 1 s each.
            assert worker.counted("boxoffice_fallbacks_total") <= 8
        await load.each_decided_by_redis()
        assert sum(worker.counted("boxoffice_redis_divergences_total") for worker in workers) == 0
    await shared_office.agrees()


@pytest.mark.long
async def test_a_redis_that_is_slow_at_one_call_in_five_counts_as_down(shared_office: SharedOffice) -> None:
    seed, ids = new_events(8)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
        workers, begun_at = shared_office.observed(), len(load.taken)
        shared_office.proxy.delay(0.8, one_in=5)
        await load.decided(4_000)
        share = shares(load.taken[begun_at:])
        for worker in workers:
            assert timeouts(worker) <= worker.counted("boxoffice_fallbacks_total")
        shared_office.proxy.restore()
        assert share["local"] > share["redis"]
        await shared_office.in_step()
        await load.each_decided_by_redis()
    await shared_office.agrees()


# Redis serves, and what it holds is not what the ledger says


Damage = Callable[[Redis, EventKeys], Any]


def evict(place: int) -> Damage:
    return lambda client, keys: client.delete(keys.all[place])


def write_text(place: int) -> Damage:
    return lambda client, keys: client.set(keys.all[place], "text")


def sell_one(client: Redis, keys: EventKeys) -> None:
    """In its first category, whether that has a name or not."""
    of_category = keys.queues[0].rpartition(":tickets")[2]
    client.hincrby(keys.meta, f"sold{of_category}", 1)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "meta evicted": (evict(0), LOST),
    "records evicted": (evict(1), LOST),
    "tickets evicted": (evict(2), LOST),
    "meta of another type": (write_text(0), LOST),
    "records of another type": (write_text(1), LOST),
    "tickets of another type": (write_text(2), LOST),
    "an older seq": (lambda client, keys: client.hincrby(keys.meta, "seq", -1), LOST),
    "no seq": (lambda client, keys: client.hset(keys.meta, "seq", "x"), LOST),
    "more sold": (sell_one, LOST),
    "a foreign ticket": (lambda client, keys: client.lset(keys.queues[0], 0, "1-000001"), OTHERWISE),
}


def logged_for(workers: list[Observed], message: str) -> set[str]:
    return {line["event_id"] for worker in workers for line in worker.logged(message)}


async def test_what_is_damaged_is_loaded_again_while_it_sells_and_disturbs_no_other_event(
    shared_office: SharedOffice,
) -> None:
    seed, ids = new_events(len(DAMAGES) + 2)
    damaged, whole = dict(zip(DAMAGES, ids, strict=False)), set(ids[len(DAMAGES) :])
    keys = whole_keys(shared_office.office.settings.kafka.topic_prefix, ids)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
        workers, begun_at = shared_office.observed(), len(load.taken)
        with shared_office.client() as client:
            client.script_flush()
            for name, (do_damage, _) in DAMAGES.items():
                do_damage(client, keys[damaged[name]])
        for name, (_, message) in DAMAGES.items():
            await until(
                lambda event_id=damaged[name], message=message: event_id in logged_for(workers, message),  # type: ignore[misc]
                DEADLINE_S,
                f"{name} to be found",
            )
        await load.each_decided_by_redis()
        assert logged_for(workers, LOADED) == set(damaged.values())
        deciders = {one.decided_by for one in load.taken[begun_at:] if one.event_id in whole}
        # A machine with other things to do can look like a Redis that is down.
        found_down = sum(worker.counted("boxoffice_fallbacks_total") for worker in workers)
        assert deciders == {"redis"} or (found_down and deciders == {"redis", "local"})
        assert sum(worker.counted("boxoffice_redis_divergences_total") for worker in workers) == 1
        assert [line for worker in workers for line in worker.logged(GIVEN_UP)] == []
    await shared_office.agrees()


async def test_what_is_lost_of_an_event_that_nobody_buys_from_is_found_as_well(shared_office: SharedOffice) -> None:
    seed, ids = new_events(6)
    keys = whole_keys(shared_office.office.settings.kafka.topic_prefix, ids)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
    await shared_office.in_step()
    workers = shared_office.observed()
    with shared_office.client() as client:
        for place, event_id in enumerate(ids[:3]):
            client.delete(keys[event_id].all[place])
        records = keys[ids[3]].purchases
        client.hdel(records, client.hkeys(records)[-1])
        client.rpop(keys[ids[4]].queues[0])
    await until(lambda: logged_for(workers, LOADED) == set(ids[:5]), DEADLINE_S, "the five to be loaded")
    await shared_office.agrees()


async def test_a_wiped_redis_is_filled_from_the_ledger(shared_office: SharedOffice) -> None:
    seed, ids = new_events(8)
    async with Load(shared_office.office, ids, seed) as load:
        await load.each_decided_by_redis()
        workers = shared_office.observed()
        shared_office.ask("FLUSHALL")
        await until(lambda: logged_for(workers, LOADED) >= set(ids), DEADLINE_S, "all to be loaded")
        await load.each_decided_by_redis()
        assert sum(worker.counted("boxoffice_redis_divergences_total") for worker in workers) == 0
    await shared_office.agrees()


async def test_an_older_file_is_brought_up_to_the_ledger(shared_office: SharedOffice) -> None:
    async def go_back(load: Load) -> None:
        shared_office.ask("SAVE")
        await load.decided(300, by="redis")
        shared_office.redis.kill()
        await shared_office.redis.launch()
        dump_file(shared_office).unlink()

    await is_brought_up(shared_office, go_back)


@pytest.mark.long
async def test_a_truncated_append_only_file_is_brought_up_to_the_ledger(shared_office: SharedOffice) -> None:
    redis = shared_office.redis

    async def go_back(load: Load) -> None:
        shared_office.ask("CONFIG", "SET", "appendonly", "yes")
        await until(lambda: writes_append_only(shared_office), DEADLINE_S, "the first file to be written")
        await load.decided(300, by="redis")
        redis.kill()
        [file] = (redis.folder / "appendonlydir").glob("*.incr.aof")
        with file.open("rb+") as opened:
            opened.truncate(file.stat().st_size // 2)
        redis.durable = True
        await redis.launch()

    try:
        await is_brought_up(shared_office, go_back)
    finally:
        redis.durable = False
        shared_office.ask("CONFIG", "SET", "appendonly", "no")
        shutil.rmtree(redis.folder / "appendonlydir")


def writes_append_only(shared: SharedOffice) -> bool:
    told = shared.ask("INFO", "persistence")
    return bool(told["aof_enabled"] and not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"])


@pytest.mark.long
async def test_a_failover_to_a_replica_that_lacks_writes_and_back_again_does_no_harm(
    shared_office: SharedOffice, new_redis: NewRedis
) -> None:
    primary, replica = shared_office.redis, await new_redis()

    def ask_replica(*words: Any) -> Any:
        with Redis(host=HOST, port=replica.port, decode_responses=True) as client:
            return client.execute_command(*words)

    async def fail_over(load: Load) -> None:
        ask_replica("REPLICAOF", HOST, primary.port)
        await until(
            lambda: ask_replica("INFO", "replication").get("master_link_status") == "up", DEADLINE_S, "the replica"
        )
        await load.each_decided_by_redis()
        ask_replica("REPLICAOF", "NO", "ONE")
        await load.decided(300, by="redis")
        shared_office.proxy.lead_to(replica.port)

    async def fail_back(load: Load) -> None:
        await load.decided(300, by="redis")
        shared_office.proxy.lead_to(primary.port)

    await is_brought_up(shared_office, fail_over, fail_back)


async def is_brought_up(shared: SharedOffice, *go_back: Callable[[Load], Awaitable[None]]) -> None:
    """Redis forgets what it has decided last; the ledger does not."""
    seed, ids = new_events(8)
    async with Load(shared.office, ids, seed) as load:
        for one in go_back:
            await load.each_decided_by_redis()
            workers = shared.observed()
            await one(load)
            await until(
                lambda workers=workers: logged_for(workers, LOADED) >= set(ids),  # type: ignore[misc]
                DEADLINE_S,
                "all events to be loaded",
            )
            await load.each_decided_by_redis()
            assert sum(worker.counted("boxoffice_redis_divergences_total") for worker in workers) == 0
            assert [line for worker in workers for line in worker.logged(GIVEN_UP)] == []
    await shared.agrees()


@pytest.mark.long
async def test_a_copy_that_differs_right_after_it_was_loaded_goes_on_locally_with_an_alarm(
    shared_office: SharedOffice,
) -> None:
    office = shared_office.office
    _, [event_id] = new_events(1)
    tickets = event_keys(office.settings.kafka.topic_prefix, event_id).queues[0]
    workers = shared_office.observed()

    def times(message: str) -> int:
        return sum(line["event_id"] == event_id for worker in workers for line in worker.logged(message))

    await office.send(creations([event_id], 100))
    await until(lambda: times(LOADED) == 1, DEADLINE_S, "the event to be loaded")
    shared_office.ask("LSET", tickets, 0, "1-000001")
    await office.send([order(event_id, "r-1")])
    await until(lambda: times(LOADED) == 2, DEADLINE_S, "the event to be loaded again")
    shared_office.ask("LSET", tickets, 0, "1-000001")
    await office.send([order(event_id, "r-2"), order(event_id, "r-3")])
    await until(lambda: times(GIVEN_UP) == 1, DEADLINE_S, "the alarm")
    await office.send([order(event_id, "r-4")])
    await office.answered()
    assert (times(OTHERWISE), times(LOADED)) == (2, 2)
    verdict = await office.verdict()
    assert verdict.problems == []
    assert verdict.summary["events"][event_id]["sold"] == 4
    # Once whoever writes there has been found, a restart tries again.
    for worker in shared_office.workers:
        worker.kill()
    await shared_office.mend()
    await shared_office.agrees()


@pytest.mark.long
async def test_somebody_elses_event_in_redis_changes_no_decision_and_is_named_by_the_audit(
    shared_office: SharedOffice,
) -> None:
    """As after a Kafka that was set up anew beside an old Redis: what is there looks newer than all that comes."""
    office = shared_office.office
    _, [event_id] = new_events(1)
    keys = event_keys(office.settings.kafka.topic_prefix, event_id)
    with shared_office.client() as client:
        client.hset(keys.meta, mapping={"seq": 900, "fence": 10**9, "issued": 5, "sold": 5, "closed": 0})
        client.hset(keys.purchases, "r-1", "{}")
    await office.send([*creations([event_id], 100), *(order(event_id, f"r-{number}") for number in range(10))])
    await office.answered()
    verdict = await office.verdict()
    assert verdict.problems == []
    assert verdict.summary["events"][event_id]["sold"] == 10
    audit = await office.run("audit", "--wait", "1", event_id)
    assert audit.returncode == ExitStatus.DIFFERS
    assert event_id in audit.stdout
    shared_office.ask("UNLINK", *keys.all)
    await until(lambda: bool(shared_office.ask("EXISTS", keys.meta)), DEADLINE_S, "the event to be loaded")
    await shared_office.agrees()
