"""The embedded servers: they serve, suffer, come back, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from boxoffice.embedded import (
    EmbeddedKafka,
    EmbeddedRedis,
    EmbeddedStack,
    FolderError,
    PortTakenError,
    ServerStartError,
    StackInUseError,
    ports,
)
from boxoffice.embedded.errors import NoFreePortError

if TYPE_CHECKING:
    from tests.support.servers import KafkaAddress, NewKafka, NewRedis, RedisAddress

DEADLINE_S = 20.0


async def create_topic(bootstrap_servers: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def publish(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def published(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(DEADLINE_S):
        return [(await consumer.getone()).value for _ in range(count)]


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not gone(pid):
            await asyncio.sleep(0.02)


async def test_the_shared_broker_keeps_what_an_idempotent_producer_sends(kafka: KafkaAddress, prefix: str) -> None:
    """Records come back as they were sent."""
    topic = f"{prefix}records"
    await create_topic(kafka.bootstrap_servers, topic)
    await publish(kafka.bootstrap_servers, topic, b"one", b"two")
    assert await published(kafka.bootstrap_servers, topic, 2) == [b"one", b"two"]


async def test_the_shared_redis_runs_scripts(redis_server: RedisAddress, prefix: str) -> None:
    """It is a server with Lua."""
    async with Redis.from_url(redis_server.url) as client:
        assert await client.eval("return redis.call('INCR', KEYS[1])", 1, f"{prefix}count") == 1


async def test_a_killed_broker_comes_back_on_the_same_port_with_its_records(new_kafka: NewKafka) -> None:
    """What was acknowledged is there after SIGKILL and a new start."""
    kafka = await new_kafka()
    address = kafka.bootstrap_servers
    await create_topic(address, "kept")
    await publish(address, "kept", b"before")
    kafka.kill()
    assert not kafka.running
    await kafka.restart()
    assert kafka.bootstrap_servers == address
    await publish(address, "kept", b"after")
    assert await published(address, "kept", 2) == [b"before", b"after"]


async def test_a_paused_redis_answers_nothing_until_it_is_resumed(new_redis: NewRedis) -> None:
    """It takes connections all the while, as a server that hangs does."""
    redis = await new_redis()
    async with Redis.from_url(redis.url) as client:
        await client.ping()
        redis.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("key"), 0.3)
    redis.resume()
    async with Redis.from_url(redis.url) as client:
        assert await client.get("key") is None


async def test_a_paused_redis_can_be_stopped(new_redis: NewRedis) -> None:
    """Stopping does not wait for a process that cannot listen."""
    redis = await new_redis()
    redis.pause()
    started_at = time.monotonic()
    await redis.stop()
    assert not redis.running
    assert time.monotonic() - started_at < DEADLINE_S


@pytest.mark.parametrize(("durable", "expected"), [(True, b"yes"), (False, None)])
async def test_only_a_durable_redis_keeps_its_data(
    new_redis: NewRedis, *, durable: bool, expected: bytes | None
) -> None:
    """A throw-away server comes back empty, a durable one as it was."""
    redis = await new_redis(durable=durable)
    async with Redis.from_url(redis.url) as client:
        await client.set("kept", "yes")
    await redis.restart()
    async with Redis.from_url(redis.url) as client:
        assert await client.get("kept") == expected


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """A given port is not exchanged for another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            await EmbeddedRedis(tmp_path, port).launch()


