"""The other ways to get the shared servers."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from confluent_kafka.admin import AdminClient
from redis import Redis

from tests.support.servers import (
    KAFKA_ADDRESS,
    REDIS_ADDRESS,
    SERVERS,
    KafkaAddress,
    RedisAddress,
    kafka_for_session,
    redis_for_session,
)


def no_docker_engine() -> bool:
    client = shutil.which("docker")
    return client is None or subprocess.run([client, "info"], capture_output=True, check=False).returncode != 0


def test_servers_that_are_there_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started beside them."""
    monkeypatch.setenv(KAFKA_ADDRESS, "127.0.0.1:9092")
    monkeypatch.setenv(REDIS_ADDRESS, "redis://127.0.0.1:6379/3")
    with kafka_for_session() as kafka, redis_for_session() as redis:
        assert kafka == KafkaAddress("127.0.0.1:9092")
        assert redis == RedisAddress("redis://127.0.0.1:6379/3")


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_servers_from_containers_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two addresses, from testcontainers."""
    if no_docker_engine():
        pytest.skip("no Docker engine runs here")
    monkeypatch.delenv(KAFKA_ADDRESS, raising=False)
    monkeypatch.delenv(REDIS_ADDRESS, raising=False)
    monkeypatch.setenv(SERVERS, "docker")
    with kafka_for_session() as kafka, redis_for_session() as redis:
        assert AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics(timeout=30).brokers
        with Redis.from_url(redis.url) as client:
            assert client.ping()
