"""A box office for each test: real processes on a real broker and a Redis of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.brokers import OwnBroker, open_own_broker
from tests.faults.shared import SharedOffice, open_shared_office
from tests.office import Office
from tests.servers import KafkaAddress, RedisAddress


class NewOffice(Protocol):
    """Opens a box office on a Redis of the test's choice."""

    async def __call__(self, redis_url: str) -> Office: ...


@pytest.fixture
def new_office(kafka: KafkaAddress, prefix: str, tmp_path: Path) -> Iterator[NewOffice]:
    """Topics under a prefix of their own; what the test starts is ended after it."""
    opened: list[Office] = []

    async def open_office(redis_url: str) -> Office:
        office = Office(kafka.bootstrap_servers, redis_url, prefix, tmp_path)
        opened.append(office)
        await office.open()
        return office

    yield open_office
    for office in opened:
        office.close()


@pytest.fixture
async def office(new_office: NewOffice, redis_server: RedisAddress) -> Office:
    """A box office on the shared Redis."""
    return await new_office(redis_server.url)


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