def test_the_port_that_a_server_was_given_is_no_other_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before it has started, either: a broker picks its second port while the first is still free."""
    only = next(port for port in range(15_000, 32_000) if port not in ports._given and ports.can_listen(port))
    monkeypatch.setattr(ports, "_LOWEST_PORT", only)
    monkeypatch.setattr(ports, "_first_outgoing_port", lambda: only + 1)
    EmbeddedKafka(tmp_path, only)
    with pytest.raises(NoFreePortError):
        ports.free_port()


async def test_a_server_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    """The sentence names the log file and quotes it."""
    redis = EmbeddedRedis(tmp_path, options={"maxmemory-policy": "nonsense"})
    with pytest.raises(ServerStartError, match="nonsense") as failure:
        await redis.launch()
    assert str(redis.log_file) in str(failure.value)
    assert not redis.running


async def test_a_broker_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    """Kafka's own complaint is in the sentence."""
    kafka = EmbeddedKafka(tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(ServerStartError, match=r"num\.io\.threads"):
        await kafka.launch()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_a_server_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    """Even when that is killed, and could not clean up."""
    program = (
        "import asyncio, pathlib, sys, time\n"
        "from boxoffice.embedded import EmbeddedRedis\n"
        "redis = EmbeddedRedis(pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(redis.launch())\n"
        "print(redis.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout
        server = int(parent.stdout.readline())
        assert not gone(server)
        parent.kill()
    await until_gone(server)


async def test_a_kept_stack_has_its_records_and_keys_again(tmp_path: Path) -> None:
    """Both servers start again on their data, even after both were killed."""
    async with EmbeddedStack(tmp_path) as stack:
        await create_topic(stack.kafka_bootstrap_servers, "kept")
        await publish(stack.kafka_bootstrap_servers, "kept", b"record")
        async with Redis.from_url(stack.redis_url) as client:
            await client.set("kept", "key")
        with pytest.raises(StackInUseError, match=str(tmp_path)):
            await EmbeddedStack(tmp_path).__aenter__()
        await asyncio.sleep(0)
        stack.kafka.kill()
        await stack.redis.stop()
        stack.redis.kill()
    async with EmbeddedStack(tmp_path) as stack:
        assert await published(stack.kafka_bootstrap_servers, "kept", 1) == [b"record"]
        async with Redis.from_url(stack.redis_url) as client:
            assert await client.get("kept") == b"key"


ODD_NAME = "bü, r:o\"q'\\ #=!*$\n🎫 "
"""What separates a list or a class path, ends a line or a value, or is escaped, in some language between us and the
servers; and what an ASCII locale lacks."""


@pytest.mark.parametrize("given", ["relative", "absolute"])
async def test_a_stack_keeps_its_data_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """And finds it there again, whatever the locale says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C")
    folder = Path(ODD_NAME) if given == "relative" else tmp_path / ODD_NAME
    async with EmbeddedStack(folder) as stack:
        await create_topic(stack.kafka_bootstrap_servers, "kept")
        async with Redis.from_url(stack.redis_url) as client:
            await client.set("kept", "key")
    assert _names_in(tmp_path) == [ODD_NAME]
    async with EmbeddedStack(folder) as stack:
        await publish(stack.kafka_bootstrap_servers, "kept", b"record")
        async with Redis.from_url(stack.redis_url) as client:
            assert await client.get("kept") == b"key"


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_folder_that_java_cannot_name_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Whatever is no UTF-8; Redis minds nothing."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xfcro"))
    with pytest.raises(FolderError, match="no UTF-8"):
        await EmbeddedKafka(folder).launch()
    async with EmbeddedRedis(folder):
        pass


@pytest.mark.parametrize("place", ["file", "file/below", "no/such/place"])
async def test_a_folder_that_cannot_be_made_is_named_in_a_sentence(tmp_path: Path, place: str) -> None:
    """Also where something else has its name."""
    (tmp_path / "file").touch()
    folder = Path("/proc", place) if place.startswith("no") else tmp_path / place
    for start in (EmbeddedStack(folder).__aenter__, EmbeddedRedis(folder).launch):
        with pytest.raises(FolderError) as failure:
            await start()
        assert str(folder) in str(failure.value)


async def test_a_stack_that_is_not_kept_leaves_nothing_behind() -> None:
    """Neither processes nor files."""
    async with EmbeddedStack(keep=False) as stack:
        pids = [stack.kafka.pid, stack.redis.pid]
        assert any(stack.data_folder.iterdir())
    assert not stack.data_folder.exists()
    assert all(pid and gone(pid) for pid in pids)


async def test_a_given_folder_is_wiped_of_the_stacks_own_only(tmp_path: Path) -> None:
    """What else lies in the folder stays."""
    (tmp_path / "letter").write_text("dear reader")
    async with EmbeddedStack(tmp_path, keep=False) as stack:
        assert stack.kafka.folder.exists()
    assert not stack.kafka.folder.exists()
    assert (tmp_path / "letter").read_text() == "dear reader"
