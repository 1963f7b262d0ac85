"""A box office for each test: real processes on a real broker and a Redis of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.office import Office
from tests.servers import KafkaAddress, RedisAddress


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """Topics under a prefix of their own; what the test starts is ended after it."""
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path)
    await opened.open()
    yield opened
    opened.close()
