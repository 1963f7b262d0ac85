"""The servers that tests run on: their addresses, and the ways to get one."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from confluent_kafka.admin import AdminClient

from boxoffice.embedded import EmbeddedKafka, EmbeddedRedis
from boxoffice.embedded.jars import KAFKA_VERSION
from boxoffice.embedded.kafka import new_cluster_id
from boxoffice.embedded.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxoffice.embedded.process import ServerProcess

# Servers that are there already, HOST:PORT and redis://HOST:PORT/NUMBER; the tests then start none of theirs.
KAFKA_ADDRESS = "BOXOFFICE_TEST_KAFKA"
REDIS_ADDRESS = "BOXOFFICE_TEST_REDIS"
# "docker" takes the shared servers from containers.
SERVERS = "BOXOFFICE_TEST_SERVERS"

# Those of docker/compose.yaml.
KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
REDIS_IMAGE = "valkey/valkey:8.1"

_BROKER_WITHIN_S = 90


@dataclass(frozen=True)
class KafkaAddress:
    """A broker that serves."""

    bootstrap_servers: str


@dataclass(frozen=True)
class RedisAddress:
    """A Redis server that serves."""

    url: str


class NewKafka(Protocol):
    """Starts a broker of the test's own."""

    async def __call__(self, **parameters: object) -> EmbeddedKafka: ...


class NewRedis(Protocol):
    """Starts a Redis server of the test's own."""

    async def __call__(self, **parameters: object) -> EmbeddedRedis: ...


async def kill_and_pause(server: ServerProcess) -> None:
    """A server dies and comes back, then hangs and goes on; each for a second."""
    server.kill()
    await asyncio.sleep(1)
    await server.launch()
    await asyncio.sleep(1)
    server.pause()
    await asyncio.sleep(1)
    server.resume()


@contextmanager
def kafka_for_session() -> Iterator[KafkaAddress]:
    """The broker that all tests share."""
    if address := os.environ.get(KAFKA_ADDRESS):
        yield KafkaAddress(address)
    elif os.environ.get(SERVERS) == "docker":
        with _kafka_container() as found:
            yield found
    else:
        with tempfile.TemporaryDirectory() as folder, serving(kafka := EmbeddedKafka(Path(folder))):
            yield KafkaAddress(kafka.bootstrap_servers)


@contextmanager
def redis_for_session() -> Iterator[RedisAddress]:
    """The Redis server that all tests share."""
    if url := os.environ.get(REDIS_ADDRESS):
        yield RedisAddress(url)
    elif os.environ.get(SERVERS) == "docker":
        with _redis_container() as found:
            yield found
    else:
        with tempfile.TemporaryDirectory() as folder, serving(redis := EmbeddedRedis(Path(folder))):
            yield RedisAddress(redis.url)


@contextmanager
def serving(server: ServerProcess) -> Iterator[None]:
    try:
        asyncio.run(server.launch())
        yield
    finally:
        asyncio.run(server.stop())


@contextmanager
def _kafka_container() -> Iterator[KafkaAddress]:
    # Imported here: it looks for a Docker engine as soon as it is imported.
    from testcontainers.core.container import DockerContainer

    port = free_port()
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    # Where its engine is: the container, which could say more, is not there yet.
    servers = f"{container.get_docker_client().host()}:{port}"
    for name, value in _kafka_variables(servers, port).items():
        container.with_env(name, value)
    with container:
        # It waits until a broker answers; each attempt before would be a line.
        AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=_BROKER_WITHIN_S)
        yield KafkaAddress(servers)


def _kafka_variables(servers: str, port: int) -> dict[str, str]:
    """One broker that is its own controller; whoever asks for it comes back to the same port."""
    return {
        "CLUSTER_ID": new_cluster_id(),
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{servers}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
    }


@contextmanager
def _redis_container() -> Iterator[RedisAddress]:
    from testcontainers.community.redis import RedisContainer

    with RedisContainer(REDIS_IMAGE) as container:
        yield RedisAddress(f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0")
