"""Box offices that tests may harm: two workers with their Redis, and a broker, both behind a proxy."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.brokers import OwnBroker, open_own_broker
from tests.faults.shared import SharedOffice, open_shared_office
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress


@pytest.fixture(scope="module")
def office_of_module(kafka: KafkaAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedOffice]:
    """Two workers, and a Redis behind a proxy."""
    folder = tmp_path_factory.mktemp("shared")
    with open_shared_office(kafka.bootstrap_servers, f"t{secrets.token_hex(4)}-", folder) as opened:
        yield opened


@pytest.fixture
async def shared_office(office_of_module: SharedOffice) -> AsyncIterator[SharedOffice]:
    """The module's box office, which is well before each test and made so again after it."""
    yield office_of_module
    await office_of_module.mend()


@pytest.fixture(scope="module")
def broker_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    """A broker, and a proxy before it."""
    with open_own_broker(tmp_path_factory.mktemp("broker")) as opened:
        yield opened


@pytest.fixture
async def broker(broker_of_module: OwnBroker) -> AsyncIterator[OwnBroker]:
    """The module's broker, which a test may kill, stop and cut off: it is mended after it."""
    yield broker_of_module
    await broker_of_module.mend()


@pytest.fixture
async def suffering(
    broker: OwnBroker, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> AsyncIterator[Office]:
    """A box office on that broker, which its processes reach through the proxy, and everybody else past it."""
    office = broker.office(redis_server.url, prefix, tmp_path)
    await office.open()
    yield office
    office.close()
